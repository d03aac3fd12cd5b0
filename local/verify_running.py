"""What `make verify` runs: the evidence of the running platform, exported and verified.

The operator's command exports each region and prints the public key; the verifier then reads those
files alone, as an outsider would. The signatures of events, whose keys the platform keeps, are
checked with the operator's rights.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from local import ministack, processes, verify
from local.build import ROOT
from local.home import STAGE, Home, aws_environment, regions
from local.progress import stop_with

COMMAND_TIMEOUT_S = 1_800


def operate(port: int, *arguments: str) -> str:
    """Runs the operator's command for the ledger on the local platform; returns what it prints.

    Raises: subprocess.CalledProcessError when it fails; it has said why.
    """
    command = [sys.executable, "-m", "ops.ledger", *arguments]
    environment = aws_environment(port)
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
    ).stdout


def verify_region(port: int, region: str, folder: Path) -> bool:
    """Exports a region and verifies the export; tells whether it is as it was signed."""
    stage = ("--stage", STAGE, "--region", region)
    export, key = folder / region, folder / f"{region}.pem"
    counts = json.loads(operate(port, "export", *stage, "--out", str(export)))
    print(f"{region}: exported {counts['records']} records in {counts['blocks']} blocks")
    if counts["checkpoints"] == 0:
        is_empty = not counts["blocks"]
        why = "nothing is sealed" if is_empty else "the first comes within seconds; run this again"
        print(f"{region}: no checkpoint; {why}")
        return is_empty
    key.write_text(operate(port, "public-key", *stage))
    if verify.main([str(export), "--public-key", str(key)]) != verify.OK:
        return False
    checked = json.loads(operate(port, "check-macs", *stage, str(export)))
    print(f"{region}: {checked['signatures']} events and changes carry the platform's signature")
    return True


def main() -> None:
    """Verifies all regions, and exits with 1 when one of them is not as it was signed."""
    home = Home.current()
    if processes.running(home, ministack.NAME) is None:
        stop_with("the local platform is not running; start it with: make up")
    port = int(home.read("ports.json")[ministack.NAME])
    with tempfile.TemporaryDirectory(prefix="verify-") as folder:
        try:
            verified = [verify_region(port, region, Path(folder)) for region in regions()]
        except subprocess.CalledProcessError:
            stop_with("the evidence could not be read")
    if not all(verified):
        stop_with("verification failed")


if __name__ == "__main__":
    main()
