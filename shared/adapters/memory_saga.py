"""Sagas in one process: the step table walked as the state machine walks it."""

from collections.abc import Callable, Mapping
from typing import Any

from shared.domain.saga import SAGAS, Outcome, Saga, Step

StepFunction = Callable[[Mapping[str, Any]], Mapping[str, Any]]
CRASHED = {"outcome": Outcome.PARKED, "payment": None}


class MemorySagaRunner:
    """Implements SagaRunner.

    Args: steps: by name. An exception of a step enters the undo chain, as any error of a Lambda
    does; steps of one stage run one after the other.
    """

    def __init__(self, steps: Mapping[str, StepFunction]) -> None:
        self.started: dict[str, tuple[str, Mapping[str, Any]]] = {}
        self._steps = dict(steps)

    def start(self, saga: str, name: str, saga_input: Mapping[str, Any]) -> None:
        """Keeps what was started, by name; a test runs it when its time has come."""
        self.started.setdefault(name, (saga, saga_input))

    def run(self, saga: str, saga_input: Mapping[str, Any]) -> Mapping[str, Any]:
        """Runs a saga to its output."""
        table = SAGAS[saga]
        state: dict[str, Any] = dict(saga_input)
        for stage in table.stages:
            undo_at = self._run_stage(stage, state)
            if undo_at is not None:
                return self._undo(table, undo_at, state)
            stopped = self._stopped(stage, state)
            if stopped is not None:
                return stopped
        output: Mapping[str, Any] = state["result"]
        return output

    def _run_stage(self, stage: tuple[Step, ...], state: dict[str, Any]) -> str | None:
        """Runs a stage; returns where to enter the undo chain, "" to park, None to go on."""
        for step in stage:
            try:
                output: Mapping[str, Any] | None = self._steps[step.name](state)
            except Exception:  # noqa: BLE001 - any error of a step is the same to the machine
                output = None
            if step.check is None:
                state["result"] = output
            else:
                state.setdefault("checks", {})[step.check] = output
        return self._undo_from(stage, state)

    @staticmethod
    def _output(step: Step, state: Mapping[str, Any]) -> Mapping[str, Any] | None:
        output: Mapping[str, Any] | None = (
            state["checks"][step.check] if step.check else state["result"]
        )
        return output

    def _undo_from(self, stage: tuple[Step, ...], state: Mapping[str, Any]) -> str | None:
        for step in stage:
            output = self._output(step, state)
            if output is None:
                return step.undo or ""
            outcome = Outcome(output["outcome"])
            if outcome in step.undo_from:
                return step.undo_from[outcome] or ""
            if outcome not in step.proceed:
                return None
        return None

    def _stopped(
        self, stage: tuple[Step, ...], state: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        for step in stage:
            output = self._output(step, state)
            if output is not None and output["outcome"] not in step.proceed:
                return output
        return None

    def _undo(self, table: Saga, undo_at: str, state: dict[str, Any]) -> Mapping[str, Any]:
        names = [step.name for step in table.undo_chain]
        if undo_at not in names:
            return CRASHED
        for step in table.undo_chain[names.index(undo_at) :]:
            try:
                output = self._steps[step.name](state)
            except Exception:  # noqa: BLE001 - a failed undo parks the payment
                return CRASHED
            state["result"] = output
            if output["outcome"] not in step.proceed:
                return output
        result: Mapping[str, Any] = state["result"]
        return result
