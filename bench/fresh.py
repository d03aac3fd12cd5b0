"""How long `make up` takes: from a fresh clone, and again with nothing changed."""

import os
import subprocess
import tempfile
import time
from pathlib import Path

from local.build import ROOT

FIRST_MAX_S, AGAIN_MAX_S = 240.0, 20.0
TIMEOUT_S = 900


def main() -> bool:
    """Clones what is committed, brings it up twice and down; tells whether both keep the bounds."""
    with tempfile.TemporaryDirectory(prefix="farthing-bench-") as folder:
        clone = Path(folder) / "farthing"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        try:
            first = _up(clone)
            again = _up(clone)
        finally:
            subprocess.run(["make", "down"], cwd=clone, check=True, timeout=TIMEOUT_S)
    print(f"fresh clone: {first:.0f} s (bound {FIRST_MAX_S:.0f})")
    print(f"nothing changed: {again:.1f} s (bound {AGAIN_MAX_S:.0f})")
    return first <= FIRST_MAX_S and again <= AGAIN_MAX_S


def _up(clone: Path) -> float:
    started = time.monotonic()
    environment = {name: os.environ[name] for name in os.environ if name != "FARTHING_HOME"}
    subprocess.run(
        ["make", "up"],
        cwd=clone,
        check=True,
        timeout=TIMEOUT_S,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    return time.monotonic() - started
