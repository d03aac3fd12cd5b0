"""Alarms: every one tells the same topic."""

from collections.abc import Iterable

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from constructs import Construct

from stacks.constructs.function import FarthingFunction

NAMESPACE = "Farthing"


def alarm_on(
    scope: Construct,
    alarm_id: str,
    metric: cloudwatch.IMetric,
    topic: sns.ITopic,
    description: str,
    *,
    threshold: int = 1,
    periods: int = 1,
) -> cloudwatch.Alarm:
    """Raises an alarm while the metric is at or above the threshold.

    Args: description: what it means and what to do, for whoever is woken by it. periods: how many
    of the metric's periods in a row.
    """
    alarm = cloudwatch.Alarm(
        scope,
        alarm_id,
        metric=metric,
        threshold=threshold,
        evaluation_periods=periods,
        comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        alarm_description=description,
    )
    alarm.add_alarm_action(actions.SnsAction(topic))
    return alarm


def line_metric(
    functions: Iterable[FarthingFunction],
    name: str,
    pattern: logs.IFilterPattern,
    period: Duration,
) -> cloudwatch.Metric:
    """Counts the log lines of functions that a pattern matches."""
    for function in functions:
        logs.MetricFilter(
            function,
            name,
            log_group=function.log,
            filter_pattern=pattern,
            metric_namespace=NAMESPACE,
            metric_name=name,
            metric_value="1",
        )
    return cloudwatch.Metric(namespace=NAMESPACE, metric_name=name, period=period, statistic="Sum")


def machine_metric(name: str, machine_arn: str) -> cloudwatch.Metric:
    """Counts, per minute, what a state machine reports under that name."""
    return cloudwatch.Metric(
        namespace="AWS/States",
        metric_name=name,
        dimensions_map={"StateMachineArn": machine_arn},
        period=Duration.minutes(1),
        statistic="Sum",
    )
