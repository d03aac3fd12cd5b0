"""hledger, wherever it is installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

from local.build import ROOT

UNPACKED = ROOT / ".local" / "hledger" / "hledger"
TIMEOUT_S = 60


def find_hledger() -> str:
    """Returns its path; skips the test where there is none."""
    found = shutil.which("hledger") or (str(UNPACKED) if UNPACKED.is_file() else None)
    if found is None:
        pytest.skip("hledger is not here: install the package hledger, 1.25 or newer")
    return found


def hledger(journal: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a command of hledger on a journal file."""
    command = [find_hledger(), "--file", str(journal), *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=TIMEOUT_S)
