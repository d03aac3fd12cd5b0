"""Whether a card can be what it claims to be; refusals in Stripe's words, never with a value."""

import re
from datetime import UTC, datetime
from typing import TypeVar

from shared.domain import sandbox_cards
from shared.domain.card_brands import Brand, brand_of
from shared.domain.cards import CardNumber, passes_luhn
from shared.domain.errors import RejectedError
from shared.wire.errors import CardError

YEARS_AHEAD_MAX = 50

T = TypeVar("T")

_DIGITS_MIN, _DIGITS_MAX = 12, 19
_SEPARATORS = re.compile(r"[ \-]")
_LIVE_CARD_IN_TEST = (
    "Your card was declined. Your request was in test mode, but used a non test (live) card."
)
_TEST_CARD_IN_LIVE = (
    "Your card was declined. Your request was in live mode, but used a known test card."
)


def checked_card(
    number: str | None,
    exp_month: int | None,
    exp_year: int | None,
    cvc: str | None,
    *,
    now_ms: int,
) -> CardNumber:
    """Returns the card, its number without separators and its year with the century.

    Raises: RejectedError when a part is missing; CardError naming the first part that is wrong.
    """
    digits = _SEPARATORS.sub("", _required(number, "number"))
    month, year = _required(exp_month, "exp_month"), _required(exp_year, "exp_year")
    brand = _checked_brand(digits)
    year = _checked_expiry(month, year, now_ms)
    if cvc is not None:
        _check_cvc(cvc, brand)
    return CardNumber(digits, month, year, cvc)


def require_belonging(number: str, *, livemode: bool, takes_live_cards: bool) -> None:
    """Refuses real cards in a sandbox, so that none ever enters it, and test cards in live mode.

    Args: takes_live_cards: whether this stage may hold real cards at all.
    Raises: CardError, as the network would decline such a card.
    """
    is_test_card = sandbox_cards.by_number(number) is not None
    if not is_test_card and not (livemode and takes_live_cards):
        raise CardError(
            _LIVE_CARD_IN_TEST, code="card_declined", decline_code="test_mode_live_card"
        )
    if is_test_card and livemode:
        raise CardError(
            _TEST_CARD_IN_LIVE, code="card_declined", decline_code="live_mode_test_card"
        )


def _required(value: T | None, name: str) -> T:
    if value is None:
        param = f"card[{name}]"
        raise RejectedError(
            f"Missing required param: {param}.", code="parameter_missing", param=param
        )
    return value


def _checked_brand(digits: str) -> Brand:
    if not re.fullmatch(rf"[0-9]{{{_DIGITS_MIN},{_DIGITS_MAX}}}", digits):
        raise CardError(
            "The card number is not a valid credit card number.",
            code="invalid_number",
            param="number",
        )
    brand = brand_of(digits)
    if brand is None or len(digits) not in brand.lengths or not passes_luhn(digits):
        raise CardError("Your card number is incorrect.", code="incorrect_number", param="number")
    return brand


def _checked_expiry(month: int, year: int, now_ms: int) -> int:
    """Returns the year with its century; a card is good to the end of its month."""
    today = datetime.fromtimestamp(now_ms / 1000, tz=UTC)
    year = 2000 + year if 0 <= year < 100 else year
    if not 1 <= month <= 12:
        raise _invalid_month()
    if not today.year <= year <= today.year + YEARS_AHEAD_MAX:
        raise CardError(
            "Your card's expiration year is invalid.",
            code="invalid_expiry_year",
            param="exp_year",
        )
    if (year, month) < (today.year, today.month):
        raise _invalid_month()
    return year


def _invalid_month() -> CardError:
    return CardError(
        "Your card's expiration month is invalid.", code="invalid_expiry_month", param="exp_month"
    )


def _check_cvc(cvc: str, brand: Brand) -> None:
    # Some issuers' four-digit cards print a three-digit code on the back as well.
    lengths = {3, brand.cvc_length}
    if not re.fullmatch(r"[0-9]+", cvc) or len(cvc) not in lengths:
        raise CardError("Your card's security code is invalid.", code="invalid_cvc", param="cvc")
