"""Cards as the rest of the platform may know them, and card numbers as only the vault does."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SANDBOX_TOKEN_PREFIX = "test:"
# What merchants call the sandbox's payment methods by, such as pm_card_visa.
SANDBOX_METHOD_PREFIX = "pm_card_"


@dataclass(frozen=True, slots=True)
class CardSummary:
    """What may be shown and stored of a card outside the vault.

    Args: vault_token: names the encrypted card. fingerprint: the same for the same number within
    an account. country: ISO 3166 alpha-2 of the issuer. network_risk: "normal", "elevated" or
    "highest", as the sandbox's test cards state it.
    """

    vault_token: str
    brand: str
    last4: str
    exp_month: int
    exp_year: int
    funding: str
    country: str
    fingerprint: str
    network_risk: str = "normal"

    @property
    def stored_token(self) -> str | None:
        """The vault token, or None for a sandbox card that the vault knows without storing it."""
        return None if self.vault_token.startswith(SANDBOX_TOKEN_PREFIX) else self.vault_token

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "CardSummary":
        """Reads a summary back from JSON."""
        return cls(**data)


@dataclass(frozen=True, slots=True, repr=False)
class CardNumber:
    """A card in the clear; lives in the vault's functions only, and has no repr on purpose."""

    number: str
    exp_month: int
    exp_year: int
    cvc: str | None

    def __repr__(self) -> str:
        return "CardNumber(...)"


def passes_luhn(number: str) -> bool:
    """Tells whether the check digit is right.

    Source: ISO/IEC 7812-1, annex B.
    """
    total = 0
    for position, character in enumerate(reversed(number)):
        digit = int(character)
        if position % 2 == 1:
            digit = digit * 2 - 9 if digit > 4 else digit * 2
        total += digit
    return total % 10 == 0
