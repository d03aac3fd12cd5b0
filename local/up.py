"""What `make up` runs: everything from an empty checkout to a paid payment, again and again."""

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import stripe

from local import after_deploy, demo, deployment, ministack, processes
from local.build import ROOT, BuildError, build, target_for
from local.home import MINISTACK_PYTHON, STAGE, Home, aws_environment, regions
from local.lock import locked
from local.ports import choose
from local.progress import Progress, stop_with

MERCHANT_TIMEOUT_S = 60
ROLES = "roles.json"
WARM_UP_CLIENTS = (1, 3, 6, 8)
FAILURES = (
    BuildError,
    OSError,
    demo.DemoError,
    deployment.DeployError,
    ministack.StartError,
    stripe.StripeError,
    subprocess.SubprocessError,
)


def create_merchant(ministack_port: int) -> dict[str, str]:
    """Creates a merchant on the local stage with the operator's own command."""
    command = [sys.executable, "-m", "ops.merchant", "create", "--stage", STAGE]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=aws_environment(ministack_port),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=MERCHANT_TIMEOUT_S,
    )
    return dict(json.loads(done.stdout))


def up(home: Home, progress: Progress) -> dict[str, Any]:
    """Brings the platform up to date with the sources and leaves it serving.

    Returns: what farthing.json says.
    """
    running = {
        name
        for name in (ministack.NAME, deployment.PROXY)
        if processes.running(home, name) is not None
    }
    held = {ministack.NAME} & running | (set(regions()) if deployment.PROXY in running else set())
    ports = choose(home, (ministack.NAME, *regions()), held)
    emulator = ports[ministack.NAME]
    with progress.phase("starting MiniStack"):
        is_new = ministack.ensure(home, emulator)
    home.write(ROLES, {"enforced": home.enforces_roles})
    is_cold = (
        _deploy_first(home, emulator, progress) if is_new else _deploy(home, emulator, progress)
    )
    region_ports = {region: ports[region] for region in regions()}
    with progress.phase("starting the proxy"):
        deployment.ensure_proxy(home, emulator, region_ports)
    summary = _summary(home, emulator, region_ports, progress)
    if is_cold:
        with progress.phase("warming the functions up"):
            warm_up(emulator, summary["api_base"], progress)
    return summary


def warm_up(emulator: int, base: str, progress: Progress) -> None:
    """Takes payments for a merchant nobody uses, more and more at a time.

    The emulator starts a process for every function that runs beside another. Starting many at
    once on few cores takes longer than the functions' own timeouts allow, so the processes are
    there before anybody waits for them.
    """
    client = demo.open_client({**create_merchant(emulator), "api_base": base})

    def pay(_: int) -> bool:
        try:
            demo.charge_test_card(client)
        except stripe.StripeError:
            return False
        return True

    for clients in WARM_UP_CLIENTS:
        with ThreadPoolExecutor(clients) as pool:
            paid = sum(pool.map(pay, range(clients)))
        if paid < clients:
            progress.say(f"  {clients - paid} of {clients} first payments failed on cold functions")


def _deploy_first(home: Home, emulator: int, progress: Progress) -> bool:
    """Deploys to an empty emulator; starts over once if that breaks off.

    Half of a first deployment is no ground for a second one, so a failed one leaves no emulator.
    """
    home.summary.unlink(missing_ok=True)
    try:
        return _deploy(home, emulator, progress, is_new=True)
    except deployment.DeployError as error:
        progress.say(f"the deployment broke off, starting over: {error.reason}")
    processes.stop(home, ministack.NAME)
    ministack.ensure(home, emulator)
    try:
        return _deploy(home, emulator, progress, is_new=True)
    except deployment.DeployError:
        processes.stop(home, ministack.NAME)
        raise


def _deploy(home: Home, emulator: int, progress: Progress, *, is_new: bool = False) -> bool:
    """Brings the deployment up to date; tells whether anything was deployed."""
    server = processes.running(home, ministack.NAME)
    if server is None:
        raise ministack.StartError("MiniStack ended right after its start")
    mark = deployment.fingerprint(server, emulator)
    if home.read(deployment.DEPLOYED).get("fingerprint") == mark:
        progress.say("the deployment is up to date")
        return False
    with progress.phase("building the assets"), ThreadPoolExecutor(1) as pool:
        prepared = pool.submit(deployment.bootstrap, home, emulator) if is_new else None
        build(target_for("local", MINISTACK_PYTHON))
        if prepared is not None:
            prepared.result()
    with progress.phase("deploying with cdk"):
        deployment.deploy(home, emulator, progress.say)
    after_deploy.apply(home, emulator)
    home.write(deployment.DEPLOYED, {"fingerprint": mark})
    return True


def _summary(
    home: Home, emulator: int, ports: dict[str, int], progress: Progress
) -> dict[str, Any]:
    bases = {region: f"http://127.0.0.1:{port}" for region, port in ports.items()}
    merchant = {
        name: value
        for name, value in home.read(home.summary.name).items()
        if name in {"account", "secret_key", "publishable_key"}
    }
    if not merchant:
        progress.say("creating the demo merchant")
        merchant = create_merchant(emulator)
    summary = {"api_base": bases[regions()[0]], **merchant, "regions": bases}
    home.write(home.summary.name, summary)
    return summary


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-payment", action="store_true", help="leave out the first payment")
    arguments = parser.parse_args()
    home = Home.current()
    progress = Progress()
    try:
        with locked(home.lock):
            summary = up(home, progress)
        if not arguments.no_payment:
            with progress.phase("taking a payment"):
                demo.show(summary)
    except FAILURES as error:
        stop_with(f"{error}\nLogs are in {home.logs}")
    progress.say(f"serving at {summary['api_base']}; addresses and keys are in {home.summary}")


if __name__ == "__main__":
    main()
