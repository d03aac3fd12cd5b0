"""Talking to a running platform: raw HTTP, whole lists, and waiting for what follows an answer."""

import http.client
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

import stripe

from local import observations
from tests.support.answers import check_answer

TIMEOUT_S = 30
WAIT_S_MAX = 30
POLL_S = 0.1
PAGES_MAX = 50
FORM = "application/x-www-form-urlencoded"

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def body(self) -> Any:
        """The JSON value."""
        return json.loads(self.text)

    @property
    def error(self) -> dict[str, Any]:
        """Stripe's error object."""
        return dict(self.body["error"])


@dataclass(frozen=True)
class Wire:
    """Sends requests as they are, without an SDK that would put them right.

    Args: key: sent as a bearer token; None sends no authorization.
    """

    base: str
    key: str | None

    def send(
        self,
        method: str,
        target: str,
        body: bytes | str | Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Sends one request on a connection of its own; a mapping is sent as a form."""
        sent = {} if self.key is None else {"Authorization": f"Bearer {self.key}"}
        if isinstance(body, Mapping):
            body = urlencode(body)
        if body is not None:
            sent["Content-Type"] = FORM
        connection = http.client.HTTPConnection(urlsplit(self.base).netloc, timeout=TIMEOUT_S)
        try:
            connection.request(method, target, body=body, headers={**sent, **(headers or {})})
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            text = answer.read().decode()
        finally:
            connection.close()
        check_live(target, body, names, text, sent.get("Authorization", ""))
        return Answer(answer.status, names, text)


class CheckedClient(stripe.RequestsClient):
    """The SDK's own HTTP client, which holds every answer against its shape."""

    def request(  # type: ignore[override] # as the SDK's own client does
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Sends a request as the SDK does."""
        body, status, sent = super().request(method, url, headers, post_data)
        names = {name.lower(): value for name, value in sent.items()}
        check_live(url, post_data, names, body.decode(), (headers or {}).get("Authorization", ""))
        return body, status, sent


def check_live(
    target: str,
    body: bytes | str | None,
    headers: Mapping[str, str],
    text: str,
    authorization: str = "",
) -> None:
    """Asserts that an answer of the platform's own has its shape.

    What has no request id is the gateway's, which refuses some requests by itself.

    Args: headers: of the answer. authorization: the header that was sent.
    """
    if not text or "request-id" not in headers:
        return
    if headers.get("content-type", "").partition(";")[0] != "application/json":
        return
    url = urlsplit(target)
    form = body.decode(errors="replace") if isinstance(body, bytes) else body or ""
    check_answer(url.path, f"{url.query}&{form}", text, authorization)


def eventually(
    read: Callable[[], T], holds: Callable[[T], bool], *, within_s: int = WAIT_S_MAX
) -> T:
    """Reads until the value is what it should become.

    Raises: AssertionError with the last value when it does not in time.
    """
    deadline = time.monotonic() + within_s
    while not holds(value := read()):
        assert time.monotonic() < deadline, f"still not after {within_s} s: {value}"
        time.sleep(POLL_S)
    return value


def read_json(client: stripe.StripeClient, target: str) -> Any:
    """Reads one of Farthing's own resources through the SDK's raw request."""
    return json.loads(client.raw_request("get", target).body)


def read_all(client: stripe.StripeClient, path: str, **filters: str) -> list[dict[str, Any]]:
    """Reads all pages of one of Farthing's own lists."""
    return observations.read_all(
        lambda target: read_json(client, target), path, pages_max=PAGES_MAX, **filters
    )
