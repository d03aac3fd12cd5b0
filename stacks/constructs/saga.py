"""State machines: one per saga of the step table, synchronous Express where somebody waits."""

import json
from collections.abc import Mapping

from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from shared.domain.saga import Saga
from stacks.constructs import asl
from stacks.constructs.alarms import alarm_on, machine_metric
from stacks.constructs.function import FarthingFunction, log_group, pascal_case
from stacks.stage import StageConfig

TROUBLES: Mapping[str, str] = {
    "ExecutionsFailed": "A payment is parked: a step's outcome is unknown and was not undone.",
    "ExecutionsTimedOut": "A saga ran into its bound: its payments are in an unknown state.",
    "ExecutionThrottled": "Sagas are refused for lack of quota: raise it before merchants notice.",
}


class SagaMachine(Construct):
    """Runs one saga.

    Args: functions: by step name; those of the saga's steps are used. The machine's log has
    errors without execution data: what a payment says stays in the tables.
    """

    def __init__(
        self,
        scope: Construct,
        saga: Saga,
        *,
        stage: StageConfig,
        functions: Mapping[str, FarthingFunction],
        alarms: sns.ITopic,
    ) -> None:
        super().__init__(scope, f"{pascal_case(saga.name)}Saga")
        self._is_lasting = saga.is_lasting
        arns = {name: functions[name].function.function_arn for name in asl.steps(saga)}
        self.machine = sfn.StateMachine(
            self,
            "Machine",
            state_machine_type=(
                sfn.StateMachineType.STANDARD if saga.is_lasting else sfn.StateMachineType.EXPRESS
            ),
            definition_body=sfn.DefinitionBody.from_string(json.dumps(asl.render(saga))),
            definition_substitutions=arns,
            logs=sfn.LogOptions(
                destination=log_group(self, "Log", stage),
                level=sfn.LogLevel.ERROR,
                include_execution_data=False,
            ),
            tracing_enabled=True,
        )
        self.machine.add_to_role_policy(
            iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=list(arns.values()))
        )
        for name, meaning in TROUBLES.items():
            metric = machine_metric(name, self.machine.state_machine_arn)
            alarm_on(self, name, metric, alarms, f"{meaning} Saga: {saga.name}.")

    def allow_start(self, caller: FarthingFunction) -> None:
        """Lets a function start this saga, and where it does not last, wait for its answer."""
        action = "states:StartExecution" if self._is_lasting else "states:StartSyncExecution"
        caller.allow([action], self.machine.state_machine_arn)
