"""Synthesizes each stage once: that is slow."""

from collections.abc import Iterator

import pytest

from tests.support.synthesis import REGION, Platform, synthesize


@pytest.fixture(scope="session")
def production(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """The stage that moves real money, in all its regions."""
    return synthesize(tmp_path_factory.mktemp("production"), "production")


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """A stage on AWS with the sandbox network."""
    return synthesize(tmp_path_factory.mktemp("dev"), "dev", (REGION,))


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """The stage on the emulator."""
    return synthesize(tmp_path_factory.mktemp("local"), "local", (REGION,))


@pytest.fixture(scope="session", params=["production", "dev", "local"])
def platform(request: pytest.FixtureRequest) -> Iterator[Platform]:
    """Each stage in turn."""
    yield request.getfixturevalue(request.param)
