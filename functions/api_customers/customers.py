"""Operations on customers."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from functions.api_customers.attachment import (
    DETACHED_AT_ONCE_MAX,
    made_attached,
)
from functions.api_customers.balance_transactions import transacted
from functions.api_customers.models import (
    CreateCustomer,
    ListCustomers,
    UpdateCustomer,
)
from shared.domain.attachment import attached, attached_collection, detached
from shared.domain.audit_trail import created, updated
from shared.domain.documents import Document, DocumentWrite, ListEntry, PageQuery, Scope
from shared.domain.errors import RejectedError, TransientError
from shared.domain.ports import DocumentStore
from shared.domain.search import CUSTOMERS
from shared.edge.api import Api, Reply, Request
from shared.edge.documents import ScopedDocuments, storable
from shared.edge.fields import NoParams, merge_metadata
from shared.edge.methods import SandboxCardsSource
from shared.edge.search import SearchParams, search_reply
from shared.wire import objects

KIND = "customer"
_DELETION_ROUNDS_MAX = 20
_DEFAULTS: Mapping[str, Any] = {
    "balance": 0,
    "invoice_settings": {},
    "metadata": {},
    "next_invoice_sequence": 1,
    "preferred_locales": [],
    "tax_exempt": "none",
}


def register(api: Api, documents: DocumentStore, sandbox_cards: SandboxCardsSource) -> None:
    """Adds the operations to the API."""
    customers = _Customers(documents, sandbox_cards)
    api.post("/v1/customers", CreateCustomer, returns=KIND, references=_of_balance)(
        customers.create
    )
    api.list("/v1/customers", ListCustomers, returns=KIND)(customers.list)
    api.list("/v1/customers/search", SearchParams, returns=KIND)(customers.search)
    api.get("/v1/customers/{id}", NoParams, returns=KIND)(customers.retrieve)
    api.post("/v1/customers/{id}", UpdateCustomer, returns=KIND, references=_of_balance)(
        customers.update
    )
    api.delete("/v1/customers/{id}", NoParams)(customers.delete)


class _Customers:
    def __init__(self, documents: DocumentStore, sandbox_cards: SandboxCardsSource) -> None:
        self._documents = documents
        self._sandbox_cards = sandbox_cards

    def create(self, request: Request[CreateCustomer]) -> Reply:
        """Creates a customer and attaches a first payment method in the same transaction."""
        sent = request.params.sent()
        asked_for = sent.pop("payment_method", None)
        customer_id = request.new_id("cus")
        method = self._first_payment_method(request, customer_id, asked_for)
        settings = sent.get("invoice_settings", {})
        if method is not None and settings.get("default_payment_method") == asked_for:
            sent["invoice_settings"] = {**settings, "default_payment_method": method.document.id}
        customer = request.document(customer_id, KIND, _with_currency(request, _merged({}, sent)))
        self._require_own_default(request, customer, method)
        writes = [created(customer, request.context, listed=_entries(customer))]
        if method is not None:
            writes.append(method)
        if customer.data["balance"]:
            writes.append(transacted(request, customer, customer.data["balance"], "initial"))
        return self._commit(request, writes)

    def list(self, request: Request[ListCustomers]) -> Reply:
        """Lists customers, or those with exactly this e-mail address."""
        email = request.params.email
        collection = KIND if email is None else _email_collection(email)
        scoped = ScopedDocuments(self._documents, request.scope)
        page = scoped.list(KIND, collection, request.params, objects.customer, "/v1/customers")
        return Reply(200, page)

    def search(self, request: Request[SearchParams]) -> Reply:
        """Searches customers, newest first."""
        scoped = ScopedDocuments(self._documents, request.scope)
        return Reply(
            200,
            search_reply(
                "/v1/customers/search",
                request.params,
                CUSTOMERS,
                read=lambda query: self._documents.page(request.scope, KIND, query),
                render=lambda page: [objects.customer(item) for item in scoped.in_order(page.ids)],
                created_ms=lambda name: scoped.created_ms(KIND, name),
            ),
        )

    def retrieve(self, request: Request[NoParams]) -> Reply:
        """Returns a customer; of a deleted one, that it was deleted."""
        scoped = ScopedDocuments(self._documents, request.scope)
        customer = scoped.find(KIND, request.path["id"])
        if customer is None:
            customer = scoped.named_by_path(KIND, request.path["id"])
        return Reply(200, objects.customer(customer))

    def update(self, request: Request[UpdateCustomer]) -> Reply:
        """Changes what was sent and leaves the rest."""
        scoped = ScopedDocuments(self._documents, request.scope)
        before = scoped.named_by_path(KIND, request.path["id"])
        data = _with_currency(request, _merged(before.data, request.params.sent()))
        after = replace(before, data=storable(data))
        relied_on = self._require_own_default(request, after)
        if data == before.data:
            return Reply(200, objects.customer(before), unchanged=True)
        old, new = _entries(before), _entries(after)
        write = updated(
            before,
            after.data,
            request.context,
            listed=[entry for entry in new if entry not in old],
            unlisted=[entry for entry in old if entry not in new],
        )
        writes = [replace(write, unchanged=relied_on)]
        changed = data["balance"] - before.data.get("balance", 0)
        if changed:
            writes.append(transacted(request, write.document, changed, "adjustment"))
        return self._commit(request, writes)

    def delete(self, request: Request[NoParams]) -> Reply:
        """Detaches the customer's payment methods and leaves a tombstone without personal data."""
        scoped = ScopedDocuments(self._documents, request.scope)
        customer = scoped.named_by_path(KIND, request.path["id"])
        self._detach_all(request, customer)
        entries = _entries(customer)
        tombstone = updated(customer, {"deleted": True}, request.context, unlisted=entries)
        self._documents.commit([tombstone])
        # Nothing is attached from now on; what was meanwhile goes as well.
        self._detach_all(request, customer)
        return Reply(200, objects.deleted(tombstone.document))

    def _detach_all(self, request: Request[NoParams], customer: Document) -> None:
        scoped = ScopedDocuments(self._documents, request.scope)
        query = PageQuery(limit=DETACHED_AT_ONCE_MAX)
        for _ in range(_DELETION_ROUNDS_MAX):
            collection = attached_collection(customer.id)
            page = self._documents.page(request.scope, collection, query)
            if not page.ids:
                return
            methods = scoped.in_order(page.ids)
            self._documents.commit([detached(method, request.context) for method in methods])
        raise TransientError("The customer has more payment methods than one request can detach.")

    def _first_payment_method(
        self, request: Request[CreateCustomer], customer_id: str, method_id: str | None
    ) -> DocumentWrite | None:
        if method_id is None:
            return None
        made = made_attached(request, method_id, customer_id, self._sandbox_cards)
        if made is not None:
            return made
        scoped = ScopedDocuments(self._documents, request.scope)
        method = scoped.named_by_param("payment_method", method_id, "payment_method")
        return attached(method, customer_id, request.context)

    def _require_own_default(
        self,
        request: Request[Any],
        customer: Document,
        just_attached: DocumentWrite | None = None,
    ) -> tuple[Document, ...]:
        """Refuses a default payment method that is not this customer's.

        Returns: the one there is, which may not be detached meanwhile.
        """
        if "invoice_settings" not in request.params.model_fields_set:
            return ()
        method_id = customer.data["invoice_settings"].get("default_payment_method")
        if method_id is None or (just_attached and method_id == just_attached.document.id):
            return ()
        scoped = ScopedDocuments(self._documents, request.scope)
        param = "invoice_settings[default_payment_method]"
        method = scoped.named_by_param("payment_method", method_id, param)
        if method.data.get("customer") != customer.id:
            raise RejectedError(
                f"The customer does not have a payment method with the ID {method_id}. The payment"
                " method must be attached to the customer.",
                code="resource_missing",
                param=param,
            )
        return (method,)

    def _commit(self, request: Request[Any], writes: Sequence[DocumentWrite]) -> Reply:
        reply = Reply(200, objects.customer(writes[0].document))
        self._documents.commit(writes, request.answered(reply))
        return reply


