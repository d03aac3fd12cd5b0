"""What every store does; run on the DynamoDB adapters and on their twins in memory."""

import json
import random
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from typing import Any
from zlib import crc32

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from shared.adapters.dynamodb_documents import DynamoDocumentStore, DynamoIdempotencyStore
from shared.adapters.dynamodb_due import DUE_SHARDS, DynamoDueIndex
from shared.adapters.dynamodb_ledger import DynamoLedgerStore
from shared.adapters.dynamodb_payments import DynamoPaymentStore
from shared.adapters.memory import (
    MemoryClock,
    MemoryDatabase,
    MemoryDocumentStore,
    MemoryDueIndex,
    MemoryIdempotencyStore,
    MemoryLedgerStore,
    MemoryPaymentStore,
)
from shared.adapters.memory_signer import MemorySigner
from shared.domain.authorization import created_entries
from shared.domain.changes import Context, Draft, PaymentChange
from shared.domain.documents import Document, DocumentWrite, ListEntry, Page, PageQuery, Scope
from shared.domain.errors import KeyInUseError, VersionConflictError
from shared.domain.events import EventType
from shared.domain.idempotency import LEASE_MS, RETENTION_S, Answer, Claim
from shared.domain.ledger import Journal, reverse
from shared.domain.lists import shard_of_row, with_stripes
from shared.domain.payment import Payment, rebuild
from shared.domain.ports import (
    DocumentStore,
    DueIndex,
    IdempotencyStore,
    LedgerStore,
    PaymentStore,
)
from shared.domain.postings import Operation, post
from tests.support.aws import REGION, create_payment_tables
from tests.support.documents import audited
from tests.support.payments import CHARGE_ID, CONFIRMED, CREATED, DECLINED, PAYMENT_ID, advance

SCOPE = Scope("acct_1", livemode=False)
SESSION = boto3.session.Session()  # one for all, because it parses the service's model
ANSWER = Answer(200, '{"id": "pi_1"}')


@dataclass
class Stores:
    documents: DocumentStore
    payments: PaymentStore
    ledger: LedgerStore
    idempotency: IdempotencyStore
    due_payments: DueIndex
    due_documents: DueIndex
    clock: MemoryClock


def _memory() -> Stores:
    database, clock = MemoryDatabase(), MemoryClock()
    return Stores(
        MemoryDocumentStore(database),
        MemoryPaymentStore(database),
        MemoryLedgerStore(database),
        MemoryIdempotencyStore(database, clock),
        MemoryDueIndex(database.payments),
        MemoryDueIndex(database.documents),
        clock,
    )


