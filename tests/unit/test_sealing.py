"""Sealing: which records go into the next block."""

from dataclasses import replace

import pytest

from shared.domain.accounts import control_account
from shared.domain.errors import InvariantError
from shared.domain.events import SignedEvent
from shared.domain.evidence import Record, RecordKind, seal
from shared.domain.ledger import Posting
from shared.domain.records import change_record, event_record, journal_record
from shared.domain.sealing import (
    LATE_MAX,
    LATE_MS,
    LEAVES_MAX,
    Batch,
    Sifted,
    is_late,
    name_of,
    next_batch,
    sift,
    spans,
)
from shared.domain.signatures import Signature
from tests.support.payments import CONTEXT, CREATED, PAYMENT_ID, advance
from tests.support.sealing import START_MS, event, journal

BOOK = "acct_1/test"


def one(number: int, at_ms: int = START_MS) -> Record:
    return event(BOOK, f"pi_{number}", 1, at_ms)


TAIL = seal(None, [one(0)], START_MS, 5, control_account)
OLD_MS = START_MS - LATE_MS - 1


def test_records_not_sealed_are_new_in_the_order_of_time() -> None:
    late, first, second = one(1, 5), one(2, 3), one(3, 5)

    sifted = sift([late, first, second], {})

    assert sifted == Sifted((first, late, second), (late, first, second), ())


def test_records_sealed_or_read_twice_are_not_new_and_intact() -> None:
    old, new = one(1), one(2)

    sifted = sift([old, new, new], {name_of(old): old.leaf_hash})

    assert sifted == Sifted((new,), (old, new, new), ())


def test_records_with_other_contents_than_sealed_are_altered() -> None:
    old, new = one(1), one(2)
    edited, other = replace(old, data={"version": 9}), replace(new, data={"version": 9})

    sifted = sift([edited, new, other], {name_of(old): old.leaf_hash})

    assert sifted == Sifted((new,), (new,), (edited, other))


def test_record_of_another_kind_with_the_same_id_is_another_record() -> None:
    old = one(1)

    sifted = sift([replace(old, kind=RecordKind.CHANGE)], {name_of(old): old.leaf_hash})

    assert len(sifted.new) == 1


def test_record_is_late_when_it_is_older_than_the_tail_by_more_than_a_minute() -> None:
    assert not is_late(0, None)
    assert not is_late(START_MS - LATE_MS, TAIL)
    assert is_late(OLD_MS, TAIL)


def test_batch_is_bounded_by_leaves() -> None:
    waiting = [one(number) for number in range(LEAVES_MAX + 1)]

    assert next_batch(TAIL, waiting) == Batch(tuple(waiting[:-1]), ())
    assert next_batch(None, waiting[:3]) == Batch(tuple(waiting[:3]), ())


def test_batch_marks_its_late_records() -> None:
    waiting = [*(one(number, OLD_MS) for number in range(LATE_MAX)), one(1000)]

    assert next_batch(TAIL, waiting) == Batch(tuple(waiting), tuple(waiting[:-1]))
    assert next_batch(None, waiting).late == ()


def test_batch_of_many_late_records_is_as_large_as_a_transaction() -> None:
    waiting = [*(one(number, OLD_MS) for number in range(LATE_MAX + 1)), one(1000)]

    assert next_batch(TAIL, waiting) == Batch(tuple(waiting[:LATE_MAX]), tuple(waiting[:LATE_MAX]))


def test_times_are_gathered_into_spans_without_long_gaps() -> None:
    times = [3 * LATE_MS, 0, LATE_MS, LATE_MS, 4 * LATE_MS + 1]

    assert list(spans(times)) == [
        (0, LATE_MS),
        (3 * LATE_MS, 3 * LATE_MS),
        (4 * LATE_MS + 1, 4 * LATE_MS + 1),
    ]
    assert list(spans([])) == []


# --- records


def test_record_of_a_journal_says_when_it_was_written() -> None:
    made = replace(journal("acct_1", "pi_1", "capture", 9), occurred_at_ms=5)

    record = journal_record(made)

    assert (record.kind, record.id, record.book) == (RecordKind.JOURNAL, made.id, BOOK)
    assert (record.at_ms, record.subject, record.data) == (9, "pi_1", made.to_dict())


def test_record_of_a_journal_outside_of_the_chart_is_refused() -> None:
    made = journal("acct_1", "pi_1", "capture", 9)
    strange = replace(
        made, postings=(Posting("9999:x:usd", "usd", 1, 0), Posting("9:usd", "usd", 0, 1))
    )

    with pytest.raises(InvariantError, match="the chart has no account"):
        journal_record(strange)


def test_record_of_an_event_has_what_its_hash_is_of_and_the_signature() -> None:
    _, (made,) = advance(None, PAYMENT_ID, [CREATED], CONTEXT)

    record = event_record(SignedEvent(made, Signature("2026-11-22", "ab")), BOOK)

    assert (record.kind, record.id) == (RecordKind.EVENT, f"{PAYMENT_ID}/1")
    assert (record.book, record.at_ms, record.subject) == (BOOK, CONTEXT.now_ms, PAYMENT_ID)
    signature = {"hash": made.hash, "key_id": "2026-11-22", "mac": "ab"}
    assert record.data == {**made.facts(), **signature}


def test_record_of_a_change_is_of_its_entity() -> None:
    data = {"entity": "cus_1", "version": 2, "occurred_at_ms": 7, "hash": "ab"}

    record = change_record(data, BOOK)

    assert record == Record(RecordKind.CHANGE, "cus_1/2", BOOK, 7, "cus_1", data)
