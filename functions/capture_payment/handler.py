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
    ProviderUnavailableError,
    RejectedError,
    UnknownOutcomeError,
)
from shared.domain.payment import OperationKind, Payment
from shared.domain.ports import CardProvider, Clock, PaymentStore
from shared.domain.providers import ProviderStatus, idempotency_key
from shared.domain.resolution import record_unknown
from shared.domain.saga import CAPTURE
from shared.domain.work import (
    Work,
    carry_out,
    commit_pending,
    done,
    may_have_been_sent,
    refuse_unsent,
    refused,
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

    def send(begun: Payment) -> dict[str, Any]:
        return _capture(state, begun, work, payments, provider, clock)

    if work.saga != CAPTURE.name:
        # Tx1 of this capture was Tx2 of the authorization.
        return send(Payment.of(state["result"]["payment"]))
    payment, now_ms = Payment.of(work.order["before"]), clock.now_ms()

    def request() -> PaymentChange:
        amount = check_capture(payment, work.order["amount_minor"])
        return request_capture(payment, amount, work, now_ms)

    return carry_out(payments, payment, work, now_ms, request, send)


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
        return refuse_unsent(payments, payment, work, _UNAVAILABLE, record_refusal, context)
    after = record(lambda current: record_answer(current, answer, context))
    if answer.status is ProviderStatus.APPROVED:
        return done(after)
    error = RejectedError(answer.message or REFUSED_MESSAGE, param="intent")
    return refused(error, began=True)


bootstrap.start_provider()
bootstrap.start_signer()
handler = step(
    lambda state: run(state, bootstrap.payments(), bootstrap.provider(), bootstrap.clock())
)
