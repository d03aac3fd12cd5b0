"""Announcements: which of Stripe's events a change of state leads to.

Pure functions of two snapshots: a change is announced the same however often it is looked at, and
changes that one transaction made together are announced together.
Source: Stripe API reference, "Types of events".
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from shared.domain.cancellation import EXPIRED
from shared.domain.documents import Document
from shared.domain.events import EventType
from shared.domain.ids import event_id
from shared.domain.payment import (
    Charge,
    ChargeStatus,
    Payment,
    PaymentStatus,
    Refund,
    RefundStatus,
)

State = Payment | Document

# Farthing's own: Stripe sends an e-mail instead.
ENDPOINT_DISABLED = "webhook_endpoint.disabled"

# A change of these events alone is announced as nothing, in whatever state it meets the payment.
SILENT = frozenset(
    {
        EventType.PAYMENT_UPDATED,
        EventType.PAYMENT_CONFIRMED,
        EventType.OPERATION_TAKEN_OVER,
        EventType.CAPTURE_REQUESTED,
        EventType.CAPTURE_REFUSED,
        EventType.INCREMENT_REQUESTED,
        EventType.INCREMENT_REFUSED,
        EventType.CANCELLATION_REQUESTED,
        EventType.CANCELLATION_REFUSED,
        EventType.REVERSAL_REQUESTED,
        EventType.PAYMENT_SETTLED,
        EventType.REFUND_PENDING,
    }
)


@dataclass(frozen=True, slots=True)
class Announcement:
    """One event to be told to the merchant.

    Args: id: of the event object, the same for the same change. type: Stripe's. kind and
    object_id: of the object told about. after: the state that holds it. before: the state whose
    different attributes are told as previous ones; None when the event tells none. version: of the
    state that was changed to; it grows with every change of an object, and of what holds it.
    """

    id: str
    type: str
    kind: str
    object_id: str
    after: State
    version: int
    before: State | None = None


@dataclass(frozen=True, slots=True)
class _Draft:
    type: str
    kind: str
    object_id: str
    before: State | None = None


def announce_payment(before: Payment | None, after: Payment) -> tuple[Announcement, ...]:
    """Returns what a payment's change is announced as, in the order in which it is told."""
    drafts = [
        *_created(before, after),
        *_charges(before, after),
        *_refunds(before, after),
        *_status(before, after),
    ]
    return tuple(
        Announcement(
            id=event_id(after.id, after.version, ordinal),
            type=draft.type,
            kind=draft.kind,
            object_id=draft.object_id,
            after=after,
            version=after.version,
            before=draft.before,
        )
        for ordinal, draft in enumerate(drafts)
    )


def announce_document(before: Document | None, after: Document) -> tuple[Announcement, ...]:
    """Returns what a document's change is announced as; most kinds are not announced."""
    if before is not None and before.version >= after.version:
        return ()
    if after.kind not in _DRAFTED:
        return ()
    drafts = _DRAFTED[after.kind](before, after)
    return tuple(
        Announcement(
            id=event_id(after.id, after.version, ordinal),
            type=draft.type,
            kind=draft.kind,
            object_id=draft.object_id,
            # What is told of a deleted customer is what it last was.
            after=before if draft.type == "customer.deleted" and before else after,
            version=after.version,
            before=draft.before,
        )
        for ordinal, draft in enumerate(drafts)
    )


def _created(before: Payment | None, after: Payment) -> Iterator[_Draft]:
    if before is None:
        yield _Draft("payment_intent.created", "payment_intent", after.id)


def _charges(before: Payment | None, after: Payment) -> Iterator[_Draft]:
    for charge in after.charges:
        earlier = before.charge(charge.id) if before else None
        name = "charge.expired" if _expired(before, after, charge) else None
        name = name or _charge_event(earlier, charge)
        if name is not None:
            told = before if name in {"charge.captured", "charge.updated"} else None
            yield _Draft(name, "charge", charge.id, told)


def _expired(before: Payment | None, after: Payment, charge: Charge) -> bool:
    # Of a payment's charges only the newest can be authorized, and an expiry ends the payment.
    ended = after.status is PaymentStatus.CANCELED and after.cancellation_reason == EXPIRED
    was = before.status if before else None
    return ended and was is not after.status and charge.status is ChargeStatus.SUCCEEDED


def _charge_event(before: Charge | None, after: Charge) -> str | None:
    if before is None or before.status is not after.status:
        if after.status is ChargeStatus.SUCCEEDED:
            return "charge.succeeded"
        return "charge.failed" if after.status is ChargeStatus.FAILED else None
    if after.captured and not before.captured:
        return "charge.captured"
    return "charge.updated" if after.details != before.details else None


