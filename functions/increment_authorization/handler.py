"""Saga step: reserves more of an authorization; Tx1 before the provider is asked, Tx2 after it
answered.

It is the whole of an increment.
"""

from collections.abc import Callable, Mapping
from typing import Any

from shared import bootstrap
from shared.domain.changes import PaymentChange
from shared.domain.errors import (
    ConflictError,
    ProviderUnavailableError,
    RejectedError,
    UnknownOutcomeError,
)
from shared.domain.increment import (
    check_increment,
    increment_name,
    record_answer,
    record_refusal,
    request_increment,
)
from shared.domain.payment import OperationKind, Payment
from shared.domain.ports import CardProvider, Clock, PaymentStore
from shared.domain.providers import idempotency_key
from shared.domain.resolution import record_unknown
from shared.domain.work import (
    Work,
    begin,
    commit_pending,
    conflicting,
    done,
    refuse_unsent,
    refused,
    written_by_this_run,
)
from shared.observability import step

_UNAVAILABLE = RejectedError(
    "The increment could not be sent to the card network. Try again in a little bit.",
    code="processing_error",
)


def run(
    state: Mapping[str, Any], payments: PaymentStore, provider: CardProvider, clock: Clock
) -> dict[str, Any]:
    """Returns "done" with the payment, or why its authorization could not be incremented."""
    work = Work.of(state)
    try:
        payment = _request(work, payments, clock)
    except RejectedError as error:
        return refused(error)
    except ConflictError as error:
        written = written_by_this_run(payments, work)
        if written is None:
            return conflicting(error)
        payment = written
    return _increment(payment, work, payments, provider, clock)


def _request(work: Work, payments: PaymentStore, clock: Clock) -> Payment:
    payment, now_ms = Payment.of(work.order["before"]), clock.now_ms()

    def request() -> PaymentChange:
        more = check_increment(payment, work.order["amount_minor"])
        return request_increment(payment, more, work, now_ms)

    return begin(payments, payment, work, now_ms, request)


def _increment(
    payment: Payment, work: Work, payments: PaymentStore, provider: CardProvider, clock: Clock
) -> dict[str, Any]:
    if payment.pending is None or not payment.has_pending(OperationKind.INCREMENT):
        return done(payment)
    charge, more = payment.latest_charge, payment.pending.amount_minor
    context = work.context(clock.now_ms())

    def record(decide: Callable[[Payment], PaymentChange | None]) -> Payment:
        return commit_pending(payments, payment, decide)

    key = idempotency_key(increment_name(charge), "increment")
    try:
        answer = provider.increment(charge.id, more, key)
    except UnknownOutcomeError:
        return done(record(lambda current: record_unknown(current, context)))
    except ProviderUnavailableError:
        if work.resumed:
            return done(payment)
        return refuse_unsent(payments, payment, work, _UNAVAILABLE, record_refusal, context)
    return done(record(lambda current: record_answer(current, answer, context)))


bootstrap.start_provider()
bootstrap.start_signer()
handler = step(
    lambda state: run(state, bootstrap.payments(), bootstrap.provider(), bootstrap.clock())
)