def _dynamodb() -> Stores:
    client: Any = SESSION.client(
        "dynamodb",
        region_name=REGION,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    tables = create_payment_tables(client)
    clock = MemoryClock()
    return Stores(
        DynamoDocumentStore(client, tables["objects"], tables["idempotency"], MemorySigner(clock)),
        DynamoPaymentStore(client, tables, MemorySigner(clock)),
        DynamoLedgerStore(client, tables["ledger"]),
        DynamoIdempotencyStore(client, tables["idempotency"], tables["objects"], clock),
        DynamoDueIndex(client, tables["payments"]),
        DynamoDueIndex(client, tables["objects"]),
        clock,
    )


@pytest.fixture(params=["memory", "dynamodb"])
def stores(request: pytest.FixtureRequest) -> Iterator[Stores]:
    if request.param == "memory":
        yield _memory()
        return
    with mock_aws():
        yield _dynamodb()


def claim(
    stores: Stores,
    key: str = "key-1",
    *,
    fingerprint: str = "print",
    answer: Answer | None = None,
    expires_at_s: int | None = None,
) -> Claim:
    now_ms = stores.clock.now_ms()
    return Claim(
        key_hash=key,
        fingerprint=fingerprint,
        endpoint="/v1/payment_intents",
        lease_until_ms=now_ms + LEASE_MS,
        expires_at_s=expires_at_s or now_ms // 1000 + RETENTION_S,
        answer=answer,
    )


def customer(version: int = 1, object_id: str = "cus_1", **data: Any) -> Document:
    return Document(object_id, "customer", "acct_1", False, version, 1_790_000_000_000, data)


def change(before: Payment | None, *drafts: Draft, journals: tuple[Journal, ...] = ()) -> Any:
    after, events = advance(before, PAYMENT_ID, drafts, Context(1_790_000_000_123, "req_1", "k"))
    listed = created_entries(after) if before is None else ()
    version = before.version if before else 0
    return PaymentChange(version, after, events, journals, listed=listed)


def updated(description: str) -> Draft:
    return (EventType.PAYMENT_UPDATED, {"changes": {"details": {"description": description}}})


def hold(payment: Payment, reference: str | None = None) -> tuple[Journal, ...]:
    operation = Operation(
        account=payment.account,
        livemode=payment.livemode,
        subject=payment.id,
        reference=reference or payment.latest_charge.id,
        currency=payment.currency,
        occurred_at_ms=1_790_000_000_120,
        posted_at_ms=1_790_000_000_123,
        parties={"provider": payment.latest_charge.provider},
    )
    journal = post("hold", operation, {"amount": 1500})
    assert journal is not None
    return (journal,)


# --- documents


def test_document_stored_is_read_back(stores: Stores) -> None:
    # given
    document = customer(name="Zoë 🏦", metadata={"a": "b"}, nested=[1, None, {"x": True}])
    # when
    stores.documents.commit([audited(document)])
    # then
    assert stores.documents.get("cus_1") == document
    assert stores.documents.get("cus_2") is None


def test_document_that_expires_keeps_its_expiry(stores: Stores) -> None:
    # given
    document = replace(customer(), expires_at_s=1_790_000_999)
    # when
    stores.documents.commit([audited(document)])
    # then
    assert stores.documents.get("cus_1") == document


def test_documents_read_together_leave_out_the_missing(stores: Stores) -> None:
    # given
    writes = [audited(customer(object_id=f"cus_{n}")) for n in range(150)]
    for start in (0, 50, 100):
        stores.documents.commit(writes[start : start + 50])
    # when
    found = stores.documents.get_many(["cus_3", "cus_x", "cus_3", "cus_149"])
    everything = stores.documents.get_many([f"cus_{n}" for n in range(150)])
    # then
    assert set(found) == {"cus_3", "cus_149"}
    assert len(everything) == 150
    assert stores.documents.get_many([]) == {}


def test_document_second_writer_of_a_version_loses_and_nothing_of_its_write_lands(
    stores: Stores,
) -> None:
    # given
    stores.documents.commit([audited(customer())])
    stores.documents.commit([audited(customer(2, name="first"))])
    entry = ListEntry("customer", 1, "cus_1")
    # when
    writes = [
        audited(customer(object_id="cus_9")),
        audited(customer(2, name="second"), listed=(entry,)),
    ]
    with pytest.raises(VersionConflictError):
        stores.documents.commit(writes, claim(stores))
    # then
    assert stores.documents.get("cus_1") == customer(2, name="first")
    assert stores.documents.get("cus_9") is None
    assert stores.documents.page(SCOPE, "customer", PageQuery()) == Page()
    assert stores.idempotency.find("key-1").claim is None


def test_document_that_relies_on_another_is_written_while_that_stays_as_it_was_read(
    stores: Stores,
) -> None:
    # given
    read = audited(customer(object_id="cus_2"))
    stores.documents.commit([read])
    relying = replace(audited(customer()), unchanged=(read.document,))
    # when
    stores.documents.commit([relying])
    # then the other is what it was
    kept = stores.documents.get("cus_2")
    assert kept == read.document
    assert kept.change_hash == read.document.change_hash


def test_document_that_relies_on_another_loses_against_whoever_changed_that(
    stores: Stores,
) -> None:
    # given
    read = audited(customer(object_id="cus_2"))
    stores.documents.commit([read])
    stores.documents.commit([audited(customer(2, object_id="cus_2", name="changed"))])
    # when
    with pytest.raises(VersionConflictError):
        relying = replace(audited(customer()), unchanged=(read.document,))
        stores.documents.commit([relying], claim(stores))
    # then
    assert stores.documents.get("cus_1") is None
    assert stores.documents.get("cus_2") == customer(2, object_id="cus_2", name="changed")
    assert stores.idempotency.find("key-1").claim is None


def test_document_that_relies_on_one_that_is_not_there_is_not_written(stores: Stores) -> None:
    relying = replace(audited(customer()), unchanged=(customer(object_id="cus_2"),))
    with pytest.raises(VersionConflictError):
        stores.documents.commit([relying])
    assert stores.documents.get("cus_1") is None
    assert stores.documents.get("cus_2") is None


@pytest.mark.parametrize("version", [1, 3, 4])
def test_document_version_that_does_not_follow_is_refused(stores: Stores, version: int) -> None:
    # given
    stores.documents.commit([audited(customer())])
    # then
    with pytest.raises(VersionConflictError):
        stores.documents.commit([audited(customer(version, name="x"))])
    assert stores.documents.get("cus_1") == customer()


def test_document_version_of_an_absent_object_is_refused(stores: Stores) -> None:
    with pytest.raises(VersionConflictError):
        stores.documents.commit([audited(customer(2))])
    assert stores.documents.get("cus_1") is None


def test_document_deleted_leaves_a_tombstone_and_no_row(stores: Stores) -> None:
    # given
    entry = ListEntry("customer", 1_790_000_000_000, "cus_1")
    stores.documents.commit([audited(customer(), listed=(entry,))])
    # when
    deletion = audited(customer(2, deleted=True), unlisted=(entry,))
    stores.documents.commit([deletion])
    # then
    tombstone = stores.documents.get("cus_1")
    assert tombstone is not None
    assert tombstone.is_deleted
    assert stores.documents.page(SCOPE, "customer", PageQuery()) == Page()


def test_event_documents_put_again_change_nothing(stores: Stores) -> None:
    # given
    events = [
        DocumentWrite(
            Document(f"evt_{n}", "event", "acct_1", False, 1, 1_790_000_000_000 + n, {"n": n}),
            listed=(ListEntry("event", 1_790_000_000_000 + n, f"evt_{n}"),),
        )
        for n in range(30)
    ]
    # when
    stores.documents.put_events(events)
    stores.documents.put_events(events[:3])
    # then
    page = stores.documents.page(SCOPE, "event", PageQuery(limit=100))
    assert page == Page(tuple(f"evt_{n}" for n in reversed(range(30))), has_more=False)
    assert stores.documents.get("evt_7") == events[7].document


# --- lists


def fill(stores: Stores, rows: list[tuple[int, str]], collection: str = "customer") -> None:
    for start in range(0, len(rows), 30):
        stores.documents.commit(
            [
                audited(
                    Document(object_id, "customer", "acct_1", False, 1, created_ms, {}),
                    listed=(ListEntry(collection, created_ms, object_id),),
                )
                for created_ms, object_id in rows[start : start + 30]
            ]
        )


def fill_spread(stores: Stores, rows: Sequence[tuple[int, str]], stripes: int) -> None:
    """Raises the stripes of the account, and adds events that are written with as many."""
    account = stores.documents.get("acct_1")
    if account is None:
        account = Document("acct_1", "account", "acct_1", False, 0, 0, {})
    data = with_stripes(account, stripes, livemode=False)
    raised = replace(account, version=account.version + 1, data=data)
    stores.documents.commit([audited(raised)])
    stores.documents.put_events(
        [
            DocumentWrite(
                Document(object_id, "event", "acct_1", False, 1, created_ms, {}),
                listed=(ListEntry("event", created_ms, object_id),),
                stripes=stripes,
            )
            for created_ms, object_id in rows
        ]
    )


def everything(stores: Stores, query: PageQuery) -> tuple[str, ...]:
    return stores.documents.page(SCOPE, "customer", query).ids


ROWS = [(1_790_000_000_000 + n // 3, f"cus_{n:02d}") for n in range(12)]  # three share a ms
NEWEST_FIRST = tuple(object_id for _, object_id in reversed(ROWS))


def test_page_is_newest_first_and_ties_are_in_a_fixed_order(stores: Stores) -> None:
    # given
    fill(stores, ROWS)
    # then
    assert stores.documents.page(SCOPE, "customer", PageQuery(limit=5)) == Page(
        NEWEST_FIRST[:5], has_more=True
    )
    assert stores.documents.page(SCOPE, "customer", PageQuery(limit=12)) == Page(
        NEWEST_FIRST, has_more=False
    )


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 12])
def test_pages_forward_meet_every_row_once(stores: Stores, limit: int) -> None:
    # given
    fill(stores, ROWS)
    places = {object_id: (created_ms, object_id) for created_ms, object_id in ROWS}
    # when
    seen: list[str] = []
    query = PageQuery(limit=limit)
    while True:
        page = stores.documents.page(SCOPE, "customer", query)
        seen += page.ids
        if not page.has_more:
            break
        assert len(page.ids) == limit
        query = PageQuery(limit=limit, after=places[page.ids[-1]])
    # then
    assert tuple(seen) == NEWEST_FIRST


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 12])
def test_pages_backward_meet_every_row_once_in_page_order(stores: Stores, limit: int) -> None:
    # given
    fill(stores, ROWS)
    places = {object_id: (created_ms, object_id) for created_ms, object_id in ROWS}
    # when
    seen: tuple[str, ...] = (NEWEST_FIRST[-1],)
    while True:
        query = PageQuery(limit=limit, before=places[seen[0]])
        page = stores.documents.page(SCOPE, "customer", query)
        seen = (*page.ids, *seen)
        if not page.has_more:
            break
        assert len(page.ids) == limit
    # then
    assert seen == NEWEST_FIRST


