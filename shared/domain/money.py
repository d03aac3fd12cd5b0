"""Amounts of money: integers of minor units with an ISO 4217 currency."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.currencies import EXPONENTS
from shared.domain.errors import InvariantError, RejectedError

AMOUNT_MINOR_MAX = 99_999_999


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """An amount in minor units of one currency (lower-case ISO 4217 code); any sign."""

    amount_minor: int
    currency: str

    def __add__(self, other: "Money") -> "Money":
        self._require_same_currency(other)
        return Money(self.amount_minor + other.amount_minor, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        self._require_same_currency(other)
        return Money(self.amount_minor - other.amount_minor, self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.amount_minor, self.currency)

    def _require_same_currency(self, other: "Money") -> None:
        if self.currency != other.currency:
            raise InvariantError(f"{self.currency} and {other.currency} do not add")


def is_currency(code: str) -> bool:
    """Tells whether the lower-case code is an active ISO 4217 currency."""
    return code in EXPONENTS


def proportion(amount_minor: int, rate_bps: int) -> int:
    """Takes basis points of an amount, rounded half up (the way card fees are quoted).

    Args: amount_minor: 0 or more. rate_bps: hundredths of a percent, 0 or more.
    Returns: minor units.
    """
    return (amount_minor * rate_bps + 5_000) // 10_000


def allocate(total: Money, weights: Sequence[int]) -> list[Money]:
    """Splits a total by weights without losing a minor unit.

    Args: total: any sign. weights: 1..100 non-negative integers, sum > 0.
    Returns: as many amounts as weights; they sum to `total`; the remainder goes to the largest
    fractions, earlier weights first.
    Raises: RejectedError when there is no positive weight, or too many or a negative one.
    Source: largest remainder method (Hamilton).
    """
    if not 1 <= len(weights) <= 100 or min(weights) < 0 or sum(weights) == 0:
        raise RejectedError("Weights must be 1 to 100 non-negative integers with a positive sum.")
    sign = -1 if total.amount_minor < 0 else 1
    magnitude, whole = abs(total.amount_minor), sum(weights)
    shares = [magnitude * weight // whole for weight in weights]
    by_fraction = sorted(range(len(weights)), key=lambda i: -(magnitude * weights[i] % whole))
    for index in by_fraction[: magnitude - sum(shares)]:
        shares[index] += 1
    return [Money(sign * share, total.currency) for share in shares]
