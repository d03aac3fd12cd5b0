"""Background processes of a home: started once, recognized later, stopped for certain.

A process is known by its id and start time: an id alone may belong to somebody else by now.
"""

import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from local.home import Home

REGISTRY = "processes.json"
STOP_TIMEOUT_S = 15
KILL_TIMEOUT_S = 5
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Record:
    """A process that a home started, the leader of its own process group.

    Args: fingerprint: of the command, its environment and its inputs.
    """

    pid: int
    started: str
    fingerprint: str


def started_at(pid: int) -> str | None:
    """Returns when a process started, in the system's own terms; None if it does not run."""
    status = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        if not status.exists():
            return None
        # The command in parentheses may hold spaces: fields are counted after it.
        fields = status.read_text().rpartition(")")[2].split()
        return None if fields[0] in {"Z", "X"} else fields[19]
    listed = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
        timeout=STOP_TIMEOUT_S,
    ).stdout.split(maxsplit=1)
    return None if not listed or listed[0].startswith("Z") else listed[1].strip()


def fingerprint(command: Sequence[str], environment: Mapping[str, str], *inputs: bytes) -> str:
    """Identifies what a process runs, to tell whether a running one is still the wanted one."""
    facts = json.dumps([list(command), sorted(environment.items())]).encode()
    return hashlib.sha256(b"\0".join([facts, *inputs])).hexdigest()


def records(home: Home) -> dict[str, Record]:
    """Returns the processes that the home started, running or not."""
    return {name: Record(**record) for name, record in home.read(REGISTRY).items()}


def running(home: Home, name: str) -> Record | None:
    """Returns the record of a process that still runs."""
    record = records(home).get(name)
    if record is None or started_at(record.pid) != record.started:
        return None
    return record


def start(
    home: Home, name: str, command: Sequence[str], environment: Mapping[str, str], mark: str
) -> subprocess.Popen[bytes]:
    """Starts a process in a group of its own, with its output in the home's logs."""
    home.logs.mkdir(parents=True, exist_ok=True)
    with (home.logs / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            start_new_session=True,
        )
    record = Record(process.pid, started_at(process.pid) or "", mark)
    _register(home, {**records(home), name: record})
    return process


def stop(home: Home, name: str) -> bool:
    """Stops a process and its group: asks, waits, then kills. Others are not touched.

    Returns: whether it was running.
    """
    record = running(home, name)
    if record is not None:
        os.killpg(record.pid, signal.SIGTERM)
        if not _ends(record, STOP_TIMEOUT_S):
            os.killpg(record.pid, signal.SIGKILL)
            _ends(record, KILL_TIMEOUT_S)
    remaining = {other: kept for other, kept in records(home).items() if other != name}
    _register(home, remaining)
    return record is not None


def _ends(record: Record, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while started_at(record.pid) == record.started:
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def _register(home: Home, kept: Mapping[str, Record]) -> None:
    home.write(REGISTRY, {name: asdict(record) for name, record in kept.items()})
