"""How the sandbox provider reads failures: what was sent, and what may have happened."""

import socket
from collections.abc import Iterator

import pytest

from shared.adapters.providers import sandbox
from shared.adapters.providers.sandbox import SandboxProvider
from shared.adapters.secrets import FixedSecret
from shared.domain.errors import (
    InvariantError,
    ProviderUnavailableError,
    RejectedError,
    UnknownOutcomeError,
)
from tests.support.loopback import Received, Reply, serve

APPROVED = b'{"id": "ntx_1", "status": "approved", "checks": {}}'
NOT_PROCESSED = b'{"error": {"code": "not_processed", "message": "busy"}}'


class RotatedSecret:
    def __init__(self) -> None:
        self.texts = ["old", "new"]

    def text(self) -> str:
        return self.texts[0]

    def renew(self) -> bool:
        self.texts = ["new"]
        return True


def void_against(reply: Reply) -> None:
    with serve(lambda _: reply) as url:
        SandboxProvider(url, FixedSecret("s")).void("ch_1", "ch_1/void")


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_request_to_a_closed_port_was_never_sent(closed_port: int) -> None:
    provider = SandboxProvider(f"http://127.0.0.1:{closed_port}", FixedSecret("s"))
    with pytest.raises(ProviderUnavailableError):
        provider.void("ch_1", "ch_1/void")


def test_request_to_an_unknown_host_was_never_sent() -> None:
    provider = SandboxProvider("http://network.invalid", FixedSecret("s"))
    with pytest.raises(ProviderUnavailableError):
        provider.void("ch_1", "ch_1/void")


@pytest.mark.parametrize(
    "reply",
    [
        Reply(cut=True),
        Reply(500),
        Reply(502, b"<html>"),
        Reply(503, b'{"message": "Service Unavailable"}'),
        Reply(200, b"not json"),
        Reply(200, b"[]"),
        Reply(200, b'{"id": "ntx_1", "status": "maybe", "checks": {}}'),
        Reply(302, headers={"location": "http://127.0.0.1/"}),
    ],
)
def test_unreadable_answer_leaves_the_outcome_unknown(reply: Reply) -> None:
    with pytest.raises(UnknownOutcomeError):
        void_against(reply)


def test_answer_beyond_the_limit_leaves_the_outcome_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sandbox, "ANSWER_BYTES_MAX", 10)
    with pytest.raises(UnknownOutcomeError):
        void_against(Reply(200, APPROVED))


def test_slow_answer_leaves_the_outcome_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "READ_TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UnknownOutcomeError):
            SandboxProvider(url, FixedSecret("s")).void("ch_1", "ch_1/void")


@pytest.mark.parametrize("reply", [Reply(429), Reply(401), Reply(503, NOT_PROCESSED)])
def test_explicit_refusal_did_nothing(reply: Reply) -> None:
    with pytest.raises(ProviderUnavailableError):
        void_against(reply)


@pytest.mark.parametrize("status", [400, 409])
def test_refused_form_is_a_bug(status: int) -> None:
    with pytest.raises(InvariantError):
        void_against(Reply(status))


def test_rotated_secret_is_renewed_and_the_request_repeated() -> None:
    seen: list[str] = []

    def answer(received: Received) -> Reply:
        seen.append(received.headers["authorization"])
        return Reply(200, APPROVED) if seen[-1] == "Bearer new" else Reply(401)

    with serve(answer) as url:
        SandboxProvider(url, RotatedSecret()).void("ch_1", "ch_1/void")
    assert seen == ["Bearer old", "Bearer new"]


def test_transactions_after_a_malformed_id_are_rejected() -> None:
    with serve(lambda _: Reply(400)) as url, pytest.raises(RejectedError):
        SandboxProvider(url, FixedSecret("s")).transactions("acct_1", starting_after="x")
