"""Webhooks over HTTP: merchants' URLs are hostile until their address is known to be public."""

import socket
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any
from urllib.parse import SplitResult, urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from shared.adapters.http import BodyTooLargeError, read_bounded
from shared.domain.errors import RejectedError, TransientError
from shared.domain.webhooks import is_public

CONNECT_TIMEOUT_S = 2.0
READ_TIMEOUT_S = 8.0
RESPONSE_BYTES_MAX = 64 * 1024

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], list[Address]]


def resolve(host: str, port: int) -> list[Address]:
    """Looks a host up.

    Raises: TransientError when the name has no address now.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise TransientError("The endpoint's host name does not resolve.") from error
    # A scope, as in "fe80::1%eth0", names an interface; such addresses are refused anyway.
    return [ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


class UrllibWebhookSender:
    """Implements WebhookSender.

    The name is resolved once, its addresses are checked, and the checked address is the one
    connected to: a second resolution could give another (DNS rebinding).

    Args: allow_loopback: true on a developer's machine only. resolve: replaceable by tests.
    """

    def __init__(self, *, allow_loopback: bool = False, resolve: Resolve = resolve) -> None:
        self._allow_loopback = allow_loopback
        self._resolve = resolve

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Posts once; redirects are answers, not directions."""
        target, port = _parsed(url)
        address = self._checked_address(str(target.hostname), port)
        query = f"?{target.query}" if target.query else ""
        try:
            with _pool(target, address, port) as pool:
                response = pool.urlopen(
                    "POST",
                    f"{target.path or '/'}{query}",
                    body=body,
                    headers={**headers, "Host": target.netloc},
                    retries=False,
                    redirect=False,
                    preload_content=False,
                )
                # The answer's text means nothing; reading it ends the exchange in order.
                read_bounded(response, RESPONSE_BYTES_MAX)
                return response.status
        except BodyTooLargeError as error:
            raise TransientError("The endpoint's answer is too long.") from error
        except HTTPError as error:
            raise TransientError(f"The endpoint did not answer: {type(error).__name__}") from error

    def _checked_address(self, host: str, port: int) -> Address:
        addresses = self._resolve(host, port)
        for address in addresses:
            if not is_public(address, allow_loopback=self._allow_loopback):
                raise RejectedError("The endpoint's address is not public.")
        if not addresses:
            raise TransientError("The endpoint's host name does not resolve.")
        return addresses[0]


def _parsed(url: str) -> tuple[SplitResult, int]:
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise RejectedError("The endpoint's URL is malformed.")
    try:
        target = urlsplit(url)
        port = target.port or (443 if target.scheme == "https" else 80)
    except ValueError as error:
        raise RejectedError("The endpoint's URL is malformed.") from error
    if target.scheme not in {"http", "https"} or not target.hostname or "@" in target.netloc:
        raise RejectedError("The endpoint's URL is malformed.")
    return target, port


def _pool(target: SplitResult, address: Address, port: int) -> urllib3.HTTPConnectionPool:
    options: dict[str, Any] = {
        "port": port,
        "maxsize": 1,
        "timeout": urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=READ_TIMEOUT_S),
        "retries": False,
    }
    if target.scheme == "http":
        return urllib3.HTTPConnectionPool(str(address), **options)
    # The certificate must be the name's, although the connection is made to the address.
    return urllib3.HTTPSConnectionPool(
        str(address),
        **options,
        server_hostname=target.hostname,
        assert_hostname=target.hostname,
        cert_reqs="CERT_REQUIRED",
    )