def _of_balance(params: UpdateCustomer, scope: Scope) -> Sequence[str]:
    """Names the account, whose currency a first balance is in."""
    return [scope.account] if "balance" in params.model_fields_set else []


def _with_currency(request: Request[Any], data: dict[str, Any]) -> dict[str, Any]:
    """Returns the data of a customer whose balance, where there is any, has a currency."""
    if not data["balance"] or data.get("currency") is not None:
        return data
    account = request.references[request.scope.account]
    return {**data, "currency": account.data["default_currency"]}


def _merged(stored: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    """Applies sent parameters; what is unset gets its default back."""
    changes = {
        name: _DEFAULTS.get(name) if value is None else value for name, value in sent.items()
    }
    merged = {**_DEFAULTS, **stored, **changes}
    merged["metadata"] = merge_metadata(stored.get("metadata", {}), sent.get("metadata", {}))
    settings = {**stored.get("invoice_settings", {}), **sent.get("invoice_settings", {})}
    merged["invoice_settings"] = settings
    return merged


def _entries(customer: Document) -> tuple[ListEntry, ...]:
    entries = (ListEntry(KIND, customer.created_ms, customer.id),)
    email = customer.data.get("email")
    if email is None:
        return entries
    return (*entries, ListEntry(_email_collection(email), customer.created_ms, customer.id))


def _email_collection(email: str) -> str:
    """Names the list of customers with an address, without showing it in a key."""
    return f"{KIND}/email/{hashlib.sha256(email.encode()).hexdigest()}"
