"""Increments: reserving more of an authorization that its merchant has not captured yet."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from shared.domain.changes import Context, Draft, PaymentChange, change
from shared.domain.errors import InvariantError, RejectedError, StateError
from shared.domain.events import EventType
from shared.domain.payment import Charge, Payment, PaymentStatus, unexpected_state
from shared.domain.providers import ProviderAnswer, ProviderStatus
from shared.domain.resolution import first_due_ms
from shared.domain.work import Work

# As many as Stripe allows, those that were declined too.
INCREMENTS_MAX = 10


def check_increment(payment: Payment, amount_minor: int) -> int:
    """Returns what is to be reserved beyond what is.

    Args: amount_minor: that is to be reserved in all.
    Raises: RejectedError when the state or the amount does not allow it.
    """
    if payment.status is not PaymentStatus.REQUIRES_CAPTURE or payment.pending is not None:
        raise unexpected_state(payment, "increment the authorization of")
    if not payment.is_incrementable:
        raise StateError(
            "The authorization of this PaymentIntent cannot be incremented: its"
            " `request_incremental_authorization` is `never`."
        )
    if len(payment.latest_charge.increments) >= INCREMENTS_MAX:
        raise StateError(
            f"The authorization of this PaymentIntent was incremented {INCREMENTS_MAX} times, which"
            " is as often as it can be."
        )
    if amount_minor <= payment.amount_minor:
        raise RejectedError(
            "The amount must be greater than the currently authorized amount of "
            f"{payment.amount_minor}.",
            code="amount_too_small",
            param="amount",
        )
    return amount_minor - payment.amount_minor


def request_increment(payment: Payment, more_minor: int, work: Work, now_ms: int) -> PaymentChange:
    """Makes the intent to reserve more durable before the provider is called: Tx1.

    Args: more_minor: see check_increment.
    """
    drafts: list[Draft] = []
    if work.order["update"]:
        drafts.append((EventType.PAYMENT_UPDATED, {"changes": work.order["update"]}))
    requested: Mapping[str, Any] = {
        "amount_minor": more_minor,
        "operation_key": work.operation_key,
        "due_at_ms": first_due_ms(now_ms),
        "reason": None,
    }
    drafts.append((EventType.INCREMENT_REQUESTED, requested))
    return replace(change(payment, drafts, work.context(now_ms)), claim=work.claim)


def increment_name(charge: Charge) -> str:
    """Names the next increment of a charge, to the provider and in the books."""
    return f"{charge.id}_{len(charge.increments) + 1}"


def record_answer(payment: Payment, answer: ProviderAnswer, context: Context) -> PaymentChange:
    """Records what the provider said to an increment: Tx2.

    Args: payment: with its increment pending.
    Raises: InvariantError when it is not.
    """
    if payment.pending is None:
        raise InvariantError(f"{payment.id} has no increment in progress")
    if answer.status is not ProviderStatus.APPROVED:
        return _refused(payment, answer.decline, context)
    data = {
        "increment_id": increment_name(payment.latest_charge),
        "amount_minor": payment.pending.amount_minor,
        "occurred_at_ms": answer.occurred_at_ms,
    }
    return change(payment, [(EventType.AUTHORIZATION_INCREMENTED, data)], context)


def record_refusal(payment: Payment, message: str, context: Context) -> PaymentChange:
    """Records that the increment was not sent; the authorization stands as it was."""
    failure = {"code": "processing_error", "decline_code": "processing_error", "message": message}
    return _refused(payment, failure, context)


def _refused(payment: Payment, failure: Mapping[str, Any], context: Context) -> PaymentChange:
    return change(payment, [(EventType.INCREMENT_REFUSED, {"failure": failure})], context)
