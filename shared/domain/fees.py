"""Fees of a captured payment, from rate cards."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.domain.money import proportion


@dataclass(frozen=True, slots=True)
class RateCard:
    """A price list.

    Args: rate_bps: hundredths of a percent of the captured amount. fixed_minor: per capture, by
    currency; nothing is added in a currency that is not named.
    """

    rate_bps: int
    fixed_minor: Mapping[str, int] = field(default_factory=dict)

    def fee_minor(self, amount_minor: int, currency: str) -> int:
        """Returns the fee of a capture, in minor units."""
        return proportion(amount_minor, self.rate_bps) + self.fixed_minor.get(currency, 0)


PLATFORM_RATES = RateCard(290, {"usd": 30, "eur": 25, "gbp": 20})

# What a provider bills us, by its name; trued up when its settlement report says otherwise.
PROVIDER_RATES: Mapping[str, RateCard] = {
    "sandbox": RateCard(180, {"usd": 10, "eur": 10, "gbp": 10}),
}
