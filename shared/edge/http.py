"""An HTTP request as API Gateway hands it over."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.wire.errors import RequestError

BODY_BYTES_MAX = 256 * 1024
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request whose body is still as it was sent.

    Args: headers: by lower-case name. encoded_body: base64 where `is_base64`.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    encoded_body: str
    is_base64: bool

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> "HttpRequest":
        """Reads an event of payload format 2.0.

        Source: API Gateway developer guide, "AWS Lambda proxy integrations for HTTP APIs".
        """
        headers = event.get("headers") or {}
        return cls(
            method=str(event["requestContext"]["http"]["method"]),
            # What is no text can be neither found nor sent back.
            path=str(event["rawPath"]).encode(errors="replace").decode(),
            query=str(event.get("rawQueryString") or ""),
            headers={str(name).lower(): str(value) for name, value in headers.items()},
            encoded_body=str(event.get("body") or ""),
            is_base64=bool(event.get("isBase64Encoded")),
        )

    def header(self, name: str) -> str:
        """Returns a header without surrounding blanks, or "" when it was not sent."""
        return self.headers.get(name, "").strip()

    def form_body(self) -> bytes:
        """Returns the form in the body.

        Raises: RequestError when it is too large, garbled, or not declared to be a form.
        """
        if not self.encoded_body:
            return b""
        body = self._decoded_body()
        if len(body) > BODY_BYTES_MAX:
            raise RequestError(
                f"Request body is too large: at most {BODY_BYTES_MAX} bytes are accepted.",
                status=413,
            )
        declared = self.header("content-type").partition(";")[0].strip().lower()
        if declared not in {"", _FORM}:
            raise RequestError(f"Invalid request (check that your POST content type is {_FORM}).")
        return body

    def _decoded_body(self) -> bytes:
        try:
            if self.is_base64:
                return base64.b64decode(self.encoded_body, validate=True)
            return self.encoded_body.encode()
        except ValueError as error:
            raise RequestError("Invalid request: the body could not be read.") from error
