"""Events: from the tables' streams to the bus, and from the bus to who listens."""

from collections.abc import Mapping
from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from constructs import Construct

from shared.domain.saga import SETTLE_STEP
from stacks.base import FarthingStack
from stacks.constructs.alarms import alarm_on, line_metric
from stacks.constructs.function import FarthingFunction, FunctionMaker
from stacks.constructs.queue import DeadLetterQueue, WorkQueue
from stacks.constructs.stream import alarm_on_lag, follow
from stacks.constructs.tables import GET_MANY, PUT, QUERY, UPDATE
from stacks.data import Books
from stacks.stage import Assets, StageConfig

RELAY_TIMEOUT_S = 30
DELIVER_TIMEOUT_S = 60
# They are delivered side by side.
DELIVER_BATCH = 10
# Environments that may wait for endpoints that hang, with a batch each.
ASIDE_CONCURRENCY = 20
SETTLE_BATCH = 10
SOURCE = "farthing"
SETTLED_ON = ["payment_intent.succeeded"]
COMPARE_TIMEOUT_S = 30
COMPARE_BATCH = 10
COMPARED_ON = ["payment_intent.succeeded", "payment_intent.amount_capturable_updated"]
DUPLICATES_METRIC = "SuspectedDuplicates"
DUPLICATES_PERIOD = Duration.minutes(5)
# One customer may well buy the same thing twice; a fault that charges twice makes many at once.
DUPLICATES_ALARM_AT = 5
# Only those hear of webhooks who subscribed; the relay says of each event whether anybody did.
HAS_WEBHOOKS = {"webhooks": [True]}
# Tests pay the same amount with the same card all day: compared, all of them would be suspicious.
LIVE = {"livemode": [True]}
READ_MANY = ["dynamodb:BatchGetItem"]
# Only what is announced wakes the relay: snapshots of payments after a change that is, and the
# documents whose changes are events. The event objects that it writes itself are not among them.
PAYMENT_SNAPSHOTS = lambda_.FilterCriteria.filter(
    {
        "eventName": lambda_.FilterRule.or_("INSERT", "MODIFY"),
        "dynamodb": {
            "Keys": {"sk": {"S": lambda_.FilterRule.is_equal("STATE")}},
            "NewImage": {"announced": {"BOOL": [True]}},
        },
    }
)
ANNOUNCED_DOCUMENTS = lambda_.FilterCriteria.filter(
    {
        "eventName": lambda_.FilterRule.or_("INSERT", "MODIFY"),
        "dynamodb": {
            "NewImage": {
                "kind": {
                    "S": lambda_.FilterRule.or_(
                        "customer",
                        "payment_method",
                        "setup_intent",
                        "webhook_endpoint",
                        "webhook_resend",
                    )
                },
            }
        },
    }
)


