"""The platform of one process, and its first merchant, for all tests that want no other."""

import pytest

from tests.support.world import Merchant, World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def merchant(world: World) -> Merchant:
    return world.merchant()
