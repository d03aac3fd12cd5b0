"""Operations: where every alarm goes."""

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

from stacks.base import FarthingStack
from stacks.constructs.alarms import alarm_on
from stacks.stage import StageConfig


class OperationsStack(FarthingStack):
    """Holds the alarm topic; operators subscribe to it."""

    def __init__(self, scope: Construct, *, stage: StageConfig, region: str) -> None:
        super().__init__(scope, "Operations", stage=stage, region=region)
        cloudwatch_service = iam.ServicePrincipal("cloudwatch.amazonaws.com")
        # A key of our own, because CloudWatch may not use the one that AWS manages for SNS.
        key = kms.Key(
            self,
            "AlarmKey",
            description="Encrypts alarms on their way",
            enable_key_rotation=True,
            removal_policy=RemovalPolicy.DESTROY,
        )
        key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[cloudwatch_service],
                actions=["kms:Decrypt", "kms:GenerateDataKey"],
                resources=["*"],
                conditions={"StringEquals": {"aws:SourceAccount": self.account}},
            )
        )
        self.alarms = sns.Topic(self, "Alarms", master_key=key, enforce_ssl=True)
        self.alarms.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[cloudwatch_service],
                actions=["sns:Publish"],
                resources=[self.alarms.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": self.account}},
            )
        )
        throttles = cloudwatch.Metric(
            namespace="AWS/Lambda",
            metric_name="Throttles",
            period=Duration.minutes(1),
            statistic="Sum",
        )
        what = "Functions are refused for lack of concurrency: raise the quota or find the loop."
        alarm_on(self, "FunctionThrottles", throttles, self.alarms, what)
        self.tell("AlarmTopicArn", self.alarms.topic_arn)
