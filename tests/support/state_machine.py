"""An interpreter of the part of Amazon States Language that the sagas are rendered to."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

Invoke = Callable[[str, Any], Any]


class FailedError(Exception):
    """Says that an execution failed, with the error's name."""


class StateMachine:
    """Runs a definition.

    Args: invoke: takes a task's resource and input, and returns its output. The branches of a
    Parallel run one after the other.
    """

    def __init__(self, definition: Mapping[str, Any], invoke: Invoke) -> None:
        self._definition = definition
        self._invoke = invoke

    def run(self, state_input: Mapping[str, Any]) -> Any:
        """Runs to the output.

        Raises: FailedError.
        """
        return self._run(self._definition, copy.deepcopy(dict(state_input)))

    def _run(self, scope: Mapping[str, Any], value: Any) -> Any:
        name: str | None = scope["StartAt"]
        while name is not None:
            state = scope["States"][name]
            value, name = getattr(self, f"_{state['Type'].lower()}")(state, value)
        return value

    def _task(self, state: Mapping[str, Any], value: Any) -> tuple[Any, str | None]:
        try:
            output = self._invoke(state["Resource"], copy.deepcopy(value))
        except RuntimeError as error:
            return self._caught(state, value, error)
        return _put(value, state["ResultPath"], output), state.get("Next")

    def _parallel(self, state: Mapping[str, Any], value: Any) -> tuple[Any, str | None]:
        outputs = [self._run(branch, copy.deepcopy(value)) for branch in state["Branches"]]
        selected = {
            key.removesuffix(".$"): _branch_output(outputs, path)
            for key, path in state["ResultSelector"].items()
        }
        return _put(value, state["ResultPath"], selected), state.get("Next")

    def _pass(self, state: Mapping[str, Any], value: Any) -> tuple[Any, str | None]:
        given = _get(value, state["InputPath"]) if "InputPath" in state else value
        return state.get("Result", given), state.get("Next")

    def _choice(self, state: Mapping[str, Any], value: Any) -> tuple[Any, str | None]:
        for rule in state["Choices"]:
            if _holds(rule, value):
                return value, rule["Next"]
        return value, state["Default"]

    def _wait(self, state: Mapping[str, Any], value: Any) -> tuple[Any, str | None]:
        # The run ends here with what is known so far; a test that goes on starts another.
        path = state["TimestampPath"]
        assert _get(value, path), f"{path} is not there: AWS would fail the execution"
        return _get(value, path.rpartition(".")[0]), None

    def _fail(self, state: Mapping[str, Any], _value: Any) -> tuple[Any, str | None]:
        raise FailedError(state["Error"])

    def _caught(
        self, state: Mapping[str, Any], value: Any, error: RuntimeError
    ) -> tuple[Any, str | None]:
        catch = state["Catch"][0]
        assert catch["ErrorEquals"] == ["States.ALL"]
        return _put(value, catch["ResultPath"], {"Error": str(error)}), catch["Next"]


def _holds(rule: Mapping[str, Any], value: Any) -> bool:
    if "Not" in rule:
        return not _holds(rule["Not"], value)
    if "Or" in rule:
        return any(_holds(part, value) for part in rule["Or"])
    found = _get(value, rule["Variable"])
    if "IsPresent" in rule:
        return (found is not None) is rule["IsPresent"]
    assert found is not None, f"{rule['Variable']} is not there: AWS would fail the execution"
    return bool(found == rule["StringEquals"])


def _get(value: Any, path: str) -> Any:
    for part in path.removeprefix("$").split(".")[1:]:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _put(value: Any, path: str, output: Any) -> Any:
    name = path.removeprefix("$.")
    assert "." not in name
    return {**value, name: output}


def _branch_output(outputs: list[Any], path: str) -> Any:
    index, _, name = path.removeprefix("$[").partition("].")
    return outputs[int(index)][name]
