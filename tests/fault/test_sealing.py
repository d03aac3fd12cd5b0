"""The sealer, crowded and crashed at every store call: each record is sealed and folded once.

Sealers take turns at every call of a store, as a seed says; calls fail before or after their
effect, processes end, batches come again, in pieces and in any order. Whatever happened, all that
was written is in exactly one block, and pages, balances and totals follow from the blocks.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.seal_ledger import chain, folder, sealer
from functions.seal_ledger.sealer import Sealer
from shared.adapters.memory import MemoryAvailableStore
from shared.adapters.memory_blocks import MemoryBlockStore
from shared.domain import sealing, stripes
from shared.domain.errors import TransientError
from shared.domain.evidence import Block, Leaf, Record, RecordKind
from shared.domain.ledger import Journal
from shared.domain.records import journal_record
from tests.fault.simulation.boundaries import Crash
from tests.fault.simulation.turns import Turns
from tests.support.sealing import START_MS, SealedLedger, event, journal, some_records

PROFILE = settings(derandomize=True, deadline=None, max_examples=60)
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
TRIES_PER_BATCH = 50
# All at once; some late; most of them late for somebody.
SPANS_MS = (MINUTE_MS, 20 * MINUTE_MS, 3 * HOUR_MS)


@dataclass(frozen=True)
class Storm:
    """What goes wrong.

    Args: sealers: that run at once. records: how many. span_ms: over which they are written.
    faults: share of store calls that fail or end the process. repeats: share of batches that come
    again although they were handled. stays: share of batches that are held back for an hour.
    raises: whether the stripes of a book are raised meanwhile.
    """

    sealers: int = 3
    records: int = 60
    span_ms: int = 4 * MINUTE_MS
    faults: float = 0.03
    repeats: float = 0.3
    stays: float = 0.2
    raises: bool = True


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - no secret is made of it


def storm(seed: int, what: Storm) -> SealedLedger:
    """Runs sealers through a storm until everything was delivered."""
    rng = seeded(seed)
    ledger = SealedLedger()
    written = some_records(rng, what.records, what.span_ms)
    ledger.write(written)
    waiting = _batches(rng, written, what)
    turns = Turns(rng, ledger.clock.now_ms, lambda _: None, share=0.5)
    tries_left = len(waiting) * TRIES_PER_BATCH

    def boundary(_: str) -> None:
        turns.give_way()
        if rng.random() < what.faults:
            raise rng.choice([Crash, TransientError])("a store call")

    def take() -> tuple[int, Sequence[Record]] | None:
        ready = [item for item in waiting if item[0] <= ledger.clock.now_ms()]
        if not ready:
            now_ms = ledger.clock.now_ms()
            next_ms = min((ready_ms for ready_ms, _ in waiting), default=now_ms)
            ledger.clock.advance(rng.choice([10_000, next_ms - now_ms]))
            return None
        item = rng.choice(ready)
        waiting.remove(item)
        return item

    def work() -> None:
        own = ledger.sealer(boundary)
        while waiting:
            turns.give_way()
            item = take()
            if item is None:
                continue
            nonlocal tries_left
            tries_left -= 1
            assert tries_left > 0, "batches come again and again"
            try:
                ledger.deliver(item[1], own)
            except Crash:
                waiting.append(item)
                own = ledger.sealer(boundary)
            except TransientError:
                waiting.append(item)
            else:
                if rng.random() < what.repeats:
                    waiting.extend(_pieces(rng, item))

    def raise_stripes() -> None:
        for count in (4, 64, 2) if what.raises else ():
            for _ in range(10):
                turns.give_way()
            before = ledger.stripes.of_books(["acct_1/test"])["acct_1/test"]
            now_ms = ledger.clock.now_ms()
            if now_ms + stripes.NOTICE_MS > before.history[-1][0]:
                ledger.stripes.change("acct_1/test", before, before.changed(count, now_ms))

    turns.run([*[work] * what.sealers, raise_stripes])
    return ledger


def _batches(
    rng: random.Random, records: Sequence[Record], what: Storm
) -> list[tuple[int, Sequence[Record]]]:
    """Splits records into batches, each with the time from which on it may arrive."""
    left = sorted(records, key=lambda record: record.at_ms)
    batches: list[tuple[int, Sequence[Record]]] = []
    while left:
        size = rng.randrange(1, 12)
        batch, left = left[:size], left[size:]
        rng.shuffle(batch)
        ready_ms = max(record.at_ms for record in batch)
        if rng.random() < what.stays:
            ready_ms += rng.randrange(HOUR_MS)
        batches.append((ready_ms, [*batch, *rng.choices(batch, k=rng.randrange(3))]))
    return batches


def _pieces(
    rng: random.Random, item: tuple[int, Sequence[Record]]
) -> list[tuple[int, Sequence[Record]]]:
    ready_ms, batch = item
    middle = rng.randrange(len(batch) + 1)
    later_ms = ready_ms + rng.choice([0, 0, HOUR_MS])
    return [(later_ms, part) for part in (batch[:middle], batch[middle:]) if part]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every bound so small that it is met."""
    monkeypatch.setattr(sealing, "LEAVES_MAX", 5)
    monkeypatch.setattr(sealing, "LATE_MAX", 3)
    monkeypatch.setattr(chain, "LEAVES_KEPT", 12)
    monkeypatch.setattr(folder, "PAGES_KEPT", 2)
    monkeypatch.setattr(folder, "KEPT_EVERY", 2)


