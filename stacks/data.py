"""The books: the tables that hold payments, objects, journals and idempotency keys."""

from dataclasses import dataclass

from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

from shared.config import DUE_INDEX
from stacks.base import FarthingStack
from stacks.constructs.function import FarthingFunction
from stacks.constructs.tables import (
    BATCH_GET,
    DELETE,
    GET,
    GET_MANY,
    PUT,
    QUERY,
    SCAN,
    UPDATE,
    keyed_table,
)
from stacks.stage import StageConfig

# Sparse: only what somebody must look after has the attributes, for the time that it is open.
DUE = dynamodb.GlobalSecondaryIndexPropsV2(
    index_name=DUE_INDEX,
    partition_key=dynamodb.Attribute(name="due_shard", type=dynamodb.AttributeType.STRING),
    sort_key=dynamodb.Attribute(name="due_at", type=dynamodb.AttributeType.NUMBER),
    projection_type=dynamodb.ProjectionType.KEYS_ONLY,
)


@dataclass(frozen=True)
class Books:
    """The tables, and what a role needs for each use of them.

    A transaction needs the rights of the operations in it.
    """

    payments: dynamodb.TableV2
    objects: dynamodb.TableV2
    ledger: dynamodb.TableV2
    idempotency: dynamodb.TableV2
    recent_payments: dynamodb.TableV2

    @property
    def environment(self) -> dict[str, str]:
        """The names of a payment's tables, as the functions' settings."""
        return {
            "PAYMENTS_TABLE": self.payments.table_name,
            "OBJECTS_TABLE": self.objects.table_name,
            "LEDGER_TABLE": self.ledger.table_name,
            "IDEMPOTENCY_TABLE": self.idempotency.table_name,
        }

    def read_keys(self, function: FarthingFunction) -> None:
        """Lets a function authenticate its callers."""
        function.allow(GET, self.objects.table_arn)

    def read_objects(self, function: FarthingFunction) -> None:
        """Lets a function read objects, API keys among them, and lists."""
        function.allow(GET_MANY + QUERY, self.objects.table_arn)

    def write_objects(self, function: FarthingFunction) -> None:
        """Lets a function write objects and their list rows."""
        function.allow(PUT + DELETE, self.objects.table_arn)

    def keep_idempotency(self, function: FarthingFunction) -> None:
        """Lets a function claim idempotency keys, find claims and answer them.

        A claim is read in one call with the objects that its request names.
        """
        function.allow(BATCH_GET + PUT + UPDATE, self.idempotency.table_arn)

    def read_payments(self, function: FarthingFunction) -> None:
        """Lets a function read payments by id, many at once."""
        function.allow(GET_MANY, self.payments.table_arn)

    def find_due(self, function: FarthingFunction) -> None:
        """Lets a function find payments past their date."""
        function.allow(QUERY, f"{self.payments.table_arn}/index/{DUE_INDEX}")

    def change_payments(self, function: FarthingFunction) -> None:
        """Lets a function commit changes of payments with their journals."""
        function.allow(GET + PUT, self.payments.table_arn)
        function.allow(PUT, self.ledger.table_arn)

    def list_new(self, function: FarthingFunction) -> None:
        """Lets a function's transactions write list rows and new objects."""
        function.allow(PUT, self.objects.table_arn)

    def claim_keys(self, function: FarthingFunction) -> None:
        """Lets a function's transactions claim idempotency keys."""
        function.allow(PUT, self.idempotency.table_arn)

    def compare_payments(self, function: FarthingFunction) -> None:
        """Lets a function read a payment and compare it with recent ones."""
        function.allow(GET, self.payments.table_arn)
        function.allow(PUT + QUERY + UPDATE, self.recent_payments.table_arn)

    def audit(self, function: FarthingFunction) -> None:
        """Lets a function read all of every payment, and change nothing."""
        function.allow(SCAN + GET + QUERY, self.payments.table_arn)
        function.allow(QUERY, self.ledger.table_arn)
        function.allow(BATCH_GET, self.objects.table_arn)

    def read_ledger(self, function: FarthingFunction) -> None:
        """Lets a function read journals."""
        function.allow(QUERY, self.ledger.table_arn)


class DataStack(FarthingStack):
    """Holds the books; stateful."""

    def __init__(self, scope: Construct, *, stage: StageConfig, region: str) -> None:
        super().__init__(scope, "Data", stage=stage, region=region, is_stateful=True)
        self.books = Books(
            payments=keyed_table(self, "Payments", has_stream=True, indexes=[DUE]),
            objects=keyed_table(self, "Objects", has_stream=True, has_ttl=True),
            ledger=keyed_table(self, "Ledger"),
            idempotency=keyed_table(self, "Idempotency", has_sort_key=False, has_ttl=True),
            recent_payments=keyed_table(self, "RecentPayments", has_ttl=True),
        )
        self.tell("PaymentsTable", self.books.payments.table_name)
        self.tell("ObjectsTable", self.books.objects.table_name)
        self.tell("LedgerTable", self.books.ledger.table_name)
        self.tell("IdempotencyTable", self.books.idempotency.table_name)
