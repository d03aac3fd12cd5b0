"""A reverse proxy that gives each region's API a bare address, as SDKs expect.

MiniStack serves an HTTP API below a path that names it; SDKs in most languages accept a host and
port only. The proxy listens once per region and puts the path in front of the request's target.
Target, headers and body pass as they came, byte by byte; only hop-by-hop headers end here.
"""

import argparse
import asyncio
import json
import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

HEAD_BYTES_MAX = 65_536
CHUNK_BYTES = 65_536
CLIENTS_MAX = 512
POOL_MAX = 64
# The emulator starts a process for every invocation that runs beside another. A burst of cold
# ones takes a small machine longer than the functions' own timeouts allow; a few at a time keep
# every core busy and let the processes be used again. The rest wait their turn.
IN_FLIGHT_MAX = 8
CONNECT_TIMEOUT_S = 5
UPSTREAM_TIMEOUT_S = 60
CLIENT_IDLE_TIMEOUT_S = 75
LINGER_S = 2
# Below MiniStack's own 75 s, so that a pooled connection is not one that it is about to close.
POOL_IDLE_S = 30
HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer"
    b" transfer-encoding upgrade expect".split()
)

Header = tuple[bytes, bytes]


class BadMessageError(Exception):
    """Says that a request or response is not well-formed HTTP/1."""


class UpstreamError(Exception):
    """Says that the platform behind the proxy did not answer."""


@dataclass(frozen=True, slots=True)
class Head:
    """Start line and headers of a message.

    Args: start: the start line's three parts. length: body bytes; None when it is chunked, or,
    for a response, when it ends with the connection.
    """

    start: tuple[bytes, bytes, bytes]
    headers: tuple[Header, ...]
    length: int | None
    chunked: bool
    close: bool
    expects_continue: bool

    def render(self, start: bytes, *extra: bytes) -> bytes:
        """Writes the head for the next hop."""
        named = {name.lower() for name in self.connection_names()}
        kept = [
            name + b":" + value
            for name, value in self.headers
            if name.lower() not in HOP_BY_HOP and name.lower() not in named
        ]
        if self.chunked:
            kept.append(b"Transfer-Encoding: chunked")
        return b"\r\n".join([start, *kept, *extra, b"", b""])

    def connection_names(self) -> list[bytes]:
        """Lists the headers that the Connection header declares hop-by-hop."""
        values = [value for name, value in self.headers if name.lower() == b"connection"]
        return [part.strip() for value in values for part in value.split(b",") if part.strip()]


def parse_head(data: bytes, *, is_response: bool) -> Head:
    """Reads start line and headers; the data ends with the empty line.

    Raises: BadMessageError also when the body's length is stated in two ways (request smuggling).
    """
    lines = data[:-4].split(b"\r\n")
    start = lines[0].split(b" ", 2)
    if len(start) < 2 or (len(start) == 2 and not is_response):
        raise BadMessageError("malformed start line")
    headers: list[Header] = []
    for line in lines[1:]:
        name, separator, value = line.partition(b":")
        if not separator or not name or name != name.strip():
            raise BadMessageError("malformed header")
        headers.append((name, value))
    parts = (start[0], start[1], start[2] if len(start) > 2 else b"")
    return _framed(parts, headers, is_response=is_response)


def _framed(start: tuple[bytes, bytes, bytes], headers: list[Header], *, is_response: bool) -> Head:
    values: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        values.setdefault(name.lower(), []).append(value.strip().lower())
    chunked = bool(values.get(b"transfer-encoding"))
    lengths = set(values.get(b"content-length", ()))
    if chunked and (lengths or values[b"transfer-encoding"] != [b"chunked"]):
        raise BadMessageError("contradictory or unknown transfer encoding")
    if len(lengths) > 1 or not all(length.isdigit() for length in lengths):
        raise BadMessageError("malformed Content-Length")
    connection = b",".join(values.get(b"connection", ())).replace(b" ", b"").split(b",")
    is_old = (start[0] if is_response else start[2]) == b"HTTP/1.0"
    length = int(next(iter(lengths))) if lengths else None
    return Head(
        start=start,
        headers=tuple(headers),
        length=0 if length is None and not chunked and not is_response else length,
        chunked=chunked,
        close=b"close" in connection or (is_old and b"keep-alive" not in connection),
        expects_continue=b"100-continue" in values.get(b"expect", ()),
    )


