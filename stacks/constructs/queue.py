"""Queues that lose nothing: each has a dead-letter queue, each dead-letter queue an alarm."""

from aws_cdk import Acknowledgment, Duration, Validations
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks.constructs.alarms import alarm_on

RECEIVES_MAX = 5
# AWS's advice for a queue that feeds a function: time for the function's own retries.
VISIBILITY_FACTOR = 6


class DeadLetterQueue(Construct):
    """Keeps what could not be processed for two weeks, and alarms as soon as it holds one.

    Args: holds: what its messages are, for whoever is woken by the alarm. is_fifo: as the queue
    that it belongs to.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        holds: str,
        alarms: sns.ITopic,
        is_fifo: bool = False,
    ) -> None:
        super().__init__(scope, construct_id)
        self.queue = sqs.Queue(
            self,
            "Queue",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            fifo=is_fifo or None,
            retention_period=Duration.days(14),
        )
        reason = "It is the last queue; its alarm calls a person."
        rule = Acknowledgment(id="AwsSolutions-SQS3", reason=reason)
        Validations.of(self.queue).acknowledge(rule)
        metric = self.queue.metric_approximate_number_of_messages_visible(
            period=Duration.minutes(1), statistic="Maximum"
        )
        what = f"Set aside: {holds}. Find the cause in the log, repair it, then redrive the queue."
        alarm_on(self, "Alarm", metric, alarms, what)


class WorkQueue(Construct):
    """Feeds one function; what fails RECEIVES_MAX times goes to its dead-letter queue.

    Args: holds: what its messages are. consumer_timeout: of the function, from which the
    visibility timeout follows. delay: time before a message can first be received. is_fifo: it
    takes a message of the same deduplication id once.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        holds: str,
        consumer_timeout: Duration,
        alarms: sns.ITopic,
        delay: Duration | None = None,
        is_fifo: bool = False,
    ) -> None:
        super().__init__(scope, construct_id)
        dead_letters = DeadLetterQueue(
            self, "DeadLetters", holds=holds, alarms=alarms, is_fifo=is_fifo
        )
        self.dead_letters = dead_letters.queue
        self.queue = sqs.Queue(
            self,
            "Queue",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            delivery_delay=delay,
            fifo=is_fifo or None,
            visibility_timeout=Duration.seconds(
                VISIBILITY_FACTOR * int(consumer_timeout.to_seconds())
            ),
            retention_period=Duration.days(4),
            dead_letter_queue=sqs.DeadLetterQueue(
                queue=self.dead_letters, max_receive_count=RECEIVES_MAX
            ),
        )
