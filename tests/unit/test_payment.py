"""A payment's state is what its events add up to, and nothing else gets through."""

from dataclasses import replace

import pytest

from shared.domain.changes import Context, Draft, PaymentChange
from shared.domain.errors import InvariantError
from shared.domain.events import Event, EventType
from shared.domain.payment import (
    ChargeStatus,
    Payment,
    PaymentStatus,
    RefundStatus,
    apply,
    rebuild,
)
from tests.support.payments import (
    ACTION_REQUIRED,
    AUTHORIZED,
    CANCELED,
    CAPTURED,
    CHARGE_ID,
    CONFIRMED,
    CONTEXT,
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
    advance,
    after,
    charge_updated,
    refund_ended,
)

REFUND_SAID = {"refund_id": REFUND_ID, "metadata": {"a": "1"}}
NOT_INCREMENTED: Draft = (EventType.INCREMENT_REFUSED, {"failure": {"code": "card_declined"}})
LIVES = {
    "created": (CREATED,),
    "confirmed": (CREATED, CONFIRMED),
    "unknown": (CREATED, CONFIRMED, OUTCOME_UNKNOWN),
    "action": (CREATED, CONFIRMED, ACTION_REQUIRED),
    "declined": (CREATED, CONFIRMED, DECLINED),
    "authorized": (CREATED, CONFIRMED, AUTHORIZED),
    "incremented": (CREATED, CONFIRMED, AUTHORIZED, INCREMENT_REQUESTED, INCREMENTED),
    "not incremented": (CREATED, CONFIRMED, AUTHORIZED, INCREMENT_REQUESTED, NOT_INCREMENTED),
    "paid": (CREATED, CONFIRMED, AUTHORIZED, CAPTURED),
    "canceled": (CREATED, CANCELED),
    "settled": (CREATED, CONFIRMED, AUTHORIZED, CAPTURED, SETTLED),
    "refunded": (
        *(CREATED, CONFIRMED, AUTHORIZED, CAPTURED, REFUND_REQUESTED),
        refund_ended(EventType.REFUND_SUCCEEDED),
    ),
    "refund failed": (
        *(CREATED, CONFIRMED, AUTHORIZED, CAPTURED, REFUND_REQUESTED),
        refund_ended(EventType.REFUND_FAILED, "declined"),
    ),
}


@pytest.mark.parametrize("life", LIVES)
def test_payment_equals_its_events_and_its_json(life: str) -> None:
    # given
    payment, events = advance(None, PAYMENT_ID, LIVES[life], CONTEXT)
    # then
    assert rebuild(events) == payment
    assert Payment.of(payment.to_dict()) == payment
    assert payment.version == len(LIVES[life])


@pytest.mark.parametrize(
    ("life", "status"),
    [
        ("created", PaymentStatus.REQUIRES_CONFIRMATION),
        ("confirmed", PaymentStatus.PROCESSING),
        ("unknown", PaymentStatus.PROCESSING),
        ("action", PaymentStatus.REQUIRES_ACTION),
        ("declined", PaymentStatus.REQUIRES_PAYMENT_METHOD),
        ("authorized", PaymentStatus.REQUIRES_CAPTURE),
        ("paid", PaymentStatus.SUCCEEDED),
        ("canceled", PaymentStatus.CANCELED),
        ("refunded", PaymentStatus.SUCCEEDED),
    ],
)
def test_payment_status_follows_its_life(life: str, status: PaymentStatus) -> None:
    assert after(None, *LIVES[life]).status is status


def test_payment_amounts_follow_its_life() -> None:
    # given
    held, paid = after(None, *LIVES["authorized"]), after(None, *LIVES["paid"])
    # then
    assert (held.amount_capturable_minor, held.amount_received_minor) == (1500, 0)
    assert (paid.amount_capturable_minor, paid.amount_received_minor) == (0, 1500)
    assert paid.latest_charge.status is ChargeStatus.SUCCEEDED
    assert paid.refundable_minor == 1500


def test_refund_holds_what_it_asks_for_until_it_fails() -> None:
    # given
    paid = after(None, *LIVES["paid"])
    asked = after(paid, REFUND_REQUESTED)
    failed = after(asked, refund_ended(EventType.REFUND_FAILED, "declined"))
    # then
    assert (asked.refunded_minor, asked.refundable_minor) == (500, 1000)
    assert (failed.refunded_minor, failed.refundable_minor) == (0, 1500)
    refund = failed.refund(REFUND_ID)
    assert refund is not None
    assert (refund.status, refund.failure_reason) == (RefundStatus.FAILED, "declined")


def test_refund_that_came_back_can_be_made_again() -> None:
    # given
    refunded = after(None, *LIVES["paid"], REFUND_REQUESTED, REFUND_PENDING)
    refunded = after(refunded, refund_ended(EventType.REFUND_SUCCEEDED))
    returned = after(refunded, refund_ended(EventType.REFUND_RETURNED, "declined"))
    # then
    assert (refunded.refundable_minor, returned.refundable_minor) == (1000, 1500)
    assert [refund.status for refund in returned.refunds] == [RefundStatus.FAILED]


def test_refund_that_is_open_is_due_until_it_ended() -> None:
    # given
    paid = after(None, *LIVES["paid"])
    asked = after(paid, REFUND_REQUESTED)
    # then
    assert paid.due_at_ms is None
    assert asked.due_at_ms == 1_790_000_060_000
    assert after(asked, REFUND_PENDING).due_at_ms == 1_790_000_090_000
    assert after(asked, refund_ended(EventType.REFUND_SUCCEEDED)).due_at_ms is None
    assert after(asked, refund_ended(EventType.REFUND_FAILED, "declined")).due_at_ms is None