@pytest.mark.parametrize("counts", [(8,), (1, 8), (1, 3, 64)])
def test_pages_of_a_list_whose_stripes_were_raised_meet_every_row_once_both_ways(
    stores: Stores, counts: tuple[int, ...]
) -> None:
    # given
    for turn, stripes in enumerate(counts):
        fill_spread(stores, ROWS[turn :: len(counts)], stripes)
    places = {object_id: (created_ms, object_id) for created_ms, object_id in ROWS}
    # when
    first = stores.documents.page(SCOPE, "event", PageQuery(limit=5))
    after = PageQuery(limit=5, after=places[first.ids[-1]])
    second = stores.documents.page(SCOPE, "event", after)
    before = PageQuery(limit=2, before=places[second.ids[0]])
    # then
    assert first == Page(NEWEST_FIRST[:5], has_more=True)
    assert second == Page(NEWEST_FIRST[5:10], has_more=True)
    assert (first.end, second.end) == (places[NEWEST_FIRST[4]], places[NEWEST_FIRST[9]])
    upward = stores.documents.page(SCOPE, "event", before)
    assert upward == Page(NEWEST_FIRST[3:5], has_more=True)
    assert upward.end == places[NEWEST_FIRST[4]]
    bounds = PageQuery(created_from_ms=1_790_000_000_001, created_to_ms=1_790_000_000_002)
    assert stores.documents.page(SCOPE, "event", bounds) == Page(NEWEST_FIRST[3:9])


