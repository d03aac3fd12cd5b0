"""What a card provider is asked and what it answers, whoever the provider is."""

from dataclasses import dataclass, field
from enum import StrEnum

from shared.domain.cards import CardNumber


class ProviderStatus(StrEnum):
    """A provider's word on an operation.

    PENDING: accepted, and not carried out yet. RETURNED: approved before, and came back.
    """

    APPROVED = "approved"
    PENDING = "pending"
    RETURNED = "returned"
    DECLINED = "declined"
    ACTION_REQUIRED = "action_required"
    REFUSED = "refused"
    NOTHING_TO_VOID = "nothing_to_void"


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """Asks to reserve, or with `capture` to take, money from a card.

    Args: reference: our own name of the attempt (the charge id), by which it can be looked up.
    idempotency_key: a function of payment and operation alone. address_line1,
    address_postal_code: of the cardholder as the merchant gave them, for the issuer's check.
    off_session: the cardholder is not there. authenticate: the merchant wants the cardholder
    authenticated wherever the card can be, whether or not its issuer asks for it.
    """

    account: str
    payment_id: str
    reference: str
    idempotency_key: str
    card: CardNumber
    amount_minor: int
    currency: str
    capture: bool
    address_line1: str | None = None
    address_postal_code: str | None = None
    off_session: bool = False
    authenticate: bool = False


@dataclass(frozen=True, slots=True)
class VerificationRequest:
    """Asks whether a card is good, and may be charged later; no money moves.

    Args: setup_id: of the setup intent. reference, idempotency_key, address_line1,
    address_postal_code, authenticate: as of an authorization; the attempt is what it is of.
    """

    account: str
    setup_id: str
    reference: str
    idempotency_key: str
    card: CardNumber
    address_line1: str | None = None
    address_postal_code: str | None = None
    authenticate: bool = False


@dataclass(frozen=True, slots=True)
class Checks:
    """Results of the issuer's checks: "pass", "fail", "unavailable", "unchecked" or None."""

    cvc_check: str | None = None
    address_line1_check: str | None = None
    address_postal_code_check: str | None = None


@dataclass(frozen=True, slots=True)
class ProviderAnswer:
    """What the provider said; never a guess.

    Args: reference: the provider's own id. code, decline_code, message: of a decline, in Stripe's
    terms. occurred_at_ms: when it happened there, None when the provider does not tell.
    paid_at_once: what was captured is paid with this answer, not with a later settlement.
    """

    status: ProviderStatus
    reference: str
    code: str | None = None
    decline_code: str | None = None
    message: str | None = None
    authorization_code: str | None = None
    network_transaction_id: str | None = None
    occurred_at_ms: int | None = None
    paid_at_once: bool = False
    checks: Checks = field(default_factory=Checks)

    @property
    def decline(self) -> dict[str, str | None]:
        """Why it was declined, as events have it."""
        return {
            "code": self.code or "card_declined",
            "decline_code": self.decline_code,
            "message": self.message or "Your card was declined.",
        }


def idempotency_key(reference: str, operation: str) -> str:
    """Names an operation for the provider, without region, send attempt or clock.

    Args: reference: id of the charge, increment, refund or setup attempt. operation: "sale",
    "authorization", "increment", "capture", "void", "refund" or "verification".
    """
    return f"{reference}/{operation}"
