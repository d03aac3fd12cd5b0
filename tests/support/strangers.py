"""Asking for what is another's: the whole platform, two scopes of it, and requests across.

What an operation answers to another's id must be what it answers to an id that nobody has, and
nothing of another's may be in any answer, or change.
"""

import itertools
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from shared.domain.announcements import announce_document, announce_payment
from shared.domain.documents import Document, Scope
from shared.edge.api import Route
from shared.edge.auth import key_record_id
from shared.wire.events import event_write
from tests.support.documents import audited
from tests.support.published import Published
from tests.support.world import CARD, Answer, Merchant

FUNCTIONS = Path(__file__).parents[2] / "functions"
LIVE_KEYS = {"secret": "sk_live_one00000000", "publishable": "pk_live_one00000000"}
OBJECT_ID = re.compile(r"\b([a-z]{2,8}_)([0-9A-Za-z]{8,})")
PLACEHOLDER = re.compile(r"\{(\w+)\}")
ID_LENGTH_MAX = 255

# Of keys and accounts, which requests do not name.
_HIDDEN = {"account", "api_key"}
# What an operation cannot do without, by the name of the parameter.
_GIVEN: Mapping[str, Any] = {
    "amount": 100,
    "card": CARD,
    "currency": "usd",
    "domain_name": "shop.example.com",
    "enabled_events": ["*"],
    "type": "card",
    "url": "https://example.com/hook",
}

Params = dict[str, Any]
State = dict[str, dict[Any, Any]]


class Platform(Published):
    """The platform in one process, with all that is stored to be compared and put back."""

    def post(self, merchant: Merchant, path: str, **params: Any) -> dict[str, Any]:
        """Makes an object; the next one is a second newer."""
        self.clock.advance(1_000)
        answer = self.call("POST", path, params, merchant=merchant)
        assert answer.status == 200, answer.text
        body: dict[str, Any] = answer.body
        return body

    def state(self) -> State:
        """Returns all that is stored, to compare it, or to put it back."""
        tables = {name: table for name, table in vars(self.database).items() if type(table) is dict}
        return {
            name: {key: value.copy() if _grows(value) else value for key, value in table.items()}
            for name, table in tables.items()
        }

    def restore(self, state: State) -> None:
        """Puts back what was stored."""
        for name, table in state.items():
            copied = {k: value.copy() if _grows(value) else value for k, value in table.items()}
            getattr(self.database, name).clear()
            getattr(self.database, name).update(copied)


def _grows(value: Any) -> bool:
    return isinstance(value, set | list)


def belongings(state: State, merchant: Merchant) -> set[str]:
    """Names the documents and payments that are a merchant's in test mode."""
    stored = {**state["documents"], **state["payments"]}
    return {
        name
        for name, item in stored.items()
        if Scope(item.account, item.livemode) == merchant.scope
    }


def functions_with_operations() -> set[str]:
    """Names the functions that are an API; the default one has no operations."""
    names = {path.name for path in FUNCTIONS.iterdir() if path.name.startswith("api_")}
    return {*names, "tokenize_card"} - {"api_default"}


def live_of(world: Platform, merchant: Merchant) -> Merchant:
    """Returns the same merchant with keys of live mode."""
    for kind, secret in LIVE_KEYS.items():
        data = {
            "account": merchant.account,
            "livemode": True,
            "kind": kind,
            "home_region": "us-east-1",
            "expires_at_s": None,
            "revoked": False,
        }
        key = Document(key_record_id(secret), "api_key", merchant.account, True, 1, 0, data)
        world.documents.commit([audited(key)])
    secret_key, publishable_key = LIVE_KEYS.values()
    return replace(merchant, secret_key=secret_key, publishable_key=publishable_key)


def client_secrets(world: Platform, names: Collection[str]) -> Mapping[str, str]:
    """Returns the client secrets of the intents that are among objects, by id."""
    payments, documents = world.database.payments, world.database.documents
    found = {name: payments[name].client_secret for name in names if name in payments}
    stored = {name: documents[name].data for name in names if name in documents}
    return found | {n: d["client_secret"] for n, d in stored.items() if "client_secret" in d}


