"""What is recorded of a change: who, what, and what it was before, without a secret."""

import json
from typing import Any

import pytest

from shared.adapters.memory import MemoryClock, MemoryDatabase, MemoryPaymentStore
from shared.adapters.memory_audit import MemoryChangeStore
from shared.adapters.memory_signer import MemorySigner
from shared.domain.audit import CONCEALED, differences
from shared.domain.audit_trail import (
    Action,
    act,
    created,
    payment_changes,
    require_changes,
    updated,
)
from shared.domain.changes import Context, change
from shared.domain.documents import Document, DocumentWrite
from shared.domain.errors import InvariantError, VersionConflictError
from shared.domain.resolution import look_again
from tests.support.payments import (
    AUTHORIZED,
    CAPTURED,
    CARD,
    CHARGE_ID,
    CONFIRMED,
    CREATED,
    OUTCOME_UNKNOWN,
    PAYMENT_ID,
)

ASKED = Context(1_790_000_000_000, "req_1", "key-1", "key:0123456789abcdef")
BY_ADA = Context(1_790_000_000_500, actor="operator:ada")
SECRET = "whsec_0123456789"


def customer(**data: Any) -> Document:
    return Document("cus_1", "customer", "acct_1", False, 1, 1_790_000_000_000, data)


# --- documents


def test_created_document_is_recorded_with_who_and_when() -> None:
    # when
    write = created(customer(name="Ada", metadata={}), ASKED)
    # then
    assert write.change is not None
    assert write.change.facts() == {
        "entity": "cus_1",
        "entity_type": "customer",
        "version": 1,
        "action": "created",
        "actor": "key:0123456789abcdef",
        "request_id": "req_1",
        "occurred_at_ms": 1_790_000_000_000,
        "book": "acct_1/test",
        "old": {},
        "new": {"name": "Ada", "metadata": {}},
        "metadata": {"idempotency_key": "key-1"},
        "previous_hash": "",
    }
    assert write.document.change_hash == write.change.hash


def test_updated_document_is_recorded_with_what_changed_and_nothing_else() -> None:
    # given
    before = created(
        customer(name="Ada", email=None, metadata={"a": "1", "b": "2"}), ASKED
    ).document
    # when
    data = {"name": "Ada", "email": "a@example.com", "metadata": {"b": "3", "c": "4"}}
    write = updated(before, data, BY_ADA, reason="asked by telephone")
    # then
    assert write.change is not None
    assert (write.change.action, write.change.version) == ("updated", 2)
    assert (write.document.version, write.document.data) == (2, data)
    assert write.change.old == {"email": None, "metadata": {"a": "1", "b": "2"}}
    assert write.change.new == {"email": "a@example.com", "metadata": {"b": "3", "c": "4"}}
    assert (write.change.actor, write.change.request_id) == ("operator:ada", None)
    assert write.change.metadata == {"reason": "asked by telephone"}


def test_changes_of_a_document_are_a_chain() -> None:
    # given
    first = created(customer(name="A"), ASKED)
    second = updated(first.document, {"name": "B"}, ASKED)
    third = updated(second.document, {"deleted": True}, ASKED)
    # then
    assert first.change is not None
    assert second.change is not None
    assert third.change is not None
    assert second.change.previous_hash == first.change.hash
    assert third.change.previous_hash == second.change.hash
    assert third.change.action == "deleted"
    assert (third.change.old, third.change.new) == ({"name": "B"}, {"deleted": True})
    # and: another past would make another chain
    other = updated(created(customer(name="X"), ASKED).document, {"name": "B"}, ASKED)
    assert other.change is not None
    assert other.change.hash != second.change.hash


def test_write_with_the_record_of_another_change_is_refused() -> None:
    first = created(customer(name="A"), ASKED)
    second = updated(first.document, {"name": "B"}, ASKED)
    with pytest.raises(InvariantError, match="another change"):
        DocumentWrite(second.document, change=first.change)


def test_write_without_a_record_is_refused_unless_it_announces() -> None:
    event = Document("evt_1", "event", "acct_1", False, 1, 1, {})
    require_changes([created(customer(), ASKED), DocumentWrite(event)])
    with pytest.raises(InvariantError, match="cus_1 is written without a record"):
        require_changes([DocumentWrite(event), DocumentWrite(customer())])


# --- secrets


def test_webhook_secret_is_told_as_changed_only() -> None:
    stored = {"url": "https://a.example", "secret": SECRET}
    # when
    made = differences("webhook_endpoint", {}, stored)
    rolled = differences("webhook_endpoint", stored, {**stored, "secret": "whsec_other"})
    deleted = differences("webhook_endpoint", stored, {"deleted": True})
    # then
    assert made == ({}, {"url": "https://a.example", "secret": CONCEALED})
    assert rolled == ({"secret": CONCEALED}, {"secret": CONCEALED})
    assert deleted == (
        {"url": "https://a.example", "secret": CONCEALED},
        {"deleted": True},
    )


@pytest.mark.parametrize("kind", ["payment_method", "token"])
def test_card_is_told_without_what_finds_it(kind: str) -> None:
    # when
    old, new = differences(kind, {}, {"card": CARD, "metadata": {"vault_token": "mine"}})
    _, changed = differences(kind, {"card": CARD}, {"card": {**CARD, "vault_token": "vlt_2"}})
    # then
    assert old == {}
    assert new["card"] == {**CARD, "vault_token": CONCEALED, "fingerprint": CONCEALED}
    assert new["metadata"] == {"vault_token": "mine"}
    assert changed == {"card": {"vault_token": CONCEALED}}


