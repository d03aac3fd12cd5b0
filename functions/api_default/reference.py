"""The published interface and its reference page: files, for everyone, without an API key.

The page and what it loads come from here alone: the content security policy refuses any other
host.
"""

import base64
import functools
import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.edge.http import HttpRequest
from shared.observability import logger

FOLDER = Path(__file__).parent
# Where the build puts the viewer's files.
VIEWER = FOLDER / "viewer"
DOCUMENT_PATH = "/v1/openapi.json"
PAGE_PATH = "/v1/docs"
_COMPRESSED_BYTES_MIN = 1_024
_POLICY = (
    "default-src 'none'; connect-src 'self'; img-src 'self' data:; script-src 'self';"
    " style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class File:
    """A file as it is served. Args: is_pinned: it changes only with the viewer's version."""

    path: Path
    content_type: str
    is_pinned: bool = False


FILES: Mapping[str, File] = {
    DOCUMENT_PATH: File(FOLDER / "openapi.json", "application/json"),
    PAGE_PATH: File(FOLDER / "docs.html", "text/html; charset=utf-8"),
    f"{PAGE_PATH}/start.js": File(FOLDER / "start.js", "text/javascript; charset=utf-8"),
    f"{PAGE_PATH}/swagger-ui-bundle.js": File(
        VIEWER / "swagger-ui-bundle.js", "text/javascript; charset=utf-8", is_pinned=True
    ),
    f"{PAGE_PATH}/swagger-ui.css": File(
        VIEWER / "swagger-ui.css", "text/css; charset=utf-8", is_pinned=True
    ),
}


def answer(event: Mapping[str, Any]) -> dict[str, Any] | None:
    """Answers an API Gateway event with a file; None where it asks for none."""
    http = HttpRequest.of(event)
    file = FILES.get(http.path)
    if file is None or http.method != "GET":
        return None
    is_small = file.path.stat().st_size < _COMPRESSED_BYTES_MIN
    compressed = "gzip" in http.header("accept-encoding") and not is_small
    headers = {
        "Content-Type": file.content_type,
        "Cache-Control": f"public, max-age={86_400 if file.is_pinned else 300}",
        "Content-Security-Policy": _POLICY,
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
    if compressed:
        headers["Content-Encoding"] = "gzip"
    logger.info("reference", path=http.path, status=200)
    return {
        "statusCode": 200,
        "headers": headers,
        "body": _compressed(file.path) if compressed else file.path.read_text(),
        "isBase64Encoded": compressed,
    }


@functools.cache
def _compressed(path: Path) -> str:
    # Without a time, so that every environment answers the same bytes.
    return base64.b64encode(gzip.compress(path.read_bytes(), mtime=0)).decode()
