"""Progress lines with the seconds since the start."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Progress:
    """Prints what happens when."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def say(self, text: str) -> None:
        """Prints one line."""
        print(f"[{time.monotonic() - self._started:6.1f}s] {text}", flush=True)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Announces a phase, and how long it took if it took noticeable time."""
        self.say(name)
        began = time.monotonic()
        yield
        took = time.monotonic() - began
        if took >= 1:
            self.say(f"  {name}: {took:.1f} s")


def stop_with(message: str) -> None:
    """Ends the command with a message and a failing exit code."""
    sys.exit(f"farthing: {message}")
