"""The README's first payment, run as it is printed."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.build import ROOT
from tests.e2e.conftest import COMMAND_TIMEOUT_S, Platform

pytestmark = pytest.mark.e2e

HEADING = "## A first payment"
BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)


def example(language: str) -> str:
    """Returns the section's block in a language; the shell's has none."""
    section = (ROOT / "README.md").read_text().partition(HEADING)[2].partition("\n## ")[0]
    return next(block[2] for block in BLOCK.finditer(section) if block[1] == language)


@pytest.fixture
def checkout(platform: Platform, tmp_path: Path) -> Path:
    """A folder that looks to the examples like the checkout after `make up`."""
    summary = tmp_path / ".local" / "farthing.json"
    summary.parent.mkdir()
    summary.write_text(json.dumps(dict(platform.summary)))
    return tmp_path


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=True, timeout=COMMAND_TIMEOUT_S
    )
    return done.stdout


def test_readme_python_example_takes_a_payment(checkout: Path) -> None:
    assert run(checkout, sys.executable, "-c", example("python")) == "succeeded\n"


@pytest.mark.skipif(shutil.which("curl") is None, reason="the example is for curl")
def test_readme_curl_example_takes_a_payment_and_shows_the_books(checkout: Path) -> None:
    shown = run(checkout, "sh", "-e", "-c", example(""))
    assert '"status": "succeeded"' in shown
    assert '"object": "ledger.account_balance"' in shown
    assert '"object": "network_transaction"' in shown
