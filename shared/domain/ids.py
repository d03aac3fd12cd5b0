"""Object ids in Stripe's form: a prefix that names the kind, then base-62 characters.

A payment's charges, refunds and events carry the payment's own body in their ids, so that each
leads to the payment's partition without an index.
"""

import hashlib
import re

from shared.domain.errors import NotFoundError

BODY_LENGTH = 24
ATTEMPTS_MAX = 50
# What has not this form is no key of the store, and might be one that it refuses.
_FORM = re.compile(r"[a-z]{2,3}_[0-9A-Za-z]{1,64}")
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def base62(digest: bytes, length: int) -> str:
    """Writes the lowest digits of a digest in base 62, least significant first."""
    number = int.from_bytes(digest, "big")
    characters = []
    for _ in range(length):
        number, index = divmod(number, 62)
        characters.append(_ALPHABET[index])
    return "".join(characters)


def derive_id(prefix: str, *parts: str) -> str:
    """Makes the same id for the same parts, so that a repeated request names the same object.

    The prefix is one of the parts: bodies of different kinds differ, and so do the ids of events
    made of them.

    Args: prefix: kind without underscore, such as "pi". parts: at least one string.
    Returns: prefix, underscore and 24 base-62 characters of a SHA-256 digest (142 bits).
    """
    return f"{prefix}_{base62(_digest(prefix, *parts), BODY_LENGTH)}"


def _digest(*parts: str) -> bytes:
    framed = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(framed.encode()).digest()


def body(object_id: str) -> str:
    """Returns what follows the prefix of an id."""
    return object_id.partition("_")[2]


def charge_id(payment_id: str, attempt: int) -> str:
    """Names the charge of a payment's n-th confirmation (1..ATTEMPTS_MAX)."""
    return f"ch_{body(payment_id)}{attempt:02d}"


def refund_id(payment_id: str, *parts: str) -> str:
    """Names a refund of a payment; the same parts name the same refund."""
    return f"re_{body(payment_id)}{base62(_digest(*parts), 10)}"


def transaction_id(subject: str, *parts: str) -> str:
    """Names a balance transaction of an object's history; the same parts name the same one."""
    return f"txn_{body(subject)[:BODY_LENGTH]}{base62(_digest(*parts), 10)}"


def event_id(object_id: str, version: int, ordinal: int) -> str:
    """Names the event object for the n-th announcement of an object's version.

    The ids of one object's events sort in the order of its changes, which their times, of whole
    seconds, do not.
    """
    return f"evt_{body(object_id)[:BODY_LENGTH]}{version:05d}{ordinal}"


def payment_id_of(child_id: str) -> str:
    """Returns the payment that the id of a charge, refund or balance transaction belongs to.

    Raises: NotFoundError when the id has not the form of such a child.
    """
    prefix, _, rest = child_id.partition("_")
    if prefix not in {"ch", "re", "txn"} or len(rest) <= BODY_LENGTH or not rest.isalnum():
        raise NotFoundError(f"No such object: '{child_id}'", code="resource_missing")
    return f"pi_{rest[:BODY_LENGTH]}"


def owner_of(object_id: str) -> str | None:
    """Names the payment that an id is of, or that its object is a part of.

    Returns: None where it has no such form.
    """
    if not _FORM.fullmatch(object_id):
        return None
    if object_id.startswith("pi_"):
        return object_id
    try:
        return payment_id_of(object_id)
    except NotFoundError:
        return None
