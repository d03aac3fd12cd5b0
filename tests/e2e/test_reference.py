"""The published interface and its page, as a deployed platform serves them to everyone."""

import gzip
import http.client
import json
from urllib.parse import urlsplit

import pytest

from tests.e2e.conftest import Platform

pytestmark = pytest.mark.e2e

TIMEOUT_S = 30


def get(base: str, target: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=TIMEOUT_S)
    try:
        connection.request("GET", target, headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_interface_and_page_are_served_without_an_api_key(platform: Platform) -> None:
    # when
    status, headers, body = get(platform.base, "/v1/openapi.json")
    # then
    assert (status, headers["content-type"]) == (200, "application/json")
    text = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
    assert "/v1/payment_intents" in json.loads(text)["paths"]
    for target, kind in (
        ("/v1/docs", "text/html"),
        ("/v1/docs/start.js", "text/javascript"),
        ("/v1/docs/swagger-ui-bundle.js", "text/javascript"),
        ("/v1/docs/swagger-ui.css", "text/css"),
    ):
        status, headers, body = get(platform.base, target)
        assert status == 200, target
        assert headers["content-type"].startswith(kind)
        assert body
