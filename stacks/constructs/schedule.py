"""Schedules: a function that runs again and again."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from constructs import Construct

from stacks.constructs.function import FarthingFunction


class Schedule(Construct):
    """Runs a function at a rate.

    A run that fails is not tried again: the next one does the same. Not the library's target,
    whose role may invoke every version of the function.

    Args: minutes: between two runs.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, function: FarthingFunction, minutes: int
    ) -> None:
        super().__init__(scope, construct_id)
        account = cdk.Stack.of(self).account
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal(
                "scheduler.amazonaws.com",
                conditions={"StringEquals": {"aws:SourceAccount": account}},
            ),
        )
        function_arn = function.function.function_arn
        role.add_to_policy(
            iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=[function_arn])
        )
        unit = "minute" if minutes == 1 else "minutes"
        scheduler.CfnSchedule(
            self,
            "Schedule",
            schedule_expression=f"rate({minutes} {unit})",
            flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
            target=scheduler.CfnSchedule.TargetProperty(
                arn=function_arn,
                role_arn=role.role_arn,
                retry_policy=scheduler.CfnSchedule.RetryPolicyProperty(maximum_retry_attempts=0),
            ),
        )
