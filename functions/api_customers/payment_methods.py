"""Operations on stored payment methods and tokens; the vault creates both."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from functions.api_customers.attachment import made_attached
from functions.api_customers.models import (
    AttachPaymentMethod,
    CardChanges,
    CustomersPaymentMethods,
    ListPaymentMethods,
    UpdatePaymentMethod,
)
from shared.domain.attachment import attached_collection, attached_to, detached
from shared.domain.audit_trail import updated
from shared.domain.confirmation_tokens import KIND as CONFIRMATION_TOKEN
from shared.domain.documents import Document, DocumentWrite
from shared.domain.errors import RejectedError
from shared.domain.ports import DocumentStore
from shared.edge.api import Api, Reply, Request
from shared.edge.documents import ScopedDocuments, storable
from shared.edge.fields import NoParams, merge_metadata
from shared.edge.methods import SandboxCardsSource
from shared.wire import objects
from shared.wire.errors import CardError, no_such

KIND = "payment_method"
_EXPIRY_YEARS_MAX = 50
_URL = "/v1/payment_methods"


def register(api: Api, documents: DocumentStore, sandbox_cards: SandboxCardsSource) -> None:
    """Adds the operations to the API."""
    methods = _PaymentMethods(documents, sandbox_cards)
    of_customer = "/v1/customers/{customer}/payment_methods"
    api.list(of_customer, CustomersPaymentMethods, returns=KIND)(methods.list_of_customer)
    api.get(of_customer + "/{id}", NoParams, returns=KIND)(methods.retrieve_of_customer)
    api.list(_URL, ListPaymentMethods, returns=KIND)(methods.list)
    api.get(_URL + "/{id}", NoParams, returns=KIND)(methods.retrieve)
    api.post(_URL + "/{id}", UpdatePaymentMethod, returns=KIND)(methods.update)
    api.post(_URL + "/{id}/attach", AttachPaymentMethod, returns=KIND)(methods.attach)
    api.post(_URL + "/{id}/detach", NoParams, returns=KIND)(methods.detach)
    api.get("/v1/tokens/{id}", NoParams)(methods.retrieve_token)
    api.get("/v1/confirmation_tokens/{id}", NoParams, returns=CONFIRMATION_TOKEN)(
        methods.retrieve_confirmation_token
    )


class _PaymentMethods:
    def __init__(self, documents: DocumentStore, sandbox_cards: SandboxCardsSource) -> None:
        self._documents = documents
        self._sandbox_cards = sandbox_cards

    def list(self, request: Request[ListPaymentMethods]) -> Reply:
        """Lists the account's payment methods, or one customer's."""
        scoped, customer_id = self._scoped(request), request.params.customer
        collection = KIND
        if customer_id is not None:
            scoped.named_by_param("customer", customer_id, "customer")
            collection = attached_collection(customer_id)
        elif request.params.allow_redisplay is not None:
            raise RejectedError(
                "`allow_redisplay` narrows the payment methods of one customer: send `customer`.",
                param="allow_redisplay",
            )
        return Reply(200, _listed(scoped, collection, request.params, _URL))

    def list_of_customer(self, request: Request[CustomersPaymentMethods]) -> Reply:
        """Lists the payment methods of the customer in the path."""
        scoped = self._scoped(request)
        customer = scoped.named_by_path("customer", request.path["customer"], param="customer")
        collection = attached_collection(customer.id)
        url = f"/v1/customers/{customer.id}/payment_methods"
        return Reply(200, _listed(scoped, collection, request.params, url))

    def retrieve(self, request: Request[NoParams]) -> Reply:
        """Returns a payment method."""
        return Reply(200, objects.payment_method(self._named(request)))

    def retrieve_of_customer(self, request: Request[NoParams]) -> Reply:
        """Returns a payment method of the customer in the path."""
        scoped = self._scoped(request)
        customer = scoped.named_by_path("customer", request.path["customer"], param="customer")
        method = self._named(request)
        if method.data.get("customer") != customer.id:
            raise no_such("PaymentMethod", method.id)
        return Reply(200, objects.payment_method(method))

    def update(self, request: Request[UpdatePaymentMethod]) -> Reply:
        """Changes what was sent of an attached payment method."""
        method = self._named(request)
        if method.data.get("customer") is None:
            raise RejectedError(
                "You must save this PaymentMethod to a customer before you can update it."
            )
        data = dict(method.data)
        sent = request.params.sent()
        data["metadata"] = merge_metadata(data.get("metadata", {}), sent.get("metadata", {}))
        if "allow_redisplay" in sent:
            data["allow_redisplay"] = sent["allow_redisplay"]
        if "billing_details" in sent:
            data["billing_details"] = _merged(data.get("billing_details"), sent["billing_details"])
        _check_expiry(request.params.card, method, request.now_ms)
        data["card"] = {**data["card"], **sent.get("card", {})}
        if data == method.data:
            return Reply(200, objects.payment_method(method), unchanged=True)
        return self._commit(request, [updated(method, storable(data), request.context)])

    def attach(self, request: Request[AttachPaymentMethod]) -> Reply:
        """Attaches a payment method; again to the same customer changes nothing."""
        made = self._made(request)
        if made is not None:
            return self._commit(request, [made])
        method = self._named(request)
        customer = self._customer(request)
        if method.data.get("customer") == customer.id:
            return Reply(200, objects.payment_method(method), unchanged=True)
        return self._commit(request, [attached_to(method, customer, request.context)])

    def detach(self, request: Request[NoParams]) -> Reply:
        """Detaches a payment method, also as its customer's default."""
        method = self._named(request)
        write = detached(method, request.context)
        customer = self._scoped(request).find("customer", method.data["customer"])
        if customer is None:
            return self._commit(request, [write])
        settings = customer.data.get("invoice_settings", {})
        if settings.get("default_payment_method") != method.id:
            # Nobody makes it the default meanwhile.
            return self._commit(request, [replace(write, unchanged=(customer,))])
        settings = {**settings, "default_payment_method": None}
        data = {**customer.data, "invoice_settings": settings}
        return self._commit(request, [write, updated(customer, data, request.context)])

    def retrieve_token(self, request: Request[NoParams]) -> Reply:
        """Returns a token."""
        token = self._scoped(request).named_by_path("token", request.path["id"])
        return Reply(200, objects.token(token))

    def retrieve_confirmation_token(self, request: Request[NoParams]) -> Reply:
        """Returns a confirmation token, a used one too."""
        name = request.path["id"]
        token = self._scoped(request).named_by_path(CONFIRMATION_TOKEN, name)
        return Reply(200, objects.confirmation_token(token))

    def _made(self, request: Request[AttachPaymentMethod]) -> DocumentWrite | None:
        alias, customer_id = request.path["id"], request.params.customer
        made = made_attached(request, alias, customer_id, self._sandbox_cards)
        return None if made is None else replace(made, unchanged=(self._customer(request),))

    def _customer(self, request: Request[AttachPaymentMethod]) -> Document:
        customer_id = request.params.customer
        return self._scoped(request).named_by_param("customer", customer_id, "customer")

    def _scoped(self, request: Request[Any]) -> ScopedDocuments:
        return ScopedDocuments(self._documents, request.scope)

    def _named(self, request: Request[Any]) -> Document:
        return self._scoped(request).named_by_path(KIND, request.path["id"])

    def _commit(self, request: Request[Any], writes: Sequence[DocumentWrite]) -> Reply:
        reply = Reply(200, objects.payment_method(writes[0].document))
        self._documents.commit(writes, request.answered(reply))
        return reply


