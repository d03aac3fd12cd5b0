"""The sandbox card network's HTTP API: authenticate, parse, decide, commit, answer."""

import base64
import binascii
import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol
from urllib.parse import unquote

from aws_lambda_powertools import Logger

from functions.sandbox_network.requests import (
    BadRequestError,
    authorization_of,
    follow_up_of,
    page_of,
    parse_body,
    parse_key,
    parse_name,
    verification_of,
)
from functions.sandbox_network.store import NetworkStore, Remembered
from shared.adapters.secrets import Secret
from shared.domain.ports import Clock
from shared.domain.sandbox_network import (
    REFUND_ENDS_AFTER_MS,
    Command,
    Notice,
    Operation,
    answer_at,
    answer_to_json,
    decide,
    request_fingerprint,
    transaction_to_json,
)

ATTEMPTS_MAX = 8
# After the change that it tells of, whichever of two clocks is ahead.
NOTICE_DELAY_S = REFUND_ENDS_AFTER_MS // 1000 + 1

_FOLLOW_UPS = {
    "increments": Operation.INCREMENT,
    "captures": Operation.CAPTURE,
    "voids": Operation.VOID,
    "refunds": Operation.REFUND,
}
_ROUTES = (
    ("POST", re.compile(r"/v1/authorizations"), "authorize"),
    ("GET", re.compile(r"/v1/authorizations/([^/]+)"), "look_up"),
    (
        "POST",
        re.compile(r"/v1/authorizations/([^/]+)/(increments|captures|voids|refunds)"),
        "follow_up",
    ),
    ("POST", re.compile(r"/v1/verifications"), "verify"),
    ("GET", re.compile(r"/v1/operations"), "find"),
    ("GET", re.compile(r"/v1/transactions"), "list"),
)


class _ServiceError(Exception):
    """Is an answer other than 200.

    Args: status: of HTTP. code: for programs.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class _Call:
    name: str
    path: tuple[str, ...]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    text: Callable[[], str]


class Notices(Protocol):
    """Tells the platform of changes."""

    def send(self, notice: Notice, delay_s: int) -> None:
        """Has a notice arrive after a delay, once or more often."""


class NetworkService:
    """Serves the network's API.

    Args: store: its memory. secret: what callers must bear. notices: to the platform. logger:
    gets one line per request, without anything of the body.
    """

    def __init__(
        self, store: NetworkStore, secret: Secret, notices: Notices, clock: Clock, logger: Logger
    ) -> None:
        self._store = store
        self._secret = secret
        self._notices = notices
        self._clock = clock
        self._logger = logger

    def handle(self, event: Mapping[str, Any], context: object) -> dict[str, Any]:
        """Answers one request of an HTTP API, payload version 2."""
        started_ms = self._clock.now_ms()
        route = "unknown"
        try:
            self._authenticate(event)
            call = _call_of(event)
            route = call.name
            status, body = 200, self._serve(call)
        except _ServiceError as error:
            status, body = error.status, _error(error.code, str(error))
        except BadRequestError as error:
            status, body = 400, _error("bad_request", str(error))
        except Exception:
            self._logger.exception("network request failed", route=route)
            status, body = 500, _error("internal", "the network failed")
        self._logger.info(
            "network request",
            route=route,
            status=status,
            answer=body.get("status"),
            transaction=body.get("id"),
            duration_ms=self._clock.now_ms() - started_ms,
        )
        return {
            "statusCode": status,
            "headers": {"content-type": "application/json"},
            "body": json.dumps(body),
        }

    def _authenticate(self, event: Mapping[str, Any]) -> None:
        given = event.get("headers", {}).get("authorization", "")
        if not self._knows(given) and not (self._secret.renew() and self._knows(given)):
            raise _ServiceError(401, "unauthorized", "the bearer secret is missing or wrong")

    def _knows(self, given: str) -> bool:
        expected = f"Bearer {self._secret.text()}".encode()
        return hmac.compare_digest(given.encode(errors="replace"), expected)

    def _serve(self, call: _Call) -> Mapping[str, Any]:
        if call.name == "list":
            return self._list(call)
        if call.name == "look_up":
            return self._look_up(call)
        if call.name == "find":
            return self._find(call)
        key = parse_key(call.headers.get("idempotency-key"))
        body = parse_body(call.text())
        if call.name == "authorize":
            return self._run(authorization_of(body, key))
        if call.name == "verify":
            return self._run(verification_of(body, key))
        reference = parse_name(unquote(call.path[0]), "reference")
        return self._run(follow_up_of(_FOLLOW_UPS[call.path[1]], reference, body, key))

    def _run(self, command: Command) -> Mapping[str, Any]:
        fingerprint = request_fingerprint(command)
        for _ in range(ATTEMPTS_MAX):
            seen, state = self._store.recall(command.idempotency_key, command.reference)
            if seen is not None:
                if seen.fingerprint != fingerprint:
                    raise _ServiceError(409, "key_reused", "the key belongs to another request")
                return self._told(seen)
            decision = decide(state, command, self._clock.now_ms())
            if decision.notice is not None:
                # Before the commit, because after it nobody might: one too many does no harm.
                self._notices.send(decision.notice, NOTICE_DELAY_S)
            if self._store.commit(command.idempotency_key, fingerprint, decision):
                return answer_to_json(decision.answer)
        raise _ServiceError(503, "not_processed", "the reference is busy; nothing was done")

    def _told(self, seen: Remembered) -> Mapping[str, Any]:
        return answer_to_json(answer_at(seen.answer, seen.later, self._clock.now_ms()))

    def _find(self, call: _Call) -> Mapping[str, Any]:
        seen = self._store.answer(parse_key(call.query.get("idempotency_key")))
        return {"data": [] if seen is None else [self._told(seen)]}

    def _look_up(self, call: _Call) -> Mapping[str, Any]:
        state = self._store.authorization(parse_name(unquote(call.path[0]), "reference"))
        if state is None:
            raise _ServiceError(404, "not_found", "there is no such authorization")
        return asdict(state)

    def _list(self, call: _Call) -> Mapping[str, Any]:
        now_ms = self._clock.now_ms()
        found, has_more = self._store.transactions(*page_of(call.query), now_ms=now_ms)
        return {"data": [transaction_to_json(item, now_ms) for item in found], "has_more": has_more}


def _call_of(event: Mapping[str, Any]) -> _Call:
    http = event["requestContext"]["http"]
    for method, pattern, name in _ROUTES:
        match = pattern.fullmatch(event["rawPath"])
        if match and method == http["method"]:
            return _Call(
                name=name,
                path=match.groups(),
                query=event.get("queryStringParameters") or {},
                headers=event.get("headers", {}),
                text=lambda: _text_of(event),
            )
    raise _ServiceError(404, "not_found", "there is no such path")


def _text_of(event: Mapping[str, Any]) -> str:
    body: str = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return body
    try:
        return base64.b64decode(body, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise BadRequestError("the body is not UTF-8 text") from error


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}
