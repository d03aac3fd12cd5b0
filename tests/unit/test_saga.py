"""The step table is sound: what its readers rely on."""

from pathlib import Path

import pytest

from shared.domain.saga import PAY, SAGAS, SETTLE_STEP, Outcome, Saga, Step

FUNCTIONS = {path.parent.name for path in Path("functions").glob("*/handler.py")}
TABLES = pytest.mark.parametrize("saga", SAGAS.values(), ids=SAGAS)


def steps_of(saga: Saga) -> list[Step]:
    return [step for stage in saga.stages for step in stage]


@TABLES
def test_step_has_a_function_of_its_name(saga: Saga) -> None:
    assert {step.name for step in (*steps_of(saga), *saga.undo_chain)} <= FUNCTIONS
    assert SETTLE_STEP.name in FUNCTIONS


@TABLES
def test_step_is_undone_from_a_place_in_the_chain(saga: Saga) -> None:
    # given
    chain = [step.name for step in saga.undo_chain]
    # then
    assert len(set(chain)) == len(chain)
    for step in steps_of(saga):
        for entry in (step.undo, *step.undo_from.values()):
            assert entry is None or entry in chain


@TABLES
def test_later_step_enters_the_chain_no_later_than_an_earlier_one(saga: Saga) -> None:
    # given: the chain undoes in reverse, so what comes later has more to undo
    chain = [step.name for step in saga.undo_chain]
    entries = [chain.index(step.undo) for step in steps_of(saga) if step.undo]
    # then
    assert entries == sorted(entries, reverse=True)


@TABLES
def test_step_outcomes_that_go_on_and_those_that_undo_are_apart(saga: Saga) -> None:
    for step in (*steps_of(saga), *saga.undo_chain):
        assert not set(step.proceed) & set(step.undo_from)


@TABLES
def test_stage_goes_on_unless_it_is_the_last(saga: Saga) -> None:
    for stage in saga.stages[:-1]:
        for step in stage:
            assert step.proceed
    for step in saga.stages[-1]:
        assert not step.proceed


@TABLES
def test_steps_side_by_side_leave_their_outputs_apart(saga: Saga) -> None:
    for stage in saga.stages:
        checks = [step.check for step in stage]
        if len(stage) > 1:
            assert None not in checks
            assert len(set(checks)) == len(checks)
        else:
            assert checks == [None]


@TABLES
def test_step_is_bounded_in_time_and_attempts(saga: Saga) -> None:
    for step in (*steps_of(saga), *saga.undo_chain):
        assert 0 < step.timeout_s <= 30
        assert 1 <= step.attempts_max <= 5


@TABLES
def test_name_appears_once_in_a_saga(saga: Saga) -> None:
    names = [step.name for step in (*steps_of(saga), *saga.undo_chain)]
    assert len(set(names)) == len(names)


def test_sagas_are_found_by_their_names() -> None:
    assert all(name == saga.name for name, saga in SAGAS.items())


def test_whatever_the_provider_was_asked_is_undone_before_the_hold_is_released() -> None:
    # given
    chain = [step.name for step in PAY.undo_chain]
    # then
    assert chain == ["refund_capture", "void_authorization", "release_funds"]
    (score,) = [step for step in steps_of(PAY) if step.name == "score_fraud"]
    assert score.undo_from == {Outcome.BLOCK: "void_authorization"}
    (authorize,) = [step for step in steps_of(PAY) if step.name == "authorize_payment"]
    assert authorize.undo == "void_authorization"
    assert authorize.undo_from == {Outcome.UNAVAILABLE: "release_funds"}
