"""Taking turns: programs that run at once, one step of one of them at a time, as a seed says.

Each program has a thread of its own, and only one thread ever runs: whoever comes to a boundary may
have to hand over. So the same seed leads to the same order.
"""

import random
import threading
from collections.abc import Callable, Sequence

Program = Callable[[], None]
HANDOVER_TIMEOUT_S = 60


class _Task:
    """A program and the thread that it runs on."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.baton = threading.Semaphore(0)
        self.wakes_at_ms = 0
        self.is_over = False
        self.error: BaseException | None = None


class Turns:
    """Runs programs at once.

    Args: rng: decides who goes on. now_ms: the time. advance_to: moves it, when all wait. share:
    of boundaries at which somebody else may go first.
    """

    def __init__(
        self,
        rng: random.Random,
        now_ms: Callable[[], int],
        advance_to: Callable[[int], None],
        share: float,
    ) -> None:
        self._rng = rng
        self._now_ms = now_ms
        self._advance_to = advance_to
        self._share = share
        self._scheduler = threading.Semaphore(0)
        self._running: _Task | None = None

    def run(self, programs: Sequence[Program]) -> None:
        """Runs programs until all have ended.

        Raises: what a program raised.
        """
        tasks = [_Task(program) for program in programs]
        threads = [threading.Thread(target=self._live, args=(task,), daemon=True) for task in tasks]
        for thread in threads:
            thread.start()
        while waiting := [task for task in tasks if not task.is_over]:
            ready = [task for task in waiting if task.wakes_at_ms <= self._now_ms()]
            if not ready:
                # What arrives meanwhile is nobody's turn.
                self._running = None
                self._advance_to(min(task.wakes_at_ms for task in waiting))
                continue
            self._running = self._rng.choice(ready)
            self._running.baton.release()
            assert self._scheduler.acquire(timeout=HANDOVER_TIMEOUT_S), "a program hangs"
        self._running = None
        for thread in threads:
            thread.join()
        for task in tasks:
            if task.error is not None:
                raise task.error

    def give_way(self) -> None:
        """Lets others go first, now and then."""
        if self._running is not None and self._rng.random() < self._share:
            self._hand_over()

    def sleep(self, delay_ms: int) -> bool:
        """Waits while others go on; returns whether a program asked for it."""
        if self._running is None:
            return False
        self._running.wakes_at_ms = self._now_ms() + delay_ms
        self._hand_over()
        return True

    def _hand_over(self) -> None:
        task = self._running
        assert task is not None
        self._scheduler.release()
        assert task.baton.acquire(timeout=HANDOVER_TIMEOUT_S), "nobody hands over"

    def _live(self, task: _Task) -> None:
        task.baton.acquire()
        try:
            task.program()
        except BaseException as error:  # noqa: BLE001 - raised again by who waits for all
            task.error = error
        finally:
            task.is_over = True
            self._scheduler.release()
