"""Live keys and test objects, and the other way round: every operation keeps them apart."""

import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from functions.api_test_helpers import handler as api_test_helpers
from shared.domain.documents import Document, DocumentWrite
from shared.edge.api import Api, Route
from shared.edge.auth import key_record_id
from tests.support.documents import audited
from tests.support.published import MemoryNetworkRecord
from tests.support.world import CARD, Answer, Merchant, World

LIVE_SECRET = "sk_live_one00000000"
# The ids of everything that a merchant's test key makes here; the account's own is of both modes.
ID = re.compile(r"\b(?:cbtxn|ctoken|cus|pm|tok|pi|ch|re|evt|we|txn|req)_[0-9A-Za-z]+")


@dataclass(eq=False)
class Platform(World):
    """The platform with all APIs of objects, each with its operations."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.answering = self._payments_api()

    def api_of(self, path: str) -> Api:
        """Returns the API that is asked, whatever the path."""
        return self.answering

    @property
    def families(self) -> tuple[Api, ...]:
        """All of them."""
        return (
            self._payments_api(),
            self._vault_api(),
            self._ledger_api(),
            self._customers_api(),
            self._events_api(),
            self.helpers_api(),
        )

    @functools.cache  # noqa: B019 - a world lives as long as its test
    def helpers_api(self) -> Api:
        """Returns the test helpers."""
        network = MemoryNetworkRecord(self.provider, self.clock)
        return api_test_helpers.build(self._ports(), network, self.documents, lambda: self)

    def operations(self) -> Iterator[tuple[Api, Route]]:
        """Yields every operation with the API that has it."""
        for api in self.families:
            for route in api.routes:
                yield api, route


@dataclass(frozen=True, slots=True)
class Modes:
    """A merchant with a key of each mode, and the objects that its test key made."""

    world: Platform
    test: Merchant
    live: Merchant
    ids: tuple[str, ...]

    def ask(self, api: Api, method: str, path: str, params: dict[str, Any]) -> Answer:
        """Sends a request with the live key."""
        self.world.answering = api
        return self.world.call(method, path, params, merchant=self.live)

    def kept(self) -> str:
        """Returns all that is stored of test mode."""
        database = self.world.database
        documents = {
            name: document.data
            for name, document in database.documents.items()
            if not document.livemode
        }
        payments = {name: payment.to_dict() for name, payment in database.payments.items()}
        return json.dumps([documents, payments], sort_keys=True, default=str)


def live_key(merchant: Merchant) -> DocumentWrite:
    data = {
        "account": merchant.account,
        "livemode": True,
        "kind": "secret",
        "home_region": "us-east-1",
        "expires_at_s": None,
        "revoked": False,
    }
    name = key_record_id(LIVE_SECRET)
    return audited(Document(name, "api_key", merchant.account, True, 1, 0, data))


@pytest.fixture(scope="module")
def modes() -> Modes:
    world = Platform()
    merchant = world.merchant()
    world.documents.commit([live_key(merchant)])
    made = _objects(world, merchant)
    world.seal()
    journals = [journal.id for journal in world.database.journals.values()]
    live = replace(merchant, secret_key=LIVE_SECRET)
    return Modes(world, merchant, live, (*made, *journals))


def _objects(world: Platform, merchant: Merchant) -> list[str]:
    """Makes one of each object with the test key; returns their ids."""

    def post(api: Api, path: str, **params: Any) -> dict[str, Any]:
        world.clock.advance(1_000)
        world.answering = api
        answer = world.call("POST", path, params, merchant=merchant)
        assert answer.status == 200, answer.text
        body: dict[str, Any] = answer.body
        return body

    payments, vault, customers = world._payments_api(), world._vault_api(), world._customers_api()
    customer = post(customers, "/v1/customers", email="a@example.com")["id"]
    method = post(vault, "/v1/payment_methods", type="card", card=CARD)["id"]
    token = post(vault, "/v1/tokens", card=CARD)["id"]
    helper = "/v1/test_helpers/confirmation_tokens"
    agreed = post(world.helpers_api(), helper, payment_method=method)["id"]
    post(customers, f"/v1/payment_methods/{method}/attach", customer=customer)
    change = {"amount": 100, "currency": "usd"}
    balance = post(customers, f"/v1/customers/{customer}/balance_transactions", **change)["id"]
    hook = {"url": "https://example.com/hook", "enabled_events": ["payment_intent.succeeded"]}
    endpoint = post(world._events_api(), "/v1/webhook_endpoints", **hook)["id"]
    order = {"amount": 2000, "currency": "usd", "payment_method": method, "customer": customer}
    paid = post(payments, "/v1/payment_intents", **order, confirm="true")
    held = post(payments, "/v1/payment_intents", **order, confirm="true", capture_method="manual")
    refund = post(payments, "/v1/refunds", payment_intent=paid["id"], amount=100)
    found = [customer, method, token, endpoint, paid["id"], held["id"], refund["id"]]
    charges = [paid["latest_charge"], held["latest_charge"]]
    return [*found, *charges, balance, agreed, "evt_1", "txn_1"]


def test_modes_walk_covers_every_family_of_objects(modes: Modes) -> None:
    templates = {route.template.split("/")[2] for _, route in modes.world.operations()}
    assert len(list(modes.world.operations())) > 40
    assert templates >= {"payment_intents", "charges", "refunds", "customers", "payment_methods"}
    assert templates >= {"tokens", "events", "webhook_endpoints", "balance", "ledger"}


def test_every_operation_with_an_id_knows_no_object_of_the_other_mode(modes: Modes) -> None:
    before, asked = modes.kept(), 0
    for api, route in modes.world.operations():
        if "{" not in route.template:
            continue
        for known in modes.ids:
            path = re.sub(r"\{\w+\}", known.replace("/", "-"), route.template)
            # when
            answer = modes.ask(api, route.method, path, {})
            # then
            asked += 1
            where = f"{route.method} {path}: {answer.status} {answer.text}"
            assert answer.status < 500, where
            shown = set(ID.findall(answer.text)) - set(ID.findall(known))
            assert not shown & set(modes.ids), where
            if answer.status == 200:
                assert known not in answer.text, where
    assert asked > 300
    assert modes.kept() == before


def test_journals_of_the_other_mode_are_not_there(modes: Modes) -> None:
    journals = [name for name in modes.ids if "/" in name]
    assert len(journals) > 5
    ledger = modes.world._ledger_api()
    for name in journals:
        path = f"/v1/ledger/journals/{name}"
        assert modes.ask(ledger, "GET", path, {}).status == 404
        assert modes.world.call("GET", path, {}, merchant=modes.test).status == 200


def test_every_list_of_live_mode_is_empty(modes: Modes) -> None:
    for api, route in modes.world.operations():
        if route.method != "GET" or "{" in route.template:
            continue
        # when
        answer = modes.ask(api, "GET", route.template, {})
        # then
        where = f"{route.template}: {answer.status} {answer.text}"
        # Test helpers are not for live keys.
        assert answer.status in {200, 400, 403}, where
        assert not set(ID.findall(answer.text)) & set(modes.ids), where


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_every_operation_with_an_id_in_its_parameters_knows_none_of_the_other_mode(
    modes: Modes, method: str
) -> None:
    names = ("customer", "payment_method", "payment_intent", "charge", "source", "starting_after")
    before = modes.kept()
    for api, route in modes.world.operations():
        if route.method != method or "{" in route.template:
            continue
        for name in names:
            for known in modes.ids:
                params = {name: known, "amount": 2000, "currency": "usd"}
                sent = params if method == "POST" else {name: known}
                # when
                answer = modes.ask(api, method, route.template, sent)
                # then
                where = f"{method} {route.template} {name}={known}: {answer.text}"
                assert answer.status < 500, where
                if answer.status == 200:
                    assert known not in answer.text, where
    assert modes.kept() == before


def test_walk_would_find_the_objects_with_the_test_key(modes: Modes) -> None:
    """What the other tests do not find is there."""
    found = 0
    for api, route in modes.world.operations():
        if route.method != "GET" or route.template.count("{") != 1:
            continue
        for known in modes.ids:
            path = re.sub(r"\{\w+\}", known.replace("/", "-"), route.template)
            modes.world.answering = api
            found += modes.world.call("GET", path, {}, merchant=modes.test).status == 200
    assert found >= 8
