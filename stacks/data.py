"""The books: what holds payments, objects, journals, and the evidence that they are unaltered."""

from dataclasses import dataclass

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from shared.config import CHECKPOINT_RETENTION_DAYS, DUE_INDEX
from stacks.base import FarthingStack
from stacks.constructs.function import FarthingFunction
from stacks.constructs.keys import kept_key
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


CHECKPOINTS_FOLDER = "checkpoints/*"
# The parts of the evidence that functions without the ledger's rights may touch.
DAY_KEYS = ["DAYKEY"]
CHECKPOINTS = ["CHECKPOINT"]
AVAILABLE = ["AVAILABLE#*"]
# And those of the claims that functions without claims may touch: the buckets of the limits.
LIMITS = ["LIMIT#*"]


def only_keys(patterns: list[str]) -> dict[str, dict[str, list[str]]]:
    """Returns the condition that all items have such partition keys."""
    return {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": patterns}}


@dataclass(frozen=True)
class Books:
    """The tables, and what a role needs for each use of them.

    A transaction needs the rights of the operations in it.

    Args: evidence: the chains of blocks, checkpoints, wrapped day keys. balances: what blocks add
    up to. event_key: wraps the day keys that events are signed with. checkpoint_key: signs
    checkpoints. checkpoints: keeps them, under a lock.
    """

    payments: dynamodb.TableV2
    objects: dynamodb.TableV2
    ledger: dynamodb.TableV2
    idempotency: dynamodb.TableV2
    recent_payments: dynamodb.TableV2
    evidence: dynamodb.TableV2
    balances: dynamodb.TableV2
    event_key: kms.Key
    checkpoint_key: kms.Key
    checkpoints: s3.Bucket
    event_context: dict[str, dict[str, str]]

    @property
    def environment(self) -> dict[str, str]:
        """The names of what a payment's transaction touches, as the functions' settings."""
        return {
            "PAYMENTS_TABLE": self.payments.table_name,
            "OBJECTS_TABLE": self.objects.table_name,
            "LEDGER_TABLE": self.ledger.table_name,
            "IDEMPOTENCY_TABLE": self.idempotency.table_name,
            "BALANCES_TABLE": self.balances.table_name,
            **self.signing_environment,
        }

    @property
    def objects_environment(self) -> dict[str, str]:
        """The names of what a change of objects touches, and of what signs its records."""
        return {
            "OBJECTS_TABLE": self.objects.table_name,
            "IDEMPOTENCY_TABLE": self.idempotency.table_name,
            **self.signing_environment,
        }

    @property
    def signing_environment(self) -> dict[str, str]:
        """What a function needs to know to sign events and audit records."""
        return {
            "EVIDENCE_TABLE": self.evidence.table_name,
            "EVENT_KEY_ARN": self.event_key.key_arn,
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

    def count_requests(self, function: FarthingFunction) -> None:
        """Lets a function that keeps no claims count the requests of accounts.

        Beside the claims: what is kept there goes by itself, and no stream carries it on.
        """
        function.allow(UPDATE, self.idempotency.table_arn, only_keys(LIMITS))

    def read_payments(self, function: FarthingFunction) -> None:
        """Lets a function read payments by id, many at once."""
        function.allow(GET_MANY, self.payments.table_arn)

    def find_due(self, function: FarthingFunction) -> None:
        """Lets a function find payments and other objects past their date."""
        for table in (self.payments, self.objects):
            function.allow(QUERY, f"{table.table_arn}/index/{DUE_INDEX}")

    def change_payments(self, function: FarthingFunction) -> None:
        """Lets a function commit changes of payments: signed events, journals, guarded debits."""
        function.allow(GET + PUT, self.payments.table_arn)
        function.allow(PUT, self.ledger.table_arn)
        function.allow(UPDATE, self.balances.table_arn, only_keys(AVAILABLE))
        self.sign_events(function)

    def sign_events(self, function: FarthingFunction) -> None:
        """Lets a function make and use the key of the day: for events, and for audit records."""
        function.allow(GET + PUT, self.evidence.table_arn, only_keys(DAY_KEYS))
        actions = ["kms:GenerateDataKey", "kms:Decrypt"]
        function.allow(actions, self.event_key.key_arn, self.event_context)

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
        """Lets a function read journals, of an object or by id."""
        function.allow(QUERY + BATCH_GET, self.ledger.table_arn)

    def read_books(self, function: FarthingFunction) -> None:
        """Lets a function read payments and their events, journals, balances and checkpoints."""
        self.read_ledger(function)
        function.allow(GET_MANY + QUERY, self.payments.table_arn)
        function.allow(QUERY, self.balances.table_arn)
        function.allow(GET_MANY + QUERY, self.evidence.table_arn)

    def seal(self, function: FarthingFunction) -> None:
        """Lets a function append to the chains of blocks and add up what is in them."""
        function.allow(BATCH_GET, self.ledger.table_arn)
        function.allow(GET_MANY + QUERY + PUT + UPDATE, self.evidence.table_arn)
        function.allow(QUERY + PUT + UPDATE, self.balances.table_arn)

    def sign_checkpoints(self, function: FarthingFunction) -> None:
        """Lets a function read the chains of blocks, sign them, and put what it signed away."""
        function.allow(QUERY, self.evidence.table_arn)
        function.allow(PUT, self.evidence.table_arn, only_keys(CHECKPOINTS))
        function.allow(["kms:Sign", "kms:Verify"], self.checkpoint_key.key_arn)
        # Without it, an object that there is not would be refused, not missing.
        function.allow(["s3:ListBucket"], self.checkpoints.bucket_arn)
        function.allow(
            ["s3:GetObject", "s3:PutObject", "s3:PutObjectRetention"],
            self.checkpoints.arn_for_objects(CHECKPOINTS_FOLDER),
        )


class DataStack(FarthingStack):
    """Holds the books; stateful."""

    def __init__(self, scope: Construct, *, stage: StageConfig, region: str) -> None:
        super().__init__(scope, "Data", stage=stage, region=region, is_stateful=True)
        self.books = Books(
            payments=keyed_table(self, "Payments", has_stream=True, indexes=[DUE]),
            objects=keyed_table(self, "Objects", has_stream=True, has_ttl=True, indexes=[DUE]),
            ledger=keyed_table(self, "Ledger", has_stream=True),
            idempotency=keyed_table(self, "Idempotency", has_sort_key=False, has_ttl=True),
            recent_payments=keyed_table(self, "RecentPayments", has_ttl=True),
            evidence=keyed_table(self, "Evidence"),
            balances=keyed_table(self, "Balances"),
            event_key=self._event_key(),
            checkpoint_key=self._checkpoint_key(),
            checkpoints=self._checkpoints(),
            event_context=_event_context(stage.name, region),
        )
        self.tell("PaymentsTable", self.books.payments.table_name)
        self.tell("ObjectsTable", self.books.objects.table_name)
        self.tell("LedgerTable", self.books.ledger.table_name)
        self.tell("IdempotencyTable", self.books.idempotency.table_name)
        self.tell("EvidenceTable", self.books.evidence.table_name)
        self.tell("BalancesTable", self.books.balances.table_name)
        self.tell("EventKeyArn", self.books.event_key.key_arn)
        self.tell("CheckpointKeyArn", self.books.checkpoint_key.key_arn)
        self.tell("CheckpointBucket", self.books.checkpoints.bucket_name)

    def _event_key(self) -> kms.Key:
        purpose = "Wraps the data keys that events are signed with, one a day"
        return kept_key(self, "EventKey", purpose)

    def _checkpoint_key(self) -> kms.Key:
        """Makes the key whose public half outsiders verify with; the other never leaves KMS."""
        return kept_key(
            self,
            "CheckpointKey",
            "Signs checkpoints of the ledger",
            spec=kms.KeySpec.ECC_NIST_P256,
            usage=kms.KeyUsage.SIGN_VERIFY,
        )

    def _checkpoints(self) -> s3.Bucket:
        """Makes the bucket whose objects nobody can alter or delete for seven years."""
        kept = Duration.days(CHECKPOINT_RETENTION_DAYS)
        bucket = s3.Bucket(
            self,
            "Checkpoints",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            versioned=True,
            object_lock_enabled=True,
            object_lock_default_retention=s3.ObjectLockRetention.compliance(kept),
            removal_policy=RemovalPolicy.RETAIN,
        )
        # The lock keeps versions; it does not keep one from being hidden by a delete marker.
        bucket.add_to_resource_policy(
            iam.PolicyStatement(
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=["s3:DeleteObject"],
                resources=[bucket.arn_for_objects("*")],
            )
        )
        return bucket


def _event_context(stage: str, region: str) -> dict[str, dict[str, str]]:
    """Returns the condition that a day key is bound to its purpose, place and day."""
    return {
        "StringEquals": {
            "kms:EncryptionContext:purpose": "event",
            "kms:EncryptionContext:stage": stage,
            "kms:EncryptionContext:region": region,
        },
        "Null": {"kms:EncryptionContext:day": "false"},
    }
