"""Every test card and what paying with it leads to: one table, which docs/test-cards.md shows.

What stands here is what is expected, from Stripe's documentation; shared/domain/sandbox_cards.py is
what the sandbox does.
Source: Stripe documentation, "Testing".
"""

from collections.abc import Mapping
from dataclasses import dataclass

PAID = "succeeded"
DECLINED = "requires_payment_method"
CHALLENGED = "requires_action"

EVENTS: Mapping[str, tuple[str, ...]] = {
    PAID: ("payment_intent.created", "charge.succeeded", "payment_intent.succeeded"),
    DECLINED: ("payment_intent.created", "charge.failed", "payment_intent.payment_failed"),
    CHALLENGED: ("payment_intent.created", "payment_intent.requires_action"),
}
"""What a payment that ends so at its confirmation is announced as."""


@dataclass(frozen=True, slots=True)
class Refunded:
    """How a refund begins and ends. Args: events: of its end. failure: Stripe's failure_reason."""

    begins: str
    ends: str
    events: tuple[str, ...]
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """What paying with a test card leads to.

    Args: name: what follows `pm_card_`, empty where the card has a number only. status: of the
    payment intent. code, decline_code: of the error. off_session: the status where the cardholder
    is not there, and wanted: where the merchant wants an authentication; None where it is the same.
    cvc, line1, postal: what the issuer says of them where
    they are given. risk: the outcome's risk level. blocked: by the risk score, never sent to the
    network. is_available: the money is available at once. unserved: what follows at Stripe and
    does not here.
    """

    number: str
    name: str
    status: str = PAID
    code: str | None = None
    decline_code: str | None = None
    off_session: str | None = None
    wanted: str | None = None
    brand: str = "visa"
    funding: str = "credit"
    country: str = "US"
    cvc: str = "pass"
    line1: str = "pass"
    postal: str = "pass"
    risk: str = "normal"
    blocked: bool = False
    refund: Refunded | None = None
    is_available: bool = False
    unserved: str = ""

    @property
    def alias(self) -> str:
        """The payment method that the card is used by without being typed."""
        return f"pm_card_{self.name}"

    @property
    def outcome(self) -> tuple[str, str]:
        """The charge's outcome: its type and network status."""
        if self.blocked:
            return "blocked", "not_sent_to_network"
        if self.status == DECLINED:
            return "issuer_declined", "declined_by_network"
        return "authorized", "approved_by_network"


def _declined(number: str, name: str, code: str, decline_code: str, cvc: str = "pass") -> Row:
    return Row(number, name, DECLINED, code, decline_code, cvc=cvc)


def _blocked(number: str, name: str) -> Row:
    refusal = ("card_declined", "fraudulent")
    return Row(number, name, DECLINED, *refusal, risk="highest", blocked=True)


def _challenged(
    number: str, name: str, *, country: str = "US", off_session: str = DECLINED, unserved: str = ""
) -> Row:
    return Row(
        number, name, CHALLENGED, off_session=off_session, country=country, unserved=unserved
    )


BRANDS = (
    Row("4242424242424242", "visa"),
    Row("4000056655665556", "visa_debit", funding="debit"),
    Row("5555555555554444", "mastercard", brand="mastercard"),
    Row("2223003122003222", "", brand="mastercard"),
    Row("5200828282828210", "mastercard_debit", brand="mastercard", funding="debit"),
    Row("5105105105105100", "mastercard_prepaid", brand="mastercard", funding="prepaid"),
    Row("378282246310005", "amex", brand="amex"),
    Row("371449635398431", "", brand="amex"),
    Row("6011111111111117", "discover", brand="discover"),
    Row("6011000990139424", "", brand="discover"),
    Row("6011981111111113", "", brand="discover", funding="debit"),
    Row("3056930009020004", "diners", brand="diners"),
    Row("36227206271667", "", brand="diners"),
    Row("3566002020360505", "jcb", brand="jcb", country="JP"),
    Row("6200000000000005", "unionpay", brand="unionpay", country="CN"),
    Row("6200000000000047", "", brand="unionpay", funding="debit", country="CN"),
    Row("6205500000000000004", "", brand="unionpay", country="CN"),
)

COUNTRIES = tuple(
    Row(number, country.lower(), country=country)
    for number, country in (
        ("4000000760000002", "BR"),
        ("4000001240000000", "CA"),
        ("4000004840008001", "MX"),
        ("4000008260000000", "GB"),
        ("4000002760000016", "DE"),
        ("4000002500000003", "FR"),
        ("4000005280000002", "NL"),
        ("4000007240000007", "ES"),
        ("4000003800000008", "IT"),
        ("4000007520000008", "SE"),
        ("4000007560000009", "CH"),
        ("4000000360000006", "AU"),
        ("4000003920000003", "JP"),
        ("4000007020000003", "SG"),
        ("4000003440000004", "HK"),
    )
)

DECLINES = (
    _declined("4000000000000002", "visa_chargeDeclined", "card_declined", "generic_decline"),
    _declined(
        "4000000000009995",
        "visa_chargeDeclinedInsufficientFunds",
        "card_declined",
        "insufficient_funds",
    ),
    _declined("4000000000009987", "visa_chargeDeclinedLostCard", "card_declined", "lost_card"),
    _declined("4000000000009979", "visa_chargeDeclinedStolenCard", "card_declined", "stolen_card"),
    _declined("4000000000000069", "chargeDeclinedExpiredCard", "expired_card", "expired_card"),
    _declined(
        "4000000000000127",
        "chargeDeclinedIncorrectCvc",
        "incorrect_cvc",
        "incorrect_cvc",
        cvc="fail",
    ),
    _declined(
        "4000000000000119",
        "chargeDeclinedProcessingError",
        "processing_error",
        "processing_error",
    ),
    _declined(
        "4000000000006975",
        "visa_chargeDeclinedVelocityLimitExceeded",
        "card_declined",
        "card_velocity_exceeded",
    ),
    _declined("4000000000000341", "chargeCustomerFail", "card_declined", "generic_decline"),
)

