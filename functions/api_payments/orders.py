"""What the saga `pay` is ordered to do: with which payment, and which payment method."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from functions.api_payments.models import CreateCharge, CreatePaymentIntent
from shared.domain.cards import SANDBOX_METHOD_PREFIX
from shared.domain.documents import Document
from shared.domain.lists import stripes_of
from shared.domain.payment import Payment
from shared.domain.ports import SandboxCards
from shared.edge import methods
from shared.edge.api import Request
from shared.wire.errors import missing_reference

# A card provider for every payment: there is one as long as routing is not built.
PROVIDER = "sandbox"


@dataclass(frozen=True, slots=True)
class PaymentMethodChoice:
    """The payment method to charge.

    Args: facts: see Payment.method_facts. new: data of the document to be made with the payment,
    where there is none yet. used: tokens that are used up by it, see shared.edge.methods. details:
    of the payment, which came with a token.
    """

    id: str
    card: Mapping[str, Any]
    billing_details: Mapping[str, Any]
    customer: str | None
    facts: Mapping[str, Any]
    new: Mapping[str, Any] | None = None
    used: tuple[Mapping[str, Any], ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    def order(self) -> dict[str, Any]:
        """Returns what the saga needs to charge it."""
        chosen = asdict(self)
        for name in ("new", "used", "details"):
            del chosen[name]
        return chosen


@dataclass(frozen=True, slots=True)
class Presence:
    """Whether the customer is there.

    Args: challenge: to authenticate, so that nobody is asked in vain. off_session: the merchant
    says that they are not.
    """

    challenge: bool
    off_session: bool


def is_alias(method_id: str) -> bool:
    """Tells whether a payment method is a sandbox card's name, which is no document's id."""
    return method_id.startswith(SANDBOX_METHOD_PREFIX)


def method_of(document: Document, *, resumed: bool) -> PaymentMethodChoice:
    """Chooses a payment method that there is.

    Raises: RejectedError when it was detached; a retry goes on with what was begun before.
    """
    data = document.data
    if not resumed:
        methods.require_kept(document)
    return PaymentMethodChoice(
        document.id,
        data["card"],
        data["billing_details"],
        data.get("customer"),
        _facts(data, document.created_ms),
    )


def sandbox_method(request: Request[Any], alias: str, cards: SandboxCards) -> PaymentMethodChoice:
    """Makes a payment method of a sandbox card's name.

    Raises: RejectedError when there is none of that name; in live mode there never is.
    """
    data = methods.sandbox_method(request.scope, alias, lambda: cards)
    if data is None:
        raise missing_reference("PaymentMethod", alias, "payment_method")
    return new_choice(request, data)


def new_choice(request: Request[Any], data: Mapping[str, Any]) -> PaymentMethodChoice:
    """Chooses a payment method that is to be made.

    Args: data: of its document.
    """
    facts, details = _facts(data, request.now_ms), data["billing_details"]
    return PaymentMethodChoice(request.new_id("pm"), data["card"], details, None, facts, new=data)


def _facts(data: Mapping[str, Any], created_ms: int) -> Mapping[str, Any]:
    named = ("allow_redisplay", "checks", "customer", "metadata")
    return {"created_ms": created_ms, **{name: data[name] for name in named if name in data}}


def created_data(
    request: Request[CreatePaymentIntent] | Request[CreateCharge],
    payment_id: str,
    method: PaymentMethodChoice | None,
    capture_method: str,
    details: Mapping[str, Any],
    card_options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Returns the data of the event that creates a payment.

    Args: details, card_options: see Payment.
    """
    params, scope = request.params, request.scope
    stripes = stripes_of(request.references.get(scope.account), livemode=scope.livemode)
    return {
        # Nobody's is the same as one, and costs nothing.
        **({"stripes": stripes} if stripes > 1 else {}),
        **({"card_options": card_options} if card_options else {}),
        "account": scope.account,
        "livemode": scope.livemode,
        "amount_minor": params.amount,
        "currency": params.currency,
        "capture_method": capture_method,
        "client_secret": f"{payment_id}_secret_{request.entropy.token(25)}",
        "customer": params.customer,
        "payment_method": method.id if method else None,
        "payment_method_types": ["card"],
        "details": details,
    }


def pay_order(
    method: PaymentMethodChoice,
    account: Document,
    presence: Presence,
    *,
    create: Mapping[str, Any] | None = None,
    before: Payment | None = None,
    update: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Returns the order of the saga `pay`.

    Args: create: data of the event that creates the payment, or before: the payment as it is, and
    update: what its confirmation changes.
    """
    return {
        "create": create,
        "before": before.to_dict() if before else None,
        "update": update or {},
        "payment_method": method.order(),
        "new_payment_method": method.new,
        # Most payments use no token up, and carry nothing of it.
        **({"used": list(method.used)} if method.used else {}),
        "provider": PROVIDER,
        "merchant_country": account.data["country"],
        "challenge": presence.challenge,
        "off_session": presence.off_session,
    }
