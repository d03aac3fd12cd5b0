"""What is kept of changes; run on the DynamoDB adapters and on their twins in memory."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from shared.adapters.dynamodb_audit import DynamoChangeStore
from shared.adapters.dynamodb_documents import DynamoDocumentStore
from shared.adapters.dynamodb_payments import DynamoPaymentStore
from shared.adapters.memory import (
    MemoryClock,
    MemoryDatabase,
    MemoryDocumentStore,
    MemoryPaymentStore,
)
from shared.adapters.memory_audit import MemoryChangeStore
from shared.adapters.memory_signer import MemorySigner
from shared.domain.audit_trail import Action, act, created, updated
from shared.domain.authorization import new_payment_method
from shared.domain.changes import Context, PaymentChange, change
from shared.domain.documents import Document, DocumentWrite, ListEntry, PageQuery, Scope
from shared.domain.errors import InvariantError, VersionConflictError
from shared.domain.ports import ChangeStore, DocumentStore, EventSigner, PaymentStore
from tests.support.aws import REGION, create_payment_tables
from tests.support.payments import CARD, CREATED, PAYMENT_ID

ASKED = Context(1_790_000_000_000, "req_1", "key-1", "key:0123456789abcdef")
SCOPE = Scope("acct_1", livemode=False)
SESSION = boto3.session.Session()


@dataclass
class Stores:
    documents: DocumentStore
    payments: PaymentStore
    changes: ChangeStore
    signer: EventSigner


def _memory() -> Stores:
    database = MemoryDatabase(MemorySigner(MemoryClock()))
    return Stores(
        MemoryDocumentStore(database),
        MemoryPaymentStore(database),
        MemoryChangeStore(database),
        database.signer,
    )


def _client() -> Any:
    return SESSION.client(
        "dynamodb",
        region_name=REGION,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


def _dynamodb() -> Stores:
    client, signer = _client(), MemorySigner(MemoryClock())
    tables = create_payment_tables(client)
    return Stores(
        DynamoDocumentStore(client, tables["objects"], tables["idempotency"], signer),
        DynamoPaymentStore(client, tables, signer),
        DynamoChangeStore(client, tables["objects"], signer),
        signer,
    )


@pytest.fixture(params=["memory", "dynamodb"])
def stores(request: pytest.FixtureRequest) -> Iterator[Stores]:
    if request.param == "memory":
        yield _memory()
        return
    with mock_aws():
        yield _dynamodb()


def customer(**data: Any) -> Document:
    return Document("cus_1", "customer", "acct_1", False, 1, 1_790_000_000_000, data)


def history(stores: Stores, versions: int) -> list[DocumentWrite]:
    """Commits a customer's first versions; returns the writes, oldest first."""
    writes = [created(customer(number=1), ASKED)]
    for number in range(2, versions + 1):
        writes.append(updated(writes[-1].document, {"number": number}, ASKED))
    for write in writes:
        stores.documents.commit([write])
    return writes


def test_change_is_kept_with_its_document_and_signed(stores: Stores) -> None:
    # when
    first, second = history(stores, 2)
    # then
    records = stores.changes.of_entity("cus_1", 10)
    assert [record.change for record in records] == [second.change, first.change]
    for record in records:
        assert record.hash == record.change.hash
        assert stores.signer.verify(record.hash, record.signature)
    assert records[0].change.previous_hash == records[1].hash
    document = stores.documents.get("cus_1")
    assert document is not None
    assert document.change_hash == records[0].hash


def test_change_made_of_a_document_that_was_read_goes_on_with_its_chain(stores: Stores) -> None:
    # given
    history(stores, 1)
    read = stores.documents.get("cus_1")
    assert read is not None
    # when
    stores.documents.commit([updated(read, {"number": 7}, ASKED)])
    # then
    newest, first = stores.changes.of_entity("cus_1", 10)
    assert newest.change.previous_hash == first.hash
    assert (newest.change.old, newest.change.new) == ({"number": 1}, {"number": 7})


def test_second_writer_of_a_version_leaves_no_record(stores: Stores) -> None:
    # given
    (first,) = history(stores, 1)
    stores.documents.commit([updated(first.document, {"number": "mine"}, ASKED)])
    # when
    with pytest.raises(VersionConflictError):
        stores.documents.commit([updated(first.document, {"number": "other"}, ASKED)])
    # then
    newest = stores.changes.of_entity("cus_1", 10)[0]
    assert (newest.change.version, newest.change.new) == (2, {"number": "mine"})


