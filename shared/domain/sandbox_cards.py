"""The sandbox's test cards: Stripe's numbers, their names and how each behaves; data only.

The vault knows by it which numbers may enter a sandbox and what it may say about them; the
sandbox card network behaves by it.

Source: Stripe documentation, "Testing".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from shared.domain.card_brands import Brand, brand_of
from shared.domain.cards import SANDBOX_METHOD_PREFIX, SANDBOX_TOKEN_PREFIX
from shared.domain.errors import InvariantError

# Cards that are used by name carry these, since nobody typed an expiry or a security code.
EXP_MONTH = 12
EXP_YEAR = 2040

TOKEN_PREFIX = "tok_"

CHECK_PASSED = "pass"
CHARGES_DECLINED = "charges_declined"
EXEMPT_OFF_SESSION = "exempt_off_session"
PAID_AT_ONCE = "paid_at_once"
REFUND_PENDING = "refund_pending"
REFUND_FAILED = "refund_failed"


class Outcome(StrEnum):
    """What the network does with an authorization."""

    APPROVE = "approve"
    DECLINE = "decline"
    AUTHENTICATION_REQUIRED = "authentication_required"


@dataclass(frozen=True, slots=True)
class Decline:
    """A refusal in Stripe's terms.

    Args: code: of the error. decline_code: of the issuer. message: for the merchant.
    """

    code: str
    decline_code: str
    message: str


@dataclass(frozen=True, slots=True)
class SandboxCard:
    """A test card.

    Args: names: what follows `pm_card_` and `tok_`, the first one canonical; empty when the card
    has a number only. country: ISO 3166 alpha-2 of the issuer. risk: "normal", "elevated" or
    "highest". decline: with the outcome decline, and for a card that is declined after the
    authentication. cvc_check, line1_check, postal_check: the issuer's answer when the value was
    given: "pass", "fail" or "unavailable". is_enrolled: in 3D Secure, so that its holder is
    authenticated where a merchant asks for it. followup: what else is special, such as how refunds
    end; what is listed here and read nowhere is not served yet.
    """

    number: str
    names: tuple[str, ...] = ()
    outcome: Outcome = Outcome.APPROVE
    decline: Decline | None = None
    funding: str = "credit"
    country: str = "US"
    risk: str = "normal"
    cvc_check: str = CHECK_PASSED
    line1_check: str = CHECK_PASSED
    postal_check: str = CHECK_PASSED
    followup: str | None = None
    is_enrolled: bool = False

    @property
    def brand(self) -> Brand:
        """The card scheme."""
        brand = brand_of(self.number)
        if brand is None:
            raise InvariantError("a sandbox card has no brand")
        return brand

    @property
    def last4(self) -> str:
        """The last four digits."""
        return self.number[-4:]

    @property
    def cvc(self) -> str:
        """A security code of the brand's length, for a card that is used by name."""
        return "1234"[: self.brand.cvc_length]


_DECLINED = "Your card was declined."
GENERIC_DECLINE = Decline("card_declined", "generic_decline", _DECLINED)
INSUFFICIENT_FUNDS = Decline(
    "card_declined", "insufficient_funds", "Your card has insufficient funds."
)
LOST_CARD = Decline("card_declined", "lost_card", _DECLINED)
STOLEN_CARD = Decline("card_declined", "stolen_card", _DECLINED)
FRAUDULENT = Decline("card_declined", "fraudulent", _DECLINED)
EXPIRED_CARD = Decline("expired_card", "expired_card", "Your card has expired.")
INCORRECT_CVC = Decline("incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect.")
PROCESSING_ERROR = Decline(
    "processing_error",
    "processing_error",
    "An error occurred while processing your card. Try again in a little bit.",
)
VELOCITY_EXCEEDED = Decline(
    "card_declined",
    "card_velocity_exceeded",
    "Your card was declined for making repeated attempts too frequently"
    " or exceeding its amount limit.",
)


def _declines(number: str, decline: Decline, *names: str, risk: str = "normal") -> SandboxCard:
    return SandboxCard(number, names, Outcome.DECLINE, decline, risk=risk)


