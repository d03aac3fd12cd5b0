from collections.abc import Callable
from pathlib import Path

import pytest

from local import ministack, processes, up
from local.deployment import DeployError
from local.home import Home
from local.progress import Progress

PORT = 14_999


class Emulator:
    """Notes what is done with it; deployments end as told."""

    def __init__(self, *outcomes: bool) -> None:
        self.outcomes = list(outcomes)
        self.log: list[str] = []

    def ensure(self, *_: object) -> bool:
        self.log.append("start")
        return True

    def stop(self, *_: object) -> bool:
        self.log.append("stop")
        return True

    def deploy(self, *_: object, **__: object) -> bool:
        self.log.append("deploy")
        if not self.outcomes.pop(0):
            raise DeployError("cdk deploy failed", "the change set is gone")
        return True


@pytest.fixture
def emulating(monkeypatch: pytest.MonkeyPatch) -> Callable[[Emulator], Emulator]:
    def use(emulator: Emulator) -> Emulator:
        monkeypatch.setattr(ministack, "ensure", emulator.ensure)
        monkeypatch.setattr(processes, "stop", emulator.stop)
        monkeypatch.setattr(up, "_deploy", emulator.deploy)
        return emulator

    return use


def test_first_deployment_that_breaks_off_starts_over_on_an_empty_emulator(
    tmp_path: Path, emulating: Callable[[Emulator], Emulator]
) -> None:
    # given
    emulator = emulating(Emulator(False, True))
    # when
    deployed = up._deploy_first(Home(tmp_path), PORT, Progress())
    # then
    assert deployed
    assert emulator.log == ["deploy", "stop", "start", "deploy"]


def test_first_deployment_that_breaks_off_twice_leaves_no_emulator(
    tmp_path: Path, emulating: Callable[[Emulator], Emulator]
) -> None:
    # given
    emulator = emulating(Emulator(False, False))
    # when
    with pytest.raises(DeployError):
        up._deploy_first(Home(tmp_path), PORT, Progress())
    # then
    assert emulator.log == ["deploy", "stop", "start", "deploy", "stop"]


def test_first_deployment_forgets_the_merchant_of_an_emulator_before(
    tmp_path: Path, emulating: Callable[[Emulator], Emulator]
) -> None:
    # given
    emulating(Emulator(True))
    home = Home(tmp_path)
    home.write("farthing.json", {"account": "acct_gone"})
    # when
    up._deploy_first(home, PORT, Progress())
    # then
    assert not home.summary.exists()
