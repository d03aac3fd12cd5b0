"""State machines as deployed."""

import json

from shared.domain.saga import SAGAS
from stacks.constructs import asl
from stacks.constructs.saga import TROUBLES
from tests.support.synthesis import Platform

MACHINE = "AWS::StepFunctions::StateMachine"


def test_machine_of_each_saga_is_the_rendered_table(platform: Platform) -> None:
    template = platform.stack("Payments")
    machines = template.of_type(MACHINE).values()

    deployed = [json.loads(machine["Properties"]["DefinitionString"]) for machine in machines]

    assert deployed == [asl.render(saga) for saga in SAGAS.values()]


def test_machine_substitutes_the_function_of_each_step(platform: Platform) -> None:
    template = platform.stack("Payments")
    functions = template.of_type("AWS::Lambda::Function")
    for machine in template.of_type(MACHINE).values():
        substitutions = machine["Properties"]["DefinitionSubstitutions"]
        named = {
            step: functions[arn["Fn::GetAtt"][0]]["Properties"]["Description"]
            for step, arn in substitutions.items()
        }
        assert named == {step: step for step in substitutions}


def test_machine_that_lasts_is_standard_and_each_logs_errors_without_their_data(
    platform: Platform,
) -> None:
    machines = platform.stack("Payments").of_type(MACHINE).values()
    for saga, machine in zip(SAGAS.values(), machines, strict=True):
        facts = machine["Properties"]
        assert facts["StateMachineType"] == ("STANDARD" if saga.is_lasting else "EXPRESS")
        assert facts["LoggingConfiguration"]["Level"] == "ERROR"
        assert facts["LoggingConfiguration"]["IncludeExecutionData"] is False
        assert facts["TracingConfiguration"] == {"Enabled": True}


def alarms(platform: Platform, metric: str) -> list[str]:
    """Returns what the alarms of a metric watch."""
    found = platform.stack("Payments").of_type("AWS::CloudWatch::Alarm").values()
    facts = [alarm["Properties"] for alarm in found]
    watched = [item["Dimensions"] for item in facts if item["MetricName"] == metric]
    return sorted(dimensions[0]["Value"]["Ref"][:-8] for dimensions in watched)


def test_machine_troubles_alarm(production: Platform) -> None:
    machines = sorted(f"{name.capitalize()}SagaMachine" for name in SAGAS)

    for trouble in TROUBLES:
        assert alarms(production, trouble) == machines, trouble


def test_undo_step_or_sweeper_that_fails_alarms(production: Platform) -> None:
    undo = {step.name for saga in SAGAS.values() for step in saga.undo_chain}
    names = {"".join(word.capitalize() for word in name.split("_")) for name in undo}

    watched = {*names, "SweepDue"}
    assert alarms(production, "Errors") == sorted(f"{name}Function" for name in watched)


def test_throttled_functions_alarm(platform: Platform) -> None:
    found = platform.stack("Operations").of_type("AWS::CloudWatch::Alarm").values()

    assert [alarm["Properties"]["MetricName"] for alarm in found] == ["Throttles"]
