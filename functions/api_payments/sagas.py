"""Starting sagas, and turning what they say into answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.domain.errors import (
    KeyInUseError,
    RejectedError,
    StateError,
    TransientError,
    UnknownOutcomeError,
    VersionConflictError,
)
from shared.domain.payment import Payment
from shared.domain.ports import PaymentStore, SagaRunner
from shared.domain.saga import REFUND, RESOLVE, Outcome, Saga
from shared.domain.work import Work, is_same_request, resolve_input
from shared.edge.api import Reply, Request
from shared.observability import logger
from shared.wire import payments as wire
from shared.wire.errors import RequestError, error_body

Answer = Callable[[Payment], Reply]


@dataclass(frozen=True, slots=True)
class SagaStarter:
    """Runs sagas for requests."""

    runner: SagaRunner
    payments: PaymentStore

    def run(
        self,
        saga: Saga,
        request: Request[Any],
        payment_id: str,
        order: Mapping[str, Any],
        answer: Answer,
    ) -> Reply:
        """Runs a saga and answers with the payment it leaves.

        Args: order: the saga's own parameters. answer: renders the payment.
        Raises: RejectedError, VersionConflictError, KeyInUseError as the saga says; then nothing
        was changed. UnknownOutcomeError when it is not even known whether the saga began.
        """
        work = Work(
            saga=saga.name,
            payment_id=payment_id,
            account=request.scope.account,
            livemode=request.scope.livemode,
            request_id=request.request_id,
            idempotency_key=request.idempotency_key,
            actor=request.actor,
            claim=request.claim,
            order=order,
            resumed=request.resumed,
        )
        try:
            result = self.runner.run(saga.name, work.to_dict())
        except UnknownOutcomeError:
            return self._as_it_stands(work, answer)
        return self._answered(result, work, answer)

    def is_over(self, request: Request[Any], payment: Payment | None) -> bool:
        """Tells whether an earlier run carried the request out, so that it is only to be answered.

        Whatever changed since, such as a customer that was deleted, does not matter to it.
        """
        if not request.resumed or request.claim is None or payment is None:
            return False
        return payment.knows(request.claim.use) and not payment.is_at(request.claim.use)

    def _answered(self, result: Mapping[str, Any], work: Work, answer: Answer) -> Reply:
        match result["outcome"]:
            case Outcome.REFUSED:
                return _refused(result, work)
            case Outcome.CONFLICT:
                raise VersionConflictError("Another request changed this object first.")
            case Outcome.KEY_IN_USE:
                raise KeyInUseError("The idempotency key is in use.")
            case Outcome.DONE if result["payment"] is not None:
                payment = Payment.of(result["payment"])
                if not _shows(payment, work):
                    raise UnknownOutcomeError("The request was not carried out.")
                self._look_after(payment)
                return answer(payment)
            case _:
                return self._as_it_stands(work, answer)

    def _as_it_stands(self, work: Work, answer: Answer) -> Reply:
        """Answers with the state as stored while the outcome is open.

        The answer is not kept for retries: a retry goes on where this request stopped.
        Raises: UnknownOutcomeError when the state does not tell what became of the request.
        """
        payment = self.payments.load(work.payment_id)
        if payment is None or payment.account != work.account or not _shows(payment, work):
            raise UnknownOutcomeError("The payment's outcome is not known yet.")
        self._look_after(payment)
        reply = answer(payment)
        return Reply(reply.status, reply.body, began=False)

    def _look_after(self, payment: Payment) -> None:
        """Has what is open on a payment ended behind the request's back."""
        if not payment.is_open:
            return
        name = f"{payment.id}-{payment.version}"
        try:
            self.runner.start(RESOLVE.name, name, resolve_input(payment.id))
        except TransientError:
            # The sweeper finds it by its date.
            logger.warning("nobody looks after a payment yet", payment=payment.id)


def _shows(payment: Payment, work: Work) -> bool:
    """Tells whether a payment's state answers the request.

    A saga that crashed before its first write leaves the payment as an earlier request left it,
    and an earlier decline, say, is not the answer to this one. A refund is found by its own id.
    """
    created = work.order.get("create") is not None
    return created or work.saga == REFUND.name or is_same_request(payment, work)


def _refused(result: Mapping[str, Any], work: Work) -> Reply:
    error, before = result["error"], work.order.get("before")
    if error["code"] == "payment_intent_unexpected_state" and before is not None:
        # Stripe shows the state that does not allow it.
        raise RequestError(
            error["message"],
            code=error["code"],
            payment_intent=wire.payment_intent(Payment.of(before)),
            is_answer=True,
        )
    if not result["began"]:
        # A parameter may be corrected, and sent again under the same key.
        kind = StateError if error["param"] is None else RejectedError
        raise kind(error["message"], code=error["code"], param=error["param"])
    is_card_error = error["code"] == "processing_error"
    body = error_body(
        "card_error" if is_card_error else "invalid_request_error",
        error["message"],
        code=error["code"],
        param=error["param"],
    )
    return Reply(402 if is_card_error else 400, body, began=True)
