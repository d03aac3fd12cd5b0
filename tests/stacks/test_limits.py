"""How much of the platform its callers can take, and who hears when that is not known."""

import json

from ops.key_usage import is_of_the_api
from shared.domain.saga import SAGAS
from stacks.payments import LIMITS_METRIC
from tests.support.synthesis import REGION, ROOT, Platform

# What a region of a new AWS account runs at the same time, and what AWS keeps unreserved of it.
QUOTA, UNRESERVED_MIN = 1_000, 100
API = ("api_", "tokenize_card")


def reserved(platform: Platform) -> dict[str, int | None]:
    template = platform.stack("Payments", REGION)
    return {
        function["Properties"]["Description"]: function["Properties"].get(
            "ReservedConcurrentExecutions"
        )
        for function in template.of_type("AWS::Lambda::Function").values()
    }


def test_every_api_function_is_bounded_where_real_money_moves(production: Platform) -> None:
    found = reserved(production)
    bounded = {name: most for name, most in found.items() if most is not None}

    assert set(bounded) == {name for name in found if name.startswith(API)}
    assert sum(bounded.values()) <= QUOTA - UNRESERVED_MIN


def test_steps_are_left_as_many_invocations_as_payments_can_be_asked_for(
    production: Platform,
) -> None:
    # given: of a saga, as many steps run at the same time as its widest stage has
    widest = max(len(stage) for saga in SAGAS.values() for stage in saga.stages)
    found = reserved(production)
    # then
    left = QUOTA - sum(most or 0 for most in found.values())
    assert left >= widest * (found["api_payments"] or QUOTA)


def test_stages_for_tests_reserve_nothing(dev: Platform, local: Platform) -> None:
    for platform in (dev, local):
        assert set(reserved(platform).values()) == {None}


def test_api_concurrency_names_functions_that_exist() -> None:
    stages = json.loads((ROOT / "cdk.json").read_text())["context"]["stages"]
    for stage in stages.values():
        for name in stage.get("api_concurrency", {}):
            assert (ROOT / "functions" / name / "handler.py").exists()


def test_limits_that_are_not_enforced_alarm(production: Platform) -> None:
    payments = production.stack("Payments", REGION)
    # when
    filters = [
        found["Properties"]
        for found in payments.of_type("AWS::Logs::MetricFilter").values()
        if found["Properties"]["MetricTransformations"][0]["MetricName"] == LIMITS_METRIC
    ]
    # then
    assert {found["FilterPattern"] for found in filters} == {"{ $.limiter_failed IS TRUE }"}
    assert len(filters) == len([name for name in reserved(production) if name.startswith(API)])
    (alarm,) = [
        alarm["Properties"]
        for alarm in payments.of_type("AWS::CloudWatch::Alarm").values()
        if alarm["Properties"].get("MetricName") == LIMITS_METRIC
    ]
    assert alarm["Threshold"] == 1
    assert alarm["AlarmActions"]


def test_log_groups_that_tell_of_the_use_of_keys_are_those_of_the_api(
    production: Platform,
) -> None:
    # given
    template = production.stack("Payments", REGION)
    functions = template.of_type("AWS::Lambda::Function").values()
    of_the_api = {
        function["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]
        for function in functions
        if function["Properties"]["Description"].startswith(API)
    }
    # when
    found = {name for name in template.of_type("AWS::Logs::LogGroup") if is_of_the_api(name)}
    # then
    assert found == of_the_api
