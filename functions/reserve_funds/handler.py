"""Saga step, Tx1: makes a payment or a refund durable before the provider hears of it.

For a payment it creates and confirms it and posts the hold; for a refund it reserves refundable
money.
"""

from collections.abc import Mapping
from typing import Any

from shared import bootstrap
from shared.domain.authorization import reserve
from shared.domain.changes import PaymentChange
from shared.domain.errors import ConflictError, KeyInUseError, RejectedError, VersionConflictError
from shared.domain.payment import OperationKind, Payment
from shared.domain.ports import Clock, PaymentStore
from shared.domain.refund import check_refund, request_refund
from shared.domain.resolution import take_over
from shared.domain.saga import REFUND, Outcome
from shared.domain.work import (
    Work,
    commit_latest,
    conflicting,
    done,
    is_same_request,
    is_same_run,
    load_payment,
    owns,
    refused,
    written_by_this_run,
)
from shared.observability import step


def run(state: Mapping[str, Any], payments: PaymentStore, clock: Clock) -> dict[str, Any]:
    """Returns "reserved" with the payment, or why it could not be.

    A request that comes again finds its own operation: "reserved" while that is pending, so that
    it goes on where it stopped, "undoing" when it stopped in its undo, and "done" when it is over.
    """
    work = Work.of(state)
    try:
        if work.saga == REFUND.name:
            return _reserve_refund(work, payments, clock)
        return _reserve_payment(work, payments, clock)
    except ConflictError as error:
        return conflicting(error)


def _reserve_payment(work: Work, payments: PaymentStore, clock: Clock) -> dict[str, Any]:
    before = Payment.of(work.order["before"]) if work.order["before"] else None
    try:
        if before is not None and is_same_request(before, work):
            return _resumed(before, work, payments, clock)
        change = reserve(work, before, clock.now_ms())
        payments.commit(change)
    except KeyInUseError:
        # The key may have been claimed by this very run, when its step comes twice.
        current = written_by_this_run(payments, work)
        if current is None:
            raise
        return _resumed(current, work, payments, clock)
    except VersionConflictError:
        current = payments.load(work.payment_id)
        if current is None:
            raise
        if is_same_request(current, work):
            return _resumed(current, work, payments, clock)
        if before is None:
            # The request created this payment, and others changed it since: it is over.
            return done(current)
        raise
    return {**done(change.payment, Outcome.RESERVED), "resumed": False}


def _resumed(payment: Payment, work: Work, payments: PaymentStore, clock: Clock) -> dict[str, Any]:
    resumed = not is_same_run(payment, work)

    def is_at_it(current: Payment) -> bool:
        return current.is_at(work.operation_key) or owns(current.pending, work)

    def decide(current: Payment) -> PaymentChange | None:
        if not is_at_it(current) or current.has_pending(OperationKind.REVERSAL):
            return None
        return take_over(current, work.context(clock.now_ms()), claim=work.claim)

    payment = commit_latest(payments, payment, decide)
    outcome = Outcome.RESERVED if is_at_it(payment) else Outcome.DONE
    if outcome is Outcome.RESERVED and payment.has_pending(OperationKind.REVERSAL):
        outcome = Outcome.UNDOING
    return {**done(payment, outcome), "resumed": resumed}


def _reserve_refund(work: Work, payments: PaymentStore, clock: Clock) -> dict[str, Any]:
    payment = load_payment(payments, work.payment_id)
    if payment.refund(work.order["refund_id"]) is not None:
        resumed = not is_same_run(payment, work)
        payment = commit_latest(
            payments,
            payment,
            lambda current: take_over(
                current, work.context(clock.now_ms()), work.order["refund_id"], work.claim
            ),
        )
        return {**done(payment, Outcome.RESERVED), "resumed": resumed}
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


bootstrap.start_signer()
handler = step(lambda state: run(state, bootstrap.payments(), bootstrap.clock()))