@mock_aws()
def test_rows_of_many_objects_are_spread_evenly_over_the_stripes() -> None:
    # given
    stores = _dynamodb()
    rows = [(1_790_000_000_000, f"evt_{number}") for number in range(400)]
    # when
    fill_spread(stores, rows, 8)
    # then
    found = [
        sum(shard_of_row("event", object_id, 8) == shard for _, object_id in rows)
        for shard in range(8)
    ]
    client: Any = SESSION.client("dynamodb", region_name=REGION)
    stored = [
        client.query(
            TableName="objects",
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": f"LIST#acct_1#test#event#{shard}"}},
            Select="COUNT",
        )["Count"]
        for shard in range(8)
    ]
    assert stored == found
    assert min(stored) > 25


def test_page_of_a_list_with_stripes_is_the_scopes_own(stores: Stores) -> None:
    # given
    fill_spread(stores, ROWS, 8)
    # then
    for scope in (Scope("acct_2", livemode=False), Scope("acct_1", livemode=True)):
        assert stores.documents.page(scope, "event", PageQuery()) == Page()


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (None, None, 12),
        (1_790_000_000_001, None, 9),
        (None, 1_790_000_000_001, 6),
        (1_790_000_000_001, 1_790_000_000_002, 6),
        (1_790_000_000_004, None, 0),
        (1_790_000_000_002, 1_790_000_000_001, 0),
        (0, 1, 0),
        (-5, None, 12),
        (None, -5, 0),
        (10**13, None, 0),
        (None, 10**13, 12),
        (1_790_000_000_001_000, None, 0),
        (None, 1_790_000_000_001_000, 12),
        (10**21, None, 0),
        (None, 10**21, 12),
        (-(10**21), 10**21, 12),
    ],
)
def test_page_within_creation_bounds_holds_both_ends(
    stores: Stores, first: int | None, last: int | None, expected: int
) -> None:
    # given
    fill(stores, ROWS)
    # when
    query = PageQuery(limit=100, created_from_ms=first, created_to_ms=last)
    page = stores.documents.page(SCOPE, "customer", query)
    # then
    assert len(page.ids) == expected
    assert not page.has_more


def test_page_with_cursor_and_bounds_obeys_both(stores: Stores) -> None:
    # given
    fill(stores, ROWS)
    after = ROWS[7]
    # when
    query = PageQuery(limit=2, after=after, created_from_ms=1_790_000_000_001)
    first = stores.documents.page(SCOPE, "customer", query)
    rest = stores.documents.page(SCOPE, "customer", replace(query, after=ROWS[5]))
    # then
    assert first == Page(("cus_06", "cus_05"), has_more=True)
    assert rest == Page(("cus_04", "cus_03"), has_more=False)


def test_page_of_another_account_mode_or_collection_is_empty(stores: Stores) -> None:
    # given
    fill(stores, ROWS)
    # then
    for scope in (Scope("acct_2", livemode=False), Scope("acct_1", livemode=True)):
        assert stores.documents.page(scope, "customer", PageQuery()) == Page()
    assert stores.documents.page(SCOPE, "customer/cus_01", PageQuery()) == Page()
    assert stores.documents.page(SCOPE, "custome", PageQuery()) == Page()


ROW = st.tuples(st.integers(1_790_000_000_000, 1_790_000_000_004), st.integers(0, 30))


@settings(
    derandomize=True,
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    rows=st.sets(ROW, max_size=12),
    limit=st.integers(1, 6),
    cursor=st.one_of(st.none(), ROW),
    upward=st.booleans(),
    stripes=st.integers(1, 9),
    first=st.one_of(st.none(), st.integers(1_789_999_999_999, 1_790_000_000_005)),
    last=st.one_of(st.none(), st.integers(1_789_999_999_999, 1_790_000_000_005)),
)
def test_page_any_query_is_the_same_in_both_stores(
    rows: set[tuple[int, int]],
    limit: int,
    cursor: tuple[int, int] | None,
    upward: bool,
    stripes: int,
    first: int | None,
    last: int | None,
) -> None:
    # given
    listed = sorted((created_ms, f"cus_{created_ms}{n:02d}") for created_ms, n in rows)
    place = (cursor[0], f"cus_{cursor[0]}{cursor[1]:02d}") if cursor else None
    query = PageQuery(
        limit=limit,
        after=None if upward else place,
        before=place if upward else None,
        created_from_ms=first,
        created_to_ms=last,
    )
    memory = _memory()
    fill(memory, listed)
    with mock_aws():
        dynamodb = _dynamodb()
        fill(dynamodb, listed)
        fill_spread(dynamodb, listed, stripes)
        # then
        expected = memory.documents.page(SCOPE, "customer", query)
        assert dynamodb.documents.page(SCOPE, "customer", query) == expected
        assert dynamodb.documents.page(SCOPE, "event", query) == expected


# --- claims


