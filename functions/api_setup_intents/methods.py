"""The payment method that a setup is to save."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.domain.attachment import METHOD
from shared.domain.audit_trail import created
from shared.domain.cards import SANDBOX_METHOD_PREFIX
from shared.domain.documents import Document, DocumentWrite, ListEntry
from shared.domain.errors import RejectedError
from shared.domain.ports import DocumentStore
from shared.edge.api import Request
from shared.edge.documents import ScopedDocuments
from shared.edge.methods import SandboxCardsSource, sandbox_method
from shared.wire.errors import RequestError, missing_reference
from shared.wire.setups import setup_intent


@dataclass(frozen=True, slots=True)
class Chosen:
    """A payment method to save.

    Args: writes: what is to be written with what names it: itself, of a sandbox card by name.
    """

    document: Document
    writes: Sequence[DocumentWrite] = ()


@dataclass(frozen=True, slots=True)
class Methods:
    """Finds payment methods."""

    documents: DocumentStore
    sandbox_cards: SandboxCardsSource

    def chosen(self, request: Request[Any], method_id: str | None) -> Chosen | None:
        """Finds the payment method that a request names, or makes one of a sandbox card's name.

        Raises: RejectedError when there is none, or it was detached.
        """
        if method_id is None:
            return None
        if method_id.startswith(SANDBOX_METHOD_PREFIX):
            return self._made(request, method_id)
        scoped = ScopedDocuments(self.documents, request.scope)
        method = scoped.named_by_param(METHOD, method_id, METHOD)
        if method.data.get("detached"):
            raise RejectedError(
                "The provided PaymentMethod was detached from a Customer. It may not be used "
                "again; create a new one.",
                code="payment_method_unexpected_state",
                param=METHOD,
            )
        return Chosen(method)

    def kept(self, request: Request[Any], intent: Mapping[str, Any]) -> Chosen | None:
        """Returns the payment method that an intent names already, whatever became of it."""
        method_id = intent[METHOD]
        if method_id is None:
            return None
        found = ScopedDocuments(self.documents, request.scope).find(METHOD, method_id)
        return None if found is None else Chosen(found)

    def _made(self, request: Request[Any], alias: str) -> Chosen:
        data = sandbox_method(request.scope, alias, self.sandbox_cards)
        if data is None:
            raise missing_reference("PaymentMethod", alias, METHOD)
        method = Document(
            id=request.new_id("pm"),
            kind=METHOD,
            account=request.scope.account,
            livemode=request.scope.livemode,
            version=1,
            created_ms=request.now_ms,
            data=data,
        )
        listed = ListEntry(METHOD, method.created_ms, method.id)
        write = created(method, request.context, listed=[listed])
        return Chosen(write.document, [write])


def require_owner(chosen: Chosen | None, customer: str | None, intent: Document | None) -> None:
    """Refuses a payment method of a customer other than the intent's.

    Args: intent: shown with the refusal; None for one that is not there yet.
    Raises: RequestError.
    """
    owner = chosen.document.data.get("customer") if chosen else None
    if chosen is None or owner is None or owner == customer:
        return
    method_id = chosen.document.id
    if customer is None:
        message = (
            f"The payment method supplied ({method_id}) belongs to the Customer {owner}. Please"
            " include the Customer in the `customer` parameter on the SetupIntent."
        )
    else:
        message = (
            f"The PaymentMethod {method_id} does not belong to the Customer you supplied"
            f" {customer}. Please use this PaymentMethod with the Customer that it belongs to"
            " instead."
        )
    shown = None if intent is None else setup_intent(intent)
    raise RequestError(message, param=METHOD, setup_intent=shown)
