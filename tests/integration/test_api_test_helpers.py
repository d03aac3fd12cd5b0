"""The network's record through the merchant API, from the real network over real HTTP."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.api_test_helpers.handler import build
from functions.sandbox_network.service import NetworkService
from functions.sandbox_network.store import NetworkStore
from shared.adapters.providers.sandbox import SandboxProvider
from shared.adapters.secrets import FixedSecret
from shared.domain.cards import CardNumber
from shared.domain.ports import SandboxCards
from shared.domain.providers import AuthorizationRequest
from tests.support.api import LIVE_KEY, OTHER_KEY, PUBLISHABLE_KEY, Client, Platform
from tests.support.aws import REGION, create_table
from tests.support.logs import recorded_logger
from tests.support.loopback import Received, Reply, serve
from tests.support.notices import KeptNotices

PATH = "/v1/test_helpers/network_transactions"
CARD = CardNumber("4242424242424242", 12, 2040, "123")


def no_cards() -> SandboxCards:
    raise AssertionError("nobody names a test card")


class World:
    def __init__(self, provider: SandboxProvider, platform: Platform) -> None:
        self.provider = provider
        self.platform = platform
        self.client = Client(
            lambda given: build(given.ports(), provider, given.documents, no_cards), platform
        )

    def sell(self, payment_id: str, charge_id: str) -> None:
        key = f"{charge_id}/sale"
        self.provider.authorize(
            AuthorizationRequest(
                "acct_1", payment_id, charge_id, key, CARD, 1500, "usd", capture=True
            )
        )
        self.platform.clock.advance(1_000)


@pytest.fixture
def world() -> Iterator[World]:
    with mock_aws():
        platform, secret = Platform(), FixedSecret("s")
        dynamodb = boto3.client("dynamodb", region_name=REGION)
        store = NetworkStore(dynamodb, create_table(dynamodb, "network"))
        service = NetworkService(store, secret, KeptNotices(), platform.clock, recorded_logger()[0])

        def answer(received: Received) -> Reply:
            response = service.handle(received.as_http_api_event(), None)
            return Reply(response["statusCode"], response["body"].encode())

        with serve(answer) as url:
            yield World(SandboxProvider(url, secret), platform)


def test_transactions_of_a_payment_show_what_the_network_did(world: World) -> None:
    world.sell("pi_1", "ch_1")
    world.sell("pi_2", "ch_2")
    created = world.platform.clock.now_ms() // 1000
    world.provider.refund("ch_1", "re_1", 500, "re_1/refund")
    answer = world.client.get(PATH, payment_intent="pi_1")
    assert answer.status == 200
    assert (answer.body["object"], answer.body["url"]) == ("list", PATH)
    assert answer.body["has_more"] is False
    refund, sale = answer.body["data"]
    assert refund == {
        "id": refund["id"],
        "object": "network_transaction",
        "amount": 500,
        "charge": "ch_1",
        "created": created,
        "currency": "usd",
        "idempotency_key": "re_1/refund",
        "livemode": False,
        "payment_intent": "pi_1",
        "refund": "re_1",
        "status": "approved",
        "type": "refund",
    }
    assert (sale["type"], sale["amount"], sale["refund"]) == ("sale", 1500, None)


def test_transactions_are_paged(world: World) -> None:
    for number in range(3):
        world.sell(f"pi_{number}", f"ch_{number}")
    first = world.client.get(PATH, limit=2)
    second = world.client.get(PATH, limit=2, starting_after=first.ids[-1])
    assert (len(first.ids), first.body["has_more"]) == (2, True)
    assert (len(second.ids), second.body["has_more"]) == (1, False)
    assert len({*first.ids, *second.ids}) == 3


def test_transactions_of_another_account_are_not_shown(world: World) -> None:
    world.sell("pi_1", "ch_1")
    assert world.client.get(PATH, key=OTHER_KEY).ids == []
    assert world.client.get(PATH, key=OTHER_KEY, payment_intent="pi_1").ids == []


@pytest.mark.parametrize(("key", "status"), [(LIVE_KEY, 403), (PUBLISHABLE_KEY, 403)])
def test_transactions_are_for_secret_test_keys(world: World, key: str, status: int) -> None:
    answer = world.client.get(PATH, key=key)
    assert answer.status in {401, status}
    assert answer.error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"starting_after": "pi_1"}, "starting_after"),
        ({"payment_intent": "a b"}, "payment_intent"),
        ({"ending_before": "ntx_1"}, "ending_before"),
    ],
)
def test_transactions_refuse_bad_parameters(
    world: World, params: dict[str, Any], param: str
) -> None:
    answer = world.client.get(PATH, **params)
    assert (answer.status, answer.error["param"]) == (400, param)


def test_sample_event_is_answered(world: World) -> None:
    event = json.loads(Path("events/api_test_helpers.json").read_text())
    response = world.client.api.handle(event, None)
    assert response["statusCode"] == 200
    assert json.loads(response["body"])["data"] == []