def commit_with(stores: Stores, asked: Claim) -> None:
    number = f"cus_{len(everything(stores, PageQuery(limit=100)))}"
    entry = ListEntry("customer", 1_790_000_000_000, number)
    stores.documents.commit([audited(customer(object_id=number), listed=(entry,))], asked)


def test_claim_on_a_free_key_is_held(stores: Stores) -> None:
    # given
    asked = claim(stores)
    # when
    commit_with(stores, asked)
    # then
    assert stores.idempotency.find("key-1").claim == asked
    assert stores.idempotency.find("key-2").claim is None


@pytest.mark.parametrize("fingerprint", ["print", "other"])
def test_claim_on_a_held_key_is_refused_and_nothing_is_written(
    stores: Stores, fingerprint: str
) -> None:
    # given
    first = claim(stores)
    commit_with(stores, first)
    stores.clock.advance(LEASE_MS - 1)
    # when
    with pytest.raises(KeyInUseError):
        commit_with(stores, claim(stores, fingerprint=fingerprint))
    # then
    assert stores.documents.get("cus_1") is None
    assert stores.idempotency.find("key-1").claim == first


def test_claim_of_a_dead_request_is_resumed_by_the_same_request_only(stores: Stores) -> None:
    # given
    commit_with(stores, claim(stores))
    stores.clock.advance(LEASE_MS + 1)
    # when
    with pytest.raises(KeyInUseError):
        commit_with(stores, claim(stores, fingerprint="other"))
    resumed = claim(stores)
    commit_with(stores, resumed)
    # then
    assert stores.idempotency.find("key-1").claim == resumed


def test_claim_that_was_answered_is_never_overwritten(stores: Stores) -> None:
    # given
    commit_with(stores, claim(stores, answer=ANSWER))
    stores.clock.advance(LEASE_MS + 1)
    # when
    with pytest.raises(KeyInUseError):
        commit_with(stores, claim(stores))
    # then
    found = stores.idempotency.find("key-1").claim
    assert found is not None
    assert found.answer == ANSWER


def test_claim_expired_is_absent_and_free_for_anything(stores: Stores) -> None:
    # given
    first = claim(stores, answer=ANSWER)
    commit_with(stores, first)
    # when
    stores.clock.advance(first.expires_at_s * 1000 - stores.clock.now_ms())
    assert stores.idempotency.find("key-1").claim is None
    second = claim(stores, fingerprint="other")
    commit_with(stores, second)
    # then
    assert stores.idempotency.find("key-1").claim == second


def test_claim_just_before_its_expiry_is_held(stores: Stores) -> None:
    # given
    first = claim(stores, answer=ANSWER)
    commit_with(stores, first)
    # when
    stores.clock.advance(first.expires_at_s * 1000 - stores.clock.now_ms() - 1)
    # then
    assert stores.idempotency.find("key-1").claim == first
    with pytest.raises(KeyInUseError):
        commit_with(stores, claim(stores, fingerprint="other"))


def test_lease_ends_at_the_same_moment_for_reader_and_writer(stores: Stores) -> None:
    # given: the edge takes a lease for over when the clock has reached its end
    commit_with(stores, claim(stores))
    stores.clock.advance(LEASE_MS)
    # when
    commit_with(stores, claim(stores))
    # then
    assert stores.documents.get("cus_1") is not None


def test_answer_is_stored_once(stores: Stores) -> None:
    # given
    asked = claim(stores)
    commit_with(stores, asked)
    # when
    stores.idempotency.answer(asked, ANSWER)
    stores.idempotency.answer(asked, Answer(500, "{}"))
    # then
    found = stores.idempotency.find("key-1").claim
    assert found == replace(asked, answer=ANSWER)


def long_answer() -> Answer:
    """Returns one that shows a customer of nearly 50 KB many times, as expansions do."""
    noise = random.Random(20261123)  # noqa: S311 - repeats
    customer = {f"key_{n}": "".join(noise.choices(string.printable, k=500)) for n in range(80)}
    return Answer(200, json.dumps([customer] * 14))


def test_answer_longer_than_an_item_is_read_back_word_for_word(stores: Stores) -> None:
    # given
    answer = long_answer()
    assert len(answer.body) > 500_000
    commit_with(stores, asked := claim(stores))
    # when
    stores.idempotency.answer(asked, answer)
    stores.idempotency.keep(kept := replace(asked, key_hash="key-2", answer=answer))
    # then
    assert stores.idempotency.find("key-1").claim == replace(asked, answer=answer)
    assert stores.idempotency.find("key-2").claim == kept


def test_answer_of_another_request_or_an_absent_claim_changes_nothing(stores: Stores) -> None:
    # given
    asked = claim(stores)
    commit_with(stores, asked)
    # when
    stores.idempotency.answer(replace(asked, fingerprint="other"), ANSWER)
    stores.idempotency.answer(replace(asked, key_hash="key-2"), ANSWER)
    # then
    assert stores.idempotency.find("key-1").claim == asked
    assert stores.idempotency.find("key-2").claim is None


