"""A tour of every operation with Stripe's SDKs, and the table of what they found served."""

import http.client
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from urllib.parse import urlsplit

from shared.edge.api import Route
from tests.support.live import TIMEOUT_S
from tests.support.loopback import Received, Reply
from tests.support.operations import Operation, anonymous, operations
from tests.support.parameters import accepted

# Every so many requests that change something lose their answer, and the SDK asks again.
LOST_EVERY = 3
_HOP = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}

# What a merchant of cards expects of Stripe: the resources, by how their paths begin.
RESOURCES: Mapping[str, str] = {
    "/v1/payment_intents": "Payment intents",
    "/v1/setup_intents": "Setup intents",
    "/v1/setup_attempts": "Setup attempts",
    "/v1/mandates": "Mandates",
    "/v1/charges": "Charges",
    "/v1/refunds": "Refunds",
    "/v1/disputes": "Disputes",
    "/v1/customers": "Customers",
    "/v1/payment_methods": "Payment methods",
    "/v1/payment_method_configurations": "Payment method configurations",
    "/v1/payment_method_domains": "Payment method domains",
    "/v1/tokens": "Tokens",
    "/v1/confirmation_tokens": "Confirmation tokens",
    "/v1/balance": "Balance",
    "/v1/balance_settings": "Balance settings",
    "/v1/balance_transactions": "Balance transactions",
    "/v1/events": "Events",
    "/v1/webhook_endpoints": "Webhook endpoints",
    "/v1/test_helpers/confirmation_tokens": "Test helpers: confirmation tokens",
    "/v1/test_helpers/network_transactions": "Test helpers: the sandbox network's own record",
    "/v1/ledger": "Ledger",
}
_BANK_DEBITS = "bank debits are not built"
_BANK_TRANSFERS = "bank transfers and cash balances are not built"
_LEGACY = "sources are what payment methods took the place of"
# Why an operation of these resources is not served, by how its anonymous path begins.
NOT_YET: Mapping[str, str] = {
    "/v1/balance_settings": "payouts are not built",
    "/v1/charges/{}/dispute": "disputes are not built",
    "/v1/charges/{}/refund": "refunds have their own operations",
    "/v1/customers/{}/bank_accounts": _LEGACY,
    "/v1/customers/{}/cards": _LEGACY,
    "/v1/customers/{}/cash_balance": _BANK_TRANSFERS,
    "/v1/customers/{}/discount": "coupons are not built",
    "/v1/customers/{}/funding_instructions": _BANK_TRANSFERS,
    "/v1/customers/{}/sources": _LEGACY,
    "/v1/customers/{}/tax_ids": "invoices are not built",
    "/v1/disputes": "disputes are not built",
    "/v1/payment_intents/{}/apply_customer_balance": _BANK_TRANSFERS,
    "/v1/payment_intents/{}/verify_microdeposits": _BANK_DEBITS,
}

_WORDS = {True: "served", False: "refused", None: "not tried"}

Key = tuple[str, str]
# Operations that were answered, and whether by more than a refusal.
Served = dict[Key, bool]


