from dataclasses import replace
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.announcements import SILENT, announce_document, announce_payment
from shared.domain.changes import Draft
from shared.domain.documents import Document
from shared.domain.errors import InvariantError
from shared.domain.events import EventType
from shared.domain.payment import Payment
from shared.wire import objects
from shared.wire.events import RETENTION_S, announcement_detail, event_write, previous_attributes
from tests.support.payments import (
    ACTION_REQUIRED,
    AUTHORIZED,
    CANCELED,
    CAPTURED,
    CHARGE_ID,
    CONFIRMED,
    CREATED,
    DECLINED,
    INCREMENT_REQUESTED,
    INCREMENTED,
    OUTCOME_UNKNOWN,
    PAYMENT_ID,
    REFUND_ID,
    REFUND_PENDING,
    REFUND_REQUESTED,
    SETTLED,
    after,
    charge_updated,
    refund_ended,
)

CAPTURE_REQUESTED: Draft = (
    EventType.CAPTURE_REQUESTED,
    {"amount_minor": 1500, "operation_key": None, "due_at_ms": 1, "reason": None},
)
CANCELLATION_REQUESTED: Draft = (EventType.CANCELLATION_REQUESTED, CAPTURE_REQUESTED[1])
NOT_INCREMENTED: Draft = (EventType.INCREMENT_REFUSED, {"failure": {"code": "card_declined"}})
TAKEN_OVER: Draft = (EventType.OPERATION_TAKEN_OVER, {"refund_id": None, "due_at_ms": 1})
REVERSAL_REQUESTED: Draft = (EventType.REVERSAL_REQUESTED, CAPTURE_REQUESTED[1])
SUCCEEDED = refund_ended(EventType.REFUND_SUCCEEDED)
REFUND_SAID: Draft = (
    EventType.REFUND_UPDATED,
    {"refund_id": REFUND_ID, "metadata": {"a": "1"}},
)
RETURNED = refund_ended(EventType.REFUND_RETURNED, "expired_or_canceled_card")
FAILED = refund_ended(EventType.REFUND_FAILED, "declined")
HELD = (CREATED, CONFIRMED, AUTHORIZED)
PAID = (*HELD, CAPTURED)
REFUNDING = (*PAID, REFUND_REQUESTED)
CUSTOMER = Document("cus_1", "customer", "acct_1", False, 1, 5, {"email": "a@b.c", "metadata": {}})
METHOD = Document(
    "pm_1",
    "payment_method",
    "acct_1",
    False,
    1,
    5,
    {"card": CONFIRMED[1]["card"], "customer": None, "metadata": {}},
)


def state(drafts: tuple[Draft, ...]) -> Payment | None:
    return after(None, *drafts) if drafts else None


@pytest.mark.parametrize(
    ("before", "change", "expected"),
    [
        ((), (CREATED,), ["payment_intent.created"]),
        ((), (CREATED, CONFIRMED), ["payment_intent.created"]),
        ((CREATED,), (CONFIRMED,), []),
        (
            (CREATED, CONFIRMED),
            (AUTHORIZED, CAPTURED),
            ["charge.succeeded", "payment_intent.succeeded"],
        ),
        (
            (CREATED, CONFIRMED),
            (AUTHORIZED,),
            ["charge.succeeded", "payment_intent.amount_capturable_updated"],
        ),
        (
            (CREATED, CONFIRMED),
            (DECLINED,),
            ["charge.failed", "payment_intent.payment_failed"],
        ),
        ((CREATED, CONFIRMED), (ACTION_REQUIRED,), ["payment_intent.requires_action"]),
        ((CREATED, CONFIRMED), (OUTCOME_UNKNOWN,), ["payment_intent.processing"]),
        ((CREATED, CONFIRMED, OUTCOME_UNKNOWN), (OUTCOME_UNKNOWN,), []),
        ((*HELD, CAPTURE_REQUESTED), (OUTCOME_UNKNOWN,), ["payment_intent.processing"]),
        ((CREATED, CONFIRMED, OUTCOME_UNKNOWN, REVERSAL_REQUESTED), (OUTCOME_UNKNOWN,), []),
        (HELD, (CAPTURED,), ["charge.captured", "payment_intent.succeeded"]),
        (HELD, (CANCELED,), ["payment_intent.canceled"]),
        (
            (*HELD, INCREMENT_REQUESTED),
            (INCREMENTED,),
            ["payment_intent.amount_capturable_updated"],
        ),
        (
            HELD,
            (INCREMENT_REQUESTED, INCREMENTED),
            ["payment_intent.amount_capturable_updated"],
        ),
        (PAID, (SETTLED,), []),
        (PAID, (REFUND_REQUESTED,), ["refund.created"]),
        (REFUNDING, (SUCCEEDED,), ["refund.updated", "charge.refunded"]),
        (REFUNDING, (FAILED,), ["refund.updated", "refund.failed"]),
        ((*REFUNDING, SUCCEEDED), (RETURNED,), ["refund.updated", "refund.failed"]),
        (PAID, (REFUND_REQUESTED, SUCCEEDED), ["refund.created", "charge.refunded"]),
        (PAID, (charge_updated(description="cup"),), ["charge.updated"]),
        ((*PAID, charge_updated(description="cup")), (charge_updated(description="cup"),), []),
        (
            HELD,
            (charge_updated(description="cup"), CAPTURED),
            ["charge.captured", "payment_intent.succeeded"],
        ),
        (REFUNDING, (REFUND_SAID,), ["refund.updated"]),
        ((*REFUNDING, SUCCEEDED), (REFUND_SAID,), ["refund.updated"]),
        ((*REFUNDING, REFUND_SAID), (REFUND_SAID,), []),
        (REFUNDING, (REFUND_SAID, SUCCEEDED), ["refund.updated", "charge.refunded"]),
    ],
)
def test_change_of_payment_is_announced_as(
    before: tuple[Draft, ...], change: tuple[Draft, ...], expected: list[str]
) -> None:
    was = state(before)
    announced = announce_payment(was, after(was, *change))
    assert [announcement.type for announcement in announced] == expected


