"""Functions: one way to make a Lambda, so that all are alike where they should be."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from stacks.stage import Assets, StageConfig

MEMORY_MB = 512
RUNTIME = lambda_.Runtime.PYTHON_3_13
ARCHITECTURE = lambda_.Architecture.ARM_64


def pascal_case(name: str) -> str:
    """Makes the construct id of a function, queue or machine from its name."""
    return "".join(word.capitalize() for word in name.split("_"))


def log_group(scope: Construct, construct_id: str, stage: StageConfig) -> logs.LogGroup:
    """Makes a log group whose retention and end are stated.

    Production keeps a year (PCI DSS 10.5.1) even if the stack goes; others a week.
    """
    production = stage.is_production
    return logs.LogGroup(
        scope,
        construct_id,
        retention=logs.RetentionDays.ONE_YEAR if production else logs.RetentionDays.ONE_WEEK,
        removal_policy=RemovalPolicy.RETAIN if production else RemovalPolicy.DESTROY,
    )


class FarthingFunction(Construct):
    """One Lambda on arm64 with its own role and log group.

    The role may write to that log group and send trace segments; everything else is granted by
    the stack that knows what the function does. Tracing is switched on for the service only:
    the functions import no tracer, which would cost more than their work.
    """

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        stage: StageConfig,
        code: lambda_.Code,
        layer: lambda_.ILayerVersion,
        timeout: Duration,
        environment: Mapping[str, str],
        memory_mb: int = MEMORY_MB,
        concurrency_max: int | None = None,
    ) -> None:
        super().__init__(scope, pascal_case(name))
        self.name = name
        self.timeout = timeout
        self.role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=f"What {name} may do",
        )
        self.log = log = log_group(self, "Log", stage)
        log.grant_write(self.role)
        self.function = lambda_.Function(
            self,
            "Function",
            runtime=RUNTIME,
            architecture=ARCHITECTURE,
            code=code,
            layers=[layer],
            handler=f"functions.{name}.handler.handler",
            description=name,
            memory_size=memory_mb,
            reserved_concurrent_executions=concurrency_max,
            timeout=timeout,
            role=self.role,
            log_group=log,
            tracing=lambda_.Tracing.ACTIVE,
            environment={"FARTHING_STAGE": stage.name, **environment},
        )

    def allow(self, actions: list[str], resource: str, conditions: object = None) -> None:
        """Adds one statement to the role: these actions on that one resource."""
        self.role.add_to_policy(
            iam.PolicyStatement(
                actions=actions,
                resources=[resource],
                conditions=conditions if isinstance(conditions, dict) else None,
            )
        )


@dataclass(frozen=True)
class FunctionMaker:
    """Makes the functions of one stack from the same assets.

    The layer belongs to the stack: a layer exported by another stack could never be replaced
    while this one imports it.
    """

    scope: Construct
    stage: StageConfig
    assets: Assets
    _codes: dict[str, lambda_.Code] = field(default_factory=dict)
    _layers: list[lambda_.LayerVersion] = field(default_factory=list)

    def make(
        self,
        name: str,
        *,
        timeout_s: int,
        environment: Mapping[str, str] | None = None,
        code: str = "platform",
        memory_mb: int = MEMORY_MB,
        concurrency_max: int | None = None,
    ) -> FarthingFunction:
        """Makes functions/<name> from the code asset of that name.

        Args: concurrency_max: of its invocations, which are reserved for it; None shares the
        region's with all functions.
        """
        return FarthingFunction(
            self.scope,
            name,
            stage=self.stage,
            code=self._code(code),
            layer=self._layer(),
            timeout=Duration.seconds(timeout_s),
            environment=environment or {},
            memory_mb=memory_mb,
            concurrency_max=concurrency_max,
        )

    def _code(self, name: str) -> lambda_.Code:
        if name not in self._codes:
            self._codes[name] = lambda_.Code.from_asset(self.assets.code(name))
        return self._codes[name]

    def _layer(self) -> lambda_.LayerVersion:
        if not self._layers:
            layer = lambda_.LayerVersion(
                self.scope,
                "Dependencies",
                code=lambda_.Code.from_asset(self.assets.layer),
                compatible_architectures=[ARCHITECTURE],
                compatible_runtimes=[RUNTIME],
                description="Python dependencies of the functions",
            )
            self._layers.append(layer)
        return self._layers[0]
