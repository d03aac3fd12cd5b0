"""Saga step: gives an authorization back.

It is the first step of a cancellation (Tx1, then the provider), and the undo of an authorization
whose outcome is unknown: the provider voids what there is and refuses what may still come.
"""

from collections.abc import Callable, Mapping
from typing import Any

from shared import bootstrap
from shared.domain.authorization import begin_undo, is_undoable
from shared.domain.cancellation import (
    REFUSED_MESSAGE,
    check_cancellation,
    record_answer,
    record_refusal,
    request_cancellation,
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
from shared.domain.reversal import void_what_is_there
from shared.domain.saga import CANCEL, Outcome
from shared.domain.work import (
    Work,
    carry_out,
    commit_pending,
    done,
    may_have_been_sent,
    owns,
    refuse_unsent,
    refused,
    was_blocked,
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
    payment, now_ms = Payment.of(work.order["before"]), clock.now_ms()

    def request() -> PaymentChange:
        check_cancellation(payment)
        return request_cancellation(payment, work, now_ms)

    def send(begun: Payment) -> dict[str, Any]:
        if not begun.has_pending(OperationKind.CANCELLATION):
            return done(begun)
        return _void(begun, work, payments, provider, clock)

    return carry_out(payments, payment, work, now_ms, request, send)


def _void(
    payment: Payment, work: Work, payments: PaymentStore, provider: CardProvider, clock: Clock
) -> dict[str, Any]:
    if payment.amount_capturable_minor == 0:
        return done(payment, Outcome.UNDONE)
    context = work.context(clock.now_ms())

    def record(decide: Callable[[Payment], PaymentChange | None]) -> Payment:
        return commit_pending(payments, payment, decide)

    charge = payment.latest_charge
    try:
        answer = provider.void(charge.id, idempotency_key(charge.id, "void"))
    except UnknownOutcomeError:
        return done(record(lambda current: record_unknown(current, context)))
    except ProviderUnavailableError:
        if work.resumed:
            return done(payment)
        return refuse_unsent(payments, payment, work, _UNAVAILABLE, record_refusal, context)
    if answer.status is ProviderStatus.REFUSED:
        record(lambda current: record_answer(current, answer, context))
        error = RejectedError(answer.message or REFUSED_MESSAGE)
        return refused(error, began=True)
    return done(payment, Outcome.UNDONE)


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
    sent_nothing = not may_have_been_sent(state) and owns(payment.pending, work)
    if was_blocked(state) and sent_nothing:
        return {**done(payment, Outcome.UNDONE), "voided": False}
    payment = begin_undo(payments, payment, work, clock.now_ms())
    if not is_undoable(payment, work):
        return done(payment)
    void_what_is_there(payment, provider)
    return {**done(payment, Outcome.UNDONE), "voided": True}


bootstrap.start_provider()
bootstrap.start_signer()
handler = step(
    lambda state: run(state, bootstrap.payments(), bootstrap.provider(), bootstrap.clock())
)
