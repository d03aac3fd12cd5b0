"""Audit: who changed what, when, on which request, and what it was before.

A change of a document is recorded in the transaction that makes it. The records of one entity are
a chain: each names the one before it by its hash, and is signed. What a payment was through is
told from its events, which are such a chain already; nothing is recorded twice. Event objects and
what is kept of their deliveries are not audited, because they announce what is; nor are claims on
idempotency keys, which change nothing that anybody owns.

Old and new values are of the fields that changed. A secret is told as changed, without a value: a
record can never be taken back, and neither could a secret in it.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from shared.domain.canonical import canonical
from shared.domain.signatures import Signature

# Stands for a secret; not even a digest does, where what it is of could be guessed.
CONCEALED = "[changed]"
PAYMENT = "payment_intent"

Json = dict[str, Any]
Path = tuple[str, ...]

# Any name, such as the id of one of several charges.
_ANY = "*"
_CARD: tuple[Path, ...] = (("card", "vault_token"), ("card", "fingerprint"))
# A payment method as it was, in what keeps one.
_METHOD: tuple[Path, ...] = tuple(("method", "data", *path) for path in _CARD)


@dataclass(frozen=True, slots=True)
class _Rules:
    """How fields of one type of entity are told, by their paths.

    Args: concealed: secrets. omitted: what the record itself says, and what only retries need.
    """

    concealed: tuple[Path, ...] = ()
    omitted: tuple[Path, ...] = ()


_RULES: Mapping[str, _Rules] = {
    "confirmation_token": _Rules(
        concealed=tuple(("method", *path) for path in _CARD), omitted=(("used_by",),)
    ),
    "webhook_endpoint": _Rules(concealed=(("secret",), ("previous_secrets",))),
    "payment_method": _Rules(concealed=_CARD),
    "token": _Rules(concealed=_CARD, omitted=(("used_by",),)),
    "setup_attempt": _Rules(concealed=_METHOD),
    "setup_intent": _Rules(
        concealed=(("client_secret",), *(("last_error", *path) for path in _METHOD))
    ),
    PAYMENT: _Rules(
        concealed=(("client_secret",), *(("charges", _ANY, *path) for path in _CARD)),
        omitted=(
            ("version",),
            ("last_event",),
            ("last_request",),
            ("event_hash",),
            ("last_operation_key",),
            ("challenged_keys",),
            ("pending", "operation_key"),
            ("charges", _ANY, "operation_key"),
            ("refunds", _ANY, "operation_key"),
        ),
    ),
}
_NO_RULES = _Rules()


# Without slots, which would leave its hash no place to be kept.
@dataclass(frozen=True)
class Change:
    """One change of one entity.

    Args: version: 1 for the first, then without gap. action: "created", "updated", "deleted", or
    what an operator or a payment did. actor: as in Context. request_id: of the API call, None
    where there was none. book: whose entity it is. old, new: of what changed; in old what there
    was, in new what there is. metadata: the idempotency key, the reason, where there are such.
    previous_hash: of the entity's change before, "" for the first.
    """

    entity: str
    entity_type: str
    version: int
    action: str
    actor: str
    request_id: str | None
    occurred_at_ms: int
    book: str
    old: Mapping[str, Any]
    new: Mapping[str, Any]
    metadata: Mapping[str, str]
    previous_hash: str

    @property
    def id(self) -> str:
        """Names it among all records of changes."""
        return f"{self.entity}/{self.version}"

    @cached_property
    def hash(self) -> str:
        """SHA-256 over everything above, in hex: it names all changes up to this one."""
        return hashlib.sha256(canonical(self.facts())).hexdigest()

    def facts(self) -> Json:
        """Returns what the hash is of."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """A change, and the evidence of it.

    Args: hash, signature: of the change, or of the event that it is told from.
    """

    change: Change
    hash: str
    signature: Signature

    def to_dict(self) -> Json:
        """Returns it as JSON: what the hash is of, the hash and the signature."""
        signature = self.signature
        signed = {"hash": self.hash, "key_id": signature.key_id, "mac": signature.mac}
        return {**self.change.facts(), **signed}


def differences(
    entity_type: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[Json, Json]:
    """Returns what of two states differs: of the one before, and of the one after.

    Objects are compared field by field, lists of objects with ids by these ids; secrets are
    concealed.
    """
    return _differences(before, after, (), _RULES.get(entity_type, _NO_RULES))


def _differences(
    before: Mapping[str, Any], after: Mapping[str, Any], path: Path, rules: _Rules
) -> tuple[Json, Json]:
    old: Json = {}
    new: Json = {}
    for name in sorted(before.keys() | after.keys()):
        here = (*path, name)
        was, is_now = before.get(name), after.get(name)
        if _matches(here, rules.omitted) or (name in before and name in after and was == is_now):
            continue
        parts, parts_now = _by_name(was), _by_name(is_now)
        is_told_by_parts = parts is not None and parts_now is not None
        if is_told_by_parts and not _matches(here, rules.concealed):
            inner_old, inner_new = _differences(parts or {}, parts_now or {}, here, rules)
            old |= {name: inner_old} if inner_old else {}
            new |= {name: inner_new} if inner_new else {}
            continue
        if name in before:
            old[name] = _shown(was, here, rules)
        if name in after:
            new[name] = _shown(is_now, here, rules)
    return old, new


def _shown(value: Any, path: Path, rules: _Rules) -> Any:
    """Returns a value as JSON, without the secrets in it."""
    if value is not None and _matches(path, rules.concealed):
        return CONCEALED
    parts = _by_name(value)
    if parts:
        shown = {name: (*path, name) for name in parts}
        return {
            name: _shown(parts[name], here, rules)
            for name, here in shown.items()
            if not _matches(here, rules.omitted)
        }
    return list(value) if isinstance(value, tuple) else value


def _by_name(value: Any) -> Mapping[str, Any] | None:
    """Returns the parts of an object, or of a list whose objects have ids; None of what has none.

    An empty list may be of either sort, and has no part.
    """
    if isinstance(value, Mapping):
        return value
    if not isinstance(value, (list, tuple)):
        return None
    if not all(isinstance(item, Mapping) and "id" in item for item in value):
        return None
    return {item["id"]: {k: v for k, v in item.items() if k != "id"} for item in value}


def _matches(path: Path, patterns: Iterable[Path]) -> bool:
    return any(
        len(path) == len(pattern)
        and all(part in (_ANY, name) for part, name in zip(pattern, path, strict=True))
        for pattern in patterns
    )