def settle_in(world: Platform, merchant: Merchant, mark: str) -> None:
    """Makes one of each kind of object with a merchant's test key, each with the mark."""
    customer = world.post(merchant, "/v1/customers", description=mark)["id"]
    world.post(
        merchant,
        f"/v1/customers/{customer}/balance_transactions",
        amount=-100,
        currency="usd",
        description=mark,
    )
    method = world.post(merchant, "/v1/payment_methods", type="card", card=CARD)["id"]
    world.post(merchant, "/v1/tokens", card=CARD)
    world.post(merchant, f"/v1/payment_methods/{method}/attach", customer=customer)
    world.post(merchant, "/v1/payment_methods", type="card", card=CARD)
    world.post(merchant, "/v1/test_helpers/confirmation_tokens", payment_method=method)
    hook = {"url": f"https://example.com/{mark}", "enabled_events": ["*"]}
    world.post(merchant, "/v1/webhook_endpoints", **hook)
    order = {"amount": 2000, "currency": "usd", "description": mark}
    used = {**order, "payment_method": method, "customer": customer}
    paid = world.post(merchant, "/v1/payment_intents", **used, confirm="true")
    world.post(merchant, "/v1/payment_intents", **used, confirm="true", capture_method="manual")
    world.post(merchant, "/v1/payment_intents", **used)
    world.post(merchant, "/v1/refunds", payment_intent=paid["id"], amount=100)
    saved = {"customer": customer, "payment_method": method, "description": mark}
    world.post(merchant, "/v1/setup_intents", **saved, confirm="true")
    world.post(merchant, "/v1/setup_intents", **saved)
    _make_others(world, merchant)
    _tell(world, merchant)
    world.seal()


def _make_others(world: Platform, merchant: Merchant) -> None:
    """Makes an object of each further kind that takes no more than what all take."""
    own = own_ids(world, merchant, ids_of(world, merchant, merchant.scope))
    for route in world.routes():
        if route.method == "POST" and "{" not in route.template:
            world.clock.advance(1_000)
            world.call("POST", route.template, required_params(route, own), merchant=merchant)


def settle_in_live(world: Platform, merchant: Merchant, mark: str) -> None:
    """Makes what a live key can make where no live card is taken."""
    world.post(merchant, "/v1/customers", description=mark)
    hook = {"url": f"https://example.com/{mark}", "enabled_events": ["*"]}
    world.post(merchant, "/v1/webhook_endpoints", **hook)
    world.post(merchant, "/v1/payment_intents", amount=2000, currency="usd", description=mark)
    world.post(merchant, "/v1/setup_intents", description=mark)


def _tell(world: Platform, merchant: Merchant) -> None:
    """Makes the event objects of all that there is, as if it were new."""
    payments, documents = world.database.payments, world.database.documents
    told = [announce_payment(None, payment) for payment in payments.values()]
    told += [announce_document(None, document) for document in documents.values()]
    found = [item for items in told for item in items if item.after.account == merchant.account]
    endpoints = [name for name, item in documents.items() if item.kind == "webhook_endpoint"]
    now_ms = world.clock.now_ms()
    world.documents.put_events([event_write(item, now_ms, endpoints[-1:]) for item in found])


def ids_of(world: Platform, merchant: Merchant, scope: Scope) -> tuple[str, ...]:
    """Returns the ids of all that a scope has, journals' included."""
    documents = [
        name
        for name, document in world.database.documents.items()
        if Scope(document.account, document.livemode) == scope and document.kind not in _HIDDEN
    ]
    payments = [
        payment
        for payment in world.database.payments.values()
        if Scope(payment.account, payment.livemode) == scope
    ]
    parts = [charge.id for payment in payments for charge in payment.charges]
    parts += [refund.id for payment in payments for refund in payment.refunds]
    names = [payment.id for payment in payments]
    journals = [name for name in world.database.journals if name.partition("/")[0] in names]
    moved = world.call("GET", "/v1/balance_transactions", merchant=merchant).body["data"]
    moves = [item["id"] for item in moved]
    return tuple(dict.fromkeys([*documents, *names, *parts, *moves, *journals]))


def newest(ids: Sequence[str], count: int) -> tuple[str, ...]:
    """Chooses some ids of each kind of object, and some journals'."""
    kinds: dict[tuple[str, int], list[str]] = {}
    for name in reversed(ids):
        kinds.setdefault((name.partition("_")[0], name.count("/")), []).append(name)
    return tuple(name for names in kinds.values() for name in names[:count])


