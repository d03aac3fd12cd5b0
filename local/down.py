"""What `make down` runs: stops what `make up` started, and nothing else."""

from local import deployment, ministack, processes
from local.home import Home
from local.lock import locked
from local.progress import Progress


def down(home: Home, progress: Progress) -> None:
    """Stops the home's processes; files stay."""
    with locked(home.lock):
        for name in (deployment.PROXY, ministack.NAME):
            progress.say(
                f"stopped {name}" if processes.stop(home, name) else f"{name} is not running"
            )


if __name__ == "__main__":
    down(Home.current(), Progress())
