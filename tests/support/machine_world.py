"""A World whose sagas are the state machines that are deployed, interpreted."""

from collections.abc import Mapping
from typing import Any

from shared.adapters.memory_saga import MemorySagaRunner, StepFunction
from shared.domain.errors import UnknownOutcomeError
from shared.domain.saga import SAGAS
from stacks.constructs import asl
from tests.support.state_machine import FailedError, StateMachine
from tests.support.world import World


class StateMachineRunner(MemorySagaRunner):
    """Runs the sagas by the rendered definitions instead of the table."""

    def __init__(self, steps: Mapping[str, StepFunction]) -> None:
        super().__init__(steps)
        self._machines = {
            name: StateMachine(asl.render(saga), self._invoke) for name, saga in SAGAS.items()
        }

    def run(self, saga: str, saga_input: Mapping[str, Any]) -> Mapping[str, Any]:
        """Runs a saga; a failed execution leaves its outcome unknown."""
        try:
            output: Mapping[str, Any] = self._machines[saga].run(saga_input)
        except FailedError as error:
            raise UnknownOutcomeError(str(error)) from error
        return output

    def _invoke(self, resource: str, state: Any) -> Any:
        try:
            return self._steps[resource.removeprefix("${").removesuffix("}")](state)
        except Exception as error:
            raise RuntimeError(str(error)) from error


class MachineWorld(World):
    """The platform with the deployed state machines."""

    def runner(self, steps: Mapping[str, StepFunction]) -> MemorySagaRunner:
        """Runs the sagas as state machines."""
        return StateMachineRunner(steps)
