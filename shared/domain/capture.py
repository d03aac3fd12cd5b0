"""Capture: taking authorized money, in full or in part, and what it costs."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from shared.domain.changes import Context, Draft, PaymentChange, change
from shared.domain.charges import updated_draft
from shared.domain.errors import InvariantError, RejectedError
from shared.domain.events import EventType
from shared.domain.fees import PLATFORM_RATES, PROVIDER_RATES
from shared.domain.payment import Payment, PaymentStatus, unexpected_state
from shared.domain.providers import ProviderAnswer, ProviderStatus
from shared.domain.resolution import first_due_ms
from shared.domain.reversal import reversal_draft
from shared.domain.settlement import settled_draft
from shared.domain.work import Work

REFUSED_MESSAGE = "The capture was refused."


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
    """Makes the intent to capture durable before the provider is called: Tx1.

    What the merchant says anew about the payment, or the charge, is recorded with it.
    """
    update, charge_update = work.order.get("update"), work.order.get("charge_update")
    drafts: list[Draft] = []
    if update:
        drafts.append((EventType.PAYMENT_UPDATED, {"changes": update}))
    if charge_update:
        drafts.append(updated_draft(payment.latest_charge, charge_update))
    drafts.append(requested_draft(amount_minor, work.operation_key, now_ms))
    return replace(change(payment, drafts, work.context(now_ms)), claim=work.claim)


def requested_draft(amount_minor: int, operation_key: str | None, now_ms: int) -> Draft:
    """Returns the event of the intent to capture."""
    data: Mapping[str, Any] = {
        "amount_minor": amount_minor,
        "operation_key": operation_key,
        "due_at_ms": first_due_ms(now_ms),
        "reason": None,
    }
    return EventType.CAPTURE_REQUESTED, data


def captured_drafts(
    payment: Payment, amount_minor: int, answer: ProviderAnswer, now_ms: int
) -> list[Draft]:
    """Returns the event of a capture, and of its settlement where the provider pays at once."""
    captured = _captured_draft(payment, amount_minor, answer)
    if not answer.paid_at_once:
        return [captured]
    net_minor = amount_minor - captured[1]["platform_fee_minor"]
    return [captured, settled_draft(payment, net_minor, now_ms)]


def _captured_draft(payment: Payment, amount_minor: int, answer: ProviderAnswer) -> Draft:
    """Returns the event of a capture, with what it costs the merchant and the platform."""
    charge = payment.latest_charge
    return (
        EventType.PAYMENT_CAPTURED,
        {
            "charge_id": charge.id,
            "amount_minor": amount_minor,
            "occurred_at_ms": answer.occurred_at_ms,
            "platform_fee_minor": PLATFORM_RATES.fee_minor(amount_minor, payment.currency),
            "provider_fee_minor": PROVIDER_RATES[charge.provider].fee_minor(
                amount_minor, payment.currency
            ),
        },
    )


def record_answer(payment: Payment, answer: ProviderAnswer, context: Context) -> PaymentChange:
    """Records what the provider said to a capture: Tx2.

    Args: payment: with its capture pending.
    Raises: InvariantError when it is not.
    """
    if payment.pending is None:
        raise InvariantError(f"{payment.id} has no capture in progress")
    if answer.status is not ProviderStatus.APPROVED:
        return record_refusal(payment, answer.message or REFUSED_MESSAGE, context)
    drafts = captured_drafts(payment, payment.pending.amount_minor, answer, context.now_ms)
    return change(payment, drafts, context)


def record_refusal(payment: Payment, message: str, context: Context) -> PaymentChange:
    """Records that the provider did not capture.

    A merchant's authorization stands; one that should have been captured at once is given back.
    """
    drafts: list[Draft] = [(EventType.CAPTURE_REFUSED, {"message": message})]
    if payment.is_automatic:
        drafts.append(reversal_draft(payment, context.now_ms))
    return change(payment, drafts, context)