# --- differences


@pytest.mark.parametrize(
    ("before", "after", "old", "new"),
    [
        ({"a": 1}, {"a": 1}, {}, {}),
        ({"a": None}, {}, {"a": None}, {}),
        ({}, {"a": None}, {}, {"a": None}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, {"a": {"c": 2}}, {"a": {"c": 3}}),
        ({"a": None}, {"a": {"b": 1}}, {"a": None}, {"a": {"b": 1}}),
        ({"a": ["x"]}, {"a": ["x", "y"]}, {"a": ["x"]}, {"a": ["x", "y"]}),
        ({"a": []}, {"a": ["y"]}, {"a": []}, {"a": ["y"]}),
        ({"a": ()}, {"a": ({"id": "1", "n": 2},)}, {}, {"a": {"1": {"n": 2}}}),
        (
            {"a": [{"id": "1", "n": 2, "m": 0}, {"id": "2", "n": 3}]},
            {"a": [{"id": "1", "n": 5, "m": 0}, {"id": "2", "n": 3}]},
            {"a": {"1": {"n": 2}}},
            {"a": {"1": {"n": 5}}},
        ),
    ],
)
def test_differences_are_of_what_changed(
    before: dict[str, Any], after: dict[str, Any], old: dict[str, Any], new: dict[str, Any]
) -> None:
    assert differences("customer", before, after) == (old, new)


# --- payments


def test_payment_tells_its_changes_from_its_events() -> None:
    # given
    store = MemoryPaymentStore(MemoryDatabase())
    first = change(None, [CREATED, CONFIRMED], ASKED, PAYMENT_ID)
    store.commit(first)
    store.commit(change(first.payment, [AUTHORIZED, CAPTURED], BY_ADA))
    # when
    signed = store.signed_events(PAYMENT_ID)
    records = payment_changes(signed)
    # then
    changes = [record.change for record in records]
    assert [(item.id, item.action) for item in changes] == [
        (f"{PAYMENT_ID}/1", "payment_created"),
        (f"{PAYMENT_ID}/2", "payment_confirmed"),
        (f"{PAYMENT_ID}/3", "payment_authorized"),
        (f"{PAYMENT_ID}/4", "payment_captured"),
    ]
    assert [record.hash for record in records] == [item.event.hash for item in signed]
    assert [item.previous_hash for item in changes[1:]] == [item.hash for item in records[:-1]]
    assert [item.actor for item in changes] == [*[ASKED.actor] * 2, *[BY_ADA.actor] * 2]
    assert {item.book for item in changes} == {"acct_1/test"}
    captured = changes[3]
    assert captured.old["status"] == "requires_capture"
    assert captured.new["status"] == "succeeded"
    assert captured.new["charges"][CHARGE_ID]["captured"] is True
    assert "amount_minor" not in captured.new


def test_payment_changes_tell_no_secret_and_no_bookkeeping() -> None:
    store = MemoryPaymentStore(MemoryDatabase())
    store.commit(change(None, [CREATED, CONFIRMED, AUTHORIZED, CAPTURED], ASKED, PAYMENT_ID))
    # when
    records = payment_changes(store.signed_events(PAYMENT_ID))
    told = json.dumps([[record.change.old, record.change.new] for record in records])
    # then
    assert f"{PAYMENT_ID}_secret_1" not in told
    assert str(CARD["vault_token"]) not in told
    assert records[0].change.new["client_secret"] == CONCEALED
    assert '"last4": "4242"' in told
    for name in ("event_hash", "last_event", "last_request", "operation_key", "version"):
        assert f'"{name}"' not in told


def test_look_again_tells_the_operator_and_the_reason() -> None:
    # given
    parked = (OUTCOME_UNKNOWN[0], {**OUTCOME_UNKNOWN[1], "due_at_ms": None})
    store = MemoryPaymentStore(MemoryDatabase())
    first = change(None, [CREATED, CONFIRMED, parked], ASKED, PAYMENT_ID)
    store.commit(first)
    again = look_again(first.payment, BY_ADA, "the network says it was taken")
    assert again is not None
    store.commit(again)
    # when
    record = payment_changes(store.signed_events(PAYMENT_ID))[-1]
    # then
    assert record.change.actor == "operator:ada"
    assert record.change.metadata == {"reason": "the network says it was taken"}
    assert record.change.old == {"pending": {"due_at_ms": None}}
    assert record.change.new == {"pending": {"due_at_ms": BY_ADA.now_ms}}


# --- actions


def test_action_is_recorded_behind_the_one_before() -> None:
    # given
    changes = MemoryChangeStore(MemoryDatabase(MemorySigner(MemoryClock())))
    action = Action("acct_1/test", "book", "floor_set", "acct_1/test", {"floor": 0}, {"floor": -5})
    # when
    first = act(changes, action, BY_ADA)
    second = act(changes, action, BY_ADA)
    # then
    assert (first.version, first.previous_hash) == (1, "")
    assert (second.version, second.previous_hash) == (2, first.hash)
    newest = changes.of_entity("acct_1/test", 10)
    assert [record.change for record in newest] == [second, first]
    with pytest.raises(VersionConflictError):
        changes.append(second)