RISKS = (
    Row("4000000000009235", "riskLevelElevated", risk="elevated"),
    _blocked("4000000000004954", "riskLevelHighest"),
    _blocked("4100000000000019", "radarBlock"),
    Row("4000000000000101", "cvcCheckFail", cvc="fail"),
    Row("4000000000000036", "avsZipFail", postal="fail"),
    Row("4000000000000010", "avsFail", line1="fail", postal="fail"),
    Row("4000000000000028", "avsLine1Fail", line1="fail"),
    Row("4000000000000044", "avsUnchecked", line1="unavailable", postal="unavailable"),
)

CHALLENGES = (
    _challenged(
        "4000002500003155",
        "authenticationRequiredOnSetup",
        country="FR",
        unserved="being exempt off session once it was set up",
    ),
    _challenged("4000002760003184", "authenticationRequired", country="DE"),
    _challenged(
        "4000003800000446",
        "authenticationRequiredSetupForOffSession",
        country="IT",
        off_session=PAID,
    ),
    _challenged("4000000000003220", "threeDSecure2Required", country="IE"),
    _challenged("4000008400000027", ""),
    _challenged(
        "4000008400001629",
        "threeDSecureRequiredChargeDeclined",
        unserved="the decline after the authentication",
    ),
    _challenged(
        "4000008260003178",
        "authenticationRequiredChargeDeclinedInsufficientFunds",
        country="GB",
        unserved="the decline after the authentication, for insufficient funds",
    ),
    Row("4000000000003055", "threeDSecureOptional", wanted=CHALLENGED),
)

LATER = (
    Row(
        "4000000000007726",
        "pendingRefund",
        refund=Refunded("pending", "succeeded", ("refund.updated", "charge.refunded")),
    ),
    Row(
        "4000000000005126",
        "refundFail",
        refund=Refunded(
            "succeeded", "failed", ("refund.updated", "refund.failed"), "expired_or_canceled_card"
        ),
    ),
    Row("4000000000000077", "bypassPending", is_available=True),
    Row("4000003720000278", "bypassPendingInternational", country="IE", is_available=True),
    Row("4000000000000259", "createDispute", unserved="a dispute as fraudulent"),
    Row(
        "4000000000002685",
        "createDisputeProductNotReceived",
        unserved="a dispute as product not received",
    ),
    Row("4000000000001976", "createDisputeInquiry", unserved="an inquiry"),
    Row("4000000404000079", "createMultipleDisputes", unserved="several disputes"),
    Row("4000000000005423", "createIssuerFraudRecord", unserved="an early fraud warning"),
)

SECTIONS: Mapping[str, tuple[Row, ...]] = {
    "Brands": BRANDS,
    "Countries": COUNTRIES,
    "Declines": DECLINES,
    "Risk and checks": RISKS,
    "Authentication": CHALLENGES,
    "Refunds, balance, disputes": LATER,
}
"""All cards, by the section of the document that shows them."""

ROWS = tuple(row for rows in SECTIONS.values() for row in rows)


@dataclass(frozen=True, slots=True)
class Invalid:
    """A part of a card that a payment method or token is not made of: 402, `card_error`."""

    param: str
    value: str
    code: str


INVALID = (
    Invalid("number", "4242424242424241", "incorrect_number"),
    Invalid("number", "4242", "invalid_number"),
    Invalid("exp_month", "13", "invalid_expiry_month"),
    Invalid("exp_year", "2020", "invalid_expiry_year"),
    Invalid("cvc", "99", "invalid_cvc"),
)


def line_of(row: Row) -> str:
    """Writes a row as the document shows it."""
    number = " ".join(row.number[start : start + 4] for start in range(0, len(row.number), 4))
    alias = f"`{row.alias}`" if row.name else ""
    return f"| {number} | {alias} | {'; '.join(_facts(row))} |"


def invalid_line_of(row: Invalid) -> str:
    """Writes a row of what is no card as the document shows it."""
    return f"| `card[{row.param}]` | `{row.value}` | `{row.code}` |"


def _facts(row: Row) -> list[str]:
    checks = {
        "cvc_check": row.cvc,
        "address_line1_check": row.line1,
        "address_postal_code_check": row.postal,
    }
    ends = row.refund
    said = [
        _verdict(row),
        f"{row.brand}, {row.funding}, {row.country}",
        "blocked by the risk score" if row.blocked else "",
        "" if row.risk == "normal" else f"`risk_level` {row.risk}",
        *(f"`{name}` {word}" for name, word in checks.items() if word != "pass"),
        f"its refunds are {ends.begins}, five seconds later {ends.ends}" if ends else "",
        f"`{ends.failure}`" if ends and ends.failure else "",
        "the money is available at once" if row.is_available else "",
        f"not served: {row.unserved}" if row.unserved else "",
    ]
    return [text for text in said if text]


def _verdict(row: Row) -> str:
    if row.status == DECLINED:
        return f"`{row.code}` / `{row.decline_code}`"
    if row.status == PAID:
        return f"paid; where authentication is wanted `{row.wanted}`" if row.wanted else "paid"
    absent = "paid" if row.off_session == PAID else "`authentication_required`"
    return f"`requires_action`; off session {absent}"