def test_attempt_that_needs_authentication_leaves_no_charge_but_keeps_its_number() -> None:
    # given
    waiting = after(None, *LIVES["action"])
    # then
    assert (waiting.charges, waiting.attempts) == ((), 1)
    assert waiting.charge(CHARGE_ID) is None
    with pytest.raises(InvariantError):
        _ = waiting.latest_charge


@pytest.mark.parametrize("versions", [(2,), (1, 1), (1, 3), (1, 2, 2), ()])
def test_rebuild_of_events_with_gaps_is_refused(versions: tuple[int, ...]) -> None:
    # given
    kinds = (EventType.PAYMENT_CREATED, EventType.CAPTURE_REFUSED, EventType.CAPTURE_REFUSED)
    events = [
        Event(PAYMENT_ID, version, kind, 1, CREATED[1], {"id": None})
        for version, kind in zip(versions, kinds, strict=False)
    ]
    # then
    with pytest.raises(InvariantError):
        rebuild(events)


def test_event_of_another_payment_does_not_apply() -> None:
    # given
    payment, events = advance(None, PAYMENT_ID, LIVES["created"], CONTEXT)
    stranger = replace(events[0], payment_id="pi_other", version=2)
    # then
    with pytest.raises(InvariantError):
        apply(payment, stranger)


def test_charge_says_what_is_said_of_it_alone_before_what_is_said_of_its_payment() -> None:
    # given
    said = {"description": "cup", "metadata": {"a": "1"}}
    paid = after(None, (CREATED[0], {**CREATED[1], "details": said}), *LIVES["paid"][1:])
    # when
    updated = after(paid, charge_updated(description=None), charge_updated(metadata={"b": "2"}))
    # then: and of the payment the same is said as before
    assert updated.charge_details(updated.latest_charge) == {
        "customer": None,
        "description": None,
        "metadata": {"b": "2"},
    }
    assert updated.details == paid.details
    assert Payment.of(updated.to_dict()) == updated


def test_charge_stored_before_anything_was_said_of_it_alone_is_read() -> None:
    # given
    stored = after(None, *LIVES["paid"]).to_dict()
    for charge in stored["charges"]:
        del charge["details"]
    # then
    assert Payment.of(stored) == after(None, *LIVES["paid"])


def test_increment_grows_what_is_authorized_and_a_declined_one_does_not() -> None:
    # given
    grown, refused = after(None, *LIVES["incremented"]), after(None, *LIVES["not incremented"])
    # then
    assert (grown.amount_minor, grown.amount_capturable_minor) == (2000, 2000)
    assert grown.latest_charge.amount_minor == 2000
    assert (refused.amount_minor, refused.amount_capturable_minor) == (1500, 1500)
    for payment in (grown, refused):
        assert (payment.status, payment.pending) == (PaymentStatus.REQUIRES_CAPTURE, None)
        assert payment.knows("more")
    made = refused.latest_charge.increment("more")
    assert made is not None
    assert made.failure == {"code": "card_declined"}


def test_refund_updated_changes_its_metadata_only() -> None:
    # given
    refunded = after(None, *LIVES["refunded"])
    # when
    updated = after(refunded, (EventType.REFUND_UPDATED, REFUND_SAID))
    # then
    assert updated.refunds == (replace(refunded.refunds[0], metadata={"a": "1"}),)


def test_first_event_creates() -> None:
    with pytest.raises(InvariantError):
        after(None, CONFIRMED)


def test_every_event_type_applies() -> None:
    # given: each life shows some; together with the requests they are all of them
    seen = {draft[0] for life in LIVES.values() for draft in life}
    requests = {
        EventType.PAYMENT_UPDATED,
        EventType.CAPTURE_REQUESTED,
        EventType.CAPTURE_REFUSED,
        EventType.CANCELLATION_REQUESTED,
        EventType.CANCELLATION_REFUSED,
        EventType.OPERATION_TAKEN_OVER,
        EventType.REVERSAL_REQUESTED,
        EventType.REFUND_PENDING,
        EventType.REFUND_RETURNED,
        EventType.CHARGE_UPDATED,
        EventType.REFUND_UPDATED,
    }
    # then
    assert seen | requests == set(EventType)


def test_change_with_other_events_than_its_versions_cannot_be_made() -> None:
    # given
    payment, events = advance(None, PAYMENT_ID, LIVES["paid"], CONTEXT)
    # then
    for before, kept in ((0, events[1:]), (1, events), (0, ()), (4, ())):
        with pytest.raises(InvariantError):
            PaymentChange(before, payment, tuple(kept))


def test_advance_without_drafts_is_refused_for_a_new_payment() -> None:
    with pytest.raises(InvariantError):
        advance(None, PAYMENT_ID, [], Context(1))


def test_event_seals_all_but_the_client_secret() -> None:
    # given
    payment, events = advance(None, PAYMENT_ID, [CREATED], CONTEXT)
    other = replace(events[0], data={**events[0].data, "client_secret": "another"})
    # then: whoever has the events has the payment, whoever has the evidence has no secret
    assert rebuild(events).client_secret == payment.client_secret
    assert payment.client_secret not in str(events[0].facts())
    assert other.hash == events[0].hash
