"""Payments against partitions: a discrete simulation of throttling and transaction conflicts."""

import heapq
import math
import random
from bisect import bisect
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from bench.model.shapes import Key, Scope, Shape, Step
from shared.adapters.dynamodb import THROTTLED_WAITS_S

PARTITION_UNITS = 1_000.0
DEPTH_UNITS = 100.0
# A table is prepared for more than the traffic writes: at half, one payment in 100,000 would still
# find a partition short for a moment, and a transaction that is throttled is not sent again.
UTILISATION = 0.4
# A new table has as many.
PARTITIONS_MIN = 4
TRANSACTION_S = 0.010
SIGMA = 0.35
REREAD_S = 0.004
SEED = 7


@dataclass(frozen=True, slots=True)
class Traffic:
    """Who pays and how often.

    Args: weights: shares of the merchants. cold: every table is new, and nobody prepared it.
    stripes: over how many keys each merchant's own are spread; one where nothing is said.
    """

    name: str
    rate: float
    seconds: float
    weights: Sequence[float]
    cold: bool = False
    stripes: Sequence[int] = ()


@dataclass(slots=True)
class Outcome:
    """What became of the payments that were offered.

    Args: attempts: requests, of which `conflicts` and `throttles` were refused. throttled: by key.
    """

    offered: int = 0
    succeeded: int = 0
    attempts: int = 0
    conflicts: int = 0
    throttles: int = 0
    throttled: Counter[str] = field(default_factory=Counter)

    @property
    def success_percent(self) -> float:
        """Of the payments offered."""
        return 100 * self.succeeded / max(1, self.offered)

    @property
    def conflict_percent(self) -> float:
        """Of all attempts."""
        return 100 * self.conflicts / max(1, self.attempts)

    @property
    def throttle_percent(self) -> float:
        """Of all attempts."""
        return 100 * self.throttles / max(1, self.attempts)


def even(merchants: int) -> tuple[float, ...]:
    """Returns merchants of the same size."""
    return (1.0,) * merchants


def zipf(merchants: int) -> tuple[float, ...]:
    """Returns merchants of which the n-th has 1/n of the first one's payments."""
    return tuple(1 / rank for rank in range(1, merchants + 1))


def partitions_of(units: float, rate: float) -> int:
    """Returns how many partitions a table has for payments that write so many units to it."""
    return max(PARTITIONS_MIN, math.ceil(units * rate / (PARTITION_UNITS * UTILISATION)))


class Partitions:
    """Token buckets, with room for each table's traffic."""

    def __init__(self, shape: Shape, traffic: Traffic, rng: random.Random, merchants: int) -> None:
        self._rng = rng
        self._keys = shape.keys
        self._tables: dict[str, range] = {}
        self._spread: dict[int, list[int]] = {}
        self._stripes = traffic.stripes or (1,) * merchants
        self._first = [0, *accumulate(self._stripes)]
        count = 0
        for table, units in units_of_tables(shape).items():
            size = PARTITIONS_MIN if traffic.cold else partitions_of(units, traffic.rate)
            self._tables[table] = range(count, count + size)
            count += size
        for number, key in enumerate(shape.keys):
            if key.own_partitions:
                self._spread[number] = list(range(count, count + key.stripes))
                count += key.stripes
            elif key.scope is not Scope.PAYMENT:
                keys = self._first[-1] if key.scope is Scope.MERCHANT else key.stripes
                self._spread[number] = [self._any(key) for _ in range(keys)]
        self.tokens = [DEPTH_UNITS] * count
        self.filled_at = [0.0] * count

    def _any(self, key: Key) -> int:
        table = self._tables[key.table]
        return table.start + int(self._rng.random() * len(table))

    def place(self, merchant: int) -> tuple[list[int], list[int]]:
        """Returns the partition of each key of a new payment, and which stripe of it that is."""
        partitions, stripes = [], []
        for number, key in enumerate(self._keys):
            if key.scope is Scope.PAYMENT:
                partitions.append(self._any(key))
                stripes.append(0)
                continue
            is_merchants = key.scope is Scope.MERCHANT
            among = self._stripes[merchant] if is_merchants else key.stripes
            stripe = int(self._rng.random() * among) if among > 1 else 0
            if is_merchants:
                stripe += self._first[merchant]
            partitions.append(self._spread[number][stripe])
            stripes.append(stripe)
        return partitions, stripes

    def stripe(self, number: int) -> tuple[int, int]:
        """Returns a partition of a striped key, and the stripe, by chance."""
        stripe = int(self._rng.random() * self._keys[number].stripes)
        return self._spread[number][stripe], stripe

    def short_of(
        self, now: float, needs: Sequence[tuple[int, int]], at: Sequence[int]
    ) -> int | None:
        """Fills the buckets up to now; returns the first key without the units it needs."""
        tokens, filled_at, short = self.tokens, self.filled_at, None
        for number, units in needs:
            partition = at[number]
            level = tokens[partition] + (now - filled_at[partition]) * PARTITION_UNITS
            tokens[partition] = level = min(level, DEPTH_UNITS)
            filled_at[partition] = now
            if level < units and short is None:
                short = number
        return short

    def take(self, needs: Sequence[tuple[int, int]], at: Sequence[int], part: float = 1.0) -> None:
        """Takes the units, or a part of them, as far as there are any."""
        tokens = self.tokens
        for number, units in needs:
            partition = at[number]
            tokens[partition] = max(0.0, tokens[partition] - units * part)