SILENT_DRAFTS: tuple[Draft, ...] = (
    (EventType.PAYMENT_UPDATED, {"changes": {"payment_method": None}}),
    (EventType.PAYMENT_UPDATED, {"changes": {"payment_method": "pm_2"}}),
    CONFIRMED,
    TAKEN_OVER,
    CAPTURE_REQUESTED,
    (EventType.CAPTURE_REFUSED, {"message": "no"}),
    CANCELLATION_REQUESTED,
    (EventType.CANCELLATION_REFUSED, {"message": "no"}),
    REVERSAL_REQUESTED,
    INCREMENT_REQUESTED,
    NOT_INCREMENTED,
    SETTLED,
    REFUND_PENDING,
)


def test_silent_events_are_all_tried() -> None:
    assert {event_type for event_type, _ in SILENT_DRAFTS} == SILENT


@pytest.mark.parametrize(
    "before",
    [
        (CREATED,),
        (CREATED, CONFIRMED),
        (CREATED, CONFIRMED, ACTION_REQUIRED),
        (CREATED, CONFIRMED, DECLINED),
        (CREATED, CONFIRMED, OUTCOME_UNKNOWN),
        HELD,
        (*HELD, CAPTURE_REQUESTED),
        (*HELD, CANCELED),
        PAID,
        REFUNDING,
        (*REFUNDING, SUCCEEDED),
        (*REFUNDING, FAILED),
    ],
)
def test_change_of_silent_events_is_announced_as_nothing(before: tuple[Draft, ...]) -> None:
    # given a payment in any state
    was = state(before)
    alone = [(draft,) for draft in SILENT_DRAFTS]
    for change in [*alone, *product(SILENT_DRAFTS, repeat=2)]:
        # when silent events change it, even where the platform would not let them
        try:
            became = after(was, *change)
        except InvariantError:
            # only what is open can be taken over or end, only what was confirmed be settled
            unsettled = SETTLED in change and not (was and was.charges)
            assert {TAKEN_OVER[0], NOT_INCREMENTED[0]} & {d[0] for d in change} or unsettled, change
            continue
        # then
        assert announce_payment(was, became) == (), change


def test_announcements_of_one_change_have_the_same_distinct_ids_every_time() -> None:
    was = state(HELD)
    became = after(was, CAPTURED)
    first, second = announce_payment(was, became), announce_payment(was, became)
    ids = [announcement.id for announcement in first]
    assert ids == [announcement.id for announcement in second]
    assert len(set(ids)) == 2
    assert all(announcement.startswith(f"evt_{PAYMENT_ID[3:]}") for announcement in ids)


def test_ids_of_a_documents_events_sort_in_the_order_of_its_changes() -> None:
    versions = [replace(CUSTOMER, version=version) for version in range(1, 12)]
    changes = pairwise([None, *versions])
    ids = [announce_document(before, became)[0].id for before, became in changes if became]
    assert ids == sorted(ids)


@pytest.mark.parametrize(
    ("before", "after_", "expected"),
    [
        (None, CUSTOMER, ["customer.created"]),
        (CUSTOMER, replace(CUSTOMER, version=2), ["customer.updated"]),
        (CUSTOMER, CUSTOMER, []),
        (CUSTOMER, replace(CUSTOMER, version=2, data={"deleted": True}), ["customer.deleted"]),
        (None, METHOD, []),
        (
            METHOD,
            replace(METHOD, version=2, data={**METHOD.data, "customer": "cus_1"}),
            ["payment_method.attached"],
        ),
        (
            replace(METHOD, data={**METHOD.data, "customer": "cus_1"}),
            replace(METHOD, version=2),
            ["payment_method.detached"],
        ),
        (METHOD, replace(METHOD, version=2), ["payment_method.updated"]),
        (None, replace(CUSTOMER, kind="event"), []),
        (None, replace(CUSTOMER, kind="token"), []),
    ],
)
def test_change_of_document_is_announced_as(
    before: Document | None, after_: Document, expected: list[str]
) -> None:
    assert [item.type for item in announce_document(before, after_)] == expected


