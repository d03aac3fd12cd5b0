"""Cancellation: ending a payment that has taken no money."""

from dataclasses import replace
from typing import Any

from shared.domain.changes import Context, Draft, PaymentChange, change
from shared.domain.events import EventType
from shared.domain.payment import Payment, PaymentStatus, unexpected_state
from shared.domain.providers import ProviderAnswer, ProviderStatus
from shared.domain.resolution import first_due_ms, park
from shared.domain.work import Work

# Stripe's cancellation reason of an authorization that expired.
EXPIRED = "automatic"
REFUSED_MESSAGE = "The authorization could not be voided."
_FINAL = {PaymentStatus.CANCELED, PaymentStatus.SUCCEEDED, PaymentStatus.PROCESSING}


def check_cancellation(payment: Payment) -> None:
    """Refuses to cancel what is final or in progress.

    Raises: RejectedError with Stripe's code.
    """
    if payment.status in _FINAL or payment.pending is not None:
        raise unexpected_state(payment, "cancel")


def request_cancellation(payment: Payment, work: Work, now_ms: int) -> PaymentChange:
    """Makes the intent to cancel durable before the provider is called: Tx1."""
    draft = _requested_draft(payment, work.operation_key, work.order["reason"], now_ms)
    return replace(change(payment, [draft], work.context(now_ms)), claim=work.claim)


def request_expiry(payment: Payment, context: Context) -> PaymentChange | None:
    """Makes it durable that an authorization was not captured in time and is given back.

    Returns: None when the time is not over, or the merchant was first.
    """
    if payment.status is not PaymentStatus.REQUIRES_CAPTURE or payment.pending is not None:
        return None
    capture_before_ms = payment.latest_charge.capture_before_ms
    if capture_before_ms is None or context.now_ms < capture_before_ms:
        return None
    return change(payment, [_requested_draft(payment, None, EXPIRED, context.now_ms)], context)


def _requested_draft(
    payment: Payment, operation_key: str | None, reason: str | None, now_ms: int
) -> Draft:
    data: dict[str, Any] = {
        "amount_minor": payment.amount_capturable_minor,
        "operation_key": operation_key,
        "due_at_ms": first_due_ms(now_ms),
        "reason": reason,
    }
    return EventType.CANCELLATION_REQUESTED, data


def record_answer(
    payment: Payment, answer: ProviderAnswer, context: Context
) -> PaymentChange | None:
    """Records what the provider said to the void of a cancellation.

    Args: payment: with its cancellation pending.
    """
    if answer.status is ProviderStatus.REFUSED and payment.pending is not None:
        if payment.pending.reason == EXPIRED:
            # Neither held nor given back, as far as we know: expired again, it would be for ever.
            return park(payment, context)
        return record_refusal(payment, answer.message or REFUSED_MESSAGE, context)
    return record_cancellation(payment, context)


def record_cancellation(payment: Payment, context: Context) -> PaymentChange:
    """Records that nothing is reserved any more: Tx2."""
    reason = payment.pending.reason if payment.pending else None
    return change(payment, [(EventType.PAYMENT_CANCELED, {"reason": reason})], context)


def record_refusal(payment: Payment, message: str, context: Context) -> PaymentChange:
    """Records that the provider refused to void; the authorization stands."""
    return change(payment, [(EventType.CANCELLATION_REFUSED, {"message": message})], context)