def nobodys(name: str) -> str:
    """Returns an id of the same form that nothing has."""
    return OBJECT_ID.sub(lambda found: found[1] + "0" * len(found[2]), name)


def paths_to(
    route: Route, known: str, own: Mapping[str, str], like: str | None = None
) -> Iterator[str]:
    """Yields the paths of an operation in which an id stands, others being the asker's own.

    Args: own: ids of the asker's by template, see `own_ids`. like: another id that takes the same
    places.
    """
    names = PLACEHOLDER.findall(route.template)
    parts = (like or known).split("/")
    if len(parts) == len(names) and len(parts) > 1:
        yield _filled(route.template, known.split("/"))
    elif len(parts) == 1:
        choices = [(known, own.get(_up_to(route.template, name))) for name in names]
        for chosen in itertools.product(*choices):
            if known in chosen and None not in chosen:
                yield _filled(route.template, [str(part) for part in chosen])


def own_path(route: Route, own: Mapping[str, str]) -> str | None:
    """Returns a path of an operation with the asker's own ids; None where they have none."""
    parts = [own.get(_up_to(route.template, name)) for name in PLACEHOLDER.findall(route.template)]
    return None if None in parts else _filled(route.template, [str(part) for part in parts])


def own_ids(world: Platform, merchant: Merchant, ids: Sequence[str]) -> Mapping[str, str]:
    """Returns an id that the merchant can read, by the beginning of the templates that take it."""
    found: dict[str, str] = {}
    for route in sorted(world.routes(), key=lambda route: route.template.count("{")):
        place = place_of(route)
        if route.method != "GET" or not place.endswith("{}") or place in found:
            continue
        for name in ids:
            paths = paths_to(route, name, found)
            if any(world.call("GET", path, merchant=merchant).status == 200 for path in paths):
                found[place] = name
                break
    return found


def place_of(route: Route) -> str:
    """Returns a route's template, whatever its placeholders are called."""
    return PLACEHOLDER.sub("{}", route.template)


def _up_to(template: str, name: str) -> str:
    """Returns a template up to a placeholder, whatever its placeholders are called."""
    return PLACEHOLDER.sub("{}", template.partition(f"{{{name}}}")[0]) + "{}"


def _filled(template: str, parts: Sequence[str]) -> str:
    rest = iter(parts)
    return PLACEHOLDER.sub(lambda _: next(rest), template)


def required_params(route: Route, own: Mapping[str, str]) -> Params:
    """Returns parameters that an operation cannot do without, ids being the asker's own."""
    names = route.model.model_json_schema().get("required", ())
    by_kind = {kind_of(place): name for place, name in own.items()}
    return {name: _GIVEN.get(name, by_kind.get(name, "1")) for name in names}


def kind_of(template: str) -> str:
    """Names the kind of object that a template's last placeholder is of."""
    return template.split("/")[-2].removesuffix("s")


def id_params(route: Route, kinds: set[str]) -> list[str]:
    """Names the parameters that an id may stand in, in brackets where they are nested."""
    schema = route.model.model_json_schema()
    return sorted(
        {
            path
            for path, leaf in _leaves(schema, schema.get("$defs", {}))
            if leaf.get("maxLength") == ID_LENGTH_MAX
            or re.split(r"[\[\]]+", path.rstrip("]"))[-1] in kinds
        }
    )


def _leaves(
    schema: Mapping[str, Any], known: Mapping[str, Any], path: str = ""
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if "$ref" in schema:
        schema = known[schema["$ref"].rpartition("/")[2]]
    for choice in schema.get("anyOf", ()):
        yield from _leaves(choice, known, path)
    if schema.get("type") == "string":
        yield path, schema
    if schema.get("type") == "array":
        yield from _leaves(schema["items"], known, f"{path}[0]")
    for name, part in schema.get("properties", {}).items():
        yield from _leaves(part, known, f"{path}[{name}]" if path else name)


def said(answer: Answer) -> tuple[int, str]:
    """Returns what an answer comes to, whichever id was asked for."""
    if answer.status == 200:
        return 200, ""
    error = {name: answer.body["error"].get(name) for name in ("type", "code", "param", "message")}
    # A merchant's other mode is named, as Stripe does; nothing of the object is.
    message, *_ = str(error["message"]).partition("; a similar object exists in ")
    return answer.status, nobodys(json.dumps({**error, "message": message.rstrip(".")}))