def test_event_of_a_deleted_customer_tells_what_it_was() -> None:
    deleted = replace(CUSTOMER, version=2, data={"deleted": True})
    event = event_write(announce_document(CUSTOMER, deleted)[0], 7_000, []).document
    assert event.data["data"]["object"]["email"] == "a@b.c"


def test_event_of_an_update_tells_the_previous_attributes() -> None:
    updated = replace(CUSTOMER, version=2, data={"email": "d@e.f", "metadata": {"k": "v"}})
    event = event_write(announce_document(CUSTOMER, updated)[0], 7_000, []).document
    assert event.data["data"]["previous_attributes"] == {
        "email": "a@b.c",
        "metadata": {"k": None},
    }


def test_event_of_a_payment_with_stripes_is_listed_in_as_many_shards() -> None:
    payment = after(None, (CREATED[0], {**CREATED[1], "stripes": 64}))
    write = event_write(announce_payment(None, payment)[0], 7_000, [])
    assert write.stripes == 64


def test_event_of_a_payment_tells_the_request_and_expires() -> None:
    payment = after(None, CREATED)
    write = event_write(announce_payment(None, payment)[0], 7_000, [])
    event = write.document
    assert event.data["request"] == {"id": "req_1", "idempotency_key": "key_1"}
    assert event.data["data"]["object"]["id"] == PAYMENT_ID
    assert "previous_attributes" not in event.data["data"]
    assert event.expires_at_s == 7 + RETENTION_S
    assert [entry.collection for entry in write.listed] == ["event"]
    assert announcement_detail(event) == {
        "type": "payment_intent.created",
        "account": "acct_1",
        "livemode": False,
        "event": event.id,
        "object": PAYMENT_ID,
        "created": 7,
        "endpoints": [],
        "webhooks": False,
    }


def test_event_names_the_endpoints_to_tell_to_the_bus_and_not_to_the_merchant() -> None:
    # given
    announcement = announce_document(None, CUSTOMER)[0]
    # when
    event = event_write(announcement, 7_000, ["we_1", "we_2"]).document
    # then
    detail = announcement_detail(event)
    assert (detail["endpoints"], detail["webhooks"]) == (["we_1", "we_2"], True)
    told = objects.event(event)
    assert told["pending_webhooks"] == 2
    assert "endpoints" not in told


def test_event_says_which_version_of_its_object_it_tells() -> None:
    # given: a customer that is told of as it last was, at the end
    deleted = replace(CUSTOMER, version=2, data={"deleted": True})
    announced = [*announce_document(None, CUSTOMER), *announce_document(CUSTOMER, deleted)]
    # when
    events = [event_write(item, 7_000, []).document for item in announced]
    # then
    assert [objects.event(event)["object_version"] for event in events] == [1, 2]
    paid = state(PAID)
    assert paid is not None
    assert {item.version for item in announce_payment(state(HELD), paid)} == {paid.version}


def test_event_of_a_refunded_charge_tells_the_amount_refunded_before() -> None:
    was = state(REFUNDING)
    announced = announce_payment(was, after(was, SUCCEEDED))[1]
    told = event_write(announced, 7_000, []).document.data["data"]
    assert told["object"]["id"] == CHARGE_ID
    assert told["object"]["amount_refunded"] == 500
    assert told["previous_attributes"] == {"amount_refunded": 0}


def test_event_of_a_captured_charge_tells_that_it_was_not() -> None:
    was = state(HELD)
    announced = announce_payment(was, after(was, CAPTURED))[0]
    told = event_write(announced, 7_000, []).document.data["data"]
    assert told["previous_attributes"] == {
        "amount_captured": 0,
        "balance_transaction": None,
        "captured": False,
    }


JSON_OBJECTS = st.dictionaries(
    st.sampled_from("abcd"),
    st.recursive(
        st.none() | st.integers(0, 3),
        lambda inner: st.dictionaries(st.sampled_from("ab"), inner),
        max_leaves=4,
    ),
)


@given(JSON_OBJECTS)
def test_previous_attributes_of_no_change_are_none(body: dict[str, object]) -> None:
    assert previous_attributes(body, body) == {}


@given(JSON_OBJECTS, JSON_OBJECTS)
def test_previous_attributes_name_what_differs(
    before: dict[str, object], after_: dict[str, object]
) -> None:
    names = {name for name in {*before, *after_} if before.get(name) != after_.get(name)}
    assert set(previous_attributes(before, after_)) == names
