"""Reversals: giving an authorization back whose payment could not be carried out or recorded."""

from shared.domain.changes import Context, Draft, PaymentChange, change
from shared.domain.errors import UnknownOutcomeError
from shared.domain.events import EventType
from shared.domain.payment import OperationKind, Payment
from shared.domain.ports import CardProvider
from shared.domain.providers import ProviderAnswer, ProviderStatus, idempotency_key
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
    return change(payment, [reversal_draft(payment, context.now_ms)], context)


def find_capture(payment: Payment, provider: CardProvider) -> ProviderAnswer | None:
    """Looks up whether the money was taken after all; None when it was not.

    Then it is what was asked for, and the payment goes forward: a refund in its place would cost
    the customer days, and may fail. A capture that is still on its way is not found: the void
    that follows stops it, or is refused by it.
    """
    if payment.amount_capturable_minor == 0:
        # Its authorization is not recorded, so no capture was asked for.
        return None
    answer = provider.find(idempotency_key(payment.latest_charge.id, "capture"))
    return answer if answer and answer.status is ProviderStatus.APPROVED else None


def void_what_is_there(payment: Payment, provider: CardProvider) -> None:
    """Has the provider void the authorization, and refuse what may still come of it.

    Raises: UnknownOutcomeError when it refuses, because a capture came first.
    """
    charge = payment.latest_charge
    answer = provider.void(charge.id, idempotency_key(charge.id, "void"))
    if answer.status is ProviderStatus.REFUSED:
        raise UnknownOutcomeError(answer.message or "The authorization could not be voided.")