def test_answer_kept_on_a_free_key_is_read_back(stores: Stores) -> None:
    # given
    answered = claim(stores, answer=ANSWER)
    # when
    stores.idempotency.keep(answered)
    # then
    assert stores.idempotency.find("key-1").claim == answered


def test_answer_kept_takes_the_key_from_every_later_request(stores: Stores) -> None:
    # given
    answered = claim(stores, answer=ANSWER)
    stores.idempotency.keep(answered)
    # when
    for later in (claim(stores), claim(stores, fingerprint="other")):
        with pytest.raises(KeyInUseError):
            stores.documents.commit([audited(customer())], later)
    # then
    assert stores.documents.get("cus_1") is None
    assert stores.idempotency.find("key-1").claim == answered


@pytest.mark.parametrize("held_answer", [None, Answer(200, "{}")])
@pytest.mark.parametrize("fingerprint", ["print", "other"])
def test_answer_kept_on_a_held_key_changes_nothing(
    stores: Stores, fingerprint: str, held_answer: Answer | None
) -> None:
    # given: even where the lease of who holds it is over
    first = claim(stores, answer=held_answer)
    commit_with(stores, first)
    stores.clock.advance(LEASE_MS)
    # when
    stores.idempotency.keep(claim(stores, fingerprint=fingerprint, answer=ANSWER))
    # then
    assert stores.idempotency.find("key-1").claim == first


def test_answer_kept_on_an_expired_key_replaces_it(stores: Stores) -> None:
    # given
    first = claim(stores, answer=ANSWER)
    stores.idempotency.keep(first)
    stores.clock.advance(first.expires_at_s * 1000 - stores.clock.now_ms())
    # when
    second = claim(stores, fingerprint="other", answer=Answer(400, "{}"))
    stores.idempotency.keep(second)
    # then
    assert stores.idempotency.find("key-1").claim == second


@pytest.mark.parametrize("is_held", [True, False])
def test_claim_is_read_with_documents_and_the_missing_are_left_out(
    stores: Stores,
    is_held: bool,
) -> None:
    # given
    documents = [customer(object_id=f"cus_{n}", name=f"n{n}") for n in range(3)]
    asked = claim(stores)
    stores.documents.commit([audited(d) for d in documents], asked if is_held else None)
    # when
    found = stores.idempotency.find("key-1", ["cus_2", "cus_x", "cus_0", "cus_2"])
    # then
    assert found.claim == (asked if is_held else None)
    assert found.documents == {"cus_0": documents[0], "cus_2": documents[2]}


def test_claim_read_alone_brings_no_documents(stores: Stores) -> None:
    # given
    commit_with(stores, claim(stores))
    # then
    assert stores.idempotency.find("key-1").documents == {}


def test_claim_expired_is_absent_beside_documents_that_are_not(stores: Stores) -> None:
    # given
    first = claim(stores, answer=ANSWER)
    stores.documents.commit([audited(customer())], first)
    # when
    stores.clock.advance(first.expires_at_s * 1000 - stores.clock.now_ms())
    # then
    found = stores.idempotency.find("key-1", ["cus_1"])
    assert (found.claim, found.documents) == (None, {"cus_1": customer()})


# --- payments


def test_payment_committed_is_read_back_and_equals_its_events(stores: Stores) -> None:
    # given
    first = change(None, CREATED)
    stores.payments.commit(first)
    second = change(first.payment, CONFIRMED, updated("größe 🏦"))
    # when
    stores.payments.commit(second)
    # then
    stored = stores.payments.load(PAYMENT_ID)
    assert stored == second.payment
    assert stores.payments.events(PAYMENT_ID) == (*first.events, *second.events)
    assert rebuild(stores.payments.events(PAYMENT_ID)) == stored


def test_payment_absent_is_none_without_events(stores: Stores) -> None:
    assert stores.payments.load("pi_none") is None
    assert stores.payments.events("pi_none") == ()
    assert stores.payments.load_many([]) == {}


def test_payments_read_together_leave_out_the_missing(stores: Stores) -> None:
    # given
    stores.payments.commit(change(None, CREATED))
    # then
    found = stores.payments.load_many([PAYMENT_ID, "pi_none", PAYMENT_ID])
    assert set(found) == {PAYMENT_ID}


def test_payment_events_stay_in_order_beyond_nine_and_ninety_nine(stores: Stores) -> None:
    # given
    before = None
    for number in range(105):
        draft = CREATED if before is None else updated(str(number))
        made = change(before, draft)
        stores.payments.commit(made)
        before = made.payment
    # then
    versions = [event.version for event in stores.payments.events(PAYMENT_ID)]
    assert versions == list(range(1, 106))


