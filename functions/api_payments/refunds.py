"""Refunds: create, retrieve, list, update, cancel."""

from dataclasses import dataclass, replace
from typing import Any

from functions.api_payments.models import CreateRefund, ListRefunds, UpdateRefund
from functions.api_payments.parts import created_ms, page_of, retrieve
from functions.api_payments.room import REFUND_BYTES_MAX, require_room
from functions.api_payments.sagas import SagaStarter
from shared.domain.documents import Scope
from shared.domain.errors import RejectedError, UnknownOutcomeError
from shared.domain.ids import refund_id
from shared.domain.payment import Payment, Refund, RefundStatus
from shared.domain.ports import DocumentStore, PaymentStore
from shared.domain.refund import check_refund, not_cancelable, update_refund
from shared.domain.saga import REFUND
from shared.edge.api import Api, Reply, Request
from shared.edge.fields import NoParams, merge_metadata
from shared.edge.lists import list_reply, page_query
from shared.edge.payments import (
    find_owner,
    find_payment,
    pick_refund,
    rendered_page,
    source,
)
from shared.wire import payments as wire
from shared.wire.errors import missing_reference, no_such


@dataclass(frozen=True, slots=True)
class Refunds:
    """The operations on refunds."""

    payments: PaymentStore
    documents: DocumentStore
    sagas: SagaStarter

    def register(self, api: Api) -> None:
        """Adds the operations to an API."""
        api.post("/v1/refunds", CreateRefund, returns="refund")(self.create)
        api.list("/v1/refunds", ListRefunds, returns="refund")(self.list_refunds)
        api.get("/v1/refunds/{id}", NoParams, returns="refund")(self.retrieve_refund)
        api.post("/v1/refunds/{id}", UpdateRefund, returns="refund")(self.update)
        api.post("/v1/refunds/{id}/cancel", NoParams, returns="refund")(self.cancel)

    def create(self, request: Request[CreateRefund]) -> Reply:
        """Refunds a payment, in full or in part."""
        payment = self._refundable(request)
        created_id = refund_id(payment.id, request.new_id("re"))
        order = {
            "refund_id": created_id,
            "amount_minor": request.params.amount,
            "reason": request.params.reason,
            "metadata": merge_metadata({}, request.params.metadata),
        }
        if payment.refund(created_id) is None:
            _check(request.params, payment)
            require_room(payment.to_dict(), order, bytes_max=REFUND_BYTES_MAX)

        def answer(after: Payment) -> Reply:
            refund = after.refund(created_id)
            if refund is None:
                raise UnknownOutcomeError("The refund was not made.")
            # What the provider accepted is pending at the bank: the request has done its work.
            is_accepted = refund.provider_reference is not None
            began = is_accepted or refund.status is not RefundStatus.PENDING
            return Reply(200, wire.refund(after, refund), began=began)

        return self.sagas.run(REFUND, request, payment.id, order, answer)

    def _refundable(self, request: Request[CreateRefund]) -> Payment:
        params = request.params
        if params.payment_intent is None and params.charge is None:
            raise RejectedError(
                "One of the following params should be provided for this request: "
                "payment_intent or charge.",
                code="parameter_missing",
                param="payment_intent",
            )
        payment = None
        if params.payment_intent is not None:
            payment = find_payment(self.payments, params.payment_intent, request.scope)
            if payment is None:
                raise missing_reference("payment_intent", params.payment_intent, "payment_intent")
        if params.charge is not None:
            payment_of_charge = find_owner(self.payments, params.charge, request.scope)
            if payment_of_charge is None or payment_of_charge.charge(params.charge) is None:
                raise missing_reference("charge", params.charge, "charge")
            if payment is not None and payment.id != payment_of_charge.id:
                raise RejectedError(
                    "The charge does not belong to the payment_intent.", param="charge"
                )
            payment = payment_of_charge
            if payment.latest_charge.id != params.charge:
                raise RejectedError(
                    f"Charge {params.charge} was not successful and cannot be refunded.",
                    code="charge_not_refundable",
                    param="charge",
                )
        if payment is None:
            raise missing_reference("payment_intent", "", "payment_intent")
        return payment

    def retrieve_refund(self, request: Request[NoParams]) -> Reply:
        """Retrieves a refund."""
        return retrieve(self.payments, request, "refund", pick_refund)

    def update(self, request: Request[UpdateRefund]) -> Reply:
        """Records what the merchant says anew about a refund."""
        payment, refund = self._load(request)
        if "metadata" not in request.params.sent():
            return Reply(200, wire.refund(payment, refund), unchanged=True)
        metadata = merge_metadata(refund.metadata, request.params.metadata)
        made = update_refund(payment, refund.id, metadata, request.context)
        require_room(made.payment.to_dict(), bytes_max=REFUND_BYTES_MAX)
        reply = Reply(200, wire.refund(made.payment, replace(refund, metadata=metadata)))
        self.payments.commit(replace(made, claim=request.answered(reply)))
        return reply

    def cancel(self, request: Request[NoParams]) -> Reply:
        """Refuses to cancel a refund: none is in a state that allows it."""
        _, refund = self._load(request)
        raise not_cancelable(refund)

    def _load(self, request: Request[Any]) -> tuple[Payment, Refund]:
        name = request.path["id"]
        payment = find_owner(self.payments, name, request.scope)
        refund = payment.refund(name) if payment else None
        if payment is None or refund is None:
            raise no_such("refund", name)
        return payment, refund

    def list_refunds(self, request: Request[ListRefunds]) -> Reply:
        """Lists refunds, newest first, of the account or of one payment or charge."""
        params, scope = request.params, request.scope
        query = page_query(
            params,
            lambda name: created_ms(self.payments, name, Payment.refund, scope),
            noun="refund",
        )
        if params.payment_intent is None and params.charge is None:
            page = self.documents.page(scope, "refund", query)
        else:
            payment = self._filtered(params.payment_intent, params.charge, scope)
            rows = [
                (refund.created_ms, refund.id)
                for refund in (payment.refunds if payment else ())
                if params.charge in {None, refund.charge_id}
            ]
            page = page_of(rows, query)
        data = rendered_page(page, source(self.payments, pick_refund), scope)
        return Reply(200, list_reply("/v1/refunds", data, has_more=page.has_more))

    def _filtered(
        self, payment_intent: str | None, charge: str | None, scope: Scope
    ) -> Payment | None:
        """Finds the one payment that a list is narrowed to."""
        if payment_intent is not None:
            return find_payment(self.payments, payment_intent, scope)
        return find_owner(self.payments, charge or "", scope)


def _check(params: CreateRefund, payment: Payment) -> None:
    """Refuses a refund that could not be made, by the parameter that the request has."""
    try:
        check_refund(payment, params.amount)
    except RejectedError as error:
        if error.param == "payment_intent" and params.payment_intent is None:
            raise RejectedError(error.message, code=error.code, param="charge") from error
        raise
