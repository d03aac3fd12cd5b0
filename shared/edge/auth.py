"""API keys: who is asking, and in which mode."""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Self

from shared.domain.documents import Document, Scope
from shared.domain.limits import Limits
from shared.domain.ports import Clock, DocumentStore
from shared.edge.http import HttpRequest
from shared.edge.permissions import Access, Permission
from shared.wire.errors import RequestError

CACHE_TTL_MS = 30_000
CACHE_KEYS_MAX = 1_000
# Tells keys apart, and says nothing about a key: the hash is of 32 random characters or so.
_ACTOR_LENGTH = 16
_RECORD_PREFIX = "KEY#"

KeyKind = Literal["secret", "publishable", "restricted"]

_FORM = re.compile(r"(?:sk|pk|rk)_(?:test|live)_[0-9A-Za-z]{8,200}")
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="Farthing"'}
_ABSENT = (
    "You did not provide an API key. You need to provide your API key in the Authorization header,"
    " using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
)
_PUBLISHABLE = (
    "This API call cannot be made with a publishable API key. Please use a secret API key."
)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of an API key; the key itself is stored nowhere.

    Nothing compares secrets, so nothing can leak by how long that takes: the record is found by
    the key's SHA-256, and who sends guesses does not control how far its digest agrees with one.

    Args: actor: names the key in the records of what it did, and opens nothing. expires_at_s:
    epoch seconds, or None for never. permissions: of a restricted key, by resource family; what is
    not named is refused. limits: of its account.
    """

    actor: str
    account: str
    livemode: bool
    kind: KeyKind
    home_region: str
    expires_at_s: int | None
    revoked: bool
    limits: Limits
    permissions: Mapping[str, Access] = field(default_factory=dict)

    @classmethod
    def of(cls, record: Document) -> Self:
        """Reads the record of a key."""
        data = record.data
        digest = record.id.removeprefix(_RECORD_PREFIX)
        return cls(
            actor=f"key:{digest[:_ACTOR_LENGTH]}",
            account=data["account"],
            livemode=data["livemode"],
            kind=data["kind"],
            home_region=data["home_region"],
            expires_at_s=data.get("expires_at_s"),
            revoked=bool(data.get("revoked")),
            limits=Limits.of(data.get("limits"), livemode=data["livemode"]),
            permissions={
                name: Access(level) for name, level in data.get("permissions", {}).items()
            },
        )

    def is_usable(self, now_ms: int) -> bool:
        """Tells whether the key opens anything: neither revoked nor over."""
        is_over = self.expires_at_s is not None and self.expires_at_s * 1000 <= now_ms
        return not (self.revoked or is_over)

    def may(self, permission: Permission) -> bool:
        """Tells whether the key may be used for an operation."""
        return self.kind != "restricted" or permission.is_in(self.permissions)

    @property
    def is_publishable(self) -> bool:
        """Whether the key is in pages and apps, where everybody can read it."""
        return self.kind == "publishable"

    @property
    def scope(self) -> Scope:
        """The account and mode that the key opens."""
        return Scope(self.account, self.livemode)


def key_record_id(secret: str) -> str:
    """Names the record of an API key by its hash."""
    return f"{_RECORD_PREFIX}{hashlib.sha256(secret.encode()).hexdigest()}"


class KeyDirectory:
    """Finds API keys; remembers each for half a minute, which is how long a revoked one may live.

    Unknown keys are not remembered, so that a new key works at once.
    """

    def __init__(self, documents: DocumentStore, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock
        self._known: dict[str, tuple[int, ApiKey]] = {}

    def find(self, secret: str) -> ApiKey | None:
        """Returns what is known of a key, or None."""
        record_id, now_ms = key_record_id(secret), self._clock.now_ms()
        remembered = self._known.get(record_id)
        if remembered is not None and now_ms < remembered[0]:
            return remembered[1]
        self._known.pop(record_id, None)
        document = self._documents.get(record_id)
        if document is None:
            return None
        while len(self._known) >= CACHE_KEYS_MAX:
            del self._known[next(iter(self._known))]
        key = ApiKey.of(document)
        self._known[record_id] = (now_ms + CACHE_TTL_MS, key)
        return key


def authenticate(
    request: HttpRequest, keys: KeyDirectory, *, region: str, now_ms: int, publishable: bool
) -> ApiKey:
    """Finds out who is asking.

    Args: publishable: whether the operation may be called with a publishable key.
    Raises: RequestError 401 without a valid key, 403 with one that may not do this here.
    """
    secret = _secret_of(request.header("authorization"))
    if not secret:
        raise RequestError(_ABSENT, status=401, headers=_CHALLENGE)
    key = keys.find(secret) if _FORM.fullmatch(secret) else None
    if key is None:
        raise RequestError(
            f"Invalid API Key provided: {_redacted(secret)}", status=401, headers=_CHALLENGE
        )
    if not key.is_usable(now_ms):
        raise RequestError(
            f"Expired API Key provided: {_redacted(secret)}", status=401, code="api_key_expired"
        )
    if key.is_publishable and not publishable:
        raise RequestError(_PUBLISHABLE, status=403, code="secret_key_required")
    if key.home_region != region:
        raise RequestError(
            f"This account lives in {key.home_region}; send its requests to the address of that"
            f" region, not to {region}.",
            status=403,
            code="account_home_region_mismatch",
            headers={"Farthing-Home-Region": key.home_region},
        )
    return key


def require_permission(request: HttpRequest, key: ApiKey, permission: Permission) -> None:
    """Checks that a key may be used for an operation.

    Raises: RequestError 403 that names the permission, as Stripe's does.
    """
    if key.may(permission):
        return
    shown = _redacted(_secret_of(request.header("authorization")))
    raise RequestError(
        f"The provided key '{shown}' does not have the required permissions for this endpoint on"
        f" account '{key.account}'. Having the '{permission.name}' permission would allow this"
        " request to continue.",
        status=403,
    )


def _secret_of(authorization: str) -> str:
    """Reads a bearer token, or the user name of basic authentication."""
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        decoded = base64.b64decode(credentials.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        # ValueError: not UTF-8, or not ASCII. Unreadable credentials are no credentials.
        return ""
    return decoded.partition(":")[0]


def _redacted(secret: str) -> str:
    """Shows of a key what helps its owner to recognise it; of anything else, nothing."""
    if not _FORM.fullmatch(secret):
        return "***"
    prefix, mode, _ = secret.split("_", 2)
    return f"{prefix}_{mode}_***{secret[-4:]}"
