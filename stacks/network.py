"""Card networks: the sandbox one as a stack of its own, and what a payment step knows of any."""

from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import Duration
from aws_cdk import aws_secretsmanager as secrets
from aws_cdk import aws_sns as sns
from constructs import Construct

from stacks.base import FarthingStack
from stacks.constructs.api import FarthingApi
from stacks.constructs.function import FarthingFunction, FunctionMaker
from stacks.constructs.queue import WorkQueue
from stacks.constructs.tables import GET_MANY, PUT, QUERY, keyed_table
from stacks.stage import Assets, StageConfig

NOTICES_TIMEOUT_S = 30
NOTICES_BATCH = 10


@dataclass(frozen=True)
class CardNetwork:
    """A provider that is reached over HTTP with a bearer secret.

    Args: secret_pattern: the secret's ARN as a policy names it.
    """

    url: str
    secret_arn: str
    secret_pattern: str

    @property
    def environment(self) -> dict[str, str]:
        """What a function needs to know to call the network."""
        return {"NETWORK_URL": self.url, "NETWORK_SECRET_ARN": self.secret_arn}

    def allow_calls(self, function: FarthingFunction) -> None:
        """Lets a function read the secret."""
        function.allow(["secretsmanager:GetSecretValue"], self.secret_pattern)


def operators_network(stack: FarthingStack) -> CardNetwork:
    """Names the card network of a stage without the sandbox; its secret was made by an operator."""
    stage = stack.stage_config
    if stage.network_url is None or stage.network_secret_name is None:
        raise ValueError(f"stage {stage.name} has no card network")
    arn = stack.format_arn(
        service="secretsmanager",
        resource="secret",
        resource_name=stage.network_secret_name,
        arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
    )
    # Secrets Manager ends every ARN with six random characters and resolves it without them.
    return CardNetwork(stage.network_url, secret_arn=arn, secret_pattern=f"{arn}-??????")


class SandboxNetworkStack(FarthingStack):
    """Plays a card network by Stripe's test cards; its table is test data and goes with it."""

    def __init__(
        self,
        scope: Construct,
        *,
        stage: StageConfig,
        region: str,
        assets: Assets,
        alarms: sns.ITopic,
    ) -> None:
        super().__init__(scope, "SandboxNetwork", stage=stage, region=region)
        # What it tells the platform of changes; the platform reads it.
        self.notices = WorkQueue(
            self,
            "Notices",
            holds="notices of the sandbox card network that the platform could not follow",
            consumer_timeout=Duration.seconds(NOTICES_TIMEOUT_S),
            alarms=alarms,
        )
        table = keyed_table(self, "Network", goes_with_stack=True)
        secret = secrets.Secret(
            self,
            "Secret",
            description="Bearer secret of the sandbox card network",
            generate_secret_string=secrets.SecretStringGenerator(
                exclude_punctuation=True, password_length=40
            ),
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        resource = secret.node.default_child
        if not isinstance(resource, secrets.CfnSecret):
            raise TypeError("a Secret holds a CfnSecret")
        # Not Ref, which the local emulator answers with the secret's name.
        secret_arn = resource.attr_id
        function = FunctionMaker(self, stage, assets).make(
            "sandbox_network",
            code="network",
            timeout_s=10,
            environment={
                "NETWORK_TABLE": table.table_name,
                "NETWORK_SECRET_ARN": secret_arn,
                "NETWORK_NOTICES_URL": self.notices.queue.queue_url,
            },
        )
        function.allow(GET_MANY + PUT + QUERY, table.table_arn)
        function.allow(["sqs:SendMessage"], self.notices.queue.queue_arn)
        api = FarthingApi(self, "Api", stage=stage, local_name="network")
        api.route(function, "ANY /v1/{proxy+}")
        self.network = CardNetwork(api.base_url, secret_arn, secret_pattern=secret_arn)
        self.network.allow_calls(function)
        self.tell("NetworkApiId", api.api.api_id)
        self.tell("NetworkTable", table.table_name)
        self.tell("NetworkSecretArn", secret_arn)
