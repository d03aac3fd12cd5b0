"""Holding every answer of the API against its shape, whoever asked."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qsl

from shared.edge.api import Api
from shared.edge.http import HttpRequest
from shared.wire.errors import RequestError

UNSHAPED: Mapping[str, str] = {"/v1/openapi.json": "is an OpenAPI document"}
"""Answers that are no objects, by path."""

_EXPAND = re.compile(r"expand(\[\d*\])?")


def answer_violations(path: str, parameters: str, text: str, authorization: str = "") -> list[str]:
    """Tells how an answer differs from its shape.

    Args: path: that was asked. parameters: the query or form that was sent. text: the body.
    authorization: the header that was sent.
    """
    # Loaded with the first answer: many tests need no Stripe SDK.
    from tests.support.shapes import violations

    if path in UNSHAPED:
        return []
    sent = parse_qsl(parameters, keep_blank_values=True)
    expanded = [value for name, value in sent if _EXPAND.fullmatch(name)]
    publishable = authorization.startswith("Bearer pk_")
    return violations(json.loads(text), expanded=expanded, publishable=publishable)


def check_answer(path: str, parameters: str, text: str, authorization: str = "") -> None:
    """Asserts that an answer has its shape."""
    found = answer_violations(path, parameters, text, authorization)
    assert not found, f"{path}: " + "\n".join(found)


@contextmanager
def watched() -> Iterator[list[str]]:
    """Watches every API of this process.

    Yields: what is wrong with the answers, growing while they come.
    """
    found: list[str] = []
    handle = Api.handle

    def handled(api: Api, event: Mapping[str, Any], context: object) -> dict[str, Any]:
        answer = handle(api, event, context)
        if answer["headers"]["Content-Type"] == "application/json":
            path = str(event["rawPath"])
            asked_by = HttpRequest.of(event).header("authorization")
            told = answer_violations(path, _parameters(event), answer["body"], asked_by)
            found.extend(f"{path}: {line}" for line in told)
        return answer

    with patch.object(Api, "handle", handled):
        yield found


def _parameters(event: Mapping[str, Any]) -> str:
    http = HttpRequest.of(event)
    try:
        body = http.form_body().decode(errors="replace")
    except RequestError:
        # The API refused it, too, and expanded nothing.
        body = ""
    return f"{http.query}&{body}"
