"""The published interface, fuzzed by schemathesis against the whole API in one process.

All checks of schemathesis are on, but where Stripe answers otherwise: a method that a path does not
have is 404, not 405, and a deleted customer can be read. One is added: nothing of another account
may be shown.
"""

import base64
import copy
import functools
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, unquote_plus, urlsplit

import requests
import responses
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from tests.support.examples import OPEN_CALLS, Hour
from tests.support.openapi import document

URL = "https://api.example.com"
MARK = "Zebulon Stranger"
METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE")
# A request that is as the document says may be refused for what it asks.
REFUSALS = ("400", "401", "402", "403", "404", "409", "429")
CALLS_KEPT_MAX = 100
IDS_MAX = 20
STRANGERS_MAX = 5
OPEN_TIMES = 5
AMOUNTS = (100, 500, 2_000)
KNOWN_PROBABILITY = 0.5
QUERIES = ("created>0", "currency:'usd'", "email:'ada@example.com'", "metadata['order']:'6735'")

Json = dict[str, Any]

_ID = re.compile(r"[a-z]+_[0-9A-Za-z]{20,}")


@dataclass
class Findings:
    """What a run found.

    Args: statuses: answers, by status. strangers: requests that named something of another
    account. served: the operations that answered 200.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    strangers: int = 0
    served: set[str] = field(default_factory=set)
    failures: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        by_status = ", ".join(
            f"{status}: {count}" for status, count in sorted(self.statuses.items())
        )
        return (
            f"{self.statuses.total()} requests ({by_status}), {self.strangers} of them with ids of"
            f" another account, {len(self.failures)} failures"
        )


@dataclass
class Platform:
    """Two merchants after their first hour, of whom one is asked for."""

    hour: Hour
    stranger: Hour
    findings: Findings

    def answer(self, request: requests.PreparedRequest) -> tuple[int, Mapping[str, str], str]:
        """Answers as API Gateway does."""
        url = urlsplit(str(request.url))
        path = unquote(url.path)
        body = request.body if isinstance(request.body, bytes) else str(request.body or "").encode()
        event = {
            "rawPath": path,
            "rawQueryString": url.query,
            "headers": {name.lower(): _text(value) for name, value in request.headers.items()},
            "requestContext": {"http": {"method": str(request.method), "path": path}},
            "body": base64.b64encode(body).decode(),
            "isBase64Encoded": True,
        }
        world = self.hour.world
        world.clock.advance(100)
        answer = world.respond(event)
        self.findings.statuses[answer.status] += 1
        name = self._operation(str(request.method), path)
        if answer.status == 200:
            self.findings.served.add(name)
        form = body.decode(errors="replace")
        sent = f"{path} {unquote_plus(url.query)} {unquote_plus(form)}"
        self._look_for_strangers(name, sent, answer.text)
        return answer.status, answer.headers, answer.text

    def _operation(self, method: str, path: str) -> str:
        found = (
            f"{route.method} {route.template}"
            for route in self.hour.world.routes()
            if route.method == method and route.pattern.fullmatch(path)
        )
        return next(found, f"{method} of no operation")

    def _look_for_strangers(self, name: str, sent: str, answered: str) -> None:
        """Notes what is shown of another account that the request did not itself name."""
        self.findings.strangers += any(theirs in sent for theirs in self.theirs)
        shown = [
            theirs
            for theirs in (MARK, self.stranger.merchant.account, *self.theirs)
            if theirs in answered and theirs not in sent
        ]
        if shown:
            self.findings.failures[f"another account's data: {name}"] = f"{shown} in {answered}"

    @functools.cached_property
    def theirs(self) -> tuple[str, ...]:
        """The ids of all that the stranger has."""
        made = (name for ids in self.stranger.made.values() for name in ids)
        return tuple(name for name in made if _ID.fullmatch(name))

    def known(self) -> Iterator[tuple[str, list[str | int]]]:
        """Yields what parameters are likely to take, by their names: ids, the stranger's too."""
        mine, theirs = self.hour.newest, self.stranger.newest
        for kind, ids in self.hour.made.items():
            test_cards = ["pm_card_visa"] if kind == "payment_method" else []
            others = self.stranger.made.get(kind, [])
            yield kind, [*ids[-IDS_MAX:], *others[-STRANGERS_MAX:], *test_cards]
        yield "amount", list(AMOUNTS)
        yield "amount_to_capture", list(AMOUNTS)
        yield "account", [mine["ledger.account"], theirs["ledger.account"]]
        yield "number", [mine["ledger.checkpoint"]]
        journals = [hour.newest["ledger.journal"].split("/") for hour in (self.hour, self.stranger)]
        for name, values in zip(
            ("subject", "kind", "reference"), zip(*journals, strict=True), strict=True
        ):
            yield name, list(values)
        yield "query", list(QUERIES)


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def run(
    seed: int, *, examples_max: int, seconds_max: int | None = None, doc: Json | None = None
) -> Findings:
    """Fuzzes every operation, and sequences of operations.

    Args: examples_max: per operation and phase. seconds_max: goes on with new examples until then.
    """
    hour = Hour()
    hour.work()
    stranger = Hour(hour.world, name="stranger", mark=MARK)
    stranger.work()
    for one in (hour, stranger):
        one.read()
        one.do(OPEN_CALLS * OPEN_TIMES)
    platform = Platform(hour, stranger, Findings())
    # Schemathesis adds the links that it infers to what it is given.
    given = copy.deepcopy(doc) if doc else document()
    config = _config(platform, seed, examples_max, seconds_max)
    schema = schemathesis.openapi.from_dict(given, config=config)
    schema.config.update(base_url=URL)
    schema.hook("filter_query")(_is_sent_whole)
    schema.hook("filter_body")(_is_sent_whole)
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        for method in METHODS:
            mock.add_callback(method, re.compile(re.escape(URL)), platform.answer)
        for event in from_schema(schema).execute():
            _note(event, platform.findings)
            if len(mock.calls) > CALLS_KEPT_MAX:
                mock.calls.reset()
    return platform.findings


