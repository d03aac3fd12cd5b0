"""Payment methods that requests bring along: of a card's token, or of a confirmation token.

A card's number is never among them: the vault alone takes those, and gives tokens for them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from shared.domain.cards import SANDBOX_METHOD_PREFIX
from shared.domain.confirmation_tokens import KIND as CONFIRMATION_TOKEN
from shared.domain.confirmation_tokens import expires_at_ms
from shared.domain.documents import Document, Scope
from shared.domain.errors import RejectedError
from shared.domain.ports import SandboxCards
from shared.edge.api import Request
from shared.edge.fields import Address, BillingDetails, Metadata, ObjectId, merge_metadata
from shared.edge.params import Params
from shared.wire import objects
from shared.wire.errors import RequestError, missing_reference

TOKEN_PARAM = "payment_method_data[card][token]"
# What merchants call the sandbox's cards by where a token is wanted, such as tok_visa.
_TOKEN_PREFIX = "tok_"
_ADDRESS = ("city", "country", "line1", "line2", "postal_code", "state")
_CONTACT = ("email", "name", "phone", "tax_id")

# Composed at its first use only: few requests name a test card.
SandboxCardsSource = Callable[[], SandboxCards]


class TokenizedCard(Params):
    """A card, by the token that the vault made of it."""

    token: ObjectId


class PaymentMethodData(Params):
    """A payment method to be made with what it is used for."""

    type: Literal["card"]
    card: TokenizedCard
    allow_redisplay: Literal["always", "limited", "unspecified"] = "unspecified"
    billing_details: BillingDetails = BillingDetails()
    metadata: Metadata = None


@dataclass(frozen=True, slots=True)
class NewMethod:
    """A payment method to be made.

    Args: data: of its document. used: the token that is used up by it, as `used_up` has it; none
    for a sandbox card by name, and where this very request used it before it was resumed.
    """

    data: Mapping[str, Any]
    used: tuple[Mapping[str, Any], ...] = ()


def new_method(
    request: Request[Any],
    sent: PaymentMethodData,
    sandbox_cards: SandboxCardsSource,
    *,
    param: str = TOKEN_PARAM,
) -> NewMethod:
    """Returns the payment method that a request wants made; its references hold the token.

    Args: param: that names the token.
    Raises: RejectedError when there is no such token, or it was used.
    """
    token_id = sent.card.token
    token = request.references.get(token_id)
    details = billing_details_of(sent.billing_details)
    used: tuple[Mapping[str, Any], ...] = ()
    if token is not None and _sees(request.scope, token, "token"):
        if is_unused(request, token, param):
            used = (used_up(request, token),)
        card = token.data["card"]
        details = filled_in(details, token.data["billing_details"])
    else:
        is_alias = token_id.startswith(_TOKEN_PREFIX)
        card = _sandbox_card(request.scope, token_id, sandbox_cards) if is_alias else None
        if card is None:
            raise missing_reference("token", token_id, param)
    return NewMethod(
        {
            "type": "card",
            "card": card,
            "billing_details": details,
            "customer": None,
            "metadata": merge_metadata({}, sent.metadata),
            "allow_redisplay": sent.allow_redisplay,
        },
        used,
    )


def sandbox_method(
    scope: Scope, alias: str, sandbox_cards: SandboxCardsSource
) -> Mapping[str, Any] | None:
    """Returns the payment method that a test card's name stands for, to be made; None without one.

    Args: alias: such as "pm_card_visa".
    """
    if not alias.startswith(SANDBOX_METHOD_PREFIX):
        return None
    card = _sandbox_card(scope, alias, sandbox_cards)
    if card is None:
        return None
    details = objects.billing_details(None)
    return {"card": card, "billing_details": details, "metadata": {}, "customer": None}


def is_unused(request: Request[Any], token: Document, param: str) -> bool:
    """Tells whether a token is still to be used up; not where this very request did it, resumed.

    Raises: RejectedError when another request used it.
    """
    if not token.data["used"]:
        return True
    if token.data.get("used_by") == _use(request):
        return False
    raise RejectedError(
        f"You cannot use a Stripe token more than once: {token.id}.",
        code="token_already_used",
        param=param,
    )


def used_up(request: Request[Any], token: Document, **facts: str) -> dict[str, Any]:
    """Returns what `shared.domain.audit_trail.next_version` writes: the token, used.

    Args: facts: to note with it, such as what it was used for.
    """
    data = {**token.data, **facts, "used": True, "used_by": _use(request)}
    return {"before": asdict(token), "data": data}


def require_current(token: Document, now_ms: int) -> None:
    """Refuses a confirmation token that came too late.

    Raises: RejectedError.
    """
    if now_ms >= expires_at_ms(token):
        raise RejectedError(
            f"This ConfirmationToken has expired: {token.id}. Create a new one.",
            code="confirmation_token_expired",
            param=CONFIRMATION_TOKEN,
        )


def require_kept(method: Document) -> None:
    """Refuses to use a payment method that its customer gave up.

    Raises: RejectedError.
    """
    if method.data.get("detached"):
        raise RejectedError(
            "The provided PaymentMethod was detached from a Customer. It may not be used "
            "again; create a new one.",
            code="payment_method_unexpected_state",
            param="payment_method",
        )


def require_one(params: Params, *names: str) -> None:
    """Refuses a request that says more than once what it wants to pay with.

    Raises: RequestError.
    """
    given = [name for name in names if getattr(params, name, None) is not None]
    if len(given) > 1:
        raise RequestError(
            f"You may only specify one of these parameters: {', '.join(given)}.",
            code="parameters_exclusive",
            param=given[1],
        )


def require_nothing_of_confirmation(params: Params, names: Sequence[str], noun: str) -> None:
    """Refuses what is said of a confirmation where nothing is confirmed.

    Args: names: of the parameters that mean something only there. noun: what is not confirmed.
    Raises: RequestError.
    """
    for name in names:
        if getattr(params, name):
            raise RequestError(
                f"You can only pass `{name}` when the {noun} is confirmed with this request: set"
                " `confirm` to true.",
                param=name,
            )


def billing_details_of(details: BillingDetails) -> dict[str, Any]:
    """Returns billing details as they are stored: every part, null where it was not sent."""
    sent = details.address or Address()
    return {
        "address": {name: getattr(sent, name) for name in _ADDRESS},
        **{name: getattr(details, name) for name in _CONTACT},
    }


def filled_in(details: dict[str, Any], holder: Mapping[str, Any]) -> dict[str, Any]:
    """Completes billing details by what the token knows of its holder.

    An address is taken whole or not at all, because parts of two make a third.
    """
    if not holder:
        return details
    address = details["address"]
    has_address = any(value is not None for value in address.values())
    return {
        "address": address if has_address else dict(holder["address"]),
        **{name: holder[name] if details[name] is None else details[name] for name in _CONTACT},
    }


def _sandbox_card(
    scope: Scope, alias: str, sandbox_cards: SandboxCardsSource
) -> Mapping[str, Any] | None:
    """Describes a test card by its name; None where there is none, which in live mode is always."""
    card = None if scope.livemode else sandbox_cards().describe(alias, scope.account)
    return asdict(card) if card is not None else None


def _sees(scope: Scope, document: Document, kind: str) -> bool:
    return document.kind == kind and document.scope == scope


def _use(request: Request[Any]) -> str:
    """Names the request to its retries."""
    return request.claim.use if request.claim is not None else request.request_id