def test_document_without_a_record_is_refused_and_nothing_lands(stores: Stores) -> None:
    entry = ListEntry("customer", 1, "cus_2")
    writes = [
        created(replace(customer(), id="cus_2"), ASKED, listed=[entry]),
        DocumentWrite(customer()),
    ]
    with pytest.raises(InvariantError, match="cus_1 is written without a record"):
        stores.documents.commit(writes)
    assert stores.documents.get_many(["cus_1", "cus_2"]) == {}
    assert stores.documents.page(SCOPE, "customer", PageQuery()).ids == ()
    assert stores.changes.of_entity("cus_2", 10) == ()


def test_payment_with_an_unrecorded_document_is_refused(stores: Stores) -> None:
    made = change(None, [CREATED], ASKED, PAYMENT_ID)
    with pytest.raises(InvariantError, match="cus_1 is written without a record"):
        stores.payments.commit(replace(made, documents=(DocumentWrite(customer()),)))
    assert stores.payments.load(PAYMENT_ID) is None


def test_document_of_a_payments_change_is_recorded_with_it(stores: Stores) -> None:
    # given
    data = {"card": CARD, "metadata": {}}
    made: PaymentChange = change(None, [CREATED], ASKED, PAYMENT_ID)
    write = new_payment_method(made.payment, "pm_1", data, ASKED)
    # when
    stores.payments.commit(replace(made, documents=(write,)))
    # then
    (record,) = stores.changes.of_entity("pm_1", 10)
    assert (record.change.action, record.change.actor) == ("created", ASKED.actor)
    assert str(CARD["vault_token"]) not in str(record)


def test_event_objects_leave_no_record(stores: Stores) -> None:
    event = Document("evt_1", "event", "acct_1", False, 1, 1, {"type": "charge.failed"})
    stores.documents.put_events([DocumentWrite(event)])
    assert stores.changes.of_entity("evt_1", 10) == ()


def test_records_of_an_entity_are_read_newest_first_from_either_side(stores: Stores) -> None:
    # given
    history(stores, 7)

    def versions(limit: int, **around: int) -> list[int]:
        found = stores.changes.of_entity("cus_1", limit, **around)
        return [record.change.version for record in found]

    # then
    assert versions(3) == [7, 6, 5]
    assert versions(3, before_version=5) == [4, 3, 2]
    assert versions(3, before_version=2) == [1]
    assert versions(3, before_version=1) == []
    assert versions(3, after_version=2) == [5, 4, 3]
    assert versions(9, after_version=5) == [7, 6]
    assert versions(3, after_version=7) == []
    assert stores.changes.of_entity("cus_", 3) == ()


def test_records_are_read_by_name_and_the_missing_are_left_out(stores: Stores) -> None:
    # given
    writes = history(stores, 3)
    # when
    found = stores.changes.get_many([("cus_1", 3), ("cus_1", 4), ("cus_x", 1), ("cus_1", 1)])
    # then
    assert {name: record.change for name, record in found.items()} == {
        ("cus_1", 1): writes[0].change,
        ("cus_1", 3): writes[2].change,
    }
    assert stores.changes.get_many([]) == {}


def test_action_of_an_operator_is_recorded_once(stores: Stores) -> None:
    # given
    book = "acct_1/test"
    action = Action(book, "book", "stripes_set", book, {"stripes": 1}, {"stripes": 8}, "hot")
    # when
    recorded = act(stores.changes, action, Context(5, actor="operator:ada"))
    with pytest.raises(VersionConflictError):
        stores.changes.append(recorded)
    # then
    (record,) = stores.changes.of_entity(book, 10)
    assert record.change == recorded
    assert record.change.metadata == {"reason": "hot"}
    assert stores.signer.verify(record.hash, record.signature)


def test_stores_without_a_signer_record_nothing() -> None:
    with mock_aws():
        client = _client()
        tables = create_payment_tables(client)
        documents = DynamoDocumentStore(client, tables["objects"], tables["idempotency"])
        changes = DynamoChangeStore(client, tables["objects"])
        write = created(customer(), ASKED)
        assert write.change is not None
        with pytest.raises(InvariantError, match="without what signs"):
            documents.commit([write])
        with pytest.raises(InvariantError, match="without what signs"):
            changes.append(write.change)
        assert client.scan(TableName=tables["objects"])["Items"] == []


def test_record_is_no_object_and_is_found_as_a_record_by_the_stream() -> None:
    """Its key sorts it with the history, and it has no kind to be announced by."""
    with mock_aws():
        stores = _dynamodb()
        history(stores, 1)
        items = {item["sk"]["S"]: item for item in _client().scan(TableName="objects")["Items"]}
    assert set(items) == {"OBJECT", "EV#00000001"}
    record = items["EV#00000001"]
    assert {"kind", "type", "version", "expires_at"} & record.keys() == set()
    assert record["book"] == {"S": "acct_1/test"}