@PROFILE
@given(seed=st.integers(0, 2**32), span_ms=st.sampled_from(SPANS_MS), sealers=st.integers(1, 4))
def test_storm_leaves_each_record_sealed_and_folded_once(
    seed: int, span_ms: int, sealers: int
) -> None:
    storm(seed, Storm(span_ms=span_ms, sealers=sealers)).check()


@pytest.mark.parametrize("span_ms", SPANS_MS)
@pytest.mark.usefixtures("small")
def test_storm_within_narrow_bounds_leaves_each_record_sealed_and_folded_once(
    span_ms: int,
) -> None:
    for seed in range(25):
        assert (seed, violation(seed, Storm(span_ms=span_ms))) == (seed, "")


# --- one sealer, and what happens at each of its store calls


class Scene:
    """A ledger with a past, and a batch: two books, several blocks, late records, one repeated."""

    def __init__(self) -> None:
        self.ledger = SealedLedger()
        self.ledger.clock.advance(3 * HOUR_MS)
        self.past = some_records(seeded(1), 12, 30 * MINUTE_MS, books=2)
        late = some_records(seeded(2), 8, 30 * MINUTE_MS, books=2)
        now = some_records(seeded(3), 24, MINUTE_MS, books=2)
        later = some_records(seeded(4), 12, MINUTE_MS, books=2)
        self.now = [moved(record, HOUR_MS, "n") for record in now]
        self.later = [moved(record, HOUR_MS + 1, "l") for record in later]
        self.late = [moved(record, 0, "t") for record in late]
        for records in (self.past, self.late, self.now, self.later):
            self.ledger.write(records)
        self.ledger.deliver(self.past)
        self.ledger.deliver(self.now[:2])
        self.batch = [*self.late, *self.now, *self.now[5:7], *self.past[-2:]]

    def calls(self) -> int:
        """Counts the boundaries of handling the batch."""
        seen: list[str] = []
        self.ledger.deliver(self.batch, self.ledger.sealer(seen.append))
        return len(seen)


def moved(record: Record, by_ms: int, name: str) -> Record:
    """Returns the record of something else, at another time."""
    if record.kind is RecordKind.JOURNAL:
        before = Journal.of(record.data)
        subject = f"{before.subject}{name}"
        at_ms = before.posted_at_ms + by_ms
        made = replace(before, id=f"{subject}/{before.kind}/{before.reference}")
        return journal_record(replace(made, subject=subject, posted_at_ms=at_ms))
    subject = f"{record.subject}{name}"
    return event(record.book, subject, record.data["version"], record.at_ms + by_ms)


def at_call(index: int, act: Callable[[], None]) -> Callable[[str], None]:
    """Returns a boundary that acts once."""
    seen: list[str] = []

    def boundary(name: str) -> None:
        seen.append(name)
        if len(seen) == index + 1:
            act()

    return boundary


@pytest.mark.usefixtures("small")
def test_sealer_overtaken_at_any_call_counts_nothing_twice() -> None:
    for index in range(Scene().calls()):
        # given: another sealer, which knows the past, seals and folds this and the next blocks
        scene = Scene()
        ledger = scene.ledger
        other = ledger.sealer()
        ledger.deliver(scene.past, other)

        def overtake(scene: Scene = scene, other: Sealer = other) -> None:
            scene.ledger.deliver(scene.batch[::2], other)
            scene.ledger.deliver([*scene.batch, *scene.later], other)

        # when
        slow = ledger.sealer(at_call(index, overtake))
        ledger.deliver(scene.batch, slow)
        # then
        ledger.check()
        ledger.deliver([*scene.later, *scene.batch], slow)
        ledger.check()


@pytest.mark.parametrize("error", [Crash, TransientError], ids=["ends", "fails"])
@pytest.mark.usefixtures("small")
def test_sealer_that_stops_at_any_call_is_made_good_by_the_repeated_batch(
    error: type[BaseException],
) -> None:
    for index in range(Scene().calls()):
        # given
        scene = Scene()
        ledger = scene.ledger

        def stop() -> None:
            raise error("a store call")

        stopped = ledger.sealer(at_call(index, stop))
        with pytest.raises(error):
            ledger.deliver(scene.batch, stopped)
        # when: the environment goes on, or another does
        again = ledger.sealer() if error is Crash else stopped
        ledger.deliver(scene.batch, again)
        # then
        ledger.deliver(scene.later, ledger.sealer())
        ledger.check()


