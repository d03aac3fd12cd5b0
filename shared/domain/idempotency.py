"""Idempotency keys: one claim per key, made in the transaction that first changes anything.

Source: Stripe API reference, "Idempotent requests".
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from shared.domain.documents import Document

RETENTION_S = 24 * 60 * 60
# Longer than the API waits for a request. Its execution may still run: who resumes it takes its
# operation over first, see shared.domain.resolution.
LEASE_MS = 35_000
KEY_LENGTH_MAX = 255


@dataclass(frozen=True, slots=True)
class Answer:
    """The first answer to a request: HTTP status and body, replayed to its retries."""

    status: int
    body: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A request's hold on its idempotency key.

    Args: key_hash: of account, mode and key. fingerprint: of endpoint and parameters. endpoint:
    path. lease_until_ms: until then the request counts as running; afterwards a retry resumes it.
    answer: None while the request runs.
    """

    key_hash: str
    fingerprint: str
    endpoint: str
    lease_until_ms: int
    expires_at_s: int
    answer: Answer | None = None

    @property
    def use(self) -> str:
        """Names this use of the key; the expiry tells it from one more than a day later."""
        return f"{self.key_hash}/{self.expires_at_s}"


@dataclass(frozen=True, slots=True)
class Found:
    """What a request begins with, read together.

    Args: claim: on its key, None when the key is free. documents: by id, those that there are.
    """

    claim: Claim | None
    documents: Mapping[str, Document]


def key_hash(account: str, mode: str, key: str) -> str:
    """Spreads keys evenly over partitions and keeps merchants' texts out of the store."""
    return hashlib.sha256(f"{account}|{mode}|{key}".encode()).hexdigest()


def fingerprint(endpoint: str, canonical_parameters: str) -> str:
    """Identifies what a request asks for, to refuse a key that is used for something else."""
    return hashlib.sha256(f"{endpoint}|{canonical_parameters}".encode()).hexdigest()