class EventsStack(FarthingStack):
    """Announces what happened; stateless."""

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
        super().__init__(scope, "Events", stage=stage, region=region)
        self._books = books
        self._alarms = alarms
        self._make = FunctionMaker(self, stage, assets)
        self.bus = events.EventBus(self, "Bus", description="What happened on Farthing")
        self._relay()
        self._deliver_webhooks()
        self._settle()
        self._detect_duplicates()
        self.tell("EventBusName", self.bus.event_bus_name)

    def _relay(self) -> None:
        books = self._books
        dead_letters = DeadLetterQueue(
            self, "RelayDeadLetters", holds="changes nobody was told of", alarms=self._alarms
        )
        function = self._make.make(
            "relay_events",
            timeout_s=RELAY_TIMEOUT_S,
            environment={
                "OBJECTS_TABLE": books.objects.table_name,
                "IDEMPOTENCY_TABLE": books.idempotency.table_name,
                "EVENT_BUS_NAME": self.bus.event_bus_name,
                "RELAY_DEAD_LETTERS_URL": dead_letters.queue.queue_url,
            },
        )
        function.allow([*QUERY, *READ_MANY, "dynamodb:BatchWriteItem"], books.objects.table_arn)
        function.allow(["events:PutEvents"], self.bus.event_bus_arn)
        follow(function, books.payments, PAYMENT_SNAPSHOTS, dead_letters)
        follow(function, books.objects, ANNOUNCED_DOCUMENTS, dead_letters)
        what = "Events are announced late: the relay fails or is too slow for the streams."
        alarm_on_lag(function, self._alarms, what)

    def _deliver_webhooks(self) -> None:
        holds = "webhooks that were not delivered"
        queue = self._queue("Deliveries", holds, DELIVER_TIMEOUT_S)
        aside = self._queue("DeliveriesAside", holds, DELIVER_TIMEOUT_S)
        local = {"LOCAL_LOOPBACK": "1"} if self.stage_config.is_local else {}
        function = self._make.make(
            "deliver_webhook",
            timeout_s=DELIVER_TIMEOUT_S,
            environment={
                "OBJECTS_TABLE": self._books.objects.table_name,
                "IDEMPOTENCY_TABLE": self._books.idempotency.table_name,
                "DELIVERY_QUEUE_URL": queue.queue.queue_url,
                "DELIVERY_ASIDE_QUEUE_URL": aside.queue.queue_url,
                **self._books.signing_environment,
                **local,
            },
        )
        function.allow(GET_MANY + PUT + UPDATE, self._books.objects.table_arn)
        self._books.sign_events(function)
        function.allow(["sqs:SendMessage"], queue.queue.queue_arn)
        function.allow(["sqs:SendMessage"], aside.queue.queue_arn)
        self._consume(function, queue, DELIVER_BATCH)
        self._consume(function, aside, DELIVER_BATCH, concurrency_max=ASIDE_CONCURRENCY)
        self._rule("Webhooks", queue, detail=HAS_WEBHOOKS)
        self.tell("DeliveryQueueUrl", queue.queue.queue_url)
        self.tell("DeliveryDeadLetterQueueUrl", queue.dead_letters.queue_url)

    def _settle(self) -> None:
        queue = self._queue("Settlements", "payments that were not settled", SETTLE_STEP.timeout_s)
        function = self._make.make(
            SETTLE_STEP.name,
            timeout_s=SETTLE_STEP.timeout_s,
            environment=self._books.environment,
        )
        self._books.change_payments(function)
        self._consume(function, queue, SETTLE_BATCH)
        self._rule("PaymentSucceeded", queue, types=SETTLED_ON)

    def _detect_duplicates(self) -> None:
        holds = "payments that were not compared with others like them"
        queue = self._queue("Comparisons", holds, COMPARE_TIMEOUT_S)
        function = self._make.make(
            "detect_duplicates",
            timeout_s=COMPARE_TIMEOUT_S,
            environment={
                **self._books.environment,
                "RECENT_PAYMENTS_TABLE": self._books.recent_payments.table_name,
            },
        )
        self._books.compare_payments(function)
        self._consume(function, queue, COMPARE_BATCH)
        self._rule("PaymentCharged", queue, types=COMPARED_ON, detail=LIVE)
        pattern = logs.FilterPattern.boolean_value("$.suspected_duplicate", value=True)
        metric = line_metric([function], DUPLICATES_METRIC, pattern, DUPLICATES_PERIOD)
        what = (
            "Customers may be charged twice: find `suspected_duplicate` in the log, compare the "
            "two payments of each line, give back what was not meant."
        )
        alarm_on(self, "Duplicates", metric, self._alarms, what, threshold=DUPLICATES_ALARM_AT)

    def _queue(self, name: str, holds: str, consumer_timeout_s: int) -> WorkQueue:
        timeout = Duration.seconds(consumer_timeout_s)
        return WorkQueue(self, name, holds=holds, consumer_timeout=timeout, alarms=self._alarms)

    def _consume(
        self,
        function: FarthingFunction,
        queue: WorkQueue,
        batch: int,
        *,
        concurrency_max: int | None = None,
    ) -> None:
        source = sources.SqsEventSource(
            queue.queue,
            batch_size=batch,
            max_concurrency=concurrency_max,
            report_batch_item_failures=True,
        )
        function.function.add_event_source(source)

    def _rule(
        self,
        name: str,
        queue: WorkQueue,
        *,
        types: list[str] | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Sends events of the platform to a queue, or to a dead-letter queue if that fails."""
        undelivered = DeadLetterQueue(
            self, f"{name}DeadLetters", holds="events a queue did not take", alarms=self._alarms
        )
        events.Rule(
            self,
            name,
            event_bus=self.bus,
            event_pattern=events.EventPattern(source=[SOURCE], detail_type=types, detail=detail),
            targets=[targets.SqsQueue(queue.queue, dead_letter_queue=undelivered.queue)],
        )
