"""API keys as operators make, find and end them; only hashes are ever stored.

What a key opens is on its own record, with the limits of its account: a request reads one item.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from shared.domain.audit_trail import created, updated
from shared.domain.changes import Context
from shared.domain.documents import (
    LIMIT_MAX,
    Document,
    DocumentWrite,
    ListEntry,
    PageQuery,
    Scope,
    mode_of,
)
from shared.domain.ports import DocumentStore, Entropy
from shared.edge.auth import ApiKey, KeyKind, key_record_id
from shared.edge.permissions import Access

SECRET_LENGTH = 48
KIND = "api_key"
# How long a key that was rolled may go on at most.
OVERLAP_MAX_S = 7 * 24 * 60 * 60
# Of an account and mode: what changes them all is one transaction.
USABLE_MAX = 20
_PREFIXES: Mapping[KeyKind, str] = {"secret": "sk", "publishable": "pk", "restricted": "rk"}


@dataclass(frozen=True, slots=True)
class NewKey:
    """What is asked for.

    Args: limits: of the account, by mode. permissions: of a restricted key.
    """

    account: str
    home: str
    kind: KeyKind
    livemode: bool = False
    limits: Mapping[str, Any] = field(default_factory=dict)
    permissions: Mapping[str, Access] = field(default_factory=dict)
    label: str | None = None


def new_secret(kind: KeyKind, entropy: Entropy, *, livemode: bool) -> str:
    """Draws a key; whoever loses it can only have another one."""
    return f"{_PREFIXES[kind]}_{mode_of(livemode=livemode)}_{entropy.token(SECRET_LENGTH)}"


def key_document(new: NewKey, secret: str, now_ms: int) -> Document:
    """Returns the record of a key, without the key."""
    data: dict[str, Any] = {
        "account": new.account,
        "livemode": new.livemode,
        "kind": new.kind,
        "home_region": new.home,
        "expires_at_s": None,
        "revoked": False,
        "label": new.label,
    }
    if new.kind == "restricted":
        data["permissions"] = {name: str(level) for name, level in new.permissions.items()}
    limits = new.limits.get(mode_of(livemode=new.livemode))
    if limits is not None:
        data["limits"] = dict(limits)
    return Document(key_record_id(secret), KIND, new.account, new.livemode, 1, now_ms, data)


def key_rows(key: Document) -> tuple[ListEntry, ...]:
    """Returns the rows by which the account's keys are found."""
    return (ListEntry(KIND, key.created_ms, key.id),)


def name_of(key: Document) -> str:
    """Names a key as the audit records and logs of what it did name it."""
    return ApiKey.of(key).actor


def is_usable(key: Document, now_ms: int) -> bool:
    """Tells whether a key opens anything."""
    return ApiKey.of(key).is_usable(now_ms)


def keys_of(store: DocumentStore, scope: Scope) -> tuple[Document, ...]:
    """Returns all keys that there were of an account and mode, newest first."""
    found: list[Document] = []
    query = PageQuery(LIMIT_MAX)
    while True:
        page = store.page(scope, KIND, query)
        documents = store.get_many(page.ids)
        found += [documents[name] for name in page.ids if name in documents]
        if not page.has_more:
            return tuple(found)
        query = replace(query, after=page.end)


def created_key(key: Document, context: Context, reason: str | None) -> DocumentWrite:
    """Writes a new key with its row."""
    return created(key, context, listed=key_rows(key), reason=reason)


def ended(
    key: Document, context: Context, reason: str | None, *, after_s: int = 0
) -> DocumentWrite:
    """Lets a key end, after a while or now; an end that was nearer stays."""
    ends_s = context.now_ms // 1000 + after_s
    held = key.data["expires_at_s"]
    expires_at_s = ends_s if held is None else min(held, ends_s)
    return updated(key, {**key.data, "expires_at_s": expires_at_s}, context, reason=reason)


def revoked(key: Document, context: Context, reason: str | None) -> DocumentWrite:
    """Revokes a key for good."""
    return updated(key, {**key.data, "revoked": True}, context, reason=reason)


def limited(
    keys: Sequence[Document], limits: Mapping[str, int], context: Context, reason: str | None
) -> tuple[DocumentWrite, ...]:
    """Gives keys the limits of their account."""
    return tuple(
        updated(key, {**key.data, "limits": dict(limits)}, context, reason=reason) for key in keys
    )
