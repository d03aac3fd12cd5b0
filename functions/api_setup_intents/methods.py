"""The payment method that a setup is to save."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from functions.api_setup_intents.models import (
    ConfirmSetupIntent,
    CreateSetupIntent,
    UpdateSetupIntent,
)
from shared.domain.attachment import METHOD
from shared.domain.audit_trail import created, next_version
from shared.domain.cards import SANDBOX_METHOD_PREFIX
from shared.domain.confirmation_tokens import KIND as CONFIRMATION_TOKEN
from shared.domain.documents import Document, DocumentWrite, ListEntry, Scope
from shared.domain.errors import RejectedError
from shared.domain.ports import DocumentStore
from shared.edge.api import Request
from shared.edge.documents import NOUNS, ScopedDocuments
from shared.edge.methods import (
    NewMethod,
    SandboxCardsSource,
    is_unused,
    new_method,
    require_current,
    require_kept,
    require_one,
    sandbox_method,
    used_up,
)
from shared.wire.errors import RequestError, missing_reference
from shared.wire.setups import setup_intent

_DATA = "payment_method_data"

Said = CreateSetupIntent | UpdateSetupIntent | ConfirmSetupIntent


@dataclass(frozen=True, slots=True)
class Chosen:
    """A payment method to save.

    Args: writes: what is to be written with what names it: itself where it is to be made, and the
    token that is used up by it.
    """

    document: Document
    writes: Sequence[DocumentWrite] = ()


@dataclass(frozen=True, slots=True)
class Methods:
    """Finds payment methods, and makes them."""

    documents: DocumentStore
    sandbox_cards: SandboxCardsSource

    def chosen(
        self, request: Request[Any], intent_id: str, usage: str, known: str | None = None
    ) -> Chosen | None:
        """Returns the payment method that a request names or brings.

        Args: usage: of the setup intent. known: the one to take where it does neither.
        Raises: RejectedError when there is none, or what brings it cannot be used.
        """
        params: Said = request.params
        require_one(params, METHOD, _DATA, CONFIRMATION_TOKEN)
        token_id = _confirmation_token(params)
        if token_id is not None:
            return self._confirmed(request, intent_id, usage, token_id)
        if params.payment_method_data is not None:
            made = new_method(request, params.payment_method_data, self.sandbox_cards)
            return _made(request, made)
        method_id = params.payment_method or known
        return None if method_id is None else self._named(request, method_id)

    def kept(self, request: Request[Any], intent: Mapping[str, Any]) -> Chosen | None:
        """Returns the payment method that an intent names already, whatever became of it."""
        method_id = intent[METHOD]
        if method_id is None:
            return None
        found = ScopedDocuments(self.documents, request.scope).find(METHOD, method_id)
        return None if found is None else Chosen(found)

    def _named(self, request: Request[Any], method_id: str) -> Chosen:
        if method_id.startswith(SANDBOX_METHOD_PREFIX):
            data = sandbox_method(request.scope, method_id, self.sandbox_cards)
            if data is None:
                raise missing_reference(NOUNS[METHOD], method_id, METHOD)
            return _made(request, NewMethod(data))
        scoped = ScopedDocuments(self.documents, request.scope)
        method = scoped.named_by_param(METHOD, method_id, METHOD)
        require_kept(method)
        return Chosen(method)

    def _confirmed(
        self, request: Request[Any], intent_id: str, usage: str, token_id: str
    ) -> Chosen:
        """Uses a confirmation token up."""
        scoped = ScopedDocuments(self.documents, request.scope)
        token = scoped.named_by_param(CONFIRMATION_TOKEN, token_id, CONFIRMATION_TOKEN)
        is_unused(request, token, CONFIRMATION_TOKEN)
        require_current(token, request.now_ms)
        wanted = token.data["setup_future_usage"]
        if wanted is not None and wanted != usage:
            raise RejectedError(
                f"The ConfirmationToken's `setup_future_usage` is {wanted}, and the SetupIntent's"
                f" `usage` is {usage}: they must be the same.",
                param=CONFIRMATION_TOKEN,
            )
        used = used_up(request, token, setup_intent=intent_id)
        if token.data[METHOD] is None:
            return _made(request, NewMethod(token.data["method"], (used,)))
        chosen = self._named(request, token.data[METHOD])
        return Chosen(chosen.document, [next_version(used, request.context)])


def tokens_of(params: Said, _scope: Scope) -> Sequence[str | None]:
    """Names the token of a card that a request brings, which is read with its idempotency key."""
    return (params.payment_method_data.card.token if params.payment_method_data else None,)


def names_method(params: Said) -> bool:
    """Tells whether a request says what is to be saved, or that nothing is any more."""
    return bool({METHOD, _DATA, CONFIRMATION_TOKEN} & params.model_fields_set)


def _confirmation_token(params: Said) -> str | None:
    return None if isinstance(params, UpdateSetupIntent) else params.confirmation_token


def _made(request: Request[Any], new: NewMethod) -> Chosen:
    method = request.document(request.new_id("pm"), METHOD, new.data)
    listed = ListEntry(METHOD, method.created_ms, method.id)
    write = created(method, request.context, listed=[listed])
    used = [next_version(facts, request.context) for facts in new.used]
    return Chosen(write.document, [write, *used])


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
