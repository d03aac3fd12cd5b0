"""Refunds and charges: create, retrieve, list."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from functions.api_payments.models import CreateRefund, ListCharges, ListRefunds
from functions.api_payments.room import REFUND_BYTES_MAX, require_room
from functions.api_payments.sagas import SagaStarter
from shared.domain.documents import Page, PageQuery, Scope
from shared.domain.errors import RejectedError, UnknownOutcomeError
from shared.domain.ids import refund_id
from shared.domain.payment import Charge, Payment, Refund, RefundStatus
from shared.domain.ports import DocumentStore, PaymentStore
from shared.domain.refund import check_refund
from shared.domain.saga import REFUND
from shared.domain.search import CHARGES
from shared.edge.api import Api, Reply, Request
from shared.edge.fields import NoParams, merge_metadata
from shared.edge.lists import list_reply, page_query
from shared.edge.payments import (
    find_owner,
    find_payment,
    pick_charge,
    pick_refund,
    rendered_page,
    source,
)
from shared.edge.search import SearchParams, search_reply
from shared.wire import payments as wire
from shared.wire.errors import missing_reference, no_such


@dataclass(frozen=True, slots=True)
class Refunds:
    """The operations on refunds and charges."""

    payments: PaymentStore
    documents: DocumentStore
    sagas: SagaStarter

    def register(self, api: Api) -> None:
        """Adds the operations to an API."""
        api.post("/v1/refunds", CreateRefund, returns="refund")(self.create)
        api.list("/v1/refunds", ListRefunds, returns="refund")(self.list_refunds)
        api.get("/v1/refunds/{id}", NoParams, returns="refund")(self.retrieve_refund)
        api.list("/v1/charges", ListCharges, returns="charge")(self.list_charges)
        api.list("/v1/charges/search", SearchParams, returns="charge")(self.search_charges)
        api.get("/v1/charges/{id}", NoParams, returns="charge")(self.retrieve_charge)

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
            check_refund(payment, request.params.amount)
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
        return self._retrieve(request, "refund", pick_refund)

    def retrieve_charge(self, request: Request[NoParams]) -> Reply:
        """Retrieves a charge."""
        return self._retrieve(request, "charge", pick_charge)

    def _retrieve(self, request: Request[NoParams], noun: str, pick: Any) -> Reply:
        object_id = request.path["id"]
        found = source(self.payments, pick)([object_id], request.scope)
        if object_id not in found:
            raise no_such(noun, object_id)
        return Reply(200, found[object_id])

    def list_refunds(self, request: Request[ListRefunds]) -> Reply:
        """Lists refunds, newest first, of the account or of one payment or charge."""
        params, scope = request.params, request.scope
        query = page_query(
            params, lambda name: self._created_ms(name, Payment.refund, scope), noun="refund"
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
            page = _page_of(rows, query)
        data = rendered_page(page, source(self.payments, pick_refund), scope)
        return Reply(200, list_reply("/v1/refunds", data, has_more=page.has_more))

    def list_charges(self, request: Request[ListCharges]) -> Reply:
        """Lists charges, newest first, of the account, a customer or one payment."""
        params, scope = request.params, request.scope
        query = page_query(
            params, lambda name: self._created_ms(name, Payment.charge, scope), noun="charge"
        )
        if params.payment_intent is not None:
            payment = find_payment(self.payments, params.payment_intent, scope)
            if payment is not None and params.customer not in {None, payment.customer}:
                payment = None
            rows = [(c.created_ms, c.id) for c in (payment.charges if payment else ())]
            page = _page_of(rows, query)
        else:
            collection = f"charge/{params.customer}" if params.customer else "charge"
            page = self.documents.page(scope, collection, query)
        data = rendered_page(page, source(self.payments, pick_charge), scope)
        return Reply(200, list_reply("/v1/charges", data, has_more=page.has_more))

    def search_charges(self, request: Request[SearchParams]) -> Reply:
        """Searches charges, newest first."""
        read, scope = source(self.payments, pick_charge), request.scope
        return Reply(
            200,
            search_reply(
                "/v1/charges/search",
                request.params,
                CHARGES,
                read=lambda query: self.documents.page(scope, "charge", query),
                render=lambda page: rendered_page(page, read, scope),
                created_ms=lambda name: self._created_ms(name, Payment.charge, scope),
            ),
        )

    def _filtered(
        self, payment_intent: str | None, charge: str | None, scope: Scope
    ) -> Payment | None:
        """Finds the one payment that a list is narrowed to."""
        if payment_intent is not None:
            return find_payment(self.payments, payment_intent, scope)
        return find_owner(self.payments, charge or "", scope)

    def _created_ms(
        self,
        object_id: str,
        find: Callable[[Payment, str], Charge | Refund | None],
        scope: Scope,
    ) -> int | None:
        payment = find_owner(self.payments, object_id, scope)
        found = find(payment, object_id) if payment else None
        return found.created_ms if found else None


def _page_of(rows: list[tuple[int, str]], query: PageQuery) -> Page:
    """Cuts a page out of the few rows of one payment."""
    first = query.created_from_ms or 0
    rows = sorted(
        row
        for row in rows
        if row[0] >= first
        and (query.created_to_ms is None or row[0] <= query.created_to_ms)
        and (query.after is None or row < query.after)
        and (query.before is None or row > query.before)
    )
    kept = rows[: query.limit] if query.before is not None else rows[-query.limit :]
    ids = tuple(object_id for _, object_id in reversed(kept))
    return Page(ids, len(rows) > len(kept))
