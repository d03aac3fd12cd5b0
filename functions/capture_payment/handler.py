"""Saga step: takes authorized money; Tx1 before the provider is asked, Tx2 after it answered.

Runs as the whole of a manual capture, and after authorize_payment where the provider has no sale
call.
"""

from collections.abc import Callable, Mapping
from typing import Any

from shared import bootstrap
from shared.domain.capture import (
    REFUSED_MESSAGE,
    check_capture,
    record_answer,
    record_refusal,
    request_capture,
)
from shared.domain.changes import PaymentChange
from shared.domain.errors import (
    ConflictError,
    ProviderUnavailableError,
    RejectedError,
    UnknownOutcomeError,
)
from shared.domain.payment import OperationKind, Payment
from shared.domain.ports import CardProvider, Clock, PaymentStore
from shared.domain.providers import ProviderStatus, idempotency_key
from shared.domain.resolution import record_unknown, take_over
from shared.domain.saga import CAPTURE
from shared.domain.work import (
    Work,
    commit_pending,
    conflicting,
    done,
    is_same_request,
    may_have_been_sent,
    refuse_unsent,
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
            # Tx1 of this capture was Tx2 of the authorization.
            payment = Payment.of(state["result"]["payment"])
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
        context = work.context(clock.now_ms())
        return commit_pending(
            payments, payment, lambda current: take_over(current, context, claim=work.claim)
        )
    amount = check_capture(payment, work.order["amount_minor"])
    change = request_capture(payment, amount, work, clock.now_ms())
    payments.commit(change)
    return change.payment


def _capture(
    state: Mapping[str, Any],
    payment: Payment,
    work: Work,
    payments: PaymentStore,
    provider: CardProvider,
    clock: Clock,
) -> dict[str, Any]:
    if payment.pending is None or not payment.has_pending(OperationKind.CAPTURE):
        return done(payment)
    charge, amount = payment.latest_charge, payment.pending.amount_minor
    context = work.context(clock.now_ms())

    def record(decide: Callable[[Payment], PaymentChange | None]) -> Payment:
        return commit_pending(payments, payment, decide)

    try:
        answer = provider.capture(charge.id, amount, idempotency_key(charge.id, "capture"))
    except UnknownOutcomeError:
        return done(record(lambda current: record_unknown(current, context)))
    except ProviderUnavailableError:
        if may_have_been_sent(state):
            return done(payment)
        message = _UNAVAILABLE.message
        return refuse_unsent(
            payments,
            payment,
            work,
            _UNAVAILABLE,
            lambda current: record_refusal(current, message, context),
        )
    after = record(lambda current: record_answer(current, answer, context))
    if answer.status is ProviderStatus.APPROVED:
        return done(after)
    error = RejectedError(answer.message or REFUSED_MESSAGE, param="intent")
    return refused(error, began=True)


bootstrap.start_provider()
handler = step(
    lambda state: run(state, bootstrap.payments(), bootstrap.provider(), bootstrap.clock())
)
