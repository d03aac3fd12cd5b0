import base64

import pytest

from shared.adapters.memory import MemoryClock
from shared.domain.documents import Document, Scope
from shared.edge.auth import CACHE_TTL_MS, KeyDirectory, authenticate, key_record_id
from shared.edge.http import HttpRequest
from shared.wire.errors import RequestError
from tests.support.api import (
    ABROAD_KEY,
    ACCOUNT,
    EXPIRED_KEY,
    LIVE_KEY,
    PUBLISHABLE_KEY,
    REGION,
    REVOKED_KEY,
    SECRET_KEY,
    Platform,
    http_event,
)


class CountingDocuments:
    """Documents that count how often they are read."""

    def __init__(self, platform: Platform) -> None:
        self.reads = 0
        self._documents = platform.documents

    def get(self, object_id: str) -> Document | None:
        self.reads += 1
        return self._documents.get(object_id)


def admit(platform: Platform, authorization: str | None, *, publishable: bool = False) -> Scope:
    headers = {} if authorization is None else {"authorization": authorization}
    return authenticate(
        HttpRequest.of(http_event("GET", "/v1/customers", headers=headers)),
        KeyDirectory(platform.documents, platform.clock),
        region=REGION,
        now_ms=platform.clock.now_ms(),
        publishable=publishable,
    ).scope


def test_authenticate_bearer_key_returns_scope() -> None:
    assert admit(Platform(), f"Bearer {SECRET_KEY}") == Scope(ACCOUNT, livemode=False)
    assert admit(Platform(), f"bearer  {LIVE_KEY}") == Scope(ACCOUNT, livemode=True)


def test_authenticate_basic_key_returns_scope() -> None:
    encoded = base64.b64encode(f"{SECRET_KEY}:".encode()).decode()
    assert admit(Platform(), f"Basic {encoded}") == Scope(ACCOUNT, livemode=False)


def test_authenticate_publishable_key_is_admitted_where_allowed() -> None:
    assert admit(Platform(), f"Bearer {PUBLISHABLE_KEY}", publishable=True).account == ACCOUNT


@pytest.mark.parametrize(
    ("authorization", "status", "code", "message"),
    [
        (None, 401, None, "You did not provide an API key."),
        ("", 401, None, "You did not provide an API key."),
        ("Bearer ", 401, None, "You did not provide an API key."),
        ("Digest abc", 401, None, "You did not provide an API key."),
        ("Basic !!!", 401, None, "You did not provide an API key."),
        ("Basic \u00e9", 401, None, "You did not provide an API key."),
        (
            "Bearer sk_test_doesnotexist1234",
            401,
            None,
            "Invalid API Key provided: sk_test_***1234",
        ),
        ("Bearer 4242424242424242", 401, None, "Invalid API Key provided: ***"),
        (f"Bearer {EXPIRED_KEY}", 401, "api_key_expired", "Expired API Key provided: sk_test_***"),
        (f"Bearer {REVOKED_KEY}", 401, "api_key_expired", "Expired API Key provided: sk_test_***"),
        (
            f"Bearer {PUBLISHABLE_KEY}",
            403,
            "secret_key_required",
            "This API call cannot be made with a publishable API key.",
        ),
        (
            f"Bearer {ABROAD_KEY}",
            403,
            "account_home_region_mismatch",
            "This account lives in eu-west-1;",
        ),
    ],
)
def test_authenticate_bad_key_is_refused(
    authorization: str | None, status: int, code: str | None, message: str
) -> None:
    with pytest.raises(RequestError) as refused:
        admit(Platform(), authorization)
    assert (refused.value.status, refused.value.code) == (status, code)
    assert refused.value.message.startswith(message)


def test_key_directory_known_key_is_read_once_in_half_a_minute() -> None:
    platform = Platform()
    documents, clock = CountingDocuments(platform), platform.clock
    keys = KeyDirectory(documents, clock)  # type: ignore[arg-type]
    keys.find(SECRET_KEY)
    keys.find(SECRET_KEY)
    assert documents.reads == 1
    clock.advance(CACHE_TTL_MS)
    keys.find(SECRET_KEY)
    assert documents.reads == 2


def test_key_directory_unknown_key_works_as_soon_as_it_exists() -> None:
    platform = Platform()
    keys = KeyDirectory(platform.documents, MemoryClock())
    assert keys.find("sk_test_NewlyMade") is None
    platform.put_key("sk_test_NewlyMade")
    assert keys.find("sk_test_NewlyMade") is not None


def test_key_record_id_holds_no_part_of_the_key() -> None:
    assert SECRET_KEY not in key_record_id(SECRET_KEY)