def test_payment_second_writer_of_a_version_loses_and_nothing_of_its_change_lands(
    stores: Stores,
) -> None:
    # given
    created = change(None, CREATED)
    stores.payments.commit(created)
    winner = change(created.payment, updated("winner"))
    stores.payments.commit(winner)
    confirmed = change(created.payment, CONFIRMED)
    document = audited(customer())
    entry = ListEntry("charge", 1, CHARGE_ID)
    loser = replace(
        confirmed,
        journals=hold(confirmed.payment),
        listed=(entry,),
        documents=(document,),
        claim=claim(stores),
    )
    # when
    with pytest.raises(VersionConflictError):
        stores.payments.commit(loser)
    # then
    assert stores.payments.load(PAYMENT_ID) == winner.payment
    assert stores.payments.events(PAYMENT_ID) == (*created.events, *winner.events)
    assert stores.ledger.of_subject(PAYMENT_ID) == ()
    assert stores.documents.page(SCOPE, "charge", PageQuery()) == Page()
    assert stores.documents.get("cus_1") is None
    assert stores.idempotency.find("key-1").claim is None


def test_payment_created_twice_is_refused(stores: Stores) -> None:
    # given
    stores.payments.commit(change(None, CREATED))
    # then
    with pytest.raises(VersionConflictError):
        stores.payments.commit(change(None, CREATED, updated("again")))
    assert len(stores.payments.events(PAYMENT_ID)) == 1


def test_payment_claim_in_use_lands_nothing(stores: Stores) -> None:
    # given
    commit_with(stores, claim(stores, answer=ANSWER))
    made = replace(change(None, CREATED), claim=claim(stores))
    # when
    with pytest.raises(KeyInUseError):
        stores.payments.commit(made)
    # then
    assert stores.payments.load(PAYMENT_ID) is None
    assert stores.payments.events(PAYMENT_ID) == ()
    assert stores.documents.page(SCOPE, "payment_intent", PageQuery()) == Page()


def test_payment_conflict_of_version_and_claim_is_a_key_in_use(stores: Stores) -> None:
    # given
    made = replace(change(None, CREATED), claim=claim(stores))
    stores.payments.commit(made)
    # then
    with pytest.raises(KeyInUseError):
        stores.payments.commit(made)


def test_payment_commit_writes_rows_documents_and_claim(stores: Stores) -> None:
    # given
    asked = claim(stores)
    method = Document("pm_1", "payment_method", "acct_1", False, 1, 1_790_000_000_000, {"a": 1})
    listed = audited(method, (ListEntry("payment_method", 1_790_000_000_000, "pm_1"),))
    made = replace(change(None, CREATED), documents=(listed,), claim=asked)
    # when
    stores.payments.commit(made)
    # then
    assert stores.documents.page(SCOPE, "payment_intent", PageQuery()).ids == (PAYMENT_ID,)
    assert stores.documents.page(SCOPE, "payment_method", PageQuery()).ids == ("pm_1",)
    assert stores.documents.get("pm_1") == method
    assert stores.idempotency.find("key-1").claim == asked


@pytest.mark.parametrize("stripes", [1, 64])
def test_payment_rows_are_removed_where_they_were_written(stores: Stores, stripes: int) -> None:
    # given
    fill_spread(stores, [], 64)
    made = change(None, (CREATED[0], {**CREATED[1], "stripes": stripes}))
    stores.payments.commit(made)
    assert made.payment.stripes == stripes
    assert stores.documents.page(SCOPE, "payment_intent", PageQuery()).ids == (PAYMENT_ID,)
    # when
    stores.payments.commit(replace(change(made.payment, updated("x")), unlisted=made.listed))
    # then
    assert stores.documents.page(SCOPE, "payment_intent", PageQuery()) == Page()


def test_payment_commit_removes_rows(stores: Stores) -> None:
    # given
    made = change(None, CREATED)
    stores.payments.commit(made)
    assert stores.documents.page(SCOPE, "payment_intent", PageQuery()).ids == (PAYMENT_ID,)
    # when
    stores.payments.commit(replace(change(made.payment, updated("x")), unlisted=made.listed))
    # then
    assert stores.documents.page(SCOPE, "payment_intent", PageQuery()).ids == ()


def test_payment_change_that_used_a_verification_value_is_committed(stores: Stores) -> None:
    # given
    made = replace(change(None, CREATED), verification_used="vlt_1")
    # when
    stores.payments.commit(made)
    # then
    assert stores.payments.load(PAYMENT_ID) == made.payment


# --- journals


def test_journal_of_an_operation_is_posted_once_for_ever(stores: Stores) -> None:
    # given
    created = change(None, CREATED)
    confirmed = change(created.payment, CONFIRMED)
    stores.payments.commit(created)
    stores.payments.commit(replace(confirmed, journals=hold(confirmed.payment)))
    # when
    again = change(confirmed.payment, updated("x"))
    with pytest.raises(VersionConflictError):
        stores.payments.commit(replace(again, journals=hold(confirmed.payment)))
    # then
    assert stores.payments.load(PAYMENT_ID) == confirmed.payment
    assert stores.ledger.of_subject(PAYMENT_ID) == hold(confirmed.payment)


def test_journals_are_read_by_subject_and_by_id(stores: Stores) -> None:
    # given
    confirmed = change(None, CREATED, CONFIRMED)
    journals = hold(confirmed.payment) + hold(confirmed.payment, "other")
    stores.payments.commit(replace(confirmed, journals=journals))
    # then
    assert stores.ledger.of_subject(PAYMENT_ID) == journals
    assert stores.ledger.of_subject(PAYMENT_ID[:-1]) == ()
    found = stores.ledger.get_many([journals[1].id, f"{PAYMENT_ID}/hold/none", journals[1].id])
    assert found == {journals[1].id: journals[1]}


