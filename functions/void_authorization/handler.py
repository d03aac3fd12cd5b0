"""Saga step: gives an authorization back.

It is the first step of a cancellation (Tx1, then the provider), and the undo of an authorization
whose outcome is unknown: the provider voids what there is and refuses what may still come.
"""

from collections.abc import Mapping
from typing import Any

from shared import bootstrap
from shared.domain.authorization import is_undoable, request_undo
from shared.domain.cancellation import check_cancellation, record_refusal, request_cancellation
from shared.domain.changes import PaymentChange
from shared.domain.errors import (
    ConflictError,
    ProviderUnavailableError,
    RejectedError,
    UnknownOutcomeError,
)
from shared.domain.payment import Payment
from shared.domain.ports import CardProvider, Clock, PaymentStore
from shared.domain.providers import ProviderStatus, idempotency_key
from shared.domain.saga import CANCEL, Outcome
from shared.domain.work import (
    Work,
    commit_latest,
    conflicting,
    done,
    is_same_request,
    may_have_been_sent,
    refused,
    written_by_this_run,
)
from shared.observability import step

_UNAVAILABLE = RejectedError(
    "The cancellation could not be sent to the card network. Try again in a little bit.",
    code="processing_error",
)


def run(
    state: Mapping[str, Any], payments: PaymentStore, provider: CardProvider, clock: Clock
) -> dict[str, Any]:
    """Returns "undone" when nothing is reserved any more, or why it could not be.

    Raises: ProviderUnavailableError, UnknownOutcomeError from an undo, which parks the payment.
    """
    work = Work.of(state)
    if work.saga != CANCEL.name:
        return _undo(state, work, payments, provider, clock)
    payment = Payment.of(work.order["before"])
    try:
        if not is_same_request(payment, work):
            payment = _request(payment, work, payments, clock)
    except RejectedError as error:
        return refused(error)
    except ConflictError as error:
        written = written_by_this_run(payments, work)
        if written is None:
            return conflicting(error)
        payment = written
    if payment.pending is None:
        return done(payment)
    return _void(payment, work, payments, provider, clock)


def _request(payment: Payment, work: Work, payments: PaymentStore, clock: Clock) -> Payment:
    check_cancellation(payment)
    change = request_cancellation(payment, work, clock.now_ms())
    payments.commit(change)
    return change.payment


def _void(
    payment: Payment, work: Work, payments: PaymentStore, provider: CardProvider, clock: Clock
) -> dict[str, Any]:
    if payment.amount_capturable_minor == 0:
        return done(payment, Outcome.UNDONE)
    charge = payment.latest_charge
    try:
        answer = provider.void(charge.id, idempotency_key(charge.id, "void"))
    except UnknownOutcomeError:
        return done(payment)
    except ProviderUnavailableError:
        if work.resumed:
            return done(payment)
        return _refuse(payment, work, payments, clock, _UNAVAILABLE)
    if answer.status is ProviderStatus.REFUSED:
        error = RejectedError(answer.message or "The authorization could not be voided.")
        return _refuse(payment, work, payments, clock, error)
    return done(payment, Outcome.UNDONE)


def _refuse(
    payment: Payment, work: Work, payments: PaymentStore, clock: Clock, error: RejectedError
) -> dict[str, Any]:
    def decide(current: Payment) -> PaymentChange | None:
        if current.pending is None:
            return None
        return record_refusal(current, error.message, work.context(clock.now_ms()))

    commit_latest(payments, payment, decide)
    return refused(error, began=True)


def _undo(
    state: Mapping[str, Any],
    work: Work,
    payments: PaymentStore,
    provider: CardProvider,
    clock: Clock,
) -> dict[str, Any]:
    payment = payments.load(work.payment_id)
    if payment is None or not is_undoable(payment, work):
        return done(payment)
    reversed_minor = (state.get("result") or {}).get("reversed_minor", 0)
    if _was_blocked(state) and not may_have_been_sent(state):
        return done(payment, Outcome.UNDONE)
    if reversed_minor == 0:
        payment = commit_latest(
            payments, payment, lambda current: request_undo(current, work, clock.now_ms())
        )
        if not is_undoable(payment, work):
            return done(payment)
        _void_whatever_is_there(payment, provider)
    return {**done(payment, Outcome.UNDONE), "reversed_minor": reversed_minor}


def _was_blocked(state: Mapping[str, Any]) -> bool:
    score = (state.get("checks") or {}).get("risk")
    return score is not None and score["outcome"] == Outcome.BLOCK


def _void_whatever_is_there(payment: Payment, provider: CardProvider) -> None:
    charge = payment.latest_charge
    answer = provider.void(charge.id, idempotency_key(charge.id, "void"))
    if answer.status is ProviderStatus.REFUSED:
        raise UnknownOutcomeError(answer.message or "The authorization could not be voided.")


bootstrap.start_provider()
handler = step(
    lambda state: run(state, bootstrap.payments(), bootstrap.provider(), bootstrap.clock())
)
