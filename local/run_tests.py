"""What `make test` runs: every test there is.

The end-to-end tests get a platform of their own, on other ports and in another folder, so that a
running `make up` is not disturbed; it is taken down again whatever happens.
"""

import os
import signal
import subprocess
import sys

from local.build import ROOT
from local.deployment import QUIET_NODE
from local.down import down
from local.home import Home
from local.progress import Progress, stop_with
from local.up import FAILURES, up

HOME = Home(ROOT / ".local" / "test", enforces_roles=True)
WORKERS = "2"
SUITE_TIMEOUT_S = 1_800


def run_suite(*arguments: str, home: Home | None = None) -> int:
    """Runs pytest and returns its exit code."""
    environment = {**os.environ, **QUIET_NODE}
    if home is not None:
        environment["FARTHING_HOME"] = str(home.folder)
    command = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, check=False, timeout=SUITE_TIMEOUT_S
    ).returncode


def run_end_to_end(progress: Progress) -> int:
    """Runs the end-to-end tests on a platform that lives as long as they do."""
    try:
        summary = up(HOME, progress)
        progress.say(f"end-to-end tests against {summary['api_base']}")
        return run_suite("tests/e2e", "-m", "e2e", home=HOME)
    finally:
        down(HOME, progress)


def main() -> None:
    """Runs all suites, also after one failed, and exits with 1 when one did."""
    # A terminated run takes its platform down as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    progress = Progress()
    progress.say("unit, property, contract, integration, stack and fault tests")
    # A worker that is done takes over what waits for the other: half of the time is in few tests.
    code = run_suite("-m", "not e2e", "-n", WORKERS, "--dist", "worksteal")
    try:
        end_to_end = run_end_to_end(progress)
    except FAILURES as error:
        stop_with(f"{error}\nLogs are in {HOME.logs}")
    if code or end_to_end:
        stop_with("tests failed")


if __name__ == "__main__":
    main()
