"""The published interface and its reference page, as anyone may ask for them."""

import base64
import gzip
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from functions.api_default import reference
from functions.api_default.handler import handler
from local.build import ROOT, VIEWER_FOLDER, VIEWER_PACKAGE
from tests.support.api import http_event

OTHER_HOST = re.compile(r"""(?:src|href|url)\s*[=:(]\s*["']?\s*(?:https?:)?//""")


@pytest.fixture(autouse=True)
def viewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the viewer where npm puts it, not where the build does."""
    files = {
        path: replace(file, path=ROOT / VIEWER_PACKAGE / file.path.name)
        if file.path.is_relative_to(reference.VIEWER)
        else file
        for path, file in reference.FILES.items()
    }
    monkeypatch.setattr(reference, "FILES", files)


def ask(path: str, method: str = "GET", **headers: str) -> dict[str, Any]:
    answer = reference.answer(http_event(method, path, headers=headers))
    assert answer is not None
    return answer


def test_interface_is_answered_without_an_api_key_and_compressed() -> None:
    # when
    answer = ask("/v1/openapi.json", **{"accept-encoding": "gzip, br"})
    # then
    assert answer["statusCode"] == 200
    assert answer["isBase64Encoded"]
    headers = answer["headers"]
    assert headers["Content-Type"] == "application/json"
    assert headers["Content-Encoding"] == "gzip"
    assert headers["Cache-Control"] == "public, max-age=300"
    assert headers["Vary"] == "Accept-Encoding"
    packed = base64.b64decode(answer["body"])
    assert len(packed) < 100_000
    assert json.loads(gzip.decompress(packed))["openapi"] == "3.1.0"


def test_function_answers_the_interface_before_it_asks_for_a_key() -> None:
    # when
    answer = handler(http_event("GET", "/v1/openapi.json"), None)
    # then
    assert answer["statusCode"] == 200


def test_interface_is_answered_as_it_is_to_who_cannot_unpack() -> None:
    # when
    answer = ask("/v1/openapi.json")
    # then
    assert not answer["isBase64Encoded"]
    assert "Content-Encoding" not in answer["headers"]
    assert json.loads(answer["body"])["info"]["title"] == "Farthing"


def test_page_loads_nothing_from_elsewhere() -> None:
    # when
    page = ask("/v1/docs")
    # then
    assert page["headers"]["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page["headers"]["Content-Security-Policy"]
    assert not OTHER_HOST.search(page["body"])
    assert not OTHER_HOST.search(ask("/v1/docs/start.js")["body"])
    loaded = re.findall(r'(?:src|href)="([^"#:]+)"', page["body"])
    assert set(loaded) == {
        "docs/swagger-ui-bundle.js",
        "docs/swagger-ui.css",
        "docs/start.js",
        "openapi.json",
    }
    for name in loaded:
        assert ask(f"/v1/{name}", **{"accept-encoding": "gzip"})["statusCode"] == 200


def test_files_of_the_viewer_are_where_the_build_puts_them() -> None:
    assert Path(VIEWER_FOLDER) == reference.VIEWER.relative_to(ROOT)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/openapi.json"),
        ("GET", "/v1/openapi.json/"),
        ("GET", "/v1/docs/../handler.py"),
        ("GET", "/v1/docs/handler.py"),
        ("GET", "/v1/subscriptions"),
    ],
)
def test_what_is_no_file_is_left_to_the_api(method: str, path: str) -> None:
    assert reference.answer(http_event(method, path)) is None
