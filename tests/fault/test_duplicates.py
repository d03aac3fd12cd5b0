"""Payments that look alike, heard of by several consumers at once or by one that dies.

The consumers take turns call by call, as a schedule says, so that every order can be tried.
"""

import itertools
import json
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.detect_duplicates.handler import run
from shared.adapters.memory import MemoryDatabase, MemoryPaymentStore
from shared.adapters.memory_recent import MemoryRecentPayments
from shared.domain.duplicates import WINDOW_MS, Neighbours, RecentPayments, Suspicion, Trace
from tests.support.duplicates import Sale, expected_duplicates
from tests.support.logs import recorded_logger

T = TypeVar("T")

# Calls of a consumer that finds one neighbour by card: remember, neighbours, claim, reported.
CALLS_MAX = 4
TURN_TIMEOUT_S = 10


class Crash(BaseException):
    """The end of a process, which no handler catches."""


class Turns:
    """Lets consumers act one at a time, in a given order; who has finished is passed over."""

    def __init__(self, order: Sequence[int], consumers: int) -> None:
        self._order = deque(order)
        self._running = set(range(consumers))
        self._changed = threading.Condition()

    def act(self, consumer: int, call: Callable[[], T]) -> T:
        """Makes a call when it is the consumer's turn."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._next() == consumer, TURN_TIMEOUT_S)
            if self._order:
                self._order.popleft()
            result = call()
            self._changed.notify_all()
            return result

    def leave(self, consumer: int) -> None:
        """Notes that a consumer has finished."""
        with self._changed:
            self._running.discard(consumer)
            self._changed.notify_all()

    def _next(self) -> int:
        while self._order and self._order[0] not in self._running:
            self._order.popleft()
        return self._order[0] if self._order else min(self._running)


class InTurn:
    """Recent payments as one consumer has them: each call waits for its turn."""

    def __init__(self, recent: RecentPayments, turns: Turns, consumer: int) -> None:
        self._recent = recent
        self._turns = turns
        self._consumer = consumer

    def remember(self, trace: Trace) -> None:
        self._turns.act(self._consumer, lambda: self._recent.remember(trace))

    def neighbours(self, trace: Trace) -> Neighbours:
        return self._turns.act(self._consumer, lambda: self._recent.neighbours(trace))

    def claim(self, suspicion: Suspicion, event_id: str) -> bool:
        return self._turns.act(self._consumer, lambda: self._recent.claim(suspicion, event_id))

    def reported(self, suspicion: Suspicion) -> None:
        self._turns.act(self._consumer, lambda: self._recent.reported(suspicion))


def reported_of(stream: Any) -> list[str]:
    """Returns, sorted, which payments the log reports as duplicates."""
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    return sorted(line["payment"] for line in lines if "suspected_duplicate" in line)


def compare_at_once(sales: Sequence[Sale], order: Sequence[int]) -> list[str]:
    """Has one consumer per sale hear of it; returns what they report together."""
    database, recent = MemoryDatabase(), MemoryRecentPayments()
    database.payments.update({sale.id: sale.payment() for sale in sales})
    turns, (logger, stream) = Turns(order, len(sales)), recorded_logger()

    def consume(consumer: int) -> dict[str, Any]:
        try:
            batch = {"Records": [sales[consumer].message()]}
            mine = InTurn(recent, turns, consumer)
            return run(batch, MemoryPaymentStore(database), mine, logger)
        finally:
            turns.leave(consumer)

    with ThreadPoolExecutor(len(sales)) as pool:
        answers = list(pool.map(consume, range(len(sales))))
    assert answers == [{"batchItemFailures": []}] * len(sales)
    return reported_of(stream)


def orders_of_two(calls: int) -> list[tuple[int, ...]]:
    """Returns every order in which two consumers can make that many calls each."""
    places = itertools.combinations(range(2 * calls), calls)
    return [tuple(0 if i in mine else 1 for i in range(2 * calls)) for mine in map(set, places)]


@pytest.mark.parametrize("order", orders_of_two(CALLS_MAX), ids=lambda o: "".join(map(str, o)))
def test_two_consumers_of_two_alike_report_one_in_every_order(order: tuple[int, ...]) -> None:
    # given
    sales = [Sale("1"), Sale("2", after_ms=1000)]
    # then
    assert compare_at_once(sales, order) == [sales[1].id]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 2), max_size=30))
def test_three_consumers_of_three_alike_report_two_in_any_order(order: list[int]) -> None:
    # given: the second is alike by its customer only, the third by its card only
    sales = [
        Sale("1", customer="cus_1"),
        Sale("2", after_ms=1000, card="fp_2", customer="cus_1"),
        Sale("3", after_ms=WINDOW_MS, customer="cus_2"),
    ]
    # then
    assert compare_at_once(sales, order) == expected_duplicates(sales) == [sales[1].id, sales[2].id]


class Dying(MemoryRecentPayments):
    """Ends the process once, before or after one of its calls."""

    def __init__(self, call: int, when: str) -> None:
        super().__init__()
        self._left = call
        self._when = when

    def _through(self, make: Callable[[], T]) -> T:
        self._left -= 1
        if self._left == 0 and self._when == "before":
            raise Crash
        result = make()
        if self._left == 0:
            raise Crash
        return result

    def remember(self, trace: Trace) -> None:
        self._through(lambda: MemoryRecentPayments.remember(self, trace))

    def neighbours(self, trace: Trace) -> Neighbours:
        return self._through(lambda: MemoryRecentPayments.neighbours(self, trace))

    def claim(self, suspicion: Suspicion, event_id: str) -> bool:
        return self._through(lambda: MemoryRecentPayments.claim(self, suspicion, event_id))

    def reported(self, suspicion: Suspicion) -> None:
        self._through(lambda: MemoryRecentPayments.reported(self, suspicion))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", range(1, 2 + CALLS_MAX + 1))
def test_consumer_that_dies_has_its_report_made_by_the_redelivered_message(
    call: int, when: str
) -> None:
    # given
    sales = [Sale("1"), Sale("2", after_ms=1000)]
    database, recent = MemoryDatabase(), Dying(call, when)
    database.payments.update({sale.id: sale.payment() for sale in sales})
    logger, stream = recorded_logger()
    deaths = 0
    # when: what was not answered is received again
    for sale in sales:
        for _ in range(2):
            try:
                run({"Records": [sale.message()]}, MemoryPaymentStore(database), recent, logger)
            except Crash:
                deaths += 1
                continue
            break
    # then: never missed; said twice only by who dies between saying it and noting that it did
    assert deaths == 1
    said_and_died = (call, when) == (2 + CALLS_MAX, "before")
    assert reported_of(stream) == [sales[1].id] * (2 if said_and_died else 1)
