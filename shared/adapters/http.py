"""HTTP to the outside: bounded bodies, explicit timeouts, no retries and no redirects."""

from urllib3.response import BaseHTTPResponse


class BodyTooLargeError(ValueError):
    """Says that a response is longer than its reader allows."""


def read_bounded(response: BaseHTTPResponse, bytes_max: int) -> bytes:
    """Reads a response that was requested with `preload_content=False`, and gives it back.

    Raises: BodyTooLargeError, after which the connection is closed rather than drained;
    urllib3's HTTPError when the connection fails.
    """
    body = bytearray()
    for chunk in response.stream(min(bytes_max + 1, 16_384)):
        body += chunk
        if len(body) > bytes_max:
            response.close()
            raise BodyTooLargeError(f"the response is longer than {bytes_max} bytes")
    response.release_conn()
    return bytes(body)
