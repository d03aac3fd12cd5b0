"""Streams: how a function follows the changes of a table."""

from collections.abc import Mapping
from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_sns as sns

from stacks.constructs.alarms import alarm_on
from stacks.constructs.function import FarthingFunction
from stacks.constructs.queue import DeadLetterQueue

BATCH = 100
BATCHES_AT_ONCE = 10
RETRIES_MAX = 10
LAG_MAX = Duration.minutes(1)


def follow(
    function: FarthingFunction,
    table: dynamodb.TableV2,
    criteria: Mapping[str, Any],
    dead_letters: DeadLetterQueue,
    *,
    batch: int = BATCH,
    window_s: int = 0,
    at_once: int = BATCHES_AT_ONCE,
    retries_max: int | None = RETRIES_MAX,
) -> None:
    """Feeds a table's stream to a function; what fails again and again is set aside.

    Args: criteria: which records. batch: how many together. window_s: how long a batch may wait
    to become full. at_once: how many batches of a stream's shard are worked on side by side.
    retries_max: how often a batch is tried again, None for as long as the stream remembers it.
    """
    function.function.add_event_source(
        sources.DynamoEventSource(
            table,
            starting_position=lambda_.StartingPosition.TRIM_HORIZON,
            batch_size=batch,
            max_batching_window=Duration.seconds(window_s),
            parallelization_factor=at_once,
            bisect_batch_on_error=True,
            retry_attempts=retries_max,
            report_batch_item_failures=True,
            on_failure=sources.SqsDlq(dead_letters.queue),
            filters=[criteria],
        )
    )


def alarm_on_lag(function: FarthingFunction, alarms: sns.ITopic, what: str) -> None:
    """Raises an alarm while a function stays behind its streams.

    Args: what: what it means, for whoever is woken by it.
    """
    lag = function.function.metric("IteratorAge", period=Duration.minutes(1), statistic="Maximum")
    threshold = int(LAG_MAX.to_milliseconds())
    alarm_on(function, "Lag", lag, alarms, what, threshold=threshold, periods=3)