def _authenticates(
    number: str,
    *names: str,
    country: str = "US",
    decline: Decline | None = None,
    followup: str | None = None,
) -> SandboxCard:
    return SandboxCard(
        number,
        names,
        Outcome.AUTHENTICATION_REQUIRED,
        decline,
        country=country,
        followup=followup,
        is_enrolled=True,
    )


_BY_BRAND = (
    SandboxCard("4242424242424242", ("visa", "us")),
    SandboxCard("4000056655665556", ("visa_debit",), funding="debit"),
    SandboxCard("5555555555554444", ("mastercard",)),
    SandboxCard("2223003122003222"),
    SandboxCard("5200828282828210", ("mastercard_debit",), funding="debit"),
    SandboxCard("5105105105105100", ("mastercard_prepaid",), funding="prepaid"),
    SandboxCard("378282246310005", ("amex", "amex_threeDSecureNotSupported")),
    SandboxCard("371449635398431"),
    SandboxCard("6011111111111117", ("discover",)),
    SandboxCard("6011000990139424"),
    SandboxCard("6011981111111113", funding="debit"),
    SandboxCard("3056930009020004", ("diners",)),
    SandboxCard("36227206271667"),
    SandboxCard("3566002020360505", ("jcb",), country="JP"),
    SandboxCard("6200000000000005", ("unionpay",), country="CN"),
    SandboxCard("6200000000000047", funding="debit", country="CN"),
    SandboxCard("6205500000000000004", country="CN"),
)

_BY_COUNTRY = (
    SandboxCard("4000000760000002", ("br",), country="BR"),
    SandboxCard("4000001240000000", ("ca",), country="CA"),
    SandboxCard("4000004840008001", ("mx",), country="MX"),
    SandboxCard("4000008260000000", ("gb",), country="GB"),
    SandboxCard("4000002760000016", ("de",), country="DE"),
    SandboxCard("4000002500000003", ("fr",), country="FR"),
    SandboxCard("4000005280000002", ("nl",), country="NL"),
    SandboxCard("4000007240000007", ("es",), country="ES"),
    SandboxCard("4000003800000008", ("it",), country="IT"),
    SandboxCard("4000007520000008", ("se",), country="SE"),
    SandboxCard("4000007560000009", ("ch",), country="CH"),
    SandboxCard("4000000360000006", ("au",), country="AU"),
    SandboxCard("4000003920000003", ("jp",), country="JP"),
    SandboxCard("4000007020000003", ("sg",), country="SG"),
    SandboxCard("4000003440000004", ("hk",), country="HK"),
)

_DECLINING = (
    _declines("4000000000000002", GENERIC_DECLINE, "visa_chargeDeclined", "chargeDeclined"),
    _declines(
        "4000000000009995",
        INSUFFICIENT_FUNDS,
        "visa_chargeDeclinedInsufficientFunds",
        "chargeDeclinedInsufficientFunds",
    ),
    _declines("4000000000009987", LOST_CARD, "visa_chargeDeclinedLostCard"),
    _declines("4000000000009979", STOLEN_CARD, "visa_chargeDeclinedStolenCard"),
    _declines("4000000000000069", EXPIRED_CARD, "chargeDeclinedExpiredCard"),
    _declines("4000000000000127", INCORRECT_CVC, "chargeDeclinedIncorrectCvc"),
    _declines("4000000000000119", PROCESSING_ERROR, "chargeDeclinedProcessingError"),
    _declines("4000000000006975", VELOCITY_EXCEEDED, "visa_chargeDeclinedVelocityLimitExceeded"),
    # It can be saved, and only its charges are declined.
    SandboxCard(
        "4000000000000341",
        ("chargeCustomerFail",),
        Outcome.DECLINE,
        GENERIC_DECLINE,
        followup=CHARGES_DECLINED,
    ),
)

_RISKY = (
    _declines(
        "4100000000000019",
        FRAUDULENT,
        "radarBlock",
        "chargeDeclinedFraudulent",
        risk="highest",
    ),
    SandboxCard("4000000000004954", ("riskLevelHighest",), risk="highest"),
    SandboxCard("4000000000009235", ("riskLevelElevated",), risk="elevated"),
    SandboxCard("4000000000000101", ("cvcCheckFail",), cvc_check="fail"),
    SandboxCard("4000000000000036", ("avsZipFail",), postal_check="fail"),
    SandboxCard("4000000000000010", ("avsFail",), line1_check="fail", postal_check="fail"),
    SandboxCard("4000000000000028", ("avsLine1Fail",), line1_check="fail"),
    SandboxCard(
        "4000000000000044",
        ("avsUnchecked",),
        line1_check="unavailable",
        postal_check="unavailable",
    ),
)

