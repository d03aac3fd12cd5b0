"""Refunds: giving captured money back, in full or in parts."""

from shared.domain.changes import Context, PaymentChange, advance
from shared.domain.documents import ListEntry
from shared.domain.errors import RejectedError
from shared.domain.events import EventType
from shared.domain.payment import Payment, PaymentStatus, Refund, RefundStatus
from shared.domain.postings import operation_of, post
from shared.domain.work import DUE_AFTER_MS, Work

REFUNDS_MAX = 100


def check_refund(payment: Payment, amount_minor: int | None) -> int:
    """Returns the amount to refund, all that is left where none is named.

    Raises: RejectedError when nothing was captured, or less is left than asked for.
    """
    charge_id = payment.charges[-1].id if payment.charges else payment.id
    if payment.status is not PaymentStatus.SUCCEEDED:
        raise RejectedError(
            f"This PaymentIntent ({payment.id}) does not have a successful charge to refund.",
            code="charge_not_refundable" if payment.charges else "payment_intent_unexpected_state",
            param="payment_intent",
        )
    if payment.refundable_minor <= 0:
        raise RejectedError(
            f"Charge {charge_id} has already been refunded.", code="charge_already_refunded"
        )
    if len(payment.refunds) >= REFUNDS_MAX:
        raise RejectedError(
            f"Charge {charge_id} has {REFUNDS_MAX} refunds already, which is the most it can have."
        )
    amount = payment.refundable_minor if amount_minor is None else amount_minor
    if amount > payment.refundable_minor:
        raise RejectedError(
            f"Refund amount ({amount}) is greater than unrefunded amount on charge "
            f"({payment.refundable_minor}).",
            param="amount",
        )
    return amount


def request_refund(payment: Payment, amount_minor: int, work: Work, now_ms: int) -> PaymentChange:
    """Reserves refundable money before the provider is called: Tx1."""
    order = work.order
    data = {
        "refund_id": order["refund_id"],
        "amount_minor": amount_minor,
        "reason": order["reason"],
        "metadata": order["metadata"],
        "operation_key": work.operation_key,
        "due_at_ms": now_ms + DUE_AFTER_MS,
    }
    after, events = advance(
        payment, payment.id, [(EventType.REFUND_REQUESTED, data)], work.context(now_ms)
    )
    kind = "refund_request" if payment.settled else "refund_request_pending"
    operation = operation_of(payment, payment.latest_charge, now_ms, order["refund_id"])
    journal = post(kind, operation, {"amount": amount_minor})
    return PaymentChange(
        payment.version,
        after,
        events,
        (journal,) if journal else (),
        listed=(ListEntry("refund", now_ms, order["refund_id"]),),
        claim=work.claim,
    )


def record_success(
    payment: Payment, refund: Refund, provider_reference: str, context: Context
) -> PaymentChange | None:
    """Records that the provider accepted a refund: Tx2; None when it is recorded already."""
    return _end(payment, refund, EventType.REFUND_SUCCEEDED, provider_reference, None, context)


def record_failure(
    payment: Payment, refund: Refund, failure_reason: str, context: Context
) -> PaymentChange | None:
    """Records that a refund cannot be carried out; the money is the merchant's again."""
    return _end(payment, refund, EventType.REFUND_FAILED, None, failure_reason, context)


def _end(
    payment: Payment,
    refund: Refund,
    event_type: EventType,
    provider_reference: str | None,
    failure_reason: str | None,
    context: Context,
) -> PaymentChange | None:
    current = payment.refund(refund.id)
    if current is None or current.status is not RefundStatus.PENDING:
        return None
    data = {
        "refund_id": refund.id,
        "provider_reference": provider_reference,
        "failure_reason": failure_reason,
    }
    after, events = advance(payment, payment.id, [(event_type, data)], context)
    if event_type is EventType.REFUND_SUCCEEDED:
        kind = "refund_accept"
    else:
        kind = "refund_reject" if payment.settled else "refund_reject_pending"
    operation = operation_of(payment, payment.latest_charge, context.now_ms, refund.id)
    journal = post(kind, operation, {"amount": refund.amount_minor})
    return PaymentChange(payment.version, after, events, (journal,) if journal else ())
