"""Amounts of money: integers of minor units with an ISO 4217 currency."""

from shared.domain.currencies import EXPONENTS

AMOUNT_MINOR_MAX = 99_999_999


def is_currency(code: str) -> bool:
    """Tells whether the lower-case code is an active ISO 4217 currency."""
    return code in EXPONENTS


def proportion(amount_minor: int, rate_bps: int) -> int:
    """Takes basis points of an amount, rounded half up (the way card fees are quoted).

    Args: amount_minor: 0 or more. rate_bps: hundredths of a percent, 0 or more.
    Returns: minor units.
    """
    return (amount_minor * rate_bps + 5_000) // 10_000