@pytest.mark.parametrize("reads_on", [True, False])
def test_late_record_in_a_block_that_is_not_known_yet_has_it_folded(
    reads_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: a sealer that knows the chain, and a late record sealed by one that stopped then
    ledger = SealedLedger()
    early, late, last = (
        journal_record(journal("acct_1", "pi_1", "settle", START_MS + at_ms, 5, str(at_ms)))
        for at_ms in (HOUR_MS, 0, 2 * HOUR_MS)
    )
    ledger.write([early, late])
    known = ledger.sealer()
    ledger.deliver([early], known)
    ledger.sealer().seal([late])
    if not reads_on:
        monkeypatch.setattr(sealer, "is_late", lambda *_: False)
    # when: the marker tells of it
    ledger.deliver([late], known)
    # then
    (shard,) = ledger.chains
    assert ledger.blocks.folded(shard) == (2 if reads_on else 1)
    # and who seals next makes it good in any case
    ledger.write([last])
    ledger.deliver([last], known)
    ledger.check()


# --- each guard is needed


def without_condition(patch: pytest.MonkeyPatch) -> None:
    real = MemoryBlockStore.append

    def append(self: MemoryBlockStore, block: Block, late: Sequence[Leaf] = ()) -> bool:
        del self.chains[block.shard][block.number - 1 :]
        return real(self, block, late)

    patch.setattr(MemoryBlockStore, "append", append)


def without_search(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(chain.Chain, "_back_to", lambda *_: iter(()))


def without_search_behind_the_tail(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(chain.Chain, "_back_to", lambda self, _: iter([self.tail]))


def without_markers(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MemoryBlockStore, "late", lambda *_: {})


def without_search_for_late_ones(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(chain.Chain, "_span", lambda *_: iter(()))


def without_available_numbers(patch: pytest.MonkeyPatch) -> None:
    def add(
        self: MemoryAvailableStore, book: str, account: str, change: int, _shard: int, _number: int
    ) -> bool:
        self._database.change_available(book, account, change)
        return True

    patch.setattr(MemoryAvailableStore, "add", add)


def without_earlier_blocks(patch: pytest.MonkeyPatch) -> None:
    real = folder.Folder.fold

    def fold(self: folder.Folder, known: chain.Chain, records: Iterable[Record]) -> None:
        if known.tail is not None:
            self._folded = max(self._folded, known.tail.number - 1)
        real(self, known, records)

    patch.setattr(folder.Folder, "fold", fold)


def without_waiting_for_pages(patch: pytest.MonkeyPatch) -> None:
    real = folder.Folder._fold

    def fold(self: folder.Folder, block: Block, read: Mapping[str, Journal]) -> None:
        self._blocks.keep_folded(self._shard, block.number)
        real(self, block, read)

    patch.setattr(folder.Folder, "_fold", fold)


def without_forgetting_pages(patch: pytest.MonkeyPatch) -> None:
    def catch_up(self: folder.Folder) -> None:
        self._folded = self._kept = max(self._folded, self._blocks.folded(self._shard))

    patch.setattr(folder.Folder, "_catch_up", catch_up)


def without_notice(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(stripes, "NOTICE_MS", 0)


def with_old_stripes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sealer, "REMEMBERED_MS", 2 * HOUR_MS)


ORDINARY, LATE = Storm(), Storm(span_ms=3 * HOUR_MS)
IN_TIME = Storm(span_ms=MINUTE_MS // 2, stays=0)
GUARDS = (
    (without_condition, ORDINARY, "never sealed"),
    (without_search, IN_TIME, "sealed twice"),
    (without_search_behind_the_tail, IN_TIME, "sealed twice"),
    # The markers' own condition refuses them too.
    (without_markers, LATE, "batches come again and again"),
    (without_search_for_late_ones, LATE, "sealed twice"),
    (without_available_numbers, ORDINARY, "available balances"),
    (without_earlier_blocks, ORDINARY, "do not follow from its blocks"),
    (without_waiting_for_pages, ORDINARY, "do not follow from its blocks"),
    (without_forgetting_pages, ORDINARY, "do not follow from its blocks"),
    (without_notice, Storm(faults=0), "sealed"),
    (with_old_stripes, Storm(faults=0), "sealed"),
)
SEEDS_MAX = 300


@pytest.mark.parametrize(
    ("disable", "what", "found"), GUARDS, ids=[guard.__name__ for guard, _, _ in GUARDS]
)
def test_storm_without_a_guard_finds_what_it_prevents(
    disable: Callable[[pytest.MonkeyPatch], None],
    what: Storm,
    found: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    disable(monkeypatch)
    assert any(found in violation(seed, what) for seed in range(SEEDS_MAX))


def violation(seed: int, what: Storm) -> str:
    """Returns what a storm left wrong, nothing where all is well."""
    try:
        storm(seed, what).check()
    except (AssertionError, IndexError) as error:
        return str(error)
    return ""
