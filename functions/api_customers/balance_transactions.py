"""A customer's balance: what the next invoices add or take off, changed by transactions alone."""

from collections.abc import Mapping
from typing import Any, Literal

from functions.api_customers.models import (
    BALANCE_MINOR_MAX,
    CreateBalanceTransaction,
    UpdateBalanceTransaction,
)
from shared.domain.audit_trail import created, updated
from shared.domain.documents import Document, DocumentWrite, ListEntry
from shared.domain.errors import RejectedError
from shared.domain.ports import DocumentStore
from shared.edge.api import Api, Reply, Request
from shared.edge.documents import ScopedDocuments, storable
from shared.edge.fields import ListParams, NoParams, merge_metadata
from shared.wire import objects
from shared.wire.errors import no_such

KIND = "customer_balance_transaction"

# How a balance came about: with its customer, or by a later change.
Type = Literal["initial", "adjustment"]


def register(api: Api, documents: DocumentStore) -> None:
    """Adds the operations to the API."""
    transactions = _BalanceTransactions(documents)
    path = "/v1/customers/{customer}/balance_transactions"
    api.post(path, CreateBalanceTransaction, returns=KIND)(transactions.create)
    api.list(path, ListParams, returns=KIND)(transactions.list)
    api.get(path + "/{id}", NoParams, returns=KIND)(transactions.retrieve)
    api.post(path + "/{id}", UpdateBalanceTransaction, returns=KIND)(transactions.update)


def transacted(
    request: Request[Any],
    customer: Document,
    amount_minor: int,
    kind: Type,
    *,
    description: str | None = None,
    metadata: Mapping[str, str] | None = None,
) -> DocumentWrite:
    """Makes the transaction of a balance's change, to be written with its customer.

    Whoever changes a balance writes the next version of the customer with it, so that of two
    writers one loses, and each transaction ends where the next begins.
    Args: customer: as it is after the change.
    """
    document = request.document(
        request.new_id("cbtxn"),
        KIND,
        {
            "amount": amount_minor,
            "currency": customer.data["currency"],
            "customer": customer.id,
            "description": description,
            "ending_balance": customer.data["balance"],
            "metadata": dict(metadata or {}),
            "type": kind,
        },
    )
    listed = ListEntry(_collection(customer.id), document.created_ms, document.id)
    return created(document, request.context, listed=[listed])


class _BalanceTransactions:
    def __init__(self, documents: DocumentStore) -> None:
        self._documents = documents

    def create(self, request: Request[CreateBalanceTransaction]) -> Reply:
        """Changes a customer's balance by an amount."""
        params = request.params
        before = self._customer(request)
        balance = before.data.get("balance", 0) + params.amount
        _require_currency(before, params.currency)
        if abs(balance) > BALANCE_MINOR_MAX:
            raise RejectedError(
                f"The customer's balance would be {balance}; it must be between"
                f" {-BALANCE_MINOR_MAX} and {BALANCE_MINOR_MAX}.",
                param="amount",
            )
        data = {**before.data, "balance": balance, "currency": params.currency}
        after = updated(before, data, request.context)
        transaction = transacted(
            request,
            after.document,
            params.amount,
            "adjustment",
            description=params.description,
            metadata=merge_metadata({}, params.metadata),
        )
        reply = Reply(200, objects.customer_balance_transaction(transaction.document))
        self._documents.commit([transaction, after], request.answered(reply))
        return reply

    def list(self, request: Request[ListParams]) -> Reply:
        """Lists the transactions of a customer's balance, newest first."""
        customer = self._customer(request)
        scoped = ScopedDocuments(self._documents, request.scope)
        url = f"/v1/customers/{customer.id}/balance_transactions"
        render = objects.customer_balance_transaction
        page = scoped.list(KIND, _collection(customer.id), request.params, render, url)
        return Reply(200, page)

    def retrieve(self, request: Request[NoParams]) -> Reply:
        """Returns a transaction."""
        return Reply(200, objects.customer_balance_transaction(self._named(request)))

    def update(self, request: Request[UpdateBalanceTransaction]) -> Reply:
        """Changes how a transaction is described; what it did stays."""
        before = self._named(request)
        sent = request.params.sent()
        metadata = merge_metadata(before.data["metadata"], sent.pop("metadata", {}))
        data = storable({**before.data, **sent, "metadata": metadata})
        if data == before.data:
            return Reply(200, objects.customer_balance_transaction(before), unchanged=True)
        write = updated(before, data, request.context)
        reply = Reply(200, objects.customer_balance_transaction(write.document))
        self._documents.commit([write], request.answered(reply))
        return reply

    def _customer(self, request: Request[Any]) -> Document:
        scoped = ScopedDocuments(self._documents, request.scope)
        return scoped.named_by_path("customer", request.path["customer"], param="customer")

    def _named(self, request: Request[Any]) -> Document:
        customer = self._customer(request)
        scoped = ScopedDocuments(self._documents, request.scope)
        transaction = scoped.named_by_path(KIND, request.path["id"], param="transaction")
        if transaction.data["customer"] != customer.id:
            raise no_such("customer balance transaction", transaction.id, "transaction")
        return transaction


def _collection(customer_id: str) -> str:
    return f"{KIND}/{customer_id}"


def _require_currency(customer: Document, currency: str) -> None:
    """Refuses a second currency: a balance is one amount."""
    own = customer.data.get("currency")
    if own not in {None, currency}:
        raise RejectedError(
            f"You cannot combine currencies on a single customer: the balance of this one is in"
            f" {own}.",
            param="currency",
        )
