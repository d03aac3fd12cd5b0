"""Saga step: gives captured money back.

It is the provider's part of a refund (its Tx1 is reserve_funds, Tx2 is here). It is also where the
undo of a payment begins whose capture is of unknown outcome: money that was taken after all is not
sent back and forth, the payment goes forward.
"""

from collections.abc import Mapping
from typing import Any

from shared import bootstrap
from shared.domain import capture
from shared.domain.authorization import begin_undo, is_undoable
from shared.domain.changes import PaymentChange
from shared.domain.errors import InvariantError, ProviderUnavailableError, UnknownOutcomeError
from shared.domain.payment import Payment, RefundStatus
from shared.domain.ports import CardProvider, Clock, PaymentStore
from shared.domain.providers import idempotency_key
from shared.domain.refund import record_answer
from shared.domain.reversal import find_capture
from shared.domain.saga import REFUND, Outcome
from shared.domain.work import Work, commit_latest, commit_pending, done, may_have_been_sent
from shared.observability import step


def run(
    state: Mapping[str, Any], payments: PaymentStore, provider: CardProvider, clock: Clock
) -> dict[str, Any]:
    """Returns "done" with the payment, "unavailable" when nothing was sent, "undone" from an undo
    that finds no capture.

    Raises: ProviderUnavailableError, UnknownOutcomeError from an undo, which parks the payment.
    """
    work = Work.of(state)
    if work.saga != REFUND.name:
        return _undo(work, payments, provider, clock)
    payment = Payment.of(state["result"]["payment"])
    refund = payment.refund(work.order["refund_id"])
    if refund is None:
        raise InvariantError(f"{work.order['refund_id']} is not reserved")
    if refund.status is not RefundStatus.PENDING:
        return done(payment)
    context = work.context(clock.now_ms())
    try:
        answer = provider.refund(
            refund.charge_id,
            refund.id,
            refund.amount_minor,
            idempotency_key(refund.id, "refund"),
        )
    except ProviderUnavailableError:
        if may_have_been_sent(state):
            return done(payment)
        return done(payment, Outcome.UNAVAILABLE)
    except UnknownOutcomeError:
        answer = None

    def decide(current: Payment) -> PaymentChange | None:
        return record_answer(current, refund.id, answer, context)

    return done(commit_latest(payments, payment, decide))


def _undo(
    work: Work, payments: PaymentStore, provider: CardProvider, clock: Clock
) -> dict[str, Any]:
    payment = payments.load(work.payment_id)
    if payment is None or not is_undoable(payment, work):
        return done(payment)
    payment = begin_undo(payments, payment, work, clock.now_ms())
    if not is_undoable(payment, work):
        return done(payment)
    captured = find_capture(payment, provider)
    if captured is None:
        return done(payment, Outcome.UNDONE)
    context = work.context(clock.now_ms())
    return done(
        commit_pending(payments, payment, lambda now: capture.record_answer(now, captured, context))
    )


bootstrap.start_provider()
bootstrap.start_signer()
handler = step(
    lambda state: run(state, bootstrap.payments(), bootstrap.provider(), bootstrap.clock())
)
