"""The deployed platform: bootstrap, `cdk deploy`, and the proxy in front of it."""

import hashlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from local import processes
from local.build import ROOT
from local.home import AWS_ACCOUNT, CDK, STAGE, Home, aws_environment, base_environment, regions
from local.ministack import StartError
from local.ports import is_free

PROXY = "proxy"
# What a deployment is made from; a change in any of it deploys again.
INPUTS = ("app.py", "cdk.json", "requirements.txt", "package-lock.json", "local/build.py")
INPUT_FOLDERS = ("stacks", "functions", "shared")
CDK_TIMEOUT_S = 300
PROXY_TIMEOUT_S = 10
POLL_S = 0.05
# CDK warns at length about Node versions past their end of life; the ones from 20 up all work.
QUIET_NODE = {
    f"JSII_SILENCE_WARNING_{reason}_NODE_VERSION": ",".join(map(str, range(20, 32)))
    for reason in ("END_OF_LIFE", "UNTESTED")
}
DEPLOYED = "deployed.json"

Say = Callable[[str], None]


class DeployError(Exception):
    """Says that the deployment failed, with the end of its output.

    Args: reason: the line of the output that says why.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


def api_id(region: str) -> str:
    """Returns the id that the local stage pins a region's API to.

    The stacks set the same id as MiniStack's tag `ms-custom-id`; it is unique over all regions.
    """
    return hashlib.sha256(f"farthing-{region}-api".encode()).hexdigest()[:8]


def cdk_environment(ministack_port: int) -> dict[str, str]:
    """Returns the variables for CDK's command line: local credentials, nothing phoned home."""
    return {
        **aws_environment(ministack_port),
        "CDK_DISABLE_CLI_TELEMETRY": "true",
        **QUIET_NODE,
        "JSII_RUNTIME_PACKAGE_CACHE_ROOT": str(ROOT / ".local" / "cache" / "jsii"),
    }


def fingerprint(server: processes.Record, ministack_port: int) -> str:
    """Identifies what is deployed where: the sources' content, and the emulator that holds it."""
    digest = hashlib.sha256(json.dumps([server.pid, server.started, ministack_port]).encode())
    for path in _inputs():
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _inputs() -> Iterable[Path]:
    yield from (ROOT / name for name in INPUTS)
    for folder in INPUT_FOLDERS:
        yield from sorted((ROOT / folder).rglob("*.py"))


def bootstrap(home: Home, ministack_port: int) -> None:
    """Prepares every region of the emulator for CDK, as a real account is prepared.

    Raises: DeployError when it fails.
    """
    targets = [f"aws://{AWS_ACCOUNT}/{region}" for region in regions()]
    _cdk(home, ministack_port, ["bootstrap", *targets], home.folder, lambda _: None)


def deploy(home: Home, ministack_port: int, say: Say) -> None:
    """Runs `cdk deploy` of all stacks of all regions; stack outputs go to outputs.json.

    Raises: DeployError when it fails.
    """
    options = ["--all", "--require-approval", "never", "--concurrency", "2"]
    options += ["--asset-parallelism", "true", "--progress", "events"]
    options += ["--context", f"stage={STAGE}", "--context", f"ministack_port={ministack_port}"]
    options += ["--output", str(home.path("cdk.out"))]
    options += ["--outputs-file", str(home.path("outputs.json"))]
    _cdk(home, ministack_port, ["deploy", *options], ROOT, lambda line: _progress(line, say))


def _progress(line: str, say: Say) -> None:
    if line.lstrip().startswith("✅"):
        say(f"  {line.strip().removeprefix('✅').strip()}")


def _cdk(
    home: Home,
    ministack_port: int,
    arguments: list[str],
    folder: Path,
    seen: Callable[[str], None],
) -> None:
    """Runs CDK's command line; in a folder with cdk.json it reads the app, elsewhere none."""
    command = [str(CDK), *arguments, "--no-notices", "--no-color"]
    home.logs.mkdir(parents=True, exist_ok=True)
    log = home.logs / f"cdk-{arguments[0]}.log"
    with (
        log.open("w") as record,
        subprocess.Popen(
            command,
            cwd=folder,
            env=cdk_environment(ministack_port),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        limit = threading.Timer(CDK_TIMEOUT_S, process.kill)
        limit.start()
        for line in process.stdout or ():
            record.write(line)
            seen(line)
        code = process.wait()
        limit.cancel()
    if code != 0:
        output = log.read_text()
        reasons = [line for line in output.splitlines() if "❌" in line or "Error:" in line]
        reason = reasons[-1].strip() if reasons else f"exit code {code}"
        raise DeployError(f"cdk {arguments[0]} failed; see {log}:\n{output[-4000:]}", reason)


def ensure_proxy(home: Home, ministack_port: int, ports: Mapping[str, int]) -> None:
    """Brings the reverse proxy up: one port per region, each in front of that region's API.

    Raises: StartError when it does not listen in time.
    """
    prefixes = {str(port): f"/_aws/execute-api/{api_id(region)}" for region, port in ports.items()}
    config = {"upstream": ministack_port, "prefixes": prefixes}
    command = [sys.executable, "-m", "local.proxy", str(home.path("proxy.json"))]
    code = (ROOT / "local" / "proxy.py").read_bytes()
    mark = processes.fingerprint(command, {}, json.dumps(config).encode(), code)
    record = processes.running(home, PROXY)
    if record is not None and record.fingerprint == mark:
        return
    processes.stop(home, PROXY)
    home.write("proxy.json", config)
    variables = {**base_environment(), "PYTHONPATH": str(ROOT)}
    process = processes.start(home, PROXY, command, variables, mark)
    deadline = time.monotonic() + PROXY_TIMEOUT_S
    for port in ports.values():
        while is_free(port):
            if process.poll() is not None or time.monotonic() > deadline:
                log = (home.logs / f"{PROXY}.log").read_text()
                raise StartError(f"the proxy did not come up:\n{log[-2000:]}")
            time.sleep(POLL_S)
