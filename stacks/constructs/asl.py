"""Renders the step table as Amazon States Language.

The saga's state is its input plus `result`, the output of the step before, and `checks`, the
outputs of the steps that ran side by side. A saga ends with the output of one step, or fails with
the error "parked" when what happened is not known and could not be undone: the caller then
answers `processing`, and the alarm on failed executions calls a person.

JSONPath throughout: the local emulator evaluates no JSONata in a Parallel.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from shared.domain.saga import Outcome, Saga, Step

States = dict[str, dict[str, Any]]

# AWS's limit for an Express execution; below it every wait has its own bound.
EXPRESS_TIMEOUT_S = 300
# Longer than anything is looked after; what is cut off is taken up by the sweeper.
LASTING_TIMEOUT_S = 40 * 24 * 3600
# A cold start's init phase (10 s at most) does not count against a function's timeout. A task that
# gave up earlier would start an undo beside the step that it undoes.
TASK_MARGIN_S = 11
PARK = "park"
# After this error of the Lambda service, a function certainly did not run.
NOT_RUN_ERRORS = ("Lambda.TooManyRequestsException",)
# After these it may have; every step is idempotent, so most may be sent again.
RETRIED_ERRORS = (
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    *NOT_RUN_ERRORS,
)


def render(saga: Saga) -> dict[str, Any]:
    """Makes the definition of a saga; `${<step>}` stands for the ARN of that step's function.

    Raises: ValueError when the table names a step that is not in the undo chain, or one twice.
    """
    return {
        "Comment": f"The {saga.name} saga, rendered from shared/domain/saga.py",
        "StartAt": _entry(saga.stages[0]),
        "TimeoutSeconds": LASTING_TIMEOUT_S if saga.is_lasting else EXPRESS_TIMEOUT_S,
        "States": _unique(_states(saga)),
    }


def steps(saga: Saga) -> dict[str, Step]:
    """Returns the steps of a saga, undo steps included, by name."""
    forward = [step for stage in saga.stages for step in stage]
    return {step.name: step for step in (*forward, *saga.undo_chain)}


def _states(saga: Saga) -> Iterator[States]:
    for index, stage in enumerate(saga.stages):
        after = _entry(saga.stages[index + 1]) if index + 1 < len(saga.stages) else None
        yield from (
            _single(saga, stage[0], after) if len(stage) == 1 else _side_by_side(saga, stage, after)
        )
    for index, step in enumerate(saga.undo_chain):
        last = index + 1 == len(saga.undo_chain)
        yield from _undo(step, None if last else saga.undo_chain[index + 1].name)
    yield {
        PARK: {
            "Type": "Fail",
            "Error": Outcome.PARKED.value,
            "Cause": "A step's outcome is unknown and was not undone; the payment waits.",
        }
    }


def _single(saga: Saga, step: Step, after: str | None) -> Iterator[States]:
    choice = f"{step.name}_outcome"
    yield {step.name: _task(step, _undo_entry(saga, step.undo), Next=choice)}
    yield from _decide(saga, choice, (step,), after)


def _side_by_side(saga: Saga, stage: Sequence[Step], after: str | None) -> Iterator[States]:
    """Renders steps that run at once.

    A step's crash is caught inside its branch: a Catch of the Parallel would leave the other
    branches running beside the undo.
    """
    entry = _entry(stage)
    outputs = {f"{step.check}.$": f"$[{index}].output" for index, step in enumerate(stage)}
    yield {
        entry: {
            "Type": "Parallel",
            "Branches": [_branch(step) for step in stage],
            "ResultSelector": outputs,
            "ResultPath": "$.checks",
            "Catch": [_catch(_first_undo(saga, stage))],
            "Next": f"{entry}_outcome",
        }
    }
    yield from _decide(saga, f"{entry}_outcome", stage, after)


def _branch(step: Step) -> dict[str, Any]:
    crashed = f"{step.name}_crashed"
    return {
        "StartAt": step.name,
        "States": {
            step.name: _task(step, crashed, ResultPath="$.output", End=True),
            crashed: {"Type": "Pass", "Result": {"output": None}, "End": True},
        },
    }


def _decide(saga: Saga, name: str, stage: Sequence[Step], after: str | None) -> Iterator[States]:
    """Reads the outcomes of a stage in the table's order: undo, end with an answer, or go on.

    A step without an outcome crashed; what it did is unknown.
    """
    rules: list[dict[str, Any]] = []
    for step in stage:
        missing = {"Variable": _outcome(step), "IsPresent": False}
        rules.append({**missing, "Next": _undo_entry(saga, step.undo)})
        if step.again is not None:
            wait = f"{step.name}_wait"
            rules.append({**_any(step, (step.again,)), "Next": wait})
            due = f"{_output(step)}.due_at"
            yield {wait: {"Type": "Wait", "TimestampPath": due, "Next": step.name}}
        for outcome, undo in step.undo_from.items():
            rules.append({**_any(step, (outcome,)), "Next": _undo_entry(saga, undo)})
        if after is not None:
            rules.append({"Not": _any(step, step.proceed), "Next": f"{step.name}_answer"})
        yield _answer(step)
    default = after or f"{stage[-1].name}_answer"
    yield {name: {"Type": "Choice", "Choices": rules, "Default": default}}


def _undo(step: Step, after: str | None) -> Iterator[States]:
    """Renders an undo step; one that crashes parks, one that finds nothing to undo answers."""
    choice, answer = f"{step.name}_outcome", f"{step.name}_answer"
    yield {step.name: _task(step, PARK, Next=choice)}
    missing = {"Variable": _outcome(step), "IsPresent": False, "Next": PARK}
    undone = {**_any(step, step.proceed), "Next": after or answer}
    yield {choice: {"Type": "Choice", "Choices": [missing, undone], "Default": answer}}
    yield _answer(step)


def _answer(step: Step) -> States:
    return {f"{step.name}_answer": {"Type": "Pass", "InputPath": _output(step), "End": True}}


def _output(step: Step) -> str:
    return "$.result" if step.check is None else f"$.checks.{step.check}"


def _outcome(step: Step) -> str:
    return f"{_output(step)}.outcome"


def _any(step: Step, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    if not outcomes:
        raise ValueError(f"the table says no outcome after which {step.name} goes on")
    rules = [{"Variable": _outcome(step), "StringEquals": outcome.value} for outcome in outcomes]
    return rules[0] if len(rules) == 1 else {"Or": rules}


def _entry(stage: Sequence[Step]) -> str:
    return "_and_".join(step.name for step in stage)


def _undo_entry(saga: Saga, undo: str | None) -> str:
    if undo is None:
        return PARK
    if undo not in {step.name for step in saga.undo_chain}:
        raise ValueError(f"{undo} is not in the undo chain of {saga.name}")
    return undo


def _first_undo(saga: Saga, stage: Sequence[Step]) -> str:
    """The undo that leaves the least: the earliest in the chain of those the stage's steps name."""
    entries = {_undo_entry(saga, step.undo) for step in stage}
    chain = [step.name for step in saga.undo_chain if step.name in entries]
    return PARK if PARK in entries else chain[0]


def _unique(parts: Iterator[States]) -> States:
    states: States = {}
    for part in parts:
        for name, state in part.items():
            if name in states:
                raise ValueError(f"the table leads to two states named {name}")
            states[name] = state
    return states


def _task(step: Step, caught: str, **transition: object) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": f"${{{step.name}}}",
        "TimeoutSeconds": step.timeout_s + TASK_MARGIN_S,
        "ResultPath": "$.result",
        "Retry": [
            {
                "ErrorEquals": list(NOT_RUN_ERRORS if step.asks_provider else RETRIED_ERRORS),
                "IntervalSeconds": 1,
                "MaxAttempts": step.attempts_max - 1,
                "BackoffRate": 2,
                "JitterStrategy": "FULL",
            }
        ],
        "Catch": [_catch(caught)],
        **transition,
    }


def _catch(target: str) -> dict[str, Any]:
    # Beside the saga's state, so that an undo never reads an error as input.
    return {"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": target}