_AUTHENTICATING = (
    _authenticates(
        "4000002500003155",
        "authenticationRequiredOnSetup",
        country="FR",
        followup="exempt_once_set_up",
    ),
    _authenticates("4000002760003184", "authenticationRequired", country="DE"),
    _authenticates(
        "4000003800000446",
        "authenticationRequiredSetupForOffSession",
        country="IT",
        followup=EXEMPT_OFF_SESSION,
    ),
    _authenticates("4000000000003220", "threeDSecure2Required", country="IE"),
    _authenticates("4000008400000027"),
    _authenticates(
        "4000008400001629",
        "threeDSecureRequiredChargeDeclined",
        decline=GENERIC_DECLINE,
        followup="decline_after_authentication",
    ),
    _authenticates(
        "4000008260003178",
        "authenticationRequiredChargeDeclinedInsufficientFunds",
        country="GB",
        decline=INSUFFICIENT_FUNDS,
        followup="decline_after_authentication",
    ),
    SandboxCard("4000000000003055", ("threeDSecureOptional",), is_enrolled=True),
)

_FOLLOWED = (
    SandboxCard("4000000000000259", ("createDispute",), followup="dispute_fraudulent"),
    SandboxCard(
        "4000000000002685",
        ("createDisputeProductNotReceived",),
        followup="dispute_product_not_received",
    ),
    SandboxCard("4000000000001976", ("createDisputeInquiry",), followup="dispute_inquiry"),
    SandboxCard("4000000404000079", ("createMultipleDisputes",), followup="dispute_multiple"),
    SandboxCard("4000000000005423", ("createIssuerFraudRecord",), followup="early_fraud_warning"),
    SandboxCard("4000000000007726", ("pendingRefund",), followup=REFUND_PENDING),
    SandboxCard("4000000000005126", ("refundFail",), followup=REFUND_FAILED),
    SandboxCard("4000000000000077", ("bypassPending",), followup=PAID_AT_ONCE),
    SandboxCard(
        "4000003720000278",
        ("bypassPendingInternational",),
        country="IE",
        followup=PAID_AT_ONCE,
    ),
)

CARDS: tuple[SandboxCard, ...] = (
    _BY_BRAND + _BY_COUNTRY + _DECLINING + _RISKY + _AUTHENTICATING + _FOLLOWED
)


def _indexed(pairs: Iterable[tuple[str, SandboxCard]]) -> Mapping[str, SandboxCard]:
    return MappingProxyType(dict(pairs))


_BY_NUMBER = _indexed((card.number, card) for card in CARDS)
_BY_NAME = _indexed((name, card) for card in CARDS for name in card.names)


def by_number(number: str) -> SandboxCard | None:
    """Finds a test card by its number, digits only."""
    return _BY_NUMBER.get(number)


def by_name(name: str) -> SandboxCard | None:
    """Finds a test card by one of its names."""
    return _BY_NAME.get(name)


def by_alias(alias: str) -> SandboxCard | None:
    """Finds a test card by its name as a payment method or token.

    Args: alias: such as "pm_card_visa" or "tok_visa".
    """
    for prefix in (SANDBOX_METHOD_PREFIX, TOKEN_PREFIX):
        if alias.startswith(prefix):
            return _BY_NAME.get(alias.removeprefix(prefix))
    return None


def vault_token(card: SandboxCard) -> str:
    """Names a card that is used by name; nothing is stored for it, the table is its vault.

    Raises: InvariantError when the card has a number only.
    """
    if not card.names:
        raise InvariantError("a sandbox card without a name has no vault token")
    return f"{SANDBOX_TOKEN_PREFIX}{card.names[0]}"


def by_vault_token(token: str) -> SandboxCard | None:
    """Finds the test card that a vault token of a named card stands for."""
    if not token.startswith(SANDBOX_TOKEN_PREFIX):
        return None
    return _BY_NAME.get(token.removeprefix(SANDBOX_TOKEN_PREFIX))
