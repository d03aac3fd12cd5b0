"""Breaking a World: steps that crash, come twice or are watched; a provider that fails."""

from collections.abc import Callable, Mapping
from typing import Any

from shared.domain.sandbox_network import Command, Operation, operation_of
from tests.support.world import World

State = Mapping[str, Any]


class CrashError(Exception):
    """Stands for a function that died."""


def watch(world: World) -> list[str]:
    """Returns a list that grows by the name of every step that is entered from now on."""
    entered: list[str] = []
    for name, step in list(world.steps.items()):

        def watched(state: State, name: str = name, step: Any = step) -> State:
            entered.append(name)
            output: State = step(state)
            return output

        world.steps[name] = watched
    return entered


def crash_before(world: World, name: str) -> None:
    """Makes the next run of a step die before it did anything."""
    real = world.steps[name]

    def crash(_: State) -> State:
        world.steps[name] = real
        raise CrashError(name)

    world.steps[name] = crash


def crash_after(world: World, name: str) -> None:
    """Makes the next run of a step die after it did everything, before it could answer."""
    real = world.steps[name]

    def crash(state: State) -> State:
        world.steps[name] = real
        real(state)
        raise CrashError(name)

    world.steps[name] = crash


def deliver_twice(world: World, name: str) -> None:
    """Makes every run of a step happen twice; the second answer counts."""
    real = world.steps[name]

    def twice(state: State) -> State:
        real(state)
        return real(state)

    world.steps[name] = twice


def fail_provider(
    world: World, operation: Operation | None, at: str, error: Exception, *, times: int = 1
) -> None:
    """Makes the next calls of an operation, or of any, fail.

    Args: at: "before_send" or "after_effect".
    """
    left = [times]

    def fault(moment: str, command: Command) -> None:
        is_meant = operation is None or operation_of(command) is operation
        if is_meant and moment == at and left[0] > 0:
            left[0] -= 1
            raise error

    world.provider.fault = fault


def on_provider(world: World, operation: Operation, at: str, act: Callable[[], None]) -> None:
    """Makes something happen once, in the middle of an operation's next call."""
    left = [1]

    def fault(moment: str, command: Command) -> None:
        if operation_of(command) is operation and moment == at and left[0] > 0:
            left[0] -= 1
            act()

    world.provider.fault = fault
