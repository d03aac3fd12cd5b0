"""HTTP to the outside: bounded bodies, explicit timeouts, no retries and no redirects."""

from collections.abc import Iterator

from urllib3.exceptions import ProtocolError
from urllib3.response import BaseHTTPResponse

_CHUNK_BYTES_MAX = 16_384


class BodyTooLargeError(ValueError):
    """Says that a response is longer than its reader allows."""


def read_bounded(response: BaseHTTPResponse, bytes_max: int) -> bytes:
    """Reads a response that was requested with `preload_content=False`, and gives it back.

    It is read as it came: nothing is unpacked, since a few bytes can be packed from millions.
    Raises: BodyTooLargeError, after which the connection is closed rather than drained;
    urllib3's HTTPError when the connection fails.
    """
    body = bytearray()
    for chunk in _chunks(response, min(bytes_max + 1, _CHUNK_BYTES_MAX)):
        body += chunk
        if len(body) > bytes_max:
            response.close()
            raise BodyTooLargeError(f"the response is longer than {bytes_max} bytes")
    response.release_conn()
    return bytes(body)


def _chunks(response: BaseHTTPResponse, bytes_max: int) -> Iterator[bytes]:
    try:
        yield from response.stream(bytes_max, decode_content=False)
    except ValueError as error:
        # So urllib3 tells of a chunk whose length is negative.
        raise ProtocolError("The response is malformed.") from error
