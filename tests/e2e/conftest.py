"""The platform that the end-to-end tests use: the one `make test`, or `make up`, brought up."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import stripe

from local.build import ROOT
from local.demo import open_client
from local.home import Home
from tests.support.live import TIMEOUT_S, CheckedClient

COMMAND_TIMEOUT_S = 60


@dataclass(frozen=True)
class Platform:
    """A running platform, as its farthing.json describes it."""

    home: Home
    summary: Mapping[str, Any]

    @property
    def base(self) -> str:
        """The address of the home region."""
        return str(self.summary["api_base"])

    def merchant(self) -> dict[str, str]:
        """Creates a merchant whose store is empty, with the operator's command."""
        done = subprocess.run(
            [sys.executable, "-m", "local.merchant"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=COMMAND_TIMEOUT_S,
        )
        return dict(json.loads(done.stdout))

    def client(self, merchant: Mapping[str, str], base: str | None = None) -> stripe.StripeClient:
        """Returns Stripe's SDK for a merchant."""
        summary = {**merchant, "api_base": base or self.base}
        return open_client(summary, CheckedClient(timeout=TIMEOUT_S))


@pytest.fixture(scope="session")
def platform() -> Platform:
    home = Home.current()
    summary = home.read(home.summary.name)
    assert summary, f"no platform is running in {home.folder}: start it with make up"
    return Platform(home, summary)


@pytest.fixture(scope="module")
def merchant(platform: Platform) -> dict[str, str]:
    """A merchant of the module's own, whose store is empty at first."""
    return platform.merchant()


@pytest.fixture(scope="module")
def client(platform: Platform, merchant: Mapping[str, str]) -> stripe.StripeClient:
    """Stripe's SDK for the module's merchant."""
    return platform.client(merchant)