def units_of_tables(shape: Shape) -> Counter[str]:
    """Returns what one payment writes to each table."""
    units, found = shape.units(), Counter[str]()
    for number, key in enumerate(shape.keys):
        if not key.own_partitions:
            found[key.table] += units.get(number, 0)
    return found


class _Payment:
    """Where a payment's keys are, and until when its own items are held by a transaction."""

    __slots__ = ("at", "held", "stripes")

    def __init__(self, place: tuple[list[int], list[int]], items: int) -> None:
        self.at, self.stripes = place
        self.held = [0.0] * items


def simulate(shape: Shape, traffic: Traffic, seed: int = SEED) -> Outcome:
    """Runs payments that arrive by chance at the traffic's rate."""
    return _Run(shape, traffic, random.Random(seed)).run()  # noqa: S311 - repeats


class _Run:
    """One simulation."""

    def __init__(self, shape: Shape, traffic: Traffic, rng: random.Random) -> None:
        self._shape = shape
        self._traffic = traffic
        self._rng = rng
        self._store = Partitions(shape, traffic, rng, len(traffic.weights))
        self._held: dict[tuple[int, int], float] = {}
        self._queue: list[tuple[float, int, _Payment, int, int, int]] = []
        self._count = 0
        self._answered_after = sum(not step.behind for step in shape.steps)
        self._mu = math.log(TRANSACTION_S) - SIGMA * SIGMA / 2
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Lets payments arrive, and handles what is due before the next one."""
        for arrival in self._arrivals():
            while self._queue and self._queue[0][0] <= arrival:
                self._attempt(*heapq.heappop(self._queue))
            payment = _Payment(self._store.place(self._merchant()), self._shape.items)
            self.outcome.offered += 1
            self._later(arrival, payment, 0)
        while self._queue:
            self._attempt(*heapq.heappop(self._queue))
        return self.outcome

    def _arrivals(self) -> Iterator[float]:
        now = self._rng.expovariate(self._traffic.rate)
        self._cumulated = list(accumulate(self._traffic.weights))
        while now < self._traffic.seconds:
            yield now
            now += self._rng.expovariate(self._traffic.rate)

    def _merchant(self) -> int:
        if len(self._cumulated) == 1:
            return 0
        return bisect(self._cumulated, self._rng.random() * self._cumulated[-1])

    def _later(
        self, at: float, payment: _Payment, step: int, conflicts: int = 0, throttles: int = 0
    ) -> None:
        self._count += 1
        entry = (at, self._count, payment, step, conflicts, throttles)
        heapq.heappush(self._queue, entry)

    def _attempt(
        self, now: float, _: int, payment: _Payment, number: int, conflicts: int, throttles: int
    ) -> None:
        step, outcome = self._shape.steps[number], self.outcome
        outcome.attempts += 1
        short = self._store.short_of(now, step.units, payment.at)
        if short is not None:
            outcome.throttles += 1
            outcome.throttled[self._shape.keys[short].name] += 1
            throttles += 1
            tries, tries_max = throttles, step.throttle_tries
            pause_s = self._throttled_pause_s
        elif self._is_held(payment, step, now):
            outcome.conflicts += 1
            # Prepared in vain.
            self._store.take(step.units, payment.at, 0.5)
            conflicts += 1
            tries, tries_max = conflicts, step.conflict_tries
            pause_s = self._pause_s
        else:
            self._succeed(now, payment, number)
            return
        if tries < tries_max:
            at = now + pause_s(step, tries)
            self._move(payment, step)
            self._later(at, payment, number, conflicts, throttles)

    def _succeed(self, now: float, payment: _Payment, number: int) -> None:
        step = self._shape.steps[number]
        self._store.take(step.units, payment.at)
        end = now + self._rng.lognormvariate(self._mu, SIGMA)
        if step.transactional:
            self._hold(payment, step, end)
        if number + 1 == self._answered_after:
            self.outcome.succeeded += 1
        if number + 1 < len(self._shape.steps):
            self._later(end + self._shape.steps[number + 1].after_s, payment, number + 1)

    def _is_held(self, payment: _Payment, step: Step, now: float) -> bool:
        if any(payment.held[item] > now for item in step.items):
            return True
        held = self._held
        return any(held.get((key, payment.stripes[key]), 0.0) > now for key in step.shared)

    def _hold(self, payment: _Payment, step: Step, end: float) -> None:
        for item in step.items:
            payment.held[item] = end
        for key in step.shared:
            self._held[key, payment.stripes[key]] = end

    def _pause_s(self, step: Step, tries: int) -> float:
        if step.backoff_s is None:
            return TRANSACTION_S / 2 + REREAD_S
        return self._rng.random() * step.backoff_s * 2.0 ** (tries - 1)

    def _throttled_pause_s(self, step: Step, tries: int) -> float:
        if step.transactional and step.backoff_s is None:
            return THROTTLED_WAITS_S[tries - 1] * (0.5 + self._rng.random())
        return self._pause_s(step, tries)

    def _move(self, payment: _Payment, step: Step) -> None:
        """Lets a striped balance be another one at the next try."""
        for key in step.shared:
            if self._shape.keys[key].own_partitions:
                payment.at[key], payment.stripes[key] = self._store.stripe(key)