def test_journal_posted_twice_is_refused(stores: Stores) -> None:
    # given
    confirmed = change(None, CREATED, CONFIRMED)
    (journal,) = hold(confirmed.payment)
    correction = reverse(journal, "posted by mistake", 1_790_000_000_500)
    stores.ledger.post(journal)
    # when
    stores.ledger.post(correction)
    # then
    for again in (journal, correction):
        with pytest.raises(VersionConflictError):
            stores.ledger.post(again)
    assert stores.ledger.of_subject(PAYMENT_ID) == (journal, correction)


def test_journals_more_than_one_page_are_all_read(stores: Stores) -> None:
    # given: more than the 1 MB that a page of DynamoDB holds
    before: Payment | None = None
    for number in range(9):
        drafts = (CREATED, CONFIRMED) if before is None else (updated(str(number)),)
        made = change(before, *drafts)
        journals = tuple(hold(made.payment, f"{number}-{n}-{'x' * 900}")[0] for n in range(50))
        stores.payments.commit(replace(made, journals=journals))
        before = made.payment
    # then
    assert len(stores.ledger.of_subject(PAYMENT_ID)) == 9 * 50


# --- what is due


@dataclass
class Due:
    """An index, and what is in it: payments or other objects."""

    stores: Stores
    of: str

    def overdue(self, before_ms: int, limit: int) -> Sequence[str]:
        stores = self.stores
        index = stores.due_payments if self.of == "payments" else stores.due_documents
        return index.overdue(before_ms, limit)

    def begin(self, object_id: str, due_at_ms: int) -> None:
        if self.of == "documents":
            made = customer(object_id=object_id, due_at_ms=due_at_ms)
            self.stores.documents.commit([audited(made)])
            return
        confirmed = (CONFIRMED[0], {**CONFIRMED[1], "due_at_ms": due_at_ms})
        after, events = advance(None, object_id, [CREATED, confirmed], Context(5, "req_1", "k"))
        self.stores.payments.commit(PaymentChange(0, after, events))

    def end(self, object_id: str) -> None:
        if self.of == "documents":
            ended = customer(2, object_id=object_id, due_at_ms=None)
            self.stores.documents.commit([audited(ended)])
            return
        payment = self.stores.payments.load(object_id)
        assert payment is not None
        after, events = advance(payment, object_id, [DECLINED], Context(6, "req_1", "k"))
        self.stores.payments.commit(PaymentChange(payment.version, after, events))


@pytest.fixture(params=["payments", "documents"])
def due(stores: Stores, request: pytest.FixtureRequest) -> Due:
    return Due(stores, request.param)


def test_due_index_finds_what_is_past_its_date_and_nothing_else(due: Due) -> None:
    # given
    for number in range(5):
        due.begin(f"pi_{number:024d}", 1_000 + number)
    due.stores.documents.commit([audited(customer())])
    # then
    assert set(due.overdue(1_003, 1_000)) == {f"pi_{n:024d}" for n in (0, 1, 2)}
    assert due.overdue(1_000, 1_000) == []
    assert len(due.overdue(2_000, 2)) == 2


def test_due_index_finds_what_is_beyond_its_shards_share_of_the_limit(due: Due) -> None:
    # given: all in one shard, the oldest first, and one more than an even share
    limit = DUE_SHARDS * 4
    names = (f"pi_{number:024d}" for number in count())
    alike = (name for name in names if crc32(name.encode()) % DUE_SHARDS == 7)
    object_ids = list(islice(alike, limit // DUE_SHARDS + 1))
    for number, object_id in enumerate(object_ids):
        due.begin(object_id, 1_000 + number)
    # then
    assert due.overdue(2_000, limit) == object_ids


def test_due_index_gives_the_longest_overdue_of_all_shards_first(due: Due) -> None:
    # given
    object_ids = [f"pi_{number:024d}" for number in range(9)]
    for number, object_id in enumerate(object_ids):
        due.begin(object_id, 2_000 - number)
    # then
    assert due.overdue(3_000, 3) == object_ids[:-4:-1]


def test_due_index_forgets_what_nothing_is_open_on(due: Due) -> None:
    # given
    due.begin(PAYMENT_ID, 1_000)
    assert due.overdue(2_000, 100) == [PAYMENT_ID]
    # when
    due.end(PAYMENT_ID)
    # then
    assert due.overdue(2_000, 100) == []


def test_due_index_of_one_kind_does_not_show_the_other(stores: Stores) -> None:
    # given
    Due(stores, "payments").begin("pi_1", 1_000)
    Due(stores, "documents").begin("setatt_1", 1_000)
    # then
    assert stores.due_payments.overdue(2_000, 100) == ["pi_1"]
    assert stores.due_documents.overdue(2_000, 100) == ["setatt_1"]
