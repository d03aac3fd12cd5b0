"""The vault's twin in memory, for tests: same behaviour, no cryptography."""

import hashlib
from dataclasses import replace

from shared.domain.cards import SANDBOX_TOKEN_PREFIX, CardNumber
from shared.domain.ids import base62
from shared.domain.ports import Clock
from shared.domain.vault import (
    FINGERPRINT_LENGTH,
    VERIFICATION_RETENTION_S,
    SealedCard,
    no_such_card,
    open_sandbox_card,
    vault_token_for,
)


class MemoryVault:
    """Implements Vault, CardSealer, Verifications and VerificationDeletions.

    Args: has_sandbox_cards: whether vault tokens of named test cards mean anything here.
    """

    def __init__(self, clock: Clock, *, has_sandbox_cards: bool = True) -> None:
        self._clock = clock
        self._has_sandbox_cards = has_sandbox_cards
        self._cards: dict[tuple[str, str], CardNumber] = {}
        self._verifications: dict[str, tuple[str, int]] = {}
        self.scheduled: list[str] = []

    @property
    def is_empty(self) -> bool:
        """Tells whether nothing was sealed."""
        return not self._cards

    def seal(self, account: str, card: CardNumber, request: str) -> SealedCard:
        """Stores a card; see CardSealer."""
        fingerprint = self.fingerprint(account, card.number)
        vault_token = vault_token_for(account, card, request, fingerprint)
        if card.cvc is not None:
            self.schedule(vault_token)
        if (vault_token, account) not in self._cards:
            self._cards[vault_token, account] = replace(card, cvc=None)
            if card.cvc is not None:
                expires_at = self._clock.now_ms() // 1000 + VERIFICATION_RETENTION_S
                self._verifications[vault_token] = (card.cvc, expires_at)
        return SealedCard(vault_token, fingerprint)

    def fingerprint(self, account: str, number: str) -> str:
        """Identifies a number within an account; see CardSealer."""
        digest = hashlib.sha256(f"{account}|{number}".encode()).digest()
        return base62(digest, FINGERPRINT_LENGTH)

    def digest(self, text: str) -> str:
        """Identifies a text; see CardSealer."""
        return hashlib.sha256(text.encode()).hexdigest()

    def open(self, vault_token: str, account: str) -> CardNumber:
        """Returns a card; see Vault."""
        if self._has_sandbox_cards and vault_token.startswith(SANDBOX_TOKEN_PREFIX):
            return open_sandbox_card(vault_token)
        card = self._cards.get((vault_token, account))
        if card is None:
            raise no_such_card()
        cvc, expires_at = self._verifications.get(vault_token, (None, 0))
        is_held = self._clock.now_ms() < expires_at * 1000
        return replace(card, cvc=cvc if is_held else None)

    def delete(self, vault_token: str) -> None:
        """Deletes a security code; see Verifications."""
        self._verifications.pop(vault_token, None)

    def schedule(self, vault_token: str) -> None:
        """Notes that a security code is to be deleted; see VerificationDeletions."""
        self.scheduled.append(vault_token)
