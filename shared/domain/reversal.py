"""Reversals: giving an authorization back whose payment could not be carried out or recorded."""

from shared.domain.changes import Context, Draft, PaymentChange, advance
from shared.domain.errors import UnknownOutcomeError
from shared.domain.events import EventType
from shared.domain.payment import OperationKind, Payment
from shared.domain.ports import CardProvider
from shared.domain.providers import ProviderStatus, idempotency_key
from shared.domain.resolution import first_due_ms


def reversal_draft(payment: Payment, now_ms: int) -> Draft:
    """Returns the event that makes a reversal durable."""
    return (
        EventType.REVERSAL_REQUESTED,
        {
            "amount_minor": payment.amount_minor,
            # Of the confirmation, so that its retry finds what became of it.
            "operation_key": payment.latest_charge.operation_key,
            "due_at_ms": first_due_ms(now_ms),
            "reason": None,
        },
    )


def request_reversal(payment: Payment, context: Context) -> PaymentChange | None:
    """Makes it durable that an authorization is given back, before the provider is asked.

    From then on nobody goes on with it: a retry goes on with the reversal, and an answer of the
    provider that comes late is not recorded.

    Returns: None when this is recorded already.
    """
    if payment.has_pending(OperationKind.REVERSAL):
        return None
    draft = reversal_draft(payment, context.now_ms)
    after, events = advance(payment, payment.id, [draft], context)
    return PaymentChange(payment.version, after, events)


def refund_what_was_captured(payment: Payment, provider: CardProvider) -> int:
    """Gives back what was captured, unrecorded; returns the amount, 0 where it was not.

    A capture that is still on its way is not found: then the void stops it, or is refused by it.
    """
    if payment.amount_capturable_minor == 0:
        # Its authorization is not recorded, so no capture was asked for.
        return 0
    charge = payment.latest_charge
    captured = provider.find(idempotency_key(charge.id, "capture"))
    if captured is None or captured.status is not ProviderStatus.APPROVED:
        return 0
    answer = provider.refund(
        charge.id,
        f"{charge.id}/undo",
        payment.amount_minor,
        idempotency_key(charge.id, "capture_undo"),
    )
    if answer.status is not ProviderStatus.APPROVED:
        raise UnknownOutcomeError(answer.message or "The capture could not be given back.")
    return payment.amount_minor


def void_what_is_there(payment: Payment, provider: CardProvider) -> None:
    """Has the provider void the authorization, and refuse what may still come of it.

    Raises: UnknownOutcomeError when it refuses, because a capture came first.
    """
    charge = payment.latest_charge
    answer = provider.void(charge.id, idempotency_key(charge.id, "void"))
    if answer.status is ProviderStatus.REFUSED:
        raise UnknownOutcomeError(answer.message or "The authorization could not be voided.")
