"""Books are read, merged over their shards, as their journals add them up."""

import random
from collections import defaultdict

import pytest

from shared.domain.errors import RejectedError
from shared.domain.evidence import RecordKind
from shared.domain.ledger import Balance, Journal, trial_balance
from shared.domain.pages import BookPage, Entry, Listed
from shared.domain.reading import PAGES_MAX, SKEW_MS, BookReader, Position, Window, before
from shared.domain.records import journal_record
from shared.domain.stripes import Stripes
from tests.support.sealing import START_MS, SealedLedger, journal, some_records

BOOK = "acct_0/test"
SEEDS = range(12)


def entries(page: BookPage) -> tuple[Entry, ...]:
    return page.entries


def sealed(seed: int, *, stripes: int = 5, span_ms: int = SKEW_MS) -> SealedLedger:
    """A ledger whose records came in batches, out of order, one of its books over some shards."""
    rng = random.Random(seed)  # noqa: S311 - repeats
    ledger = SealedLedger()
    spread = Stripes(((0, 1), (START_MS + span_ms // 2, stripes)))
    ledger.stripes.change(BOOK, Stripes(), spread)
    records = some_records(rng, 150, span_ms, books=2)
    rng.shuffle(records)
    ledger.write(records)
    while records:
        count = rng.randrange(1, 12)
        ledger.deliver(records[:count])
        records = records[count:]
    ledger.check()
    return ledger


def reader(ledger: SealedLedger) -> BookReader:
    return BookReader(BOOK, ledger.pages, ledger.stripes)


def posted(ledger: SealedLedger, until_ms: int | None = None) -> list[Journal]:
    return [
        item
        for item in ledger.database.journals.values()
        if item.book == BOOK and (until_ms is None or item.posted_at_ms <= until_ms)
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_balances_are_those_of_the_journals_at_every_moment(seed: int) -> None:
    ledger = sealed(seed)
    book = reader(ledger)
    # then
    assert book.balances().accounts == trial_balance(posted(ledger))
    for until_ms in range(START_MS, START_MS + SKEW_MS, SKEW_MS // 9):
        assert book.balances(until_ms).accounts == trial_balance(posted(ledger, until_ms))
        counted = [
            entry
            for page in book.pages(until_ms)
            for entry in page.entries
            if entry.at_ms <= until_ms
        ]
        assert {entry.journal_id for entry in counted} == {
            item.id for item in posted(ledger, until_ms)
        }


@pytest.mark.parametrize("seed", SEEDS)
def test_balance_after_each_line_is_the_sum_of_the_lines_up_to_it(seed: int) -> None:
    # given
    book = reader(sealed(seed))
    lines = book.lines(Window(10_000), entries, lambda _: True).lines
    # when
    sums: dict[str, Balance] = defaultdict(Balance)
    for position, entry in reversed(lines):
        account = entry.posting.account
        held = sums[account]
        sums[account] = held.plus(entry.posting)
        # then
        assert book.balance_at(entry, position) == sums[account]
        assert before(sums[account], entry.posting) == held


@pytest.mark.parametrize("seed", SEEDS)
def test_windows_add_up_to_the_book_in_both_directions(seed: int) -> None:
    # given
    rng = random.Random(seed)  # noqa: S311 - repeats
    book = reader(sealed(seed))
    account = "2000:merchant:acct_0:pending:usd"

    def is_wanted(entry: Entry) -> bool:
        return entry.posting.account == account

    whole = book.lines(Window(10_000), entries, is_wanted).lines
    assert [position for position, _ in whole] == sorted({p for p, _ in whole}, reverse=True)
    # when
    older: list[tuple[Position, Entry]] = []
    newer: list[tuple[Position, Entry]] = list(whole[-1:])
    for going_back in (True, False):
        more = True
        while more:
            found = older if going_back else newer
            at = found[-1 if going_back else 0][0] if found else None
            limit = rng.randrange(1, 9)
            window = Window(limit, after=at) if going_back else Window(limit, before=at)
            part = book.lines(window, entries, is_wanted)
            older, newer = (
                ([*older, *part.lines], newer) if going_back else (older, [*part.lines, *newer])
            )
            more = part.has_more
    # then
    assert tuple(older) == tuple(newer) == whole


@pytest.mark.parametrize("seed", SEEDS)
def test_lines_of_a_time_are_all_found(seed: int) -> None:
    # given
    book = reader(sealed(seed))
    whole = book.lines(Window(10_000), entries, lambda _: True).lines
    from_ms, to_ms = START_MS + SKEW_MS // 4, START_MS + SKEW_MS // 2

    def is_wanted(entry: Entry) -> bool:
        return from_ms <= entry.at_ms <= to_ms

    wanted = tuple(line for line in whole if is_wanted(line[1]))
    # then
    for start in (None, whole[-1][0]):
        window = Window(10_000, before=start, from_ms=from_ms, to_ms=to_ms)
        found = book.lines(window, entries, is_wanted).lines
        assert found == tuple(line for line in wanted if start is None or line[0] > start)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_journal_is_found_where_it_lies(seed: int) -> None:
    ledger = sealed(seed)
    book = reader(ledger)

    def records(page: BookPage) -> tuple[Listed, ...]:
        return page.records

    for item in posted(ledger):

        def is_it(listed: Listed, name: str = item.id) -> bool:
            return (listed.kind, listed.id) == (RecordKind.JOURNAL, name)

        position = book.find(item.subject, item.posted_at_ms, records, is_it)
        assert position is not None
        lines = book.lines(Window(1, after=(*position[:3], position[3] + 1)), records, is_it)
        assert [(at, listed.id) for at, listed in lines.lines] == [(position, item.id)]


def test_search_through_too_many_pages_is_refused() -> None:
    # given
    ledger = SealedLedger()
    for number in range(PAGES_MAX + 1):
        record = journal_record(journal("acct_0", f"pi_{number}", "hold", START_MS + number))
        ledger.write([record])
        ledger.deliver([record])
    # then
    with pytest.raises(RejectedError, match="narrower"):
        reader(ledger).lines(Window(1), entries, lambda _: False)
