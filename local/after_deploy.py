"""What MiniStack leaves out of a deployment, done through its API: the one list of it."""

from collections.abc import Callable

from local.home import Home

FIXES: tuple[Callable[[Home, int], None], ...] = ()


def apply(home: Home, ministack_port: int) -> None:
    """Runs every fix; each may run again without effect."""
    for fix in FIXES:
        fix(home, ministack_port)
