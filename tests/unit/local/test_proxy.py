import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import pytest

from local.proxy import HEAD_BYTES_MAX, BadMessageError, Proxy, Upstream, parse_head

LIMIT_S = 10
PREFIX = b"/_aws/execute-api/0a1b2c3d"
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class RecordingServer:
    """Answers each request with the given bytes and keeps what it received."""

    def __init__(self, answer: bytes, *, closes: bool = False) -> None:
        self.answer = answer
        self.closes = closes
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                self.bodies.append(await self._read_body(head, reader))
                writer.write(self.answer)
                await writer.drain()
                if self.closes:
                    break
        writer.close()

    async def _read_body(self, head: bytes, reader: asyncio.StreamReader) -> bytes:
        lowered = head.lower()
        if b"transfer-encoding: chunked" in lowered:
            return await reader.readuntil(b"0\r\n\r\n")
        if b"content-length:" not in lowered:
            return b""
        length = int(lowered.split(b"content-length:")[1].split(b"\r\n")[0])
        return await reader.readexactly(length)


@contextlib.asynccontextmanager
async def proxied(answer: Answer | None) -> AsyncIterator[int]:
    server = await asyncio.start_server(answer, "127.0.0.1", 0) if answer else None
    port = server.sockets[0].getsockname()[1] if server else await unused_port()
    upstream = Upstream("127.0.0.1", port)
    proxy = Proxy(upstream, PREFIX)
    front = await proxy.serve("127.0.0.1", 0)
    try:
        yield front.sockets[0].getsockname()[1]
    finally:
        front.close()
        await proxy.stop()
        upstream.close()
        if server:
            server.close()


async def unused_port() -> int:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = int(server.sockets[0].getsockname()[1])
    server.close()
    await server.wait_closed()
    return port


