"""Which payment methods are offered for an intent, where the platform is to choose them."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from shared.domain.documents import Document, Scope
from shared.domain.errors import RejectedError
from shared.domain.method_configurations import (
    KIND,
    METHODS,
    OFFERED,
    default_configuration,
    default_id,
    effective,
)
from shared.domain.ports import DocumentStore
from shared.edge.api import Request
from shared.edge.documents import NOUNS
from shared.edge.fields import Boolean, Items, refusal
from shared.edge.methods import require_one
from shared.edge.params import Params
from shared.wire.errors import missing_reference

EXCLUDED = "excluded_payment_method_types"

# What is a wallet or a brand of cards goes where cards go.
_OF_CARDS = frozenset({"apple_pay", "cartes_bancaires", "google_pay", "jcb", "link"})
_EXCLUDABLE = tuple(name for name in METHODS if name not in _OF_CARDS)


def _excluded(name: str) -> str:
    if name not in _EXCLUDABLE:
        raise refusal(f"Invalid {EXCLUDED}: must be one of {', '.join(_EXCLUDABLE)}")
    if name in OFFERED:
        raise refusal(f"`{name}` cannot be excluded: it is all that this platform has.")
    return name


_Excluded = Annotated[
    str,
    AfterValidator(_excluded),
    WithJsonSchema({"type": "string", "enum": list(_EXCLUDABLE)}),
]
# The payment methods that an intent is not to be used with: none of them is offered anyway.
ExcludedTypes = Annotated[Items[_Excluded], Field(max_length=len(_EXCLUDABLE))]


class AutomaticPaymentMethods(Params):
    """Whether the platform chooses the payment methods; cards are all there is."""

    enabled: Boolean
    allow_redirects: Literal["always", "never"] = "always"


def configuration_id(
    named: str | None, automatic: AutomaticPaymentMethods | None, scope: Scope
) -> str | None:
    """Names the configuration that says what is offered; None where nobody leaves it to one.

    Args: named: by the request.
    """
    if named is not None:
        return named
    return default_id(scope) if automatic is not None and automatic.enabled else None


def offer(
    request: Request[Any],
    documents: DocumentStore,
    named: str | None,
    automatic: AutomaticPaymentMethods | None,
) -> dict[str, Any] | None:
    """Returns the configuration that was used, as an intent tells it; see `configuration_id`.

    Its document is among the request's references, but for a default one that is not stored yet.
    Raises: RejectedError when there is no such configuration, or it offers nothing.
    """
    if named is not None:
        _require_choice(request.params, automatic)
    name = configuration_id(named, automatic, request.scope)
    if name is None:
        return None
    configuration = _found(request, name)
    if not configuration.data["active"]:
        raise RejectedError(f"The payment method configuration {name} is not active.", param=KIND)
    parent_id = configuration.data["parent"]
    parent = documents.get(parent_id) if parent_id is not None else None
    if all(effective(method, configuration, parent) == "off" for method in OFFERED):
        raise RejectedError(
            f"The payment method configuration {name} offers no payment method that this platform"
            " has: turn cards on in it, or name the payment methods with this request.",
            param=KIND if named is not None else "automatic_payment_methods",
        )
    return {"id": name, "parent": parent_id}


def other_offer(
    request: Request[Any], documents: DocumentStore, stored: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Returns what an update says of the configuration that it names; nothing if it names none.

    Args: stored: the automatic payment methods that the intent was created with, if it was.
    Raises: RejectedError as `offer` does.
    """
    named = request.params.payment_method_configuration
    if named is None:
        return {}
    automatic = AutomaticPaymentMethods(**stored) if stored else None
    return {KIND: offer(request, documents, named, automatic)}


def _found(request: Request[Any], name: str) -> Document:
    scope, document = request.scope, request.references.get(name)
    if document is None and name == default_id(scope):
        return default_configuration(scope, request.now_ms)
    is_own = document is not None and document.scope == scope
    if document is None or not is_own or document.kind != KIND:
        raise missing_reference(NOUNS[KIND], name, KIND)
    return document


def _require_choice(params: Params, automatic: AutomaticPaymentMethods | None) -> None:
    """Refuses a configuration where the request leaves nothing to it."""
    for types in ("allowed_payment_method_types", "payment_method_types"):
        require_one(params, KIND, types)
    if automatic is not None and not automatic.enabled:
        raise RejectedError(
            "A payment method configuration is used by automatic payment methods: enable them, or"
            " leave it out.",
            param=KIND,
        )
