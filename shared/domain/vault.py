"""What the vault's own functions need of it, beyond opening a card (`ports.Vault`)."""

from dataclasses import dataclass
from typing import Protocol

from shared.domain import sandbox_cards
from shared.domain.cards import CardNumber
from shared.domain.errors import NotFoundError
from shared.domain.ids import derive_id

# PCI DSS 3.3.1 forbids to keep the security code after authorization; nobody waits longer for it.
VERIFICATION_RETENTION_S = 600
FINGERPRINT_LENGTH = 16


@dataclass(frozen=True, slots=True)
class SealedCard:
    """An encrypted card, as it may be named outside the vault.

    Args: fingerprint: the same for the same number within an account.
    """

    vault_token: str
    fingerprint: str


class CardSealer(Protocol):
    """Encrypts cards; it cannot open what it sealed."""

    def seal(self, account: str, card: CardNumber, request: str) -> SealedCard:
        """Stores a card, with its security code for `VERIFICATION_RETENTION_S`.

        Args: request: names the request; the same request with the same card gives the same
        vault token and changes nothing, so that a security code never comes back once used.
        """

    def fingerprint(self, account: str, number: str) -> str:
        """Identifies a number within an account by 16 base-62 characters of a keyed MAC."""

    def digest(self, text: str) -> str:
        """Identifies a text by a keyed MAC.

        Text that contains a card number has too few possible values for a plain hash: whoever
        reads the hash could try all numbers.
        """


class Verifications(Protocol):
    """Ends the life of security codes."""

    def delete(self, vault_token: str) -> None:
        """Deletes the security code of a card; there may be none."""


class VerificationDeletions(Protocol):
    """Asks for deletions in time."""

    def schedule(self, vault_token: str) -> None:
        """Has the security code deleted `VERIFICATION_RETENTION_S` from now.

        Raises: TransientError when that could not be arranged.
        """


def vault_token_for(account: str, card: CardNumber, request: str, fingerprint: str) -> str:
    """Names a sealed card; the same card in the same request has the same name.

    The name tells nothing about the number: of it, only the keyed fingerprint goes in.
    """
    return derive_id("vlt", account, request, fingerprint, f"{card.exp_year}-{card.exp_month}")


def open_sandbox_card(vault_token: str) -> CardNumber:
    """Opens a test card that is used by name; the table of test cards is its vault.

    Raises: NotFoundError when there is none of that name.
    """
    card = sandbox_cards.by_vault_token(vault_token)
    if card is None:
        raise no_such_card()
    return CardNumber(card.number, sandbox_cards.EXP_MONTH, sandbox_cards.EXP_YEAR, card.cvc)


def no_such_card() -> NotFoundError:
    """Says that an account has no such card, whoever else may have it."""
    return NotFoundError("No such card.", code="resource_missing")
