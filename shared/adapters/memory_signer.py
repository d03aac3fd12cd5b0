"""In-memory twin of the event signer."""

import hashlib
import hmac

from shared.domain.ports import Clock
from shared.domain.signatures import Signature, day_of


class MemorySigner:
    """Implements EventSigner with one key for every day.

    Args: clock: tells the day. key: a fixed one, unless a test needs two that differ.
    """

    def __init__(self, clock: Clock, key: bytes = b"memory") -> None:
        self._clock = clock
        self._key = key

    def sign(self, event_hash: str) -> Signature:
        """Signs a hash with the key of the day."""
        day = day_of(self._clock.now_ms())
        return Signature(day, self._mac(day, event_hash))

    def verify(self, event_hash: str, signature: Signature) -> bool:
        """Tells whether the platform signed this hash on the day that the signature names."""
        expected = self._mac(signature.key_id, event_hash)
        return hmac.compare_digest(expected.encode(), signature.mac.encode())

    def _mac(self, day: str, event_hash: str) -> str:
        subkey = hmac.digest(self._key, day.encode(), hashlib.sha256)
        return hmac.new(subkey, bytes.fromhex(event_hash), hashlib.sha256).hexdigest()
