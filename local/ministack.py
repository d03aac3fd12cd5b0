"""MiniStack, the AWS emulator that the local stage is deployed to."""

import http.client
import shutil
import subprocess
import time

from local import processes
from local.build import ROOT
from local.home import ACCESS, AWS_ACCOUNT, MINISTACK_PYTHON, Home, base_environment, regions

NAME = "ministack"
START_TIMEOUT_S = 30
READY_TIMEOUT_S = 2
POLL_S = 0.05
# How long an idle function's process is kept: starting one costs more than keeping it.
WARM_S = 3_600


class StartError(Exception):
    """Says that a process of the platform did not come up."""


def environment(home: Home, port: int) -> dict[str, str]:
    """Returns MiniStack's settings; functions inherit them, so there is nothing else."""
    return {
        **ACCESS,
        "AUTH": "true" if home.enforces_roles else "false",
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "LAMBDA_WARM_TTL_SECONDS": str(WARM_S),
        "LOG_LEVEL": "WARNING",
        "MINISTACK_ACCOUNT_ID": AWS_ACCOUNT,
        "MINISTACK_REGION": regions()[0],
        "TMPDIR": str(home.temporary),
    }


def ensure(home: Home, port: int) -> bool:
    """Brings MiniStack up on the port.

    Returns: whether it was started now, empty; otherwise the running one is as it was.
    Raises: StartError when it does not answer in time.
    """
    command = [str(MINISTACK_PYTHON), "-m", "ministack"]
    variables = environment(home, port)
    # The caller's PATH and language may differ from run to run; that is no reason to start anew.
    pins = (ROOT / "local" / "requirements-ministack.txt").read_bytes()
    mark = processes.fingerprint(command, variables, pins)
    record = processes.running(home, NAME)
    if record is not None and record.fingerprint == mark and is_ready(port):
        return False
    processes.stop(home, NAME)
    shutil.rmtree(home.temporary, ignore_errors=True)
    home.temporary.mkdir(parents=True)
    _await(
        processes.start(home, NAME, command, {**base_environment(), **variables}, mark), home, port
    )
    return True


def is_ready(port: int) -> bool:
    """Tells whether MiniStack answers on the port."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=READY_TIMEOUT_S)
    try:
        connection.request("GET", "/_ministack/ready")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _await(process: subprocess.Popen[bytes], home: Home, port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not is_ready(port):
        if process.poll() is not None or time.monotonic() > deadline:
            log = home.logs / f"{NAME}.log"
            raise StartError(f"MiniStack did not come up; see {log}:\n{log.read_text()[-2000:]}")
        time.sleep(POLL_S)