async def talk(port: int, request: bytes) -> bytes:
    """Sends bytes, says that no more follow, and reads to the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    await writer.drain()
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


def run(test: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(LIMIT_S):
            await test

    asyncio.run(bounded())


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


def test_proxy_target_with_encoding_and_duplicate_keys_passes_raw() -> None:
    async def scenario() -> None:
        # given
        server = RecordingServer(OK)
        async with proxied(server) as port:
            # when
            await talk(
                port, b"GET /v1/x%2Fy?a=1&a=2&created%5Bgte%5D=3&b=+%20 HTTP/1.1\r\nHost: h\r\n\r\n"
            )
        # then
        assert server.heads[0].split(b"\r\n")[0] == (
            b"GET " + PREFIX + b"/v1/x%2Fy?a=1&a=2&created%5Bgte%5D=3&b=+%20 HTTP/1.1"
        )

    run(scenario())


def test_proxy_hop_by_hop_headers_end_here_and_others_pass() -> None:
    async def scenario() -> None:
        # given
        server = RecordingServer(OK)
        async with proxied(server) as port:
            # when
            await talk(
                port,
                b"GET / HTTP/1.1\r\nHost: shop:1\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\n"
                b"Keep-Alive: timeout=5\r\nTE: trailers\r\nAuthorization: Bearer sk_test_1\r\n"
                b"idempotency-KEY:  two  words\r\n\r\n",
            )
        # then
        assert server.heads[0].split(b"\r\n")[1:-2] == [
            b"Host: shop:1",
            b"Authorization: Bearer sk_test_1",
            b"idempotency-KEY:  two  words",
        ]

    run(scenario())


@pytest.mark.parametrize("size", [0, 1, 65_536, 1_000_000])
def test_proxy_body_of_any_size_passes_both_ways(size: int) -> None:
    async def scenario() -> None:
        # given
        body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        server = RecordingServer(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + body)
        async with proxied(server) as port:
            # when
            request = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size
            answer = await talk(port, request + body)
        # then
        assert server.bodies == [body]
        assert answer.endswith(b"\r\n\r\n" + body)

    run(scenario())


def test_proxy_chunked_bodies_pass_as_they_are() -> None:
    async def scenario() -> None:
        # given
        body = b"4;note=1\r\nwxyz\r\n1\r\n!\r\n0\r\n\r\n"
        server = RecordingServer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
        async with proxied(server) as port:
            # when
            answer = await talk(
                port, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + body
            )
        # then
        assert server.bodies == [body]
        assert answer == b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body

    run(scenario())


def test_proxy_requests_on_one_connection_share_one_upstream_connection() -> None:
    async def scenario() -> None:
        # given
        server = RecordingServer(OK)
        async with proxied(server) as port:
            # when
            answer = await talk(port, b"GET / HTTP/1.1\r\n\r\n" * 3)
        # then
        assert answer == OK * 3
        assert server.connections == 1

    run(scenario())


def test_proxy_upstream_that_closes_after_answer_is_not_reused() -> None:
    async def scenario() -> None:
        # given
        closing = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        server = RecordingServer(closing, closes=True)
        async with proxied(server) as port:
            # when
            answer = await talk(port, b"GET / HTTP/1.1\r\n\r\n" * 2)
        # then
        assert answer == OK * 2
        assert server.connections == 2

    run(scenario())


def test_proxy_head_request_gets_no_body() -> None:
    async def scenario() -> None:
        # given
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"
        async with proxied(RecordingServer(head)) as port:
            # when
            answer = await talk(port, b"HEAD / HTTP/1.1\r\n\r\n")
        # then
        assert answer == head

    run(scenario())


def test_proxy_expect_continue_is_answered_before_the_body() -> None:
    async def scenario() -> None:
        # given
        server = RecordingServer(OK)
        async with proxied(server) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            # when
            writer.write(b"POST / HTTP/1.1\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n")
            interim = await reader.readuntil(b"\r\n\r\n")
            writer.write(b"x")
            answer = await reader.readexactly(len(OK))
            writer.close()
            await writer.wait_closed()
        # then
        assert interim == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert answer == OK
        assert b"xpect" not in server.heads[0]

    run(scenario())


def test_proxy_client_of_http_1_0_gets_a_closed_connection() -> None:
    async def scenario() -> None:
        # given
        async with proxied(RecordingServer(OK)) as port:
            # when
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
        # then
        assert b"\r\nConnection: close\r\n" in answer

    run(scenario())


def test_proxy_upstream_away_answers_502_in_json() -> None:
    async def scenario() -> None:
        # given
        async with proxied(None) as port:
            # when
            answer = await talk(port, b"GET /v1/balance HTTP/1.1\r\n\r\n")
        # then
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 502 ")
        assert json.loads(body)["error"]["type"] == "api_error"

    run(scenario())


def test_proxy_upstream_that_breaks_off_answers_502() -> None:
    async def breaks_off(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200")
        writer.close()

    async def scenario() -> None:
        # given
        async with proxied(breaks_off) as port:
            # when
            answer = await talk(port, b"GET / HTTP/1.1\r\n\r\n")
        # then
        assert answer.startswith(b"HTTP/1.1 502 ")

    run(scenario())


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nName : spaced\r\n\r\n", b"400"),
        (b"GET http://elsewhere/ HTTP/1.1\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * (2 * HEAD_BYTES_MAX) + b"\r\n\r\n", b"431"),
    ],
)
def test_proxy_malformed_request_is_refused(request_bytes: bytes, status: bytes) -> None:
    async def scenario() -> None:
        # given
        async with proxied(RecordingServer(OK)) as port:
            # when
            answer = await talk(port, request_bytes)
        # then
        assert answer.startswith(b"HTTP/1.1 " + status)

    run(scenario())


def test_parse_head_length_and_chunks_together_is_refused() -> None:
    # given
    smuggled = b"POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
    # when, then
    with pytest.raises(BadMessageError):
        parse_head(smuggled, is_response=False)