def _refunds(before: Payment | None, after: Payment) -> Iterator[_Draft]:
    for refund in after.refunds:
        earlier = before.refund(refund.id) if before else None
        if earlier is None:
            yield _Draft("refund.created", "refund", refund.id)
        goes_on = earlier is not None and earlier.status is refund.status
        if earlier is not None and not (goes_on and earlier.metadata == refund.metadata):
            yield _Draft("refund.updated", "refund", refund.id, before)
        if goes_on or refund.status is RefundStatus.PENDING:
            continue
        if refund.status is RefundStatus.FAILED:
            yield _Draft("refund.failed", "refund", refund.id)
        else:
            yield _Draft(
                "charge.refunded", "charge", refund.charge_id, _without_refund(after, refund)
            )


def _without_refund(payment: Payment, refund: Refund) -> Payment:
    # A charge counts a refund from its request on; its event tells the refund as a whole.
    others = tuple(other for other in payment.refunds if other.id != refund.id)
    return replace(payment, refunds=others)


def _status(before: Payment | None, after: Payment) -> Iterator[_Draft]:
    name = _status_event(before, after)
    if name is not None:
        yield _Draft(f"payment_intent.{name}", "payment_intent", after.id)


def _status_event(before: Payment | None, after: Payment) -> str | None:
    # Every operation is processing for a moment; the merchant hears of it when it lasts.
    if _is_unknown(after) and not _is_unknown(before):
        return "processing"
    was = before.status if before else None
    if after.status is PaymentStatus.REQUIRES_PAYMENT_METHOD:
        return "payment_failed" if _failed_now(before, after) else None
    if before is not None and after.amount_capturable_minor > before.amount_capturable_minor > 0:
        return "amount_capturable_updated"
    return None if was is after.status else _STATUS_EVENTS.get(after.status)


def _is_unknown(payment: Payment | None) -> bool:
    return payment is not None and payment.pending is not None and payment.pending.is_unknown


def _failed_now(before: Payment | None, after: Payment) -> bool:
    if not after.charges or after.latest_charge.status is not ChargeStatus.FAILED:
        return False
    earlier = before.charge(after.latest_charge.id) if before else None
    return earlier is None or earlier.status is not ChargeStatus.FAILED


_STATUS_EVENTS = {
    PaymentStatus.REQUIRES_ACTION: "requires_action",
    PaymentStatus.REQUIRES_CAPTURE: "amount_capturable_updated",
    PaymentStatus.SUCCEEDED: "succeeded",
    PaymentStatus.CANCELED: "canceled",
}


def _customer(before: Document | None, after: Document) -> Iterator[_Draft]:
    if after.is_deleted:
        if before is None or not before.is_deleted:
            yield _Draft("customer.deleted", "customer", after.id)
    elif before is None:
        yield _Draft("customer.created", "customer", after.id)
    else:
        yield _Draft("customer.updated", "customer", after.id, before)


def _payment_method(before: Document | None, after: Document) -> Iterator[_Draft]:
    was = before.data.get("customer") if before else None
    customer = after.data.get("customer")
    if was is None and customer is not None:
        yield _Draft("payment_method.attached", "payment_method", after.id)
    elif was is not None and customer is None:
        yield _Draft("payment_method.detached", "payment_method", after.id, before)
    elif before is not None:
        yield _Draft("payment_method.updated", "payment_method", after.id, before)


def _setup_intent(before: Document | None, after: Document) -> Iterator[_Draft]:
    status = after.data["status"]
    if before is None:
        yield _Draft("setup_intent.created", "setup_intent", after.id)
        return
    was = before.data["status"]
    # What is processing is told of when it ends: there is no event of it.
    has_failed = was == "processing" and status == "requires_payment_method"
    if has_failed or (was != status and status in _SETUP_EVENTS):
        name = "setup_failed" if has_failed else status
        yield _Draft(f"setup_intent.{name}", "setup_intent", after.id)


_SETUP_EVENTS = frozenset({"canceled", "requires_action", "succeeded"})


def _webhook_endpoint(before: Document | None, after: Document) -> Iterator[_Draft]:
    # What the merchant does is no news to it; that the platform gave an endpoint up is.
    if before is None or after.data.get("status") == before.data.get("status"):
        return
    if after.data.get("status") == "disabled" and after.data.get("disabled_reason"):
        yield _Draft(ENDPOINT_DISABLED, "webhook_endpoint", after.id, before)


_DRAFTED: Mapping[str, Callable[[Document | None, Document], Iterator[_Draft]]] = {
    "customer": _customer,
    "payment_method": _payment_method,
    "setup_intent": _setup_intent,
    "webhook_endpoint": _webhook_endpoint,
}
# The kinds of documents whose changes are announced; the relay is woken by no others.
ANNOUNCED_KINDS = frozenset(_DRAFTED)
