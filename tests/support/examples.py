"""Real answers of every operation, as a merchant's first hour would bring them about."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from shared.domain.announcements import announce_payment
from shared.domain.payment import Payment, apply
from shared.wire.events import event_write
from tests.support.published import Published
from tests.support.world import Answer, Merchant

Json = dict[str, Any]

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_SECRET = re.compile(r"(whsec_|_secret_)[0-9A-Za-z]+")
_ORDER: Json = {"amount": 2000, "currency": "usd", "payment_method": "pm_card_visa"}
_CARD: Json = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2034, "cvc": "123"}
_HOOK: Json = {
    "url": "https://example.com/hook",
    "enabled_events": ["charge.succeeded", "payment_intent.succeeded"],
}

CALLS: tuple[tuple[str, str, Json], ...] = (
    (
        "POST",
        "/v1/customers",
        {"name": "Ada Lovelace", "email": "ada@example.com", "metadata": {"order": "6735"}},
    ),
    ("POST", "/v1/tokens", {"card": _CARD}),
    ("POST", "/v1/payment_methods", {"type": "card", "card": {"token": "tok_visa"}}),
    ("POST", "/v1/payment_methods/{payment_method}/attach", {"customer": "{customer}"}),
    ("POST", "/v1/payment_methods/{payment_method}", {"metadata": {"shelf": "left"}}),
    ("POST", "/v1/customers/{customer}", {"description": "Our first customer"}),
    (
        "POST",
        "/v1/customers/{customer}/balance_transactions",
        {"amount": -500, "currency": "usd", "description": "A credit for the wait"},
    ),
    (
        "POST",
        "/v1/customers/{customer}/balance_transactions/{customer_balance_transaction}",
        {"description": "A credit for waiting"},
    ),
    ("POST", "/v1/test_helpers/confirmation_tokens", {"payment_method": "pm_card_visa"}),
    ("POST", "/v1/setup_intents", {"customer": "{customer}", "usage": "off_session"}),
    ("POST", "/v1/setup_intents/{setup_intent}", {"description": "Ada's other card"}),
    (
        "POST",
        "/v1/setup_intents/{setup_intent}/confirm",
        {"payment_method": "pm_card_mastercard"},
    ),
    ("POST", "/v1/setup_intents", {"description": "A card that never came"}),
    (
        "POST",
        "/v1/setup_intents/{setup_intent}/cancel",
        {"cancellation_reason": "abandoned"},
    ),
    (
        "POST",
        "/v1/payment_method_configurations",
        {"name": "The shop's", "card": {"display_preference": {"preference": "on"}}},
    ),
    (
        "POST",
        "/v1/payment_method_configurations/{payment_method_configuration}",
        {"name": "The old shop's"},
    ),
    ("POST", "/v1/payment_method_domains", {"domain_name": "shop.example.com"}),
    ("POST", "/v1/payment_method_domains/{payment_method_domain}", {"enabled": True}),
    ("POST", "/v1/payment_method_domains/{payment_method_domain}/validate", {}),
    ("POST", "/v1/webhook_endpoints", _HOOK),
    ("POST", "/v1/webhook_endpoints/{webhook_endpoint}", {"description": "The shop's"}),
    ("POST", "/v1/webhook_endpoints/{webhook_endpoint}/roll_secret", {}),
    ("POST", "/v1/payment_intents", {**_ORDER, "customer": "{customer}"}),
    ("POST", "/v1/payment_intents/{payment_intent}", {"description": "Order 6735"}),
    (
        "POST",
        "/v1/payment_intents/{payment_intent}/confirm",
        {"payment_method": "{payment_method}"},
    ),
    ("POST", "/v1/charges/{charge}", {"description": "Order 6735"}),
    ("POST", "/v1/refunds", {"payment_intent": "{payment_intent}", "amount": 500}),
    ("POST", "/v1/refunds/{refund}", {"metadata": {"clerk": "7"}}),
    (
        "POST",
        "/v1/payment_intents",
        {**_ORDER, "capture_method": "manual", "confirm": True},
    ),
    ("POST", "/v1/payment_intents/{payment_intent}/capture", {"amount_to_capture": 1500}),
    (
        "POST",
        "/v1/payment_intents",
        {**_ORDER, "capture_method": "manual", "confirm": True},
    ),
    ("POST", "/v1/charges/{charge}/capture", {"amount": 1500}),
    ("POST", "/v1/charges", {"amount": 2000, "currency": "usd", "source": "tok_visa"}),
    ("POST", "/v1/payment_intents", _ORDER),
    (
        "POST",
        "/v1/payment_intents/{payment_intent}/cancel",
        {"cancellation_reason": "requested_by_customer"},
    ),
)
"""What is sent, in this order; a placeholder stands for the newest object of its kind."""

LAST_CALLS: tuple[tuple[str, str, Json], ...] = (
    ("POST", "/v1/events/{event}/retry", {"webhook_endpoint": "{webhook_endpoint}"}),
    ("POST", "/v1/payment_methods/{payment_method}/detach", {}),
    ("DELETE", "/v1/webhook_endpoints/{webhook_endpoint}", {}),
    ("DELETE", "/v1/customers/{customer}", {}),
)
"""What is sent when everything was read."""

OPEN_CALLS: tuple[tuple[str, str, Json], ...] = (
    ("POST", "/v1/payment_intents", {**_ORDER, "capture_method": "manual", "confirm": True}),
    ("POST", "/v1/payment_intents", {**_ORDER, "capture_method": "manual", "confirm": True}),
    ("POST", "/v1/payment_intents", _ORDER),
    ("POST", "/v1/payment_intents", {"amount": 2000, "currency": "usd"}),
)
"""What leaves payments open: two to capture, one to confirm, one without a payment method."""


@dataclass(frozen=True)
class Example:
    """An operation that was asked for and what it answered. Args: sent: its parameters."""

    sent: Json
    answered: Json


@dataclass
class Hour:
    """A merchant at work.

    Args: mark: what the merchant calls everything that has a name. newest: id of the newest object
    of each kind. made: ids of all of them, the oldest first.
    """

    world: Published = field(default_factory=Published)
    name: str = "one"
    mark: str | None = None
    examples: dict[tuple[str, str], Example] = field(default_factory=dict)
    refusals: dict[int, Json] = field(default_factory=dict)
    newest: dict[str, str] = field(default_factory=dict)
    made: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.merchant: Merchant = self.world.merchant(self.name)

    def send(self, method: str, path: str, sent: Json) -> Answer:
        """Sends a request and remembers what was answered."""
        self.world.clock.advance(1_000)
        answer = self.world.call(method, path, _as_form(sent), merchant=self.merchant)
        if answer.status == 200:
            self._remember(answer.body)
            key = method, self._template(method, path)
            known = self.examples.get(key)
            if known is None or known.answered.get("data") == []:
                self.examples[key] = Example(_shown(sent), _shown(answer.body))
        else:
            self.refusals.setdefault(answer.status, _shown(answer.body))
        return answer

    def _remember(self, body: Json) -> None:
        found = {body["object"]: body["id"]} if "id" in body else {}
        if isinstance(body.get("latest_charge"), str):
            found["charge"] = body["latest_charge"]
        for kind, name in found.items():
            self.newest[kind] = name
            made = self.made.setdefault(kind, [])
            made += [] if name in made else [name]

    def _template(self, method: str, path: str) -> str:
        return next(
            route.template
            for route in self.world.routes()
            if route.method == method and route.pattern.fullmatch(path)
        )

    def fill(self, value: Any) -> Any:
        """Replaces placeholders by the newest objects of their kinds."""
        if isinstance(value, dict):
            filled = {name: self.fill(item) for name, item in value.items()}
            return {**filled, **self._marks(filled)}
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        if isinstance(value, str):
            return _PLACEHOLDER.sub(lambda match: self.newest[match[1]], value)
        return value

    def _marks(self, sent: Json) -> Json:
        names = ("description", "name") if self.mark else ()
        return {name: self.mark for name in names if name in sent}

    def do(self, calls: Iterable[tuple[str, str, Json]]) -> None:
        """Sends requests, one after the other."""
        for method, path, sent in calls:
            self.send(method, self.fill(path), self.fill(sent))

    def work(self) -> None:
        """Does the hour's work."""
        self.do(CALLS)
        self.tell()
        self.world.seal()

    def tell(self) -> None:
        """Makes the event objects of the payments, as the relay does."""
        for payment_id, payment in self.world.database.payments.items():
            if payment.account != self.merchant.account:
                continue
            before: Payment | None = None
            for change in self.world.payments.events(payment_id):
                after = apply(before, change)
                for announcement in announce_payment(before, after):
                    hooks = [self.newest["webhook_endpoint"]]
                    write = event_write(announcement, self.world.clock.now_ms(), hooks)
                    self.world.documents.commit([write])
                before = after

    def read(self) -> None:
        """Asks for everything that can be read: lists first, then what they name."""
        routes = {route.template: route for route in self.world.routes() if route.method == "GET"}
        for template in sorted(routes, key=lambda name: (name.count("{"), name)):
            fields = routes[template].model.model_fields
            needed = (name for name, field in fields.items() if field.is_required())
            sent: Json = {name: self._needed(name) for name in needed}
            if "limit" in fields:
                sent["limit"] = 1
            for path in self._paths(template.strip("/").split("/")):
                self.send("GET", path, sent)

    def _needed(self, name: str) -> str:
        return "created>0" if name == "query" else self.made[name][0]

    def _paths(self, parts: list[str]) -> Iterator[str]:
        """Yields paths of a template: with the objects of the list that it goes on from."""
        found = [""]
        while parts and found:
            fixed = list(takewhile(lambda part: not part.startswith("{"), parts))
            named = list(takewhile(lambda part: part.startswith("{"), parts[len(fixed) :]))
            found = ["/".join((path, *fixed)) for path in found]
            if named:
                names = (n for path in found for n in self._names(path, fixed[-1], len(named)))
                found = list(names)
            parts = parts[len(fixed) + len(named) :]
        yield from found

    def _names(self, path: str, collection: str, parts: int) -> Iterator[str]:
        """Yields what is in a collection; what has no list is known by its kind."""
        listed = self.world.call("GET", path, {}, merchant=self.merchant)
        ids = [str(item["id"]) for item in listed.body.get("data", ()) if "id" in item]
        newest = self.newest.get(collection.removesuffix("s"))
        if newest is not None:
            ids.append(newest)
        yield from (f"{path}/{name}" for name in ids if name.count("/") == parts - 1)


def _as_form(sent: Json) -> Json:
    return {name: "true" if value is True else value for name, value in sent.items()}


def _shown(value: Any) -> Any:
    """Leaves secrets out of an example, and what is another each time."""
    if isinstance(value, dict):
        shown = {name: _shown(item) for name, item in value.items()}
        return {**shown, "signature": "ZXhhbXBsZQ=="} if "signature" in shown else shown
    if isinstance(value, list):
        return [_shown(item) for item in value]
    return _SECRET.sub(r"\1example", value) if isinstance(value, str) else value


def the_hour() -> Hour:
    """Has it all happen."""
    hour = Hour()
    hour.work()
    refuse(hour)
    hour.read()
    hour.do(LAST_CALLS)
    return hour


def refuse(hour: Hour) -> None:
    """Asks for what is refused in each way that a merchant may cause."""
    hour.send("POST", "/v1/payment_intents", {"amount": 0, "currency": "usd"})
    hour.send("GET", "/v1/customers/cus_missing", {})
    declined = {**_ORDER, "payment_method": "pm_card_chargeDeclined", "confirm": True}
    hour.send("POST", "/v1/payment_intents", declined)