@dataclass
class Recorder:
    """Passes requests on, notes what was answered, and loses an answer now and then.

    Args: base: of the platform. answers: statuses, by method and path. lost: the answers that the
    SDK never saw, by idempotency key. replays: those that it was given in their place.
    """

    base: str
    answers: list[tuple[str, str, int]] = field(default_factory=list)
    lost: dict[str, bytes] = field(default_factory=dict)
    replays: dict[str, bytes] = field(default_factory=dict)
    _posts: set[str] = field(default_factory=set)
    _lock: Lock = field(default_factory=Lock)

    def __call__(self, request: Received) -> Reply:
        """Answers as the platform does, or not at all."""
        status, headers, body = self._passed_on(request)
        key = request.headers.get("idempotency-key")
        with self._lock:
            self.answers.append((request.method, urlsplit(request.target).path, status))
            if request.method == "POST" and key is not None:
                if key in self.lost:
                    self.replays[key] = body
                elif key not in self._posts:
                    self._posts.add(key)
                    if len(self._posts) % LOST_EVERY == 0:
                        self.lost[key] = body
                        return Reply(cut=True)
        return Reply(status, body, headers)

    def _passed_on(self, request: Received) -> tuple[int, dict[str, str], bytes]:
        sent = {name: value for name, value in request.headers.items() if name not in _HOP}
        connection = http.client.HTTPConnection(urlsplit(self.base).netloc, timeout=TIMEOUT_S)
        try:
            connection.request(request.method, request.target, request.body or None, sent)
            answer = connection.getresponse()
            headers = {n: v for n, v in answer.getheaders() if n.lower() not in _HOP}
            return answer.status, headers, answer.read()
        finally:
            connection.close()

    def served(self, routes: Iterable[Route]) -> Served:
        """Returns which operations were answered, and whether by more than a refusal."""
        routes = list(routes)
        found: Served = {}
        for method, path, status in self.answers:
            for route in _matching(routes, method, path)[:1]:
                key = (route.method, anonymous(route.template))
                found[key] = found.get(key, False) or status < 300
        return found


def _matching(routes: Sequence[Route], method: str, path: str) -> list[Route]:
    return [r for r in routes if r.method == method and r.pattern.fullmatch(path)]


def resource_of(path: str) -> str | None:
    """Returns which of RESOURCES a path belongs to; None where to none."""
    return next((p for p in RESOURCES if f"{path}/".startswith(f"{p}/")), None)


def reason_of(path: str) -> str:
    """Returns why an operation is not served.

    Raises: LookupError where nobody said.
    """
    for prefix, reason in NOT_YET.items():
        if path.startswith(prefix):
            return reason
    raise LookupError(f"{path} is not served, and NOT_YET does not say why")


def coverage(routes: Iterable[Route], served: Mapping[str, Served]) -> str:
    """Writes docs/api-coverage.md.

    Args: routes: what the platform registers. served: what each SDK was answered, by its name.
    """
    registered = {(route.method, anonymous(route.template)): route for route in routes}
    stripes = operations()
    sections = [_section(prefix, registered, stripes, served) for prefix in RESOURCES]
    others = sum(resource_of(path) is None for _, path in stripes)
    return "\n".join([_HEAD.format(others=others), *sections])


_HEAD = """# What is served of Stripe's API

Written by tests/e2e/test_every_operation.py from what really ran: a tour of every operation with
Stripe's Python and Node SDKs, unmodified, against a deployed platform. Every third answer of a
request that changes something is lost on the way, so that the SDKs ask again. "refused": the
operation says why it cannot do what is asked; "not yet": what it waits for. The {others}
operations of Stripe's other resources are not served. Below each table are the parameters of
Stripe's that are refused as unknown; hashes may lack some of Stripe's parts, too.
"""


def _section(
    prefix: str,
    registered: Mapping[Key, Route],
    stripes: Mapping[Key, Operation],
    served: Mapping[str, Served],
) -> str:
    keys = {key for key in {*registered, *stripes} if resource_of(key[1]) == prefix}
    lines = [f"## {RESOURCES[prefix]}", "", f"| operation | {' | '.join(served)} |"]
    lines.append("|---" * (len(served) + 1) + "|")
    refused = []
    for key in sorted(keys, key=lambda key: (key[1], key[0])):
        route = registered.get(key)
        if route is None:
            cells = [f"not yet: {reason_of(key[1])}", *[""] * (len(served) - 1)]
            lines.append(f"| {' '.join(key)} | {' | '.join(cells)} |")
            continue
        cells = [_WORDS[answered.get(key)] for answered in served.values()]
        name = f"{route.method} {route.template}"
        lines.append(f"| {name} | {' | '.join(cells)} |")
        if key in stripes:
            missing = sorted(stripes[key].parameters.keys() - accepted(route.model).keys())
            refused += [f"- {name}: {', '.join(map(_code, missing))}"] if missing else []
    return "\n".join([*lines, "", *refused, *([""] if refused else [])])


def _code(name: str) -> str:
    return f"`{name}`"
