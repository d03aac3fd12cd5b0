"""Pages and stripes: what a block adds to a book, and over how many shards that is."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.accounts import control_account
from shared.domain.errors import InvariantError
from shared.domain.evidence import SHARDS, Block, Record, RecordKind, seal, shard_of
from shared.domain.ledger import Balance
from shared.domain.pages import BookPage, turn
from shared.domain.records import journal_record
from shared.domain.stripes import NOTICE_MS, REMEMBERED_MS, Stripes
from tests.support.sealing import START_MS, event, journal

PROFILE = settings(derandomize=True, deadline=None, max_examples=200)
BOOK = "acct_1/test"
PENDING = "2000:merchant:acct_1:pending:usd"
RECEIVABLE = "1100:receivable:acquirer:sandbox:usd"
HOLD = journal("acct_1", "pi_1", "hold", START_MS, 500)
CAPTURE = journal("acct_1", "pi_1", "capture", START_MS + 1, 300)
OTHER = journal("acct_2", "pi_2", "capture", START_MS + 1, 7)
NEXT = journal("acct_1", "pi_3", "capture", START_MS + 2, 20)
JOURNALS = {item.id: item for item in (HOLD, CAPTURE, OTHER, NEXT)}
EVENT = event(BOOK, "pi_1", 1, START_MS)


def block(previous: Block | None, *records: Record) -> Block:
    return seal(previous, records, START_MS + 9, 5, control_account)


FIRST = block(None, EVENT, journal_record(HOLD), journal_record(OTHER), journal_record(CAPTURE))
SECOND = block(FIRST, journal_record(NEXT))


def test_page_of_the_first_block_has_the_records_and_balances_of_its_book() -> None:
    page = turn(None, FIRST, BOOK, JOURNALS)

    assert (page.book, page.shard, page.number, page.previous_number) == (BOOK, 5, 1, 0)
    assert (page.newest_ms, page.sealed_at_ms) == (START_MS + 1, START_MS + 9)
    assert [(item.kind, item.id, item.sequence) for item in page.records] == [
        (RecordKind.EVENT, "pi_1/1", 1),
        (RecordKind.JOURNAL, HOLD.id, 2),
        (RecordKind.JOURNAL, CAPTURE.id, 4),
    ]
    assert [(e.journal_id, e.posting, e.balance_after) for e in page.entries] == [
        (HOLD.id, HOLD.postings[0], Balance(0, 0, 500, 0)),
        (HOLD.id, HOLD.postings[1], Balance(0, 0, 0, 500)),
        (CAPTURE.id, CAPTURE.postings[0], Balance(300, 0, 500, 0)),
        (CAPTURE.id, CAPTURE.postings[1], Balance(0, 300, 0, 500)),
    ]
    assert page.closing == {RECEIVABLE: Balance(300, 0, 500, 0), PENDING: Balance(0, 300, 0, 500)}


def test_page_goes_on_from_the_one_before() -> None:
    first = turn(None, FIRST, BOOK, JOURNALS)
    second = turn(first, SECOND, BOOK, JOURNALS)

    assert (second.number, second.previous_number) == (2, 1)
    assert second.records[0].sequence == 5
    assert second.closing[PENDING] == Balance(0, 320, 0, 500)
    assert first.closing[PENDING] == Balance(0, 300, 0, 500)


def test_page_follows_only_an_earlier_one_of_its_book_and_shard() -> None:
    first = turn(None, FIRST, BOOK, JOURNALS)

    for wrong in (
        replace(first, book="acct_2/test"),
        replace(first, shard=6),
        replace(first, number=2),
    ):
        with pytest.raises(InvariantError, match="does not come before block 2"):
            turn(wrong, SECOND, BOOK, JOURNALS)


def test_page_written_as_json_is_read_back_the_same() -> None:
    page = turn(turn(None, FIRST, BOOK, JOURNALS), SECOND, BOOK, JOURNALS)

    assert BookPage.of(page.to_dict()) == page


# --- stripes


def test_book_has_one_stripe_until_it_is_changed() -> None:
    assert Stripes().count_at(0) == 1
    assert Stripes().count_at(START_MS) == 1
    assert Stripes().shards(BOOK) == (shard_of(BOOK, "pi_1", 1),)


def test_changed_stripes_are_in_effect_after_the_notice() -> None:
    stripes = Stripes().changed(64, START_MS).changed(2, START_MS + NOTICE_MS)
    from_ms = START_MS + NOTICE_MS

    times = (0, START_MS, from_ms - 1, from_ms, from_ms + NOTICE_MS - 1, from_ms + NOTICE_MS)
    assert [stripes.count_at(at_ms) for at_ms in times] == [1, 1, 1, 64, 64, 2]
    # Clocks may differ by the rest of it.
    assert NOTICE_MS - REMEMBERED_MS >= 30_000


def test_stripes_refuse_counts_out_of_range_and_times_that_go_back() -> None:
    for count in (0, 65):
        with pytest.raises(InvariantError, match="1 to 64"):
            Stripes().changed(count, START_MS)
    with pytest.raises(InvariantError, match="go on in time"):
        Stripes().changed(2, START_MS).changed(4, START_MS - 1)


def test_stripes_written_as_json_are_read_back_the_same() -> None:
    stripes = Stripes().changed(64, START_MS)

    assert Stripes.of(stripes.to_dict()) == stripes


@PROFILE
@given(st.text(min_size=1), st.text(min_size=1), st.integers(1, 64))
def test_record_lies_in_one_of_the_shards_of_its_book(book: str, subject: str, count: int) -> None:
    stripes = Stripes().changed(count, START_MS)

    shards = stripes.shards(book)
    assert shard_of(book, subject, count) in shards
    assert shard_of(book, subject, 1) in shards
    assert len(set(shards)) == len(shards) == count
    assert set(shards) <= set(range(SHARDS))