async def _read_head(reader: asyncio.StreamReader, *, is_response: bool) -> Head:
    return parse_head(await reader.readuntil(b"\r\n\r\n"), is_response=is_response)


async def _body(reader: asyncio.StreamReader, head: Head) -> AsyncIterator[bytes]:
    """Yields a body as it stands on the wire, chunk sizes included."""
    if head.chunked:
        async for piece in _chunks(reader):
            yield piece
    elif head.length is None:
        while piece := await reader.read(CHUNK_BYTES):
            yield piece
    else:
        async for piece in _exactly(reader, head.length):
            yield piece


async def _exactly(reader: asyncio.StreamReader, length: int) -> AsyncIterator[bytes]:
    while length > 0:
        piece = await reader.read(min(length, CHUNK_BYTES))
        if not piece:
            raise asyncio.IncompleteReadError(piece, length)
        length -= len(piece)
        yield piece


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while True:
        line = await reader.readuntil(b"\r\n")
        yield line
        try:
            size = int(line.partition(b";")[0], 16)
        except ValueError as error:
            raise BadMessageError("malformed chunk size") from error
        if size == 0:
            break
        async for piece in _exactly(reader, size + 2):
            yield piece
    while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
        yield line
    yield line


@dataclass(slots=True)
class Upstream:
    """Keeps connections to one address, most recently used first.

    Args: slots: how many requests may be under way.
    """

    host: str
    port: int
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(IN_FLIGHT_MAX))
    _idle: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = field(
        default_factory=list
    )

    async def acquire(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Returns an open connection.

        Raises: UpstreamError when nothing accepts connections there.
        """
        now = asyncio.get_running_loop().time()
        while self._idle:
            since, reader, writer = self._idle.pop()
            if now - since < POOL_IDLE_S and not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                return await asyncio.open_connection(self.host, self.port, limit=HEAD_BYTES_MAX)
        except (OSError, TimeoutError) as error:
            raise UpstreamError(f"nothing answers at {self.host}:{self.port}") from error

    def release(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Takes a connection back after a complete exchange."""
        if len(self._idle) >= POOL_MAX:
            writer.close()
            return
        self._idle.append((asyncio.get_running_loop().time(), reader, writer))

    def close(self) -> None:
        """Closes the idle connections."""
        for _, _, writer in self._idle:
            writer.close()
        self._idle.clear()


class Proxy:
    """Serves one address: every request goes upstream with the prefix in front of its target."""

    def __init__(self, upstream: Upstream, prefix: bytes) -> None:
        self._upstream = upstream
        self._prefix = prefix
        self._clients: set[asyncio.Task[None]] = set()

    async def serve(self, host: str, port: int) -> asyncio.Server:
        """Starts listening; port 0 takes a free one."""
        return await asyncio.start_server(self._connected, host, port, limit=HEAD_BYTES_MAX)

    async def stop(self) -> None:
        """Ends the connections that are open."""
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio runs this callback as a task
        self._clients.add(task)
        try:
            if len(self._clients) > CLIENTS_MAX:
                await _refuse(writer, 503, f"more than {CLIENTS_MAX} connections are open")
            else:
                while await self._exchange(reader, writer):
                    pass
            await _linger(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            # The client went away, or the proxy is stopping: nobody is left to answer.
            pass
        finally:
            self._clients.discard(task)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serves one request; returns whether another may follow on the connection."""
        try:
            async with asyncio.timeout(CLIENT_IDLE_TIMEOUT_S):
                request = await _read_head(reader, is_response=False)
            if not request.start[1].startswith(b"/"):
                raise BadMessageError("the request target must be a path")
            async with self._upstream.slots:
                return await self._forward(request, reader, writer)
        except TimeoutError:
            return False
        except asyncio.LimitOverrunError:
            return await _refuse(
                writer, 431, f"a line or the headers exceed {HEAD_BYTES_MAX} bytes"
            )
        except BadMessageError as error:
            return await _refuse(writer, 400, str(error))
        except UpstreamError as error:
            return await _refuse(writer, 502, f"The local platform is away: {error}")

    async def _forward(
        self, request: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        up_reader, up_writer = await self._upstream.acquire()
        is_reusable = False
        try:
            if request.expects_continue:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            method, target, _ = request.start
            up_writer.write(request.render(b"%b %b%b HTTP/1.1" % (method, self._prefix, target)))
            await _send_body(request, reader, up_writer)
            response = await _response_head(up_reader)
            is_reusable, keeps_client = await _answer(request, response, up_reader, writer)
        finally:
            if is_reusable:
                self._upstream.release(up_reader, up_writer)
            else:
                up_writer.close()
        return keeps_client


async def _linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads what the client still sends: closing before would reset its unread answer away."""
    writer.write_eof()
    try:
        async with asyncio.timeout(LINGER_S):
            while await reader.read(CHUNK_BYTES):
                pass
    except TimeoutError:
        return


async def _send_body(
    request: Head, reader: asyncio.StreamReader, up_writer: asyncio.StreamWriter
) -> None:
    async for piece in _body(reader, request):
        up_writer.write(piece)
        try:
            await up_writer.drain()
        except ConnectionError:
            # The platform may answer before it has read everything; the rest is read and dropped.
            continue


async def _response_head(up_reader: asyncio.StreamReader) -> Head:
    """Reads the final response head, past interim ones."""
    try:
        async with asyncio.timeout(UPSTREAM_TIMEOUT_S):
            while True:
                response = await _read_head(up_reader, is_response=True)
                if not response.start[1].startswith(b"1"):
                    return response
    except (TimeoutError, ConnectionError) as error:
        raise UpstreamError(f"no answer within {UPSTREAM_TIMEOUT_S} s") from error
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, BadMessageError) as error:
        raise UpstreamError("its answer was cut off or malformed") from error


async def _answer(
    request: Head,
    response: Head,
    up_reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> tuple[bool, bool]:
    """Streams the response to the client.

    Returns: whether the upstream connection, and the client's, can serve another request.
    """
    has_body = request.start[0] != b"HEAD" and response.start[1] not in {b"204", b"304"}
    ends_with_connection = has_body and not response.chunked and response.length is None
    # A client of HTTP/1.0 knows no chunks: its connection ends with the exchange.
    closes = request.close or ends_with_connection or request.start[2] != b"HTTP/1.1"
    extra = (b"Connection: close",) if closes else ()
    start = b" ".join((b"HTTP/1.1", *response.start[1:]))
    writer.write(response.render(start, *extra))
    if has_body:
        try:
            async for piece in _body(up_reader, response):
                writer.write(piece)
                await writer.drain()
        except BadMessageError as error:
            # The head is sent: breaking off is the only way left to say so.
            raise ConnectionAbortedError("the platform's answer is malformed") from error
    await writer.drain()
    return not (response.close or ends_with_connection), not closes


async def _refuse(writer: asyncio.StreamWriter, status: int, message: str) -> bool:
    reasons = {400: "Bad Request", 431: "Request Header Fields Too Large"}
    reasons |= {502: "Bad Gateway", 503: "Service Unavailable"}
    body = json.dumps({"error": {"type": "api_error", "message": message}}, indent=2).encode()
    writer.write(
        f"HTTP/1.1 {status} {reasons[status]}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
        + body
    )
    await writer.drain()
    return False


async def run(upstream: Upstream, prefixes: Mapping[int, str]) -> None:
    """Serves 127.0.0.1 until the process is told to stop.

    Args: prefixes: path prefix by port.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    proxies = [Proxy(upstream, prefix.encode()) for prefix in prefixes.values()]
    servers = [
        await proxy.serve("127.0.0.1", port) for proxy, port in zip(proxies, prefixes, strict=True)
    ]
    await stopping.wait()
    for server in servers:
        server.close()
    for proxy in proxies:
        await proxy.stop()
    upstream.close()


def main() -> None:
    """Serves what a configuration file says: {"upstream": port, "prefixes": {port: prefix}}."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    config = json.loads(parser.parse_args().config.read_text())
    prefixes = {int(port): prefix for port, prefix in config["prefixes"].items()}
    asyncio.run(run(Upstream("127.0.0.1", int(config["upstream"])), prefixes))


if __name__ == "__main__":
    main()