def _is_sent_whole(_context: schemathesis.HookContext, sent: object) -> bool:
    return _is_whole(sent)


def _is_whole(sent: object) -> bool:
    """Tells whether a form can say it: of an empty hash or list in a hash nothing is left."""
    if not isinstance(sent, dict):
        return True
    return all(part and _is_whole(part) for part in sent.values() if isinstance(part, dict | list))


def _config(
    platform: Platform, seed: int, examples_max: int, seconds_max: int | None
) -> SchemathesisConfig:
    ids = dict(platform.known())
    known = {
        f"{place}.{name}": _drawn_from(name)
        for name in ids
        if "." not in name
        for place in ("body", "path", "query")
    }
    operations = [
        {
            "include-path": route.template,
            "parameters": {"path.id": _drawn_from(kind)},
            # Of a deleted customer it is told that it was deleted.
            "checks": {"use_after_free": {"enabled": kind != "customer"}},
        }
        for route in platform.hour.world.routes()
        for kind in [_kind_of(route.template)]
        if kind in ids
    ]
    bound = {} if seconds_max is None else {"max-time": seconds_max}
    return SchemathesisConfig.from_dict(
        {
            **bound,
            "seed": seed,
            "workers": 1,
            "warnings": False,
            "auth": {"openapi": {"key": {"bearer": platform.hour.merchant.secret_key}}},
            "generation": {"max-examples": examples_max},
            "dictionaries": {kind: {"values": values} for kind, values in ids.items()},
            "parameters": known,
            "operations": operations,
            "checks": {
                "negative_data_rejection": {"expected-statuses": [*REFUSALS, "413"]},
                "positive_data_acceptance": {"expected-statuses": ["2xx", *REFUSALS]},
                "unsupported_method": {"enabled": False},
            },
        }
    )


def _drawn_from(dictionary: str) -> Json:
    return {"dictionary": dictionary, "probability": KNOWN_PROBABILITY}


def _kind_of(template: str) -> str:
    """Names what the placeholder `id` of a path stands for."""
    collection = template.partition("/{id}")[0].rpartition("/")[2]
    kind = collection.removesuffix("s")
    is_of_customer = template.startswith("/v1/customers/{customer}/balance_transactions")
    return f"customer_{kind}" if is_of_customer else kind


def _note(event: events.EngineEvent, findings: Findings) -> None:
    if isinstance(event, events.FatalError):
        raise event.exception
    if isinstance(event, events.NonFatalError):
        findings.failures[f"error: {event.label}"] = str(event.info)
    if not isinstance(event, events.ScenarioFinished):
        return
    for checks in event.recorder.checks.values():
        for check in checks:
            if check.failure_info is not None:
                failure = check.failure_info.failure
                name = f"{check.name}: {failure.operation}"
                told = f"{failure.message}\n{check.failure_info.code_sample[:2_000]}"
                findings.failures.setdefault(name, told)
