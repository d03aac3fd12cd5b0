"""Saga step after the answer: captured funds become due to the merchant.

Reads announcements of captured payments from its queue; the same one again changes nothing.
"""

from collections.abc import Mapping
from typing import Any

from shared import bootstrap
from shared.domain.changes import Context
from shared.domain.payment import Payment
from shared.domain.ports import Clock, PaymentStore
from shared.domain.settlement import settle
from shared.domain.work import commit_latest, load_payment
from shared.observability import each_message


def run(event: Mapping[str, Any], payments: PaymentStore, clock: Clock) -> dict[str, Any]:
    """Settles each payment of a batch; returns the partial batch response."""
    return each_message(
        event,
        lambda message: _settle(message["detail"]["object"], payments, clock),
        summary="settle",
        failure="settlement failed",
    )


def _settle(payment_id: str, payments: PaymentStore, clock: Clock) -> Payment:
    payment = load_payment(payments, payment_id)
    return commit_latest(payments, payment, lambda now: settle(now, Context(clock.now_ms())))


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Handles a batch of the settlement queue."""
    return run(event, bootstrap.payments(), bootstrap.clock())
