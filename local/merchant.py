"""What `make merchant` runs: the operator's command, pointed at the local platform."""

import json
import subprocess

from local import ministack, processes
from local.home import Home
from local.progress import stop_with
from local.up import create_merchant


def main() -> None:
    """Prints the new merchant as one line of JSON."""
    home = Home.current()
    if processes.running(home, ministack.NAME) is None:
        stop_with("the local platform is not running; start it with: make up")
    try:
        merchant = create_merchant(int(home.read("ports.json")[ministack.NAME]))
    except subprocess.CalledProcessError:
        stop_with("the merchant was not created")
    print(json.dumps(merchant))


if __name__ == "__main__":
    main()
