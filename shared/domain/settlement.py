"""Settlement: captured funds become due to the merchant and enter a batch."""

from datetime import UTC, datetime

from shared.domain.changes import Context, Draft, PaymentChange, change
from shared.domain.events import EventType
from shared.domain.payment import Payment, PaymentStatus


def batch_id(payment: Payment, now_ms: int) -> str:
    """Names the settlement batch: one per provider, currency and UTC day."""
    day = datetime.fromtimestamp(now_ms / 1000, UTC).date().isoformat()
    return f"{payment.latest_charge.provider}/{payment.currency}/{day}"


def settle(payment: Payment, context: Context) -> PaymentChange | None:
    """Moves what is left of a capture, after fees and refunds, from pending to available.

    Returns: the change, or None when the payment is settled already or took no money.
    """
    if payment.settled or payment.status is not PaymentStatus.SUCCEEDED:
        return None
    charge = payment.latest_charge
    net = payment.amount_received_minor - charge.platform_fee_minor - payment.refunded_minor
    return change(payment, [settled_draft(payment, net, context.now_ms)], context)


def settled_draft(payment: Payment, net_minor: int, now_ms: int) -> Draft:
    """Returns the event of a settlement."""
    data = {"amount_minor": net_minor, "batch": batch_id(payment, now_ms)}
    return EventType.PAYMENT_SETTLED, data
