"""The state machines that the step table is rendered to."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from shared.adapters.memory_saga import MemorySagaRunner
from shared.domain.saga import RESOLVE, SAGAS, Outcome, Saga, Step
from stacks.constructs import asl
from stacks.payments import NETWORK_STEPS
from tests.support.state_machine import FailedError, StateMachine

TABLES = pytest.mark.parametrize("saga", SAGAS.values(), ids=SAGAS)


def every_scope(states: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields StartAt and States of a definition and of the branches in it."""
    yield states["StartAt"], states["States"]
    for state in states["States"].values():
        for branch in state.get("Branches", ()):
            yield from every_scope(branch)


def every_state(definition: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {name: state for _, states in every_scope(definition) for name, state in states.items()}


def targets(state: Mapping[str, Any]) -> set[str]:
    transitions = [state, *state.get("Catch", ()), *state.get("Choices", ())]
    names = {transition["Next"] for transition in transitions if "Next" in transition}
    return names | ({state["Default"]} if "Default" in state else set())


@TABLES
def test_rendered_saga_states_are_all_reachable_and_exist(saga: Saga) -> None:
    for start, states in every_scope(asl.render(saga)):
        # when
        seen, pending = set(), {start}
        while pending:
            name = pending.pop()
            assert name in states, f"{name} is not a state of this scope"
            seen.add(name)
            pending |= targets(states[name]) - seen

        # then
        assert seen == set(states)


@TABLES
def test_rendered_saga_every_state_has_one_way_on(saga: Saga) -> None:
    for name, state in every_state(asl.render(saga)).items():
        ways = [key for key in ("Next", "End", "Default") if key in state]
        assert len(ways) == (0 if state["Type"] == "Fail" else 1), name


@TABLES
def test_rendered_saga_every_task_is_bounded_and_caught(saga: Saga) -> None:
    table = asl.steps(saga)
    tasks = {n: s for n, s in every_state(asl.render(saga)).items() if s["Type"] == "Task"}

    assert set(tasks) == set(table)
    for name, task in tasks.items():
        assert task["Resource"] == f"${{{name}}}"
        assert task["TimeoutSeconds"] == table[name].timeout_s + asl.TASK_MARGIN_S
        assert [catch["ErrorEquals"] for catch in task["Catch"]] == [["States.ALL"]]
        asks = table[name].asks_provider
        errors = asl.NOT_RUN_ERRORS if asks else asl.RETRIED_ERRORS
        assert [tuple(retry["ErrorEquals"]) for retry in task["Retry"]] == [errors]
        assert task["Retry"][0]["MaxAttempts"] == table[name].attempts_max - 1


@TABLES
def test_step_that_may_have_reached_the_provider_is_not_sent_again(saga: Saga) -> None:
    # Its second run would take an unreachable provider for a proof that nothing was sent. A lasting
    # saga draws no such conclusion: what it cannot reach it asks again later.
    forward = [step for stage in saga.stages for step in stage if not saga.is_lasting]

    asking = {step.name for step in forward if step.name in NETWORK_STEPS}

    assert {step.name for step in forward if step.asks_provider} == asking
    assert not any(step.asks_provider for step in saga.undo_chain)


def test_lasting_saga_waits_for_the_date_and_runs_its_step_again() -> None:
    rendered = asl.render(RESOLVE)["States"]

    rules = rendered["resolve_payment_outcome"]["Choices"]
    by_outcome = {rule.get("StringEquals"): rule["Next"] for rule in rules}

    assert by_outcome["waiting"] == "resolve_payment_wait"
    assert by_outcome["parked"] == asl.PARK
    assert rendered["resolve_payment_wait"] == {
        "Type": "Wait",
        "TimestampPath": "$.result.due_at",
        "Next": "resolve_payment",
    }


@TABLES
def test_rendered_saga_waits_fit_into_an_express_execution(saga: Saga) -> None:
    stages = [max(step.timeout_s for step in stage) for stage in saga.stages]
    undo = [step.timeout_s for step in saga.undo_chain]

    longest = sum(wait + asl.TASK_MARGIN_S for wait in (*stages, *undo))

    assert longest <= asl.EXPRESS_TIMEOUT_S


@TABLES
def test_rendered_saga_crash_enters_the_undo_chain_at_the_steps_own_undo(saga: Saga) -> None:
    states = every_state(asl.render(saga))
    for step in (step for stage in saga.stages if len(stage) == 1 for step in stage):
        assert states[step.name]["Catch"][0]["Next"] == (step.undo or asl.PARK)


@TABLES
def test_rendered_saga_crash_of_an_undo_parks(saga: Saga) -> None:
    states = every_state(asl.render(saga))
    for step in saga.undo_chain:
        assert states[step.name]["Catch"][0]["Next"] == asl.PARK


def test_render_of_an_undo_outside_the_chain_is_refused() -> None:
    saga = Saga("broken", stages=((Step("capture_payment", undo="refund_capture"),),))

    with pytest.raises(ValueError, match="refund_capture is not in the undo chain"):
        asl.render(saga)


def answers(step: Step) -> list[Outcome | None]:
    """What a step may do: go on, be undone, end the saga, or crash (None)."""
    return [*step.proceed, *step.undo_from, Outcome.CONFLICT, None]


class Script:
    """Plays all steps of a saga by a script, and keeps what was called with which state."""

    def __init__(self, outcomes: Mapping[str, Outcome | None]) -> None:
        self._outcomes = outcomes
        self.calls: list[str] = []
        self.checks_seen: dict[str, Any] = {}

    def play(self, name: str, state: Mapping[str, Any]) -> dict[str, Any]:
        assert state["saga"] == "given"
        self.calls.append(name)
        self.checks_seen[name] = state.get("checks")
        outcome = self._outcomes[name]
        if outcome is None:
            raise RuntimeError("crashed")
        return {"outcome": outcome.value, "by": name}


def run_in_process(saga: Saga, script: Script) -> Any:
    def function(name: str) -> Any:
        return lambda state: script.play(name, dict(state))

    runner = MemorySagaRunner({name: function(name) for name in asl.steps(saga)})
    output = runner.run(saga.name, {"saga": "given"})
    return asl.PARK if output["outcome"] == Outcome.PARKED else output


def run_rendered(saga: Saga, script: Script) -> Any:
    machine = StateMachine(asl.render(saga), lambda arn, state: script.play(arn[2:-1], state))
    try:
        return machine.run({"saga": "given"})
    except FailedError as error:
        assert error.args == ("parked",)
        return asl.PARK


@TABLES
def test_rendered_saga_does_what_the_table_walked_in_process_does(saga: Saga) -> None:
    # given every combination of what the steps may do
    table = asl.steps(saga)
    for combination in itertools.product(*(answers(step) for step in table.values())):
        outcomes = dict(zip(table, combination, strict=True))
        expected, rendered = Script(outcomes), Script(outcomes)

        # when
        answer = run_in_process(saga, expected)

        # then
        assert run_rendered(saga, rendered) == answer, outcomes
        assert rendered.calls == expected.calls, outcomes
        for name in ("authorize_payment", "release_funds"):
            assert rendered.checks_seen.get(name) == expected.checks_seen.get(name), outcomes
