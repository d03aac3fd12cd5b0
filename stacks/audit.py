"""Audit: holds what is stored against the invariants, all of it in turn, and alarms."""

from aws_cdk import Duration
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from constructs import Construct

from stacks.base import FarthingStack
from stacks.constructs.alarms import alarm_on, line_metric
from stacks.constructs.function import FunctionMaker
from stacks.constructs.schedule import Schedule
from stacks.constructs.tables import GET, PUT, keyed_table
from stacks.data import Books
from stacks.network import CardNetwork
from stacks.stage import Assets, StageConfig

INTERVAL_MINUTES = 5
TIMEOUT_S = 60
VIOLATIONS_METRIC = "InvariantViolations"


class AuditStack(FarthingStack):
    """Looks at the books and changes nothing of them; stateless.

    Its only table holds the place where the next run goes on; without it the walk begins anew.
    """

    def __init__(
        self,
        scope: Construct,
        *,
        stage: StageConfig,
        region: str,
        assets: Assets,
        books: Books,
        sandbox: CardNetwork | None,
        alarms: sns.ITopic,
    ) -> None:
        super().__init__(scope, "Audit", stage=stage, region=region)
        place = keyed_table(self, "Place", goes_with_stack=True)
        # Only the sandbox network's own record can be read.
        network = {} if sandbox is None else {"SANDBOX_NETWORK": "1", **sandbox.environment}
        function = FunctionMaker(self, stage, assets).make(
            "audit_invariants",
            timeout_s=TIMEOUT_S,
            environment={
                **books.environment,
                "AUDIT_TABLE": place.table_name,
                **network,
            },
        )
        books.audit(function)
        function.allow(GET + PUT, place.table_arn)
        if sandbox is not None:
            sandbox.allow_calls(function)
        Schedule(self, "Walk", function=function, minutes=INTERVAL_MINUTES)
        period = Duration.minutes(INTERVAL_MINUTES)
        pattern = logs.FilterPattern.boolean_value("$.violated", value=True)
        violations = line_metric([function], VIOLATIONS_METRIC, pattern, period)
        what = (
            "Stored payments break an invariant: find `violated` in the log; each line names the "
            "payment, the rule and the numbers. Stop what causes it before anything is repaired."
        )
        alarm_on(self, "Violations", violations, alarms, what)
        errors = function.function.metric_errors(period=period, statistic="Sum")
        what = "The audit fails: nobody watches the invariants until it is repaired."
        alarm_on(function, "Errors", errors, alarms, what, periods=3)
        self.tell("AuditFunctionName", function.function.function_name)
