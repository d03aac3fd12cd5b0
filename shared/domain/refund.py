"""Refunds: giving captured money back, in full or in parts."""

from collections.abc import Mapping
from dataclasses import replace

from shared.domain.changes import Context, PaymentChange, change
from shared.domain.documents import ListEntry
from shared.domain.errors import InvariantError, RejectedError, StateError
from shared.domain.events import EventType
from shared.domain.payment import Payment, PaymentStatus, Refund, RefundStatus
from shared.domain.providers import ProviderAnswer, ProviderStatus
from shared.domain.resolution import first_due_ms, next_look_ms, record_unknown
from shared.domain.work import Work

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
        raise StateError(
            f"Charge {charge_id} has already been refunded.", code="charge_already_refunded"
        )
    if len(payment.refunds) >= REFUNDS_MAX:
        raise StateError(
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
        "due_at_ms": first_due_ms(now_ms),
    }
    return replace(
        change(payment, [(EventType.REFUND_REQUESTED, data)], work.context(now_ms)),
        listed=(ListEntry("refund", now_ms, order["refund_id"]),),
        claim=work.claim,
    )


def update_refund(
    payment: Payment, refund_id: str, metadata: Mapping[str, str], context: Context
) -> PaymentChange:
    """Records what the merchant says anew about a refund.

    Args: metadata: all of it.
    """
    data = {"refund_id": refund_id, "metadata": metadata}
    return change(payment, [(EventType.REFUND_UPDATED, data)], context)


def not_cancelable(refund: Refund) -> StateError:
    """Builds Stripe's refusal to cancel a refund.

    One may be canceled while its customer still has to act, which no refund to a card asks for.
    """
    return StateError(
        f"You cannot cancel this Refund because it has a status of {refund.status}. Only a Refund"
        " with one of the following statuses may be canceled: requires_action."
    )


def record_answer(
    payment: Payment, refund_id: str, answer: ProviderAnswer | None, context: Context
) -> PaymentChange | None:
    """Records what the provider says of a refund: Tx2, and each time that it is looked up.

    Args: answer: None when it was asked and did not say.
    Returns: None when this is recorded already.
    Raises: InvariantError when the refund does not exist.
    """
    refund = payment.refund(refund_id)
    if refund is None:
        raise InvariantError(f"{refund_id} is not reserved")
    is_open = refund.status is RefundStatus.PENDING
    if answer is None:
        return record_unknown(payment, context, refund_id) if is_open else None
    if answer.status is ProviderStatus.RETURNED and refund.status is RefundStatus.SUCCEEDED:
        return _end(payment, refund, EventType.REFUND_RETURNED, answer, context)
    if not is_open:
        return None
    if answer.status is ProviderStatus.APPROVED:
        return _end(payment, refund, EventType.REFUND_SUCCEEDED, answer, context)
    if answer.status is ProviderStatus.PENDING:
        return _keep_pending(payment, refund, answer, context)
    return _end(payment, refund, EventType.REFUND_FAILED, answer, context)


def record_failure(payment: Payment, refund_id: str, context: Context) -> PaymentChange | None:
    """Records that a refund was not sent; the money is the merchant's again.

    Returns: None when it has ended already.
    Raises: InvariantError when the refund does not exist.
    """
    answer = ProviderAnswer(ProviderStatus.REFUSED, reference="")
    return record_answer(payment, refund_id, answer, context)


def _keep_pending(
    payment: Payment, refund: Refund, answer: ProviderAnswer, context: Context
) -> PaymentChange | None:
    is_known = refund.provider_reference is not None
    if is_known and refund.due_at_ms is not None and refund.due_at_ms > context.now_ms:
        return None
    data = {
        "refund_id": refund.id,
        "provider_reference": answer.reference,
        "due_at_ms": next_look_ms(refund.created_ms, context.now_ms),
    }
    return change(payment, [(EventType.REFUND_PENDING, data)], context)


def _end(
    payment: Payment,
    refund: Refund,
    event_type: EventType,
    answer: ProviderAnswer,
    context: Context,
) -> PaymentChange:
    is_success = event_type is EventType.REFUND_SUCCEEDED
    data = {
        "refund_id": refund.id,
        "provider_reference": answer.reference or refund.provider_reference,
        "failure_reason": None if is_success else answer.code or "declined",
        "occurred_at_ms": answer.occurred_at_ms,
    }
    return change(payment, [(event_type, data)], context)