def _listed(
    scoped: ScopedDocuments, collection: str, params: CustomersPaymentMethods, url: str
) -> Mapping[str, Any]:
    render, wanted = objects.payment_method, params.allow_redisplay
    if wanted is None:
        return scoped.list(KIND, collection, params, render, url)
    return scoped.list_of(
        KIND,
        collection,
        params,
        render,
        url,
        keep=lambda method: method.data.get("allow_redisplay", "unspecified") == wanted,
    )


def _merged(stored: dict[str, Any] | None, sent: dict[str, Any] | None) -> dict[str, Any]:
    """Applies sent billing details; an address part that was not sent stays."""
    if sent is None:
        return {}
    stored = stored or {}
    merged = {**stored, **sent}
    if sent.get("address") is not None:
        merged["address"] = {**(stored.get("address") or {}), **sent["address"]}
    return merged


def _check_expiry(card: CardChanges, method: Document, now_ms: int) -> None:
    if not card.model_fields_set:
        return
    month = card.exp_month if card.exp_month is not None else method.data["card"]["exp_month"]
    year = card.exp_year if card.exp_year is not None else method.data["card"]["exp_year"]
    if not 1 <= month <= 12:
        raise CardError(
            "Your card's expiration month is invalid.",
            code="invalid_expiry_month",
            param="card[exp_month]",
        )
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    if not (now.year, now.month) <= (year, month) <= (now.year + _EXPIRY_YEARS_MAX, 12):
        raise CardError(
            "Your card's expiration year is invalid.",
            code="invalid_expiry_year",
            param="card[exp_year]",
        )
