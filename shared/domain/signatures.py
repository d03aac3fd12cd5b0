"""Signatures of events: a keyed hash under the key of the day they were written on.

A signature says that the platform wrote an event; the chain of hashes says in which order.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

DAY_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Signature:
    """Signs one hash.

    Args: key_id: the UTC day of the key, such as "2025-06-30". mac: HMAC-SHA256 of the hash's
    bytes, in hex.
    """

    key_id: str
    mac: str


def day_of(at_ms: int) -> str:
    """Returns the UTC day of a time, such as "2025-06-30"."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()
