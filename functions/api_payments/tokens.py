"""Payments by tokens: of a card, from which a payment method is made, and of a confirmation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from functions.api_payments.models import (
    ConfirmPaymentIntent,
    CreatePaymentIntent,
    UpdatePaymentIntent,
)
from functions.api_payments.orders import PaymentMethodChoice, method_of, new_choice
from functions.api_payments.references import require
from shared.domain.confirmation_tokens import KIND as CONFIRMATION_TOKEN
from shared.domain.documents import Document
from shared.domain.ports import DocumentStore, SandboxCards
from shared.edge.api import Request
from shared.edge.methods import is_unused, new_method, require_current, require_one, used_up

_METHOD, _DATA = "payment_method", "payment_method_data"
# What a confirmation token says of its payment.
_SAID = ("setup_future_usage", "shipping")
# The parameters that say what to pay with; an update takes no confirmation token.
_SOURCES = (_METHOD, _DATA, CONFIRMATION_TOKEN)

Said = CreatePaymentIntent | UpdatePaymentIntent | ConfirmPaymentIntent


@dataclass(frozen=True, slots=True)
class Tokens:
    """Chooses payment methods by tokens."""

    documents: DocumentStore
    sandbox_cards: SandboxCards

    def choice(
        self, request: Request[Any], payment_id: str, references: Mapping[str, Document]
    ) -> PaymentMethodChoice | None:
        """Returns the payment method that a request brings; None where it brings none.

        Args: references: the documents that the parameters name.
        Raises: RejectedError when a token cannot be used, or two things are to be paid with.
        """
        params: Said = request.params
        require_one(params, *_SOURCES)
        token_id = _confirmation_token(params)
        if token_id is not None:
            noun = "confirmation token"
            token = require(references, request.scope, token_id, noun, CONFIRMATION_TOKEN)
            return self._confirmed(request, payment_id, token)
        if params.payment_method_data is None:
            return None
        made = new_method(request, params.payment_method_data, lambda: self.sandbox_cards)
        return replace(new_choice(request, made.data), used=made.used)

    def _confirmed(
        self, request: Request[Any], payment_id: str, token: Document
    ) -> PaymentMethodChoice:
        """Uses a confirmation token up; a request that goes on with its own did so before."""
        data, used = token.data, list[Mapping[str, Any]]()
        if is_unused(request, token, CONFIRMATION_TOKEN):
            require_current(token, request.now_ms)
            used.append(used_up(request, token, payment_intent=payment_id))
        method_id = data["payment_method"]
        if method_id is None:
            choice = new_choice(request, data["method"])
        else:
            found = self.documents.get_many([method_id])
            document = require(found, request.scope, method_id, "PaymentMethod", _METHOD)
            choice = method_of(document, resumed=request.resumed)
        details = {name: data[name] for name in _SAID if data[name] is not None}
        return replace(choice, used=tuple(used), details=details)


def names_method(params: Said) -> bool:
    """Tells whether a request says what to pay with."""
    return any(getattr(params, name, None) is not None for name in _SOURCES)


def tokens_of(params: Said) -> Sequence[str | None]:
    """Names the tokens that a request wants to pay with."""
    data = params.payment_method_data
    return data.card.token if data is not None else None, _confirmation_token(params)


def _confirmation_token(params: Said) -> str | None:
    return None if isinstance(params, UpdatePaymentIntent) else params.confirmation_token
