import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from local import ports, processes
from local.home import Home
from local.lock import locked

WAIT = "import signal; signal.pause()"
LIMIT_S = 10


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def child(home: Home) -> Iterator[subprocess.Popen[bytes]]:
    process = processes.start(home, "child", [sys.executable, "-c", WAIT], os.environ, "mark")
    yield process
    if process.poll() is None:
        process.kill()
    process.wait(LIMIT_S)


def test_running_started_process_is_found_with_its_mark(
    home: Home, child: subprocess.Popen[bytes]
) -> None:
    # when
    record = processes.running(home, "child")
    # then
    assert record is not None
    assert (record.pid, record.fingerprint) == (child.pid, "mark")


def test_running_other_process_with_the_same_id_is_not_ours(
    home: Home, child: subprocess.Popen[bytes]
) -> None:
    # given: the id was used before, by a process that started at another time
    record = replace(processes.records(home)["child"], started="1")
    home.write(processes.REGISTRY, {"child": {**vars_of(record)}})
    # when, then
    assert processes.running(home, "child") is None
    assert processes.stop(home, "child") is False
    assert child.poll() is None


def vars_of(record: processes.Record) -> dict[str, str | int]:
    return {"pid": record.pid, "started": record.started, "fingerprint": record.fingerprint}


def test_stop_running_process_ends_it_and_forgets_it(
    home: Home, child: subprocess.Popen[bytes]
) -> None:
    # when
    was_running = processes.stop(home, "child")
    # then
    assert was_running
    assert child.wait(LIMIT_S) == -signal.SIGTERM
    assert processes.records(home) == {}


def test_stop_unknown_process_changes_nothing(home: Home, child: subprocess.Popen[bytes]) -> None:
    # when, then
    assert processes.stop(home, "other") is False
    assert child.poll() is None
    assert set(processes.records(home)) == {"child"}


def test_started_at_ended_process_is_none(home: Home, child: subprocess.Popen[bytes]) -> None:
    # given
    child.kill()
    child.wait(LIMIT_S)
    # when, then
    assert processes.started_at(child.pid) is None


def test_choose_remembers_ports_and_leaves_occupied_ones(home: Home) -> None:
    # given
    first = ports.choose(home, ["a", "b"], held=())
    # when: somebody else listens on the port of "a"
    with socket.create_server(("127.0.0.1", first["a"])):
        second = ports.choose(home, ["a", "b"], held=())
    # then
    assert second["b"] == first["b"]
    assert second["a"] not in first.values()


def test_choose_port_held_by_own_process_stays(home: Home) -> None:
    # given
    first = ports.choose(home, ["a"], held=())
    # when
    with socket.create_server(("127.0.0.1", first["a"])):
        second = ports.choose(home, ["a"], held={"a"})
    # then
    assert second == first


def test_locked_second_process_waits_for_the_first(tmp_path: Path) -> None:
    # given
    path = tmp_path / "lock"
    attempt = (
        "import fcntl, sys; handle = open(sys.argv[1], 'w')\n"
        "fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)"
    )
    command = [sys.executable, "-c", attempt, str(path)]
    # when
    with locked(path):
        inside = subprocess.run(command, capture_output=True, check=False, timeout=LIMIT_S)
    outside = subprocess.run(command, capture_output=True, check=False, timeout=LIMIT_S)
    # then
    assert b"BlockingIOError" in inside.stderr
    assert outside.returncode == 0
