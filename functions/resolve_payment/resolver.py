"""What is asked of the provider about an open operation, and what its word leads to."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from shared.domain import authorization, cancellation, capture, increment, refund
from shared.domain.changes import Context, PaymentChange
from shared.domain.errors import ProviderUnavailableError, UnknownOutcomeError
from shared.domain.increment import increment_name
from shared.domain.look_up import LookUpOnly
from shared.domain.payment import OperationKind, Payment, PendingOperation, Refund
from shared.domain.ports import CardProvider, Clock, DocumentStore, PaymentStore
from shared.domain.providers import ProviderAnswer, idempotency_key
from shared.domain.resolution import may_resend, record_unknown, take_over
from shared.domain.reversal import (
    find_capture,
    request_reversal,
    void_what_is_there,
)
from shared.domain.saving import saved
from shared.domain.work import commit_latest, commit_pending

Decide = Callable[[Payment], PaymentChange | None]


@dataclass(frozen=True, slots=True)
class Resolver:
    """Ends what is open on a payment, or sets the date of the next try."""

    payments: PaymentStore
    documents: DocumentStore
    provider: CardProvider
    clock: Clock

    def resolve(self, payment: Payment) -> Payment:
        """Looks after everything on a payment that is due; returns it as it is then."""
        for open_refund in payment.open_refunds:
            if self._is_due(open_refund.due_at_ms):
                payment = self._resolve_refund(payment, open_refund)
        if payment.pending is None:
            payment = commit_latest(
                self.payments,
                payment,
                lambda now: cancellation.request_expiry(now, self._context()),
            )
        elif not self._is_due(payment.pending.due_at_ms):
            return payment
        # What is found may lead to an operation of another kind, which is asked about at once.
        asked: set[OperationKind] = set()
        while payment.pending is not None and payment.pending.kind not in asked:
            asked.add(payment.pending.kind)
            payment = self._resolve_pending(payment, payment.pending)
        return payment

    def _is_due(self, due_at_ms: int | None) -> bool:
        return due_at_ms is not None and due_at_ms <= self.clock.now_ms()

    def _context(self) -> Context:
        return Context(self.clock.now_ms())

    def _desk(self, requested_ms: int) -> CardProvider:
        """Returns the provider as far as it may be asked about something of that age."""
        if may_resend(requested_ms, self.clock.now_ms()):
            return self.provider
        return LookUpOnly(self.provider)

    def _resolve_refund(self, payment: Payment, open_refund: Refund) -> Payment:
        payment = commit_latest(
            self.payments,
            payment,
            lambda now: take_over(now, self._context(), open_refund.id),
        )
        if open_refund.id not in {refund.id for refund in payment.open_refunds}:
            return payment
        desk = self._desk(open_refund.created_ms)
        answer: ProviderAnswer | None
        try:
            answer = desk.refund(
                open_refund.charge_id,
                open_refund.id,
                open_refund.amount_minor,
                idempotency_key(open_refund.id, "refund"),
            )
        except (ProviderUnavailableError, UnknownOutcomeError):
            answer = None
        return commit_latest(
            self.payments,
            payment,
            lambda now: refund.record_answer(now, open_refund.id, answer, self._context()),
        )

    def _resolve_pending(self, payment: Payment, pending: PendingOperation) -> Payment:
        # Whoever was at it before may still run, and must not conclude anything any more.
        payment = commit_pending(
            self.payments, payment, lambda now: take_over(now, self._context())
        )
        if not pending.is_same(payment.pending):
            return payment
        ask = {
            OperationKind.AUTHORIZATION: self._authorization,
            OperationKind.INCREMENT: self._increment,
            OperationKind.CAPTURE: self._capture,
            OperationKind.CANCELLATION: self._cancellation,
            OperationKind.REVERSAL: self._reversal,
        }[pending.kind]
        decide: Decide
        try:
            decide = ask(payment, pending, self._desk(pending.requested_ms))
        except (ProviderUnavailableError, UnknownOutcomeError):

            def decide(now: Payment) -> PaymentChange | None:
                return record_unknown(now, self._context())

        return commit_pending(self.payments, payment, decide)

    def _authorization(
        self, payment: Payment, _pending: PendingOperation, desk: CardProvider
    ) -> Decide:
        """Looks it up: sending it again would take the card. What never came is refused now."""
        sale = payment.is_automatic and desk.has_sale
        operation = "sale" if sale else "authorization"
        answer = desk.find(idempotency_key(payment.latest_charge.id, operation))
        tries = count()

        def decide(now: Payment) -> PaymentChange | None:
            if now.attempts != payment.attempts:
                return None
            if answer is None:
                return request_reversal(now, self._context())
            context = self._context()
            made = authorization.record_answer(now, answer, None, sale=sale, context=context)
            return saved(made, now, answer, self.documents, context, next(tries))

        return decide

    def _increment(self, payment: Payment, pending: PendingOperation, desk: CardProvider) -> Decide:
        charge = payment.latest_charge
        key = idempotency_key(increment_name(charge), "increment")
        answer = desk.increment(charge.id, pending.amount_minor, key)
        return lambda now: increment.record_answer(now, answer, self._context())

    def _capture(self, payment: Payment, pending: PendingOperation, desk: CardProvider) -> Decide:
        charge = payment.latest_charge
        key = idempotency_key(charge.id, "capture")
        answer = desk.capture(charge.id, pending.amount_minor, key)
        return lambda now: capture.record_answer(now, answer, self._context())

    def _cancellation(
        self, payment: Payment, _pending: PendingOperation, desk: CardProvider
    ) -> Decide:
        if payment.amount_capturable_minor == 0:
            return lambda now: cancellation.record_cancellation(now, self._context())
        charge = payment.latest_charge
        answer = desk.void(charge.id, idempotency_key(charge.id, "void"))
        return lambda now: cancellation.record_answer(now, answer, self._context())

    def _reversal(self, payment: Payment, _pending: PendingOperation, desk: CardProvider) -> Decide:
        captured = find_capture(payment, desk)
        if captured is not None:
            return lambda now: capture.record_answer(now, captured, self._context())
        void_what_is_there(payment, desk)
        return lambda now: authorization.release(now, "processing_error", None, self._context())
