"""Saga step: takes authorized money; Tx1 before the provider is asked, Tx2 after it answered.

Runs as the whole of a manual capture, and after authorize_payment where the provider has no sale
call.
"""

from collections.abc import Mapping
from typing import Any

from shared import bootstrap
from shared.domain.capture import check_capture, record_capture, record_refusal, request_capture
from shared.domain.changes import PaymentChange
from shared.domain.errors import (
    ConflictError,
    ProviderUnavailableError,
    RejectedError,
    UnknownOutcomeError,
)
from shared.domain.payment import Payment
from shared.domain.ports import CardProvider, Clock, PaymentStore
from shared.domain.postings import operation_of
from shared.domain.providers import ProviderAnswer, ProviderStatus, idempotency_key
from shared.domain.saga import CAPTURE
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
    "The capture could not be sent to the card network. Try again in a little bit.",
    code="processing_error",
)


def run(
    state: Mapping[str, Any], payments: PaymentStore, provider: CardProvider, clock: Clock
) -> dict[str, Any]:
    """Returns "done" with the payment, or why it could not be captured."""
    work = Work.of(state)
    try:
        if work.saga == CAPTURE.name:
            payment = _request(work, payments, clock)
        else:
            payment = _request_after(state, work, payments, clock)
    except RejectedError as error:
        return refused(error)
    except ConflictError as error:
        written = written_by_this_run(payments, work)
        if written is None:
            return conflicting(error)
        payment = written
    return _capture(state, payment, work, payments, provider, clock)


def _request(work: Work, payments: PaymentStore, clock: Clock) -> Payment:
    """Commits Tx1 on the state the caller saw; a second capture finds another and is refused."""
    payment = Payment.of(work.order["before"])
    if is_same_request(payment, work):
        return payment
    amount = check_capture(payment, work.order["amount_minor"])
    change = request_capture(payment, amount, work, clock.now_ms())
    payments.commit(change)
    return change.payment


def _request_after(
    state: Mapping[str, Any], work: Work, payments: PaymentStore, clock: Clock
) -> Payment:
    """Commits Tx1 of the capture that follows an authorization, unless it is there already."""

    def decide(current: Payment) -> PaymentChange | None:
        if current.charges[-1].captured or _is_capturing(current):
            return None
        return request_capture(current, check_capture(current, None), work, clock.now_ms())

    return commit_latest(payments, Payment.of(state["result"]["payment"]), decide)


def _is_capturing(payment: Payment) -> bool:
    return payment.pending is not None and payment.pending.kind == "capture"


def _capture(
    state: Mapping[str, Any],
    payment: Payment,
    work: Work,
    payments: PaymentStore,
    provider: CardProvider,
    clock: Clock,
) -> dict[str, Any]:
    if payment.pending is None:
        return done(payment)
    charge, amount = payment.latest_charge, payment.pending.amount_minor
    try:
        answer = provider.capture(charge.id, amount, idempotency_key(charge.id, "capture"))
    except UnknownOutcomeError:
        return done(payment)
    except ProviderUnavailableError:
        if may_have_been_sent(state):
            return done(payment)
        _record(payment, work, payments, clock, None)
        return refused(_UNAVAILABLE, began=True)
    after = _record(payment, work, payments, clock, answer)
    if answer.status is ProviderStatus.APPROVED:
        return done(after)
    error = RejectedError(answer.message or "The capture was refused.", param="intent")
    return refused(error, began=True)


def _record(
    payment: Payment,
    work: Work,
    payments: PaymentStore,
    clock: Clock,
    answer: ProviderAnswer | None,
) -> Payment:
    def decide(current: Payment) -> PaymentChange | None:
        if not _is_capturing(current):
            return None
        context = work.context(clock.now_ms())
        if answer is not None and answer.status is ProviderStatus.APPROVED:
            operation = operation_of(current, current.latest_charge, context.now_ms)
            return record_capture(current, operation, context)
        message = answer.message if answer else None
        return record_refusal(current, message or _UNAVAILABLE.message, context)

    return commit_latest(payments, payment, decide)


bootstrap.start_provider()
handler = step(
    lambda state: run(state, bootstrap.payments(), bootstrap.provider(), bootstrap.clock())
)
