"""The buckets, and how near many environments come to one rate together."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.adapters.memory import MemoryClock
from shared.adapters.memory_limits import MemoryBucketStore
from shared.domain.documents import Scope
from shared.domain.errors import TransientError
from shared.domain.limits import (
    DEBT_MAX_MS,
    DEFAULTS,
    Asked,
    Bucket,
    Limits,
    Reason,
    buckets,
    drained_until,
)
from shared.edge.limits import BUCKETS_MAX, STORE_REST_MS, RateLimiter

SCOPE = Scope("acct_1", livemode=True)
RETRIEVE = Asked(SCOPE, "GET /v1/customers/{id}")
# So high that only the account's own rate is met.
GLOBAL = Limits(100, endpoint_per_s=100_000)
CHUNK = 5


class BrokenStore:
    """A store that does not answer."""

    def __init__(self) -> None:
        self.calls = 0

    def take(self, name: str, cost_ms: int, *, full_ms: int, ceiling_ms: int) -> int:
        self.calls += 1
        raise TransientError("no answer")


class Fleet:
    """Environments that serve one account."""

    def __init__(self, size: int) -> None:
        self.clock = MemoryClock()
        self.store = MemoryBucketStore()
        self.environments = [RateLimiter(self.store, self.clock) for _ in range(size)]
        self.served = 0
        self._turn = 0

    def offer(
        self, requests: int, limits: Limits = GLOBAL, asked: Asked = RETRIEVE
    ) -> Counter[Reason | None]:
        """Sends requests to the environments in turn; counts what they are told."""
        told: Counter[Reason | None] = Counter()
        for _ in range(requests):
            told[self.environments[self._turn % len(self.environments)].admit(asked, limits)] += 1
            self._turn += 1
        self.served += told[None]
        return told

    def run(self, rate_per_s: int, seconds: int, limits: Limits = GLOBAL) -> int:
        """Offers a steady rate; returns how many requests were served."""
        before = self.served
        for _ in range(seconds * 100):
            self.clock.advance(10)
            self.offer(rate_per_s // 100, limits)
        return self.served - before


def test_limits_without_own_facts_are_the_modes_defaults() -> None:
    assert Limits.of(None, livemode=True) == DEFAULTS[True] == Limits(100, 25, 20, 1_000)
    assert Limits.of({}, livemode=False) == DEFAULTS[False] == Limits(25, 25, 20, 1_000)
    assert Limits.of({"requests_per_s": 500}, livemode=True) == Limits(500, 25, 20, 1_000)


def test_buckets_of_a_payments_update_are_the_accounts_the_operations_and_the_payments() -> None:
    asked = Asked(Scope("acct_1", livemode=False), "POST /v1/payment_intents/{id}", payment="pi_1")
    # when
    found = buckets(asked, DEFAULTS[False])
    # then
    assert [(bucket.reason, bucket.burst) for bucket in found] == [
        (Reason.GLOBAL_RATE, 25),
        (Reason.ENDPOINT_RATE, 25),
        (Reason.RESOURCE, 1_000),
    ]
    assert len({bucket.name for bucket in found}) == len(found)
    assert all(bucket.name.startswith("LIMIT#acct_1#test") for bucket in found)


def test_buckets_of_a_search_hold_the_searches_rate() -> None:
    asked = Asked(SCOPE, "GET /v1/customers/search", is_search=True)
    assert [bucket.burst for bucket in buckets(asked, DEFAULTS[True])] == [100, 20]


def test_buckets_of_accounts_and_modes_are_apart() -> None:
    names = {
        buckets(Asked(Scope(account, livemode=mode), None), GLOBAL)[0].name
        for account in ("acct_1", "acct_2")
        for mode in (True, False)
    }
    assert len(names) == 4


@given(
    rate=st.integers(1, 50_000),
    taken=st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 50)), max_size=60),
)
def test_bucket_gives_no_more_than_burst_and_rate(rate: int, taken: list[tuple[int, int]]) -> None:
    """Whoever stops while the bucket is overdrawn never has more than burst, rate and one chunk."""
    bucket = Bucket("b", Reason.GLOBAL_RATE, rate, 1_000)
    now, held, got, longest = 0, None, 0, 0
    for wait_ms, requests in taken:
        now += wait_ms
        if held is not None and held > now:
            continue
        held = drained_until(
            held, bucket.cost_ms(requests), full_ms=now - 1_000, ceiling_ms=now + DEBT_MAX_MS
        )
        got, longest = got + requests, max(longest, requests)
        # Costs are whole milliseconds, rounded down: the error is what flows in meanwhile.
        rounding = len(taken) * (rate / 1_000 + 1)
        assert got <= rate * (1 + now / 1_000) + longest + rounding


@given(held=st.none() | st.integers(-(10**6), 10**6), cost=st.integers(1, 10**5))
def test_bucket_is_never_more_than_full_nor_overdrawn_without_end(
    held: int | None, cost: int
) -> None:
    drained = drained_until(held, cost, full_ms=0, ceiling_ms=DEBT_MAX_MS)
    assert drained >= min(cost, DEBT_MAX_MS)
    assert drained <= max(held or 0, DEBT_MAX_MS + cost)


@pytest.mark.parametrize(("rate", "chunk"), [(1, 5), (25, 5), (100, 5), (1_000, 50), (10_000, 50)])
def test_bucket_chunk_bounds_the_writes_to_its_item(rate: int, chunk: int) -> None:
    assert Bucket("b", Reason.GLOBAL_RATE, rate, 1_000).chunk == chunk


@pytest.mark.parametrize("size", [1, 3, 10, 50])
def test_fleet_that_is_overloaded_serves_the_rate_in_the_long_run(size: int) -> None:
    # given: its burst is used up
    fleet = Fleet(size)
    fleet.run(1_000, 10)
    # when
    served = fleet.run(1_000, 60)
    # then
    assert served == pytest.approx(100 * 60, abs=100 + size * CHUNK)


@pytest.mark.parametrize("size", [1, 10, 50])
def test_fleet_lets_no_more_than_a_chunk_each_through_beside_the_burst(size: int) -> None:
    fleet = Fleet(size)
    # when: everything comes at one moment
    told = fleet.offer(10_000)
    # then
    assert told[None] <= 100 + size * CHUNK
    assert told[Reason.GLOBAL_RATE] == 10_000 - told[None]


def test_fleet_that_is_too_large_to_agree_is_bounded_by_its_chunks() -> None:
    # given: so many environments that their chunks are more than the longest refusal pays for
    fleet = Fleet(500)
    fleet.run(2_000, 20)
    # when
    served = fleet.run(2_000, 60)
    # then
    assert served <= 500 * CHUNK * (60_000 / DEBT_MAX_MS + 1)


@settings(max_examples=30)
@given(size=st.integers(1, 4), rate=st.integers(1, 22), seconds=st.integers(1, 30))
def test_client_within_its_rate_is_never_refused(size: int, rate: int, seconds: int) -> None:
    fleet = Fleet(size)
    for _ in range(rate * seconds):
        fleet.clock.advance(1_000 // rate)
        assert fleet.offer(1, Limits(25))[None] == 1


def test_client_is_served_again_within_seconds_of_an_overload() -> None:
    # given
    fleet = Fleet(20)
    fleet.offer(100_000)
    assert fleet.offer(1)[Reason.GLOBAL_RATE] == 1
    # when
    fleet.clock.advance(DEBT_MAX_MS)
    # then
    assert fleet.offer(1)[None] == 1


def test_limiter_asks_the_store_once_in_a_chunk() -> None:
    fleet = Fleet(1)
    fleet.offer(CHUNK - 1)
    assert fleet.store.calls == 0
    fleet.offer(1)
    assert fleet.store.calls == 1


def test_limiter_under_overload_asks_nobody() -> None:
    fleet = Fleet(1)
    fleet.offer(10_000)
    # the account's chunks until its burst is used up, and a few of the operation's
    assert fleet.store.calls <= 100 // CHUNK + 5


def test_limiter_forgets_what_it_did_not_tell_of_in_a_minute() -> None:
    fleet = Fleet(1)
    for _ in range(CHUNK - 1):
        fleet.offer(1)
    # when
    fleet.clock.advance(60_001)
    for _ in range(CHUNK - 1):
        fleet.offer(1)
    # then
    assert fleet.store.calls == 0
    fleet.clock.advance(60_000)
    fleet.offer(1)
    assert fleet.store.calls == 1


def test_limiter_one_operation_over_its_rate_leaves_the_others_alone() -> None:
    fleet = Fleet(1)
    told = fleet.offer(60, Limits(1_000, endpoint_per_s=25))
    assert told[Reason.ENDPOINT_RATE] > 0
    assert fleet.offer(1, Limits(1_000), Asked(SCOPE, "GET /v1/events"))[None] == 1


def test_limiter_payment_changed_too_often_is_refused_alone() -> None:
    # given
    fleet, limits = Fleet(1), Limits(100_000, 100_000, payment_updates_per_h=100)
    path = "POST /v1/payment_intents/{id}"
    # when
    told = fleet.offer(200, limits, Asked(SCOPE, path, payment="pi_1"))
    # then
    assert told[None] == pytest.approx(100, abs=CHUNK)
    assert told[Reason.RESOURCE] == 200 - told[None]
    assert fleet.offer(1, limits, Asked(SCOPE, path, payment="pi_2"))[None] == 1


@pytest.mark.parametrize("size", [1, 10])
def test_limiter_payment_is_changed_no_more_often_than_its_limit_in_the_long_run(size: int) -> None:
    # given: its burst is used up
    fleet, limits = Fleet(size), Limits(100_000, 100_000)
    asked = Asked(SCOPE, "POST /v1/payment_intents/{id}", payment="pi_1")
    fleet.offer(2_000, limits, asked)
    # when: four hours of a change a second
    before = fleet.served
    for _ in range(4 * 60 * 60):
        fleet.clock.advance(1_000)
        fleet.offer(1, limits, asked)
    # then
    assert fleet.served - before <= 4 * 1_000 + size * CHUNK


def test_limiter_whose_store_fails_serves_and_leaves_it_alone_for_a_while() -> None:
    # given
    clock, store = MemoryClock(), BrokenStore()
    limiter = RateLimiter(store, clock)
    # when
    told = {limiter.admit(RETRIEVE, DEFAULTS[True]) for _ in range(1_000)}
    # then
    assert told == {None}
    assert store.calls == 1
    clock.advance(STORE_REST_MS)
    for _ in range(CHUNK):
        limiter.admit(RETRIEVE, DEFAULTS[True])
    assert store.calls == 2


def test_limiter_remembers_so_many_buckets_and_those_used_last() -> None:
    # given: an account that is refused
    fleet = Fleet(1)
    fleet.offer(1_000)
    # when: one goes through thousands of payments
    for number in range(BUCKETS_MAX * 2):
        asked = Asked(Scope("acct_2", livemode=True), "POST /x", payment=f"pi_{number}")
        fleet.offer(1, Limits(10**9, 10**9), asked)
        if number % 100 == 0:
            assert fleet.offer(1)[Reason.GLOBAL_RATE] == 1
    # then
    assert len(fleet.environments[0]._counted) == BUCKETS_MAX
