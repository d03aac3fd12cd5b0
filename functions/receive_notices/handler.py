"""Queue consumer: a card network says that a refund changed; records what it says when asked.

A notice is a hint that may come late, twice or in any order: what it leads to is looked up.
"""

from collections.abc import Mapping
from typing import Any

from shared import bootstrap
from shared.domain.changes import Context
from shared.domain.ids import payment_id_of
from shared.domain.ports import CardProvider, Clock, PaymentStore
from shared.domain.providers import idempotency_key
from shared.domain.refund import record_answer
from shared.domain.work import commit_latest, load_payment
from shared.observability import each_message, logger


def run(
    event: Mapping[str, Any], payments: PaymentStore, provider: CardProvider, clock: Clock
) -> dict[str, Any]:
    """Follows each notice of a batch; returns the partial batch response."""
    return each_message(
        event,
        lambda message: _follow(message["refund"], payments, provider, clock),
        summary="notices",
        failure="a notice cannot be followed",
    )


def _follow(refund_id: str, payments: PaymentStore, provider: CardProvider, clock: Clock) -> None:
    payment = load_payment(payments, payment_id_of(refund_id))
    answer = provider.find(idempotency_key(refund_id, "refund"))
    if answer is None:
        # It told before it acted, and did not act: whoever asked for the refund will ask again.
        logger.info("a notice is of nothing", payment=payment.id, refund=refund_id)
        return
    commit_latest(
        payments,
        payment,
        lambda current: record_answer(current, refund_id, answer, Context(clock.now_ms())),
    )


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Handles a batch of the queue of notices."""
    return run(event, bootstrap.payments(), bootstrap.provider(), bootstrap.clock())
