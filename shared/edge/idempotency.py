"""Idempotency keys at the edge: replay, refuse, or let the request claim its key.

Source: Stripe API reference, "Idempotent requests".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.domain.documents import Document, Scope
from shared.domain.idempotency import (
    KEY_LENGTH_MAX,
    LEASE_MS,
    RETENTION_S,
    Answer,
    Claim,
    fingerprint,
    key_hash,
)
from shared.domain.ports import IdempotencyStore
from shared.wire.errors import RequestError


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a request may do: replay `answer`, or run and make `claim` with its first write.

    Args: documents: read with the claim. resumed: an earlier run of the same request died; what
    it wrote is there.
    """

    claim: Claim
    documents: Mapping[str, Document]
    answer: Answer | None = None
    resumed: bool = False


def checked_key(header: str) -> str | None:
    """Returns the key, or None when there is none.

    Raises: RequestError when it is too long or cannot be sent back in a header.
    """
    if len(header) > KEY_LENGTH_MAX:
        raise RequestError(f"Idempotency keys can have up to {KEY_LENGTH_MAX} characters.")
    if not (header.isascii() and header.isprintable()):
        raise RequestError("Idempotency keys are made of printable ASCII characters.")
    return header or None


def claim_key(
    store: IdempotencyStore,
    scope: Scope,
    key: str,
    endpoint: str,
    canonical: str,
    now_ms: int,
    object_ids: Sequence[str] = (),
) -> Claimed:
    """Decides about a request by what is known of its key.

    Args: endpoint: path. canonical: the parameters, written the same for the same ones.
    object_ids: of documents to read with it.
    Raises: RequestError 400 when the key was used for something else, 409 while the first
    request is running.
    """
    name = key_hash(scope.account, scope.mode, key)
    identity = fingerprint(endpoint, canonical)
    found = store.find(name, object_ids)
    held, documents = found.claim, found.documents
    if held is None:
        expires_at_s = now_ms // 1000 + RETENTION_S
        claim = Claim(name, identity, endpoint, now_ms + LEASE_MS, expires_at_s)
        return Claimed(claim, documents)
    _require_same_request(held, key, endpoint, identity)
    if held.answer is not None:
        return Claimed(held, documents, answer=held.answer)
    if now_ms < held.lease_until_ms:
        raise key_in_use(key)
    # The expiry stays: ids are derived from it, and the resumed request must find its own again.
    claim = Claim(name, identity, endpoint, now_ms + LEASE_MS, held.expires_at_s)
    return Claimed(claim, documents, resumed=True)


def key_in_use(key: str) -> RequestError:
    """Says that the first request with this key is still running."""
    return RequestError(
        "There is currently another in-progress request using this Idempotent Key (that probably"
        " means you submitted twice, and the other request is still going through):"
        f" {key}. Please try again later.",
        status=409,
        kind="idempotency_error",
        code="idempotency_key_in_use",
        headers={"Stripe-Should-Retry": "true"},
    )


def _require_same_request(found: Claim, key: str, endpoint: str, identity: str) -> None:
    if found.endpoint != endpoint:
        raise _misused(
            "Keys for idempotent requests can only be used for the same endpoint they were first"
            f" used for ('{endpoint}' vs '{found.endpoint}').",
            key,
        )
    if found.fingerprint != identity:
        raise _misused(
            "Keys for idempotent requests can only be used with the same parameters they were"
            " first used with.",
            key,
        )


def _misused(message: str, key: str) -> RequestError:
    advice = f"Try using a key other than '{key}' if you meant to execute a different request."
    return RequestError(f"{message} {advice}", kind="idempotency_error")
