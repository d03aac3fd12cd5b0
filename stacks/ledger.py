"""Ledger: seals what was written into chains of blocks, and signs how far the chains reach."""

from typing import Any

from aws_cdk import Acknowledgment, Duration, Stack, Validations
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from constructs import Construct

from stacks.base import FarthingStack
from stacks.constructs.alarms import alarm_on, line_metric
from stacks.constructs.function import FarthingFunction, FunctionMaker
from stacks.constructs.queue import DeadLetterQueue, WorkQueue
from stacks.constructs.stream import alarm_on_lag, follow
from stacks.data import CHECKPOINTS_FOLDER, Books
from stacks.stage import Assets, StageConfig

SEAL_TIMEOUT_S = 60
# A batch is spread over 64 chains, and every reader of a stream's shard appends to all of them:
# large batches, two seconds of waiting for them, and one at a time make few readers and blocks.
# Nobody waits for a block. `python -m bench partitions` tells what more traffic needs.
SEAL_BATCH = 500
SEAL_WINDOW_S = 2
SIGN_TIMEOUT_S = 30
# A request to sign is deduplicated while it waits: that is how often checkpoints are made at most.
SIGN_DELAY = Duration.seconds(10)
SIGN_BATCH = 10
BROKEN_METRIC = "BrokenChains"
INSERTED: dict[str, Any] = {"eventName": lambda_.FilterRule.is_equal("INSERT")}
JOURNALS = lambda_.FilterCriteria.filter(INSERTED)
# Of payments and documents alike: snapshots and list rows are made from these.
EVENTS = lambda_.FilterCriteria.filter(
    {**INSERTED, "dynamodb": {"Keys": {"sk": {"S": lambda_.FilterRule.begins_with("EV#")}}}}
)


class LedgerStack(FarthingStack):
    """Keeps the evidence up to date; stateless."""

    def __init__(
        self,
        scope: Construct,
        *,
        stage: StageConfig,
        region: str,
        assets: Assets,
        books: Books,
        alarms: sns.ITopic,
    ) -> None:
        super().__init__(scope, "Ledger", stage=stage, region=region)
        self._books = books
        self._alarms = alarms
        self._make = FunctionMaker(self, stage, assets)
        requests = WorkQueue(
            self,
            "CheckpointRequests",
            holds="requests to sign how far the ledger reaches",
            consumer_timeout=Duration.seconds(SIGN_TIMEOUT_S),
            alarms=alarms,
            delay=SIGN_DELAY,
            is_fifo=True,
        )
        self._seal(requests)
        self._sign(requests)
        self.tell("CheckpointQueueUrl", requests.queue.queue_url)

    def _seal(self, requests: WorkQueue) -> None:
        books = self._books
        dead_letters = DeadLetterQueue(
            self, "SealDeadLetters", holds="records without evidence", alarms=self._alarms
        )
        function = self._make.make(
            "seal_ledger",
            timeout_s=SEAL_TIMEOUT_S,
            environment={
                "LEDGER_TABLE": books.ledger.table_name,
                "EVIDENCE_TABLE": books.evidence.table_name,
                "BALANCES_TABLE": books.balances.table_name,
                "CHECKPOINT_QUEUE_URL": requests.queue.queue_url,
                "SEAL_DEAD_LETTERS_URL": dead_letters.queue.queue_url,
            },
        )
        books.seal(function)
        function.allow(["sqs:SendMessage"], requests.queue.queue_arn)
        for table, criteria in (
            (books.ledger, JOURNALS),
            (books.payments, EVENTS),
            (books.objects, EVENTS),
        ):
            follow(
                function,
                table,
                criteria,
                dead_letters,
                batch=SEAL_BATCH,
                window_s=SEAL_WINDOW_S,
                at_once=1,
                # What is given up would be missing in the evidence and in all balances, and no
                # later record would make up for it. What is poison the function sets aside itself.
                retries_max=None,
            )
        what = (
            "Balances and evidence are late: the sealer fails or is too slow for the streams, "
            "which forget after a day. Find the error in its log and repair it before then."
        )
        alarm_on_lag(function, self._alarms, what)

    def _sign(self, requests: WorkQueue) -> None:
        books = self._books
        function = self._make.make(
            "sign_checkpoint",
            timeout_s=SIGN_TIMEOUT_S,
            environment={
                "EVIDENCE_TABLE": books.evidence.table_name,
                "CHECKPOINT_KEY_ARN": books.checkpoint_key.key_arn,
                "CHECKPOINT_BUCKET": books.checkpoints.bucket_name,
            },
        )
        books.sign_checkpoints(function)
        self._explain_folder(function)
        function.function.add_event_source(
            sources.SqsEventSource(
                requests.queue, batch_size=SIGN_BATCH, report_batch_item_failures=True
            )
        )
        self._watch_signing(function)

    def _explain_folder(self, function: FarthingFunction) -> None:
        """Tells the AWS Solutions rules why a right ends in a wildcard, by its exact name."""
        bucket = self._books.checkpoints
        arn = Stack.of(bucket).export_value(bucket.bucket_arn)
        exported = self.resolve(arn)["Fn::ImportValue"]
        rule = Acknowledgment(
            id=f"AwsSolutions-IAM5[Resource::{exported}/{CHECKPOINTS_FOLDER}]",
            reason="The objects of one folder; each checkpoint has a name of its own there.",
        )
        Validations.of(function.role).acknowledge(rule)

    def _watch_signing(self, function: FarthingFunction) -> None:
        pattern = logs.FilterPattern.boolean_value("$.broken", value=True)
        broken = line_metric([function], BROKEN_METRIC, pattern, Duration.minutes(1))
        what = (
            "The ledger does not follow from what was signed of it: find `broken` in the log; the "
            "line names the shard and the block. Nothing more is signed. Keep the tables as they "
            "are, and find out who changed them."
        )
        alarm_on(self, "Broken", broken, self._alarms, what)
        errors = function.function.metric_errors(period=Duration.minutes(1), statistic="Sum")
        what = "No checkpoint could be signed: the evidence stays open until this is repaired."
        alarm_on(function, "Errors", errors, self._alarms, what)
