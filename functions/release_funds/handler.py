"""Saga step: gives reserved funds back and records how the operation ended.

A blocked or failed payment may be tried again, a canceled one is over, a refund that could not be
sent is failed.
"""

from collections.abc import Mapping
from typing import Any

from shared import bootstrap
from shared.domain.authorization import is_undoable, release
from shared.domain.cancellation import record_cancellation
from shared.domain.changes import PaymentChange
from shared.domain.errors import UnknownOutcomeError
from shared.domain.payment import OperationKind, Payment
from shared.domain.ports import Clock, PaymentStore
from shared.domain.refund import record_failure
from shared.domain.saga import CANCEL, REFUND, Outcome
from shared.domain.work import (
    Work,
    check_of,
    commit_latest,
    done,
    may_have_been_sent,
    owns,
    was_blocked,
)
from shared.observability import step


def run(state: Mapping[str, Any], payments: PaymentStore, clock: Clock) -> dict[str, Any]:
    """Returns "done" with the payment as it is when nothing is reserved any more.

    Raises: UnknownOutcomeError when an earlier run may have reached the provider and nothing was
    voided since, which parks the payment.
    """
    work = Work.of(state)
    payment = payments.load(work.payment_id)
    if payment is None:
        return done(None)
    decide = {CANCEL.name: _canceled, REFUND.name: _refund_failed}.get(work.saga, _released)
    return done(commit_latest(payments, payment, lambda now: decide(now, state, work, clock)))


def _canceled(
    payment: Payment, _state: Mapping[str, Any], work: Work, clock: Clock
) -> PaymentChange | None:
    if not payment.has_pending(OperationKind.CANCELLATION):
        return None
    return record_cancellation(payment, work.context(clock.now_ms()))


def _refund_failed(
    payment: Payment, _state: Mapping[str, Any], work: Work, clock: Clock
) -> PaymentChange | None:
    refund_id = work.order["refund_id"]
    if not owns(payment.refund(refund_id), work):
        raise UnknownOutcomeError("Another run may have sent this refund.")
    return record_failure(payment, refund_id, work.context(clock.now_ms()))


def _reserved(state: Mapping[str, Any]) -> bool:
    """Tells whether this very execution reserved the funds, and so knows what became of them."""
    reserved = check_of(state, "reserve") or {}
    return reserved.get("outcome") == Outcome.RESERVED and not may_have_been_sent(state)


def _released(
    payment: Payment, state: Mapping[str, Any], work: Work, clock: Clock
) -> PaymentChange | None:
    if not is_undoable(payment, work):
        return None
    voided = (state.get("result") or {}).get("voided", False)
    is_asked = payment.has_pending(OperationKind.AUTHORIZATION) and owns(payment.pending, work)
    if not voided and not (is_asked and _reserved(state)):
        raise UnknownOutcomeError("The provider may have authorized this payment.")
    score = check_of(state, "risk")
    risk = {"level": score["level"], "score": score["score"]} if score else None
    return release(
        payment,
        "fraudulent" if was_blocked(state) else "processing_error",
        risk,
        work.context(clock.now_ms()),
    )


bootstrap.start_signer()
handler = step(lambda state: run(state, bootstrap.payments(), bootstrap.clock()))
