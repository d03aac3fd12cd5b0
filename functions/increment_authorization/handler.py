"""Saga step: reserves more of an authorization; Tx1 before the provider is asked, Tx2 after it
answered.

It is the whole of an increment.
"""

from collections.abc import Callable, Mapping
from typing import Any

from shared import bootstrap
from shared.domain.changes import PaymentChange
from shared.domain.errors import (
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
    carry_out,
    commit_pending,
    done,
    refuse_unsent,
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
    work, now_ms = Work.of(state), clock.now_ms()
    payment = Payment.of(work.order["before"])

    def request() -> PaymentChange:
        more = check_increment(payment, work.order["amount_minor"])
        return request_increment(payment, more, work, now_ms)

    def send(begun: Payment) -> dict[str, Any]:
        return _increment(begun, work, payments, provider, clock)

    return carry_out(payments, payment, work, now_ms, request, send)


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
