"""Webhooks over HTTP: merchants' URLs are hostile until their address is known to be public."""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any
from urllib.parse import SplitResult, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, SSLError
from urllib3.exceptions import TimeoutError as HTTPTimeoutError

from shared.adapters.http import BodyTooLargeError, read_bounded
from shared.domain.errors import RejectedError, TransientError
from shared.domain.webhooks import is_public

LOOKUP_TIMEOUT_S = 2.0
CONNECT_TIMEOUT_S = 2.0
# Without a byte.
READ_TIMEOUT_S = 8.0
# From the lookup to the last byte, however slowly the endpoint takes and gives them.
EXCHANGE_TIMEOUT_S = 10.0
RESPONSE_BYTES_MAX = 64 * 1024

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], list[Address]]

# What merchants are told of an attempt without an answer; the first that fits.
_KINDS: tuple[tuple[type[HTTPError], str], ...] = (
    (NewConnectionError, "connection_refused"),
    (ConnectTimeoutError, "connect_timeout"),
    (HTTPTimeoutError, "timeout"),
    (SSLError, "tls"),
)


def resolve(host: str, port: int) -> list[Address]:
    """Looks a host up.

    Raises: TransientError when the name has no address now.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise TransientError("The endpoint's host name does not resolve.", code="dns") from error
    # A scope, as in "fe80::1%eth0", names an interface; such addresses are refused anyway.
    return [ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


class UrllibWebhookSender:
    """Implements WebhookSender.

    The name is resolved once, its addresses are checked, and the checked address is the one
    connected to: a second resolution could give another (DNS rebinding).

    Args: allow_loopback: true on a developer's machine only. resolve: replaceable by tests.
    lookup_timeout_s: for the name. exchange_timeout_s: for all of it: the name, the connection, the
    request and its answer.
    """

    def __init__(
        self,
        *,
        allow_loopback: bool = False,
        resolve: Resolve = resolve,
        lookup_timeout_s: float = LOOKUP_TIMEOUT_S,
        exchange_timeout_s: float = EXCHANGE_TIMEOUT_S,
    ) -> None:
        self._allow_loopback = allow_loopback
        self._resolve = resolve
        self._lookup_timeout_s = lookup_timeout_s
        self._exchange_timeout_s = exchange_timeout_s

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Posts once; redirects are answers, not directions."""
        target, port = _parsed(url)
        deadline = _Deadline(self._exchange_timeout_s)
        with deadline.kept():
            address = self._checked_address(str(target.hostname), port)
            try:
                status = self._exchange(target, address, port, body, headers, deadline)
            except HTTPError as error:
                kind = next((kind for sort, kind in _KINDS if isinstance(error, sort)), "protocol")
                code = "timeout" if deadline.is_over else kind
                message = f"The endpoint did not answer: {type(error).__name__}"
                raise TransientError(message, code=code) from error
        if deadline.is_over:
            # What was read until then may look like an answer.
            raise TransientError("The endpoint did not answer in time.", code="timeout")
        return status

    def _exchange(
        self,
        target: SplitResult,
        address: Address,
        port: int,
        body: bytes,
        headers: Mapping[str, str],
        deadline: "_Deadline",
    ) -> int:
        query = f"?{target.query}" if target.query else ""
        with _pool(target, address, port, deadline) as pool:
            response = pool.urlopen(
                "POST",
                f"{target.path or '/'}{query}",
                body=body,
                headers={**headers, "Host": target.netloc},
                retries=False,
                redirect=False,
                preload_content=False,
            )
            # The status is the answer; reading its text ends the exchange in order.
            with suppress(BodyTooLargeError):
                read_bounded(response, RESPONSE_BYTES_MAX)
        return response.status

    def _checked_address(self, host: str, port: int) -> Address:
        addresses = self._looked_up(host, port)
        for address in addresses:
            if not is_public(address, allow_loopback=self._allow_loopback):
                raise RejectedError("The endpoint's address is not public.", code="address_refused")
        if not addresses:
            raise TransientError("The endpoint's host name does not resolve.", code="dns")
        return addresses[0]

    def _looked_up(self, host: str, port: int) -> list[Address]:
        """Looks a host up; a name server that says nothing holds up nobody."""
        found: Future[list[Address]] = Future()

        def look_up() -> None:
            try:
                found.set_result(self._resolve(host, port))
            except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
                found.set_exception(error)

        # It cannot be ended, and is left behind until the resolver gives up.
        threading.Thread(target=look_up, daemon=True).start()
        try:
            return found.result(self._lookup_timeout_s)
        except TimeoutError as error:
            message = "The endpoint's host name does not resolve in time."
            raise TransientError(message, code="timeout") from error


def _parsed(url: str) -> tuple[SplitResult, int]:
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise RejectedError("The endpoint's URL is malformed.", code="url_invalid")
    try:
        target = urlsplit(url)
        port = target.port or (443 if target.scheme == "https" else 80)
    except ValueError as error:
        raise RejectedError("The endpoint's URL is malformed.", code="url_invalid") from error
    if target.scheme not in {"http", "https"} or not target.hostname or "@" in target.netloc:
        raise RejectedError("The endpoint's URL is malformed.", code="url_invalid")
    return target, port


class _Deadline:
    """Ends an exchange from outside: a timeout of the socket begins anew with every byte."""

    def __init__(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True
        self._socket: socket.socket | None = None
        self.is_over = False

    def watch(self, connection: socket.socket) -> socket.socket:
        """Makes a new connection one that is ended, and returns it."""
        # A handle of its own: TLS takes the socket over.
        self._socket = connection.dup()
        if self.is_over:
            self._end()
        return connection

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Counts until the block ends."""
        self._timer.start()
        try:
            yield
        finally:
            self._timer.cancel()
            if self._socket is not None:
                self._socket.close()

    def _end(self) -> None:
        self.is_over = True
        if self._socket is not None:
            # It may have been closed just now.
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


def _pool(
    target: SplitResult, address: Address, port: int, deadline: _Deadline
) -> urllib3.HTTPConnectionPool:
    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return deadline.watch(super()._new_conn())

    class Encrypted(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return deadline.watch(super()._new_conn())

    options: dict[str, Any] = {
        "port": port,
        "maxsize": 1,
        "timeout": urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=READ_TIMEOUT_S),
        "retries": False,
    }
    if target.scheme == "http":
        plain = urllib3.HTTPConnectionPool(str(address), **options)
        plain.ConnectionCls = Plain
        return plain
    # The certificate must be the name's, although the connection is made to the address.
    name = str(target.hostname).rstrip(".")
    encrypted = urllib3.HTTPSConnectionPool(
        str(address),
        **options,
        server_hostname=name,
        assert_hostname=name,
        cert_reqs="CERT_REQUIRED",
    )
    encrypted.ConnectionCls = Encrypted
    return encrypted
