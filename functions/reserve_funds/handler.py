"""Saga step, Tx1: makes a payment or a refund durable before the provider hears of it.

For a payment it creates and confirms it and posts the hold; for a refund it reserves refundable
money.
"""

from collections.abc import Mapping
from typing import Any

from shared import bootstrap
from shared.domain.authorization import reserve
from shared.domain.errors import KeyInUseError, RejectedError, VersionConflictError
from shared.domain.payment import Payment
from shared.domain.ports import Clock, PaymentStore
from shared.domain.refund import check_refund, request_refund
from shared.domain.saga import REFUND, Outcome
from shared.domain.work import Work, commit_latest, done, is_same_request, load_payment, refused
from shared.observability import step


def run(state: Mapping[str, Any], payments: PaymentStore, clock: Clock) -> dict[str, Any]:
    """Returns "reserved" with the payment, or why it could not be.

    A request that comes again finds its own operation: "reserved" while that is pending, so that
    it goes on where it stopped, and "done" when it is over.
    """
    work = Work.of(state)
    try:
        if work.saga == REFUND.name:
            return _reserve_refund(work, payments, clock)
        return _reserve_payment(work, payments, clock)
    except KeyInUseError:
        return {"outcome": Outcome.KEY_IN_USE}
    except VersionConflictError:
        return {"outcome": Outcome.CONFLICT}


def _reserve_payment(work: Work, payments: PaymentStore, clock: Clock) -> dict[str, Any]:
    before = Payment.of(work.order["before"]) if work.order["before"] else None
    if before is not None and is_same_request(before, work):
        return _resumed(before)
    change = reserve(work, before, clock.now_ms())
    try:
        payments.commit(change)
    except VersionConflictError:
        current = payments.load(work.payment_id)
        if current is None or not is_same_request(current, work):
            raise
        return _resumed(current)
    return done(change.payment, Outcome.RESERVED)


def _resumed(payment: Payment) -> dict[str, Any]:
    return done(payment, Outcome.RESERVED if payment.pending else Outcome.DONE)


def _reserve_refund(work: Work, payments: PaymentStore, clock: Clock) -> dict[str, Any]:
    payment = load_payment(payments, work.payment_id)
    if payment.refund(work.order["refund_id"]) is not None:
        return done(payment, Outcome.RESERVED)
    try:
        payment = commit_latest(
            payments,
            payment,
            lambda current: request_refund(
                current, check_refund(current, work.order["amount_minor"]), work, clock.now_ms()
            ),
        )
    except RejectedError as error:
        return refused(error)
    return done(payment, Outcome.RESERVED)


handler = step(lambda state: run(state, bootstrap.payments(), bootstrap.clock()))
