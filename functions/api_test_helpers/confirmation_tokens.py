"""Confirmation tokens as tests make them; in a customer's browser Stripe's own code does."""

from collections.abc import Sequence
from dataclasses import dataclass

from functions.api_test_helpers.models import CreateConfirmationToken
from functions.api_test_helpers.modes import require_test_mode
from shared.domain.audit_trail import created, next_version
from shared.domain.confirmation_tokens import KIND
from shared.domain.documents import Document, Scope
from shared.domain.errors import RejectedError
from shared.domain.ports import DocumentStore
from shared.edge.api import Api, Reply, Request
from shared.edge.methods import (
    NewMethod,
    SandboxCardsSource,
    new_method,
    require_one,
    sandbox_method,
)
from shared.wire import objects
from shared.wire.errors import missing_reference

_METHOD = "payment_method"
_SAID = ("return_url", "setup_future_usage", "shipping")


@dataclass(frozen=True, slots=True)
class ConfirmationTokens:
    """The operations on confirmation tokens that only test keys may use."""

    documents: DocumentStore
    sandbox_cards: SandboxCardsSource

    def register(self, api: Api) -> None:
        """Adds the operations to an API."""
        path = "/v1/test_helpers/confirmation_tokens"
        api.post(path, CreateConfirmationToken, returns=KIND, references=_of_creation)(self.create)

    def create(self, request: Request[CreateConfirmationToken]) -> Reply:
        """Makes a confirmation token of a payment method, or of what one is to be made of."""
        require_test_mode(request)
        require_one(request.params, _METHOD, "payment_method_data")
        method_id, method = self._method(request)
        sent = request.params.sent()
        token = request.document(
            request.new_id("ctoken"),
            KIND,
            {
                "payment_method": method_id,
                "method": method.data,
                "payment_intent": None,
                "setup_intent": None,
                "used": False,
                **{name: sent.get(name) for name in _SAID},
            },
        )
        writes = [created(token, request.context)]
        writes += [next_version(used, request.context) for used in method.used]
        reply = Reply(200, objects.confirmation_token(token))
        self.documents.commit(writes, request.answered(reply))
        return reply

    def _method(self, request: Request[CreateConfirmationToken]) -> tuple[str | None, NewMethod]:
        """Finds the payment method; the id is none where it is to be made."""
        params = request.params
        if params.payment_method_data is not None:
            return None, new_method(request, params.payment_method_data, self.sandbox_cards)
        method_id = params.payment_method
        if method_id is None:
            raise RejectedError(
                f"Missing required param: {_METHOD}.", code="parameter_missing", param=_METHOD
            )
        method = request.references.get(method_id)
        if method is None or not _is_own_method(method, request.scope):
            made = sandbox_method(request.scope, method_id, self.sandbox_cards)
            if made is None:
                raise missing_reference("PaymentMethod", method_id, _METHOD)
            return None, NewMethod(made)
        if method.data.get("detached"):
            raise RejectedError(
                "The payment method you provided was detached from a customer. It may not be used"
                " again; create a new one.",
                code="payment_method_unexpected_state",
                param=_METHOD,
            )
        return method.id, NewMethod(method.data)


def _of_creation(params: CreateConfirmationToken, _scope: Scope) -> Sequence[str | None]:
    data = params.payment_method_data
    return params.payment_method, data.card.token if data is not None else None


def _is_own_method(method: Document, scope: Scope) -> bool:
    return method.kind == _METHOD and method.scope == scope
