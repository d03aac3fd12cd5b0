"""A merchant's view of an API function that runs on in-memory stores."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from shared.adapters.memory import (
    MemoryClock,
    MemoryDatabase,
    MemoryDocumentStore,
    MemoryEntropy,
    MemoryIdempotencyStore,
)
from shared.domain.documents import Document, ListEntry
from shared.domain.ports import DocumentStore, IdempotencyStore
from shared.edge.api import Api, ApiPorts
from shared.edge.auth import key_record_id
from tests.support.documents import audited

ACCOUNT = "acct_1"
OTHER_ACCOUNT = "acct_2"
REGION = "us-east-1"
SECRET_KEY = "sk_test_SecretKeyOfTheTests"
PUBLISHABLE_KEY = "pk_test_PublishableKeyOfTheTests"
LIVE_KEY = "sk_live_SecretKeyOfTheTests"
OTHER_KEY = "sk_test_SecretKeyOfAnother"
ABROAD_KEY = "sk_test_SecretKeyFromAbroad"
REVOKED_KEY = "sk_test_SecretKeyRevoked"
EXPIRED_KEY = "sk_test_SecretKeyExpired"

CARD = {
    "vault_token": "vlt_1",
    "brand": "visa",
    "last4": "4242",
    "exp_month": 12,
    "exp_year": 2040,
    "funding": "credit",
    "country": "US",
    "fingerprint": "Xt5EWLLDS7FJjR1c",
    "network_risk": "normal",
}


@dataclass(frozen=True)
class Answer:
    """What the API answered."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def body(self) -> dict[str, Any]:
        """The body, decoded."""
        decoded: dict[str, Any] = json.loads(self.text)
        return decoded

    @property
    def error(self) -> dict[str, Any]:
        """The error object."""
        error: dict[str, Any] = self.body["error"]
        return error

    @property
    def ids(self) -> list[str]:
        """The ids of a list's objects."""
        return [item["id"] for item in self.body["data"]]


@dataclass
class Platform:
    """The stores, and keys of several kinds."""

    database: MemoryDatabase = field(default_factory=MemoryDatabase)
    clock: MemoryClock = field(default_factory=MemoryClock)
    entropy: MemoryEntropy = field(default_factory=MemoryEntropy)

    def __post_init__(self) -> None:
        self.documents, self.idempotency = self.stores()
        self.put_key(SECRET_KEY)
        self.put_key(PUBLISHABLE_KEY, kind="publishable")
        self.put_key(LIVE_KEY, livemode=True)
        self.put_key(OTHER_KEY, account=OTHER_ACCOUNT)
        self.put_key(ABROAD_KEY, home_region="eu-west-1")
        self.put_key(REVOKED_KEY, revoked=True)
        self.put_key(EXPIRED_KEY, expires_at_s=self.clock.now_ms() // 1000)

    def stores(self) -> tuple[DocumentStore, IdempotencyStore]:
        """Makes the stores; in memory, unless a subclass knows better."""
        memory = MemoryDocumentStore(self.database)
        return memory, MemoryIdempotencyStore(self.database, self.clock)

    def ports(self) -> ApiPorts:
        """Composes the pipeline's ports."""
        return ApiPorts.of(self.documents, self.idempotency, self.clock, self.entropy, REGION)

    def put_key(self, secret: str, **facts: Any) -> None:
        """Stores an API key."""
        data = {
            "account": ACCOUNT,
            "livemode": False,
            "kind": "secret",
            "home_region": REGION,
            "expires_at_s": None,
            "revoked": False,
            **facts,
        }
        self.put(
            Document(
                key_record_id(secret), "api_key", data["account"], data["livemode"], 1, 0, data
            )
        )

    def put_payment_method(self, method_id: str = "pm_1", **facts: Any) -> None:
        """Stores a payment method as the vault does."""
        data = {
            "card": dict(CARD),
            "checks": {"cvc_check": "pass"},
            "billing_details": {},
            "metadata": {},
            "customer": None,
            **facts,
        }
        self.put_object("payment_method", method_id, data)

    def put_object(
        self, kind: str, object_id: str, data: Mapping[str, Any], *, livemode: bool = False
    ) -> None:
        """Stores a document and lists it under its kind; each is a second newer than the last."""
        self.clock.advance(1_000)
        created_ms = self.clock.now_ms()
        document = Document(object_id, kind, ACCOUNT, livemode, 1, created_ms, data)
        self.put(document, ListEntry(kind, created_ms, object_id))

    def put(self, document: Document, *listed: ListEntry) -> None:
        """Stores a document."""
        self.documents.commit([audited(document, listed=listed)])


def http_event(
    method: str,
    path: str,
    *,
    query: str = "",
    body: bytes | str | None = None,
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Builds an API Gateway event of payload format 2.0."""
    event: dict[str, Any] = {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": query,
        "headers": dict(headers or {}),
        "requestContext": {"http": {"method": method, "path": path}},
        "isBase64Encoded": isinstance(body, bytes),
    }
    if body is not None:
        text = base64.b64encode(body).decode() if isinstance(body, bytes) else body
        event["body"] = text
    return event


class Client:
    """Calls an API as an SDK does."""

    def __init__(self, build: Callable[[Platform], Api], platform: Platform | None = None) -> None:
        self.platform = platform or Platform()
        self.api = build(self.platform)

    def get(self, path: str, *, key: str = SECRET_KEY, **params: Any) -> Answer:
        """Sends GET with parameters in the query."""
        return self.send("GET", path, query=form(params), key=key)

    def delete(self, path: str, *, key: str = SECRET_KEY) -> Answer:
        """Sends DELETE."""
        return self.send("DELETE", path, key=key)

    def post(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        key: str = SECRET_KEY,
        idempotency_key: str | None = None,
    ) -> Answer:
        """Sends POST with parameters as a form."""
        headers = {"content-type": "application/x-www-form-urlencoded"}
        if idempotency_key is not None:
            headers["idempotency-key"] = idempotency_key
        return self.send("POST", path, body=form(params or {}).encode(), key=key, headers=headers)

    def send(
        self,
        method: str,
        path: str,
        *,
        key: str | None = SECRET_KEY,
        query: str = "",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Sends anything."""
        all_headers = dict(headers or {})
        if key is not None:
            all_headers.setdefault("authorization", f"Bearer {key}")
        event = http_event(method, path, query=query, body=body, headers=all_headers)
        response = self.api.handle(event, None)
        return Answer(response["statusCode"], response["headers"], response["body"])


def form(params: Mapping[str, Any]) -> str:
    """Encodes parameters the way the SDKs do, brackets and all."""
    return urlencode(list(_flat(params)))


def _flat(params: Any, name: str = "") -> Any:
    if isinstance(params, Mapping):
        pairs = params.items()
    elif isinstance(params, list):
        pairs = enumerate(params)  # type: ignore[assignment]
    else:
        yield name, str(params).lower() if isinstance(params, bool) else params
        return
    for key, value in pairs:
        yield from _flat(value, f"{name}[{key}]" if name else str(key))
