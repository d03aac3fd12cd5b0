"""Capture: taking authorized money, in full or in part, and what it costs."""

from collections.abc import Mapping
from typing import Any

from shared.domain.changes import Context, Draft, PaymentChange, advance
from shared.domain.errors import InvariantError, RejectedError
from shared.domain.events import EventType
from shared.domain.fees import PLATFORM_RATES, PROVIDER_RATES
from shared.domain.ledger import Journal
from shared.domain.payment import Charge, Payment, PaymentStatus, unexpected_state
from shared.domain.postings import Operation, post
from shared.domain.work import DUE_AFTER_MS, Work


def check_capture(payment: Payment, amount_minor: int | None) -> int:
    """Returns the amount to capture, the whole authorization where none is named.

    Raises: RejectedError when the state or the amount does not allow it.
    """
    if payment.status is not PaymentStatus.REQUIRES_CAPTURE or payment.pending is not None:
        raise unexpected_state(payment, "capture")
    amount = payment.amount_capturable_minor if amount_minor is None else amount_minor
    if amount > payment.amount_capturable_minor:
        raise RejectedError(
            "The amount to capture must be at most the capturable amount of "
            f"{payment.amount_capturable_minor}.",
            code="amount_too_large",
            param="amount_to_capture",
        )
    return amount


def request_capture(payment: Payment, amount_minor: int, work: Work, now_ms: int) -> PaymentChange:
    """Makes the intent to capture durable before the provider is called: Tx1."""
    data: Mapping[str, Any] = {
        "amount_minor": amount_minor,
        "operation_key": work.operation_key,
        "due_at_ms": now_ms + DUE_AFTER_MS,
        "reason": None,
    }
    after, events = advance(
        payment, payment.id, [(EventType.CAPTURE_REQUESTED, data)], work.context(now_ms)
    )
    claim = work.claim if work.saga == "capture" else None
    return PaymentChange(payment.version, after, events, claim=claim)


def captured_draft(payment: Payment, charge: Charge, amount_minor: int) -> Draft:
    """Returns the event of a capture, with its fee."""
    fee = PLATFORM_RATES.fee_minor(amount_minor, payment.currency)
    return (
        EventType.PAYMENT_CAPTURED,
        {"charge_id": charge.id, "amount_minor": amount_minor, "platform_fee_minor": fee},
    )


def captured_journals(
    payment: Payment, operation: Operation, amount_minor: int
) -> tuple[Journal, ...]:
    """Returns the journals of a capture: the money and the end of the hold, then the fees."""
    amounts = {
        "amount": amount_minor,
        "held": payment.amount_minor,
        "platform_fee": PLATFORM_RATES.fee_minor(amount_minor, payment.currency),
        "provider_fee": PROVIDER_RATES[operation.provider].fee_minor(
            amount_minor, payment.currency
        ),
    }
    journals = (post("capture", operation, amounts), post("fee", operation, amounts))
    return tuple(journal for journal in journals if journal is not None)


def record_capture(payment: Payment, operation: Operation, context: Context) -> PaymentChange:
    """Records that the provider captured what was requested: Tx2."""
    if payment.pending is None:
        raise InvariantError(f"{payment.id} has no capture in progress")
    amount = payment.pending.amount_minor
    draft = captured_draft(payment, payment.latest_charge, amount)
    after, events = advance(payment, payment.id, [draft], context)
    return PaymentChange(
        payment.version, after, events, captured_journals(payment, operation, amount)
    )


def record_refusal(payment: Payment, message: str, context: Context) -> PaymentChange:
    """Records that the provider refused to capture; the authorization stands."""
    draft = (EventType.CAPTURE_REFUSED, {"message": message})
    after, events = advance(payment, payment.id, [draft], context)
    return PaymentChange(payment.version, after, events)
