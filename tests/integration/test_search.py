"""Searches, as a merchant makes them, in one process."""

from typing import Any, NoReturn

import pytest

from functions.api_customers.handler import build
from shared.edge import search
from tests.support.api import OTHER_KEY, Client
from tests.support.world import Answer, Merchant, World

URLS = {kind: f"/v1/{kind}/search" for kind in ("payment_intents", "charges", "customers")}


@pytest.fixture
def client() -> Client:
    def no_cards() -> NoReturn:
        raise AssertionError("nobody asks for a test card here")

    return Client(lambda platform: build(platform.ports(), platform.documents, no_cards))


@pytest.fixture
def merchant(world: World) -> Merchant:
    return world.merchant("one")


def pay(world: World, merchant: Merchant, order: str, **params: Any) -> dict[str, Any]:
    world.clock.advance(1)
    answer = world.pay(merchant, **{"metadata[order]": order, **params})
    return dict(answer.body)


def found(
    world: World, merchant: Merchant, query: str, kind: str = "payment_intents", **params: Any
) -> Answer:
    answer = world.call("GET", URLS[kind], {"query": query, **params}, merchant=merchant)
    assert answer.status == 200, answer.text
    return answer


def every_page(world: World, merchant: Merchant, query: str, limit: int) -> list[str]:
    ids: list[str] = []
    page: dict[str, Any] = {}
    while True:
        body = found(world, merchant, query, limit=limit, **page).body
        ids += [item["id"] for item in body["data"]]
        assert body["has_more"] is (body["next_page"] is not None)
        if not body["has_more"]:
            return ids
        page = {"page": body["next_page"]}


def test_search_finds_a_payment_and_its_charge_at_once(world: World, merchant: Merchant) -> None:
    # given
    pay(world, merchant, "other")
    made = pay(world, merchant, "6735")
    # when
    body = found(world, merchant, 'metadata["order"]:"6735" AND status:"succeeded"').body
    # then
    assert body["object"] == "search_result"
    assert body["url"] == URLS["payment_intents"]
    assert (body["has_more"], body["next_page"]) == (False, None)
    assert [item["id"] for item in body["data"]] == [made["id"]]
    query = "amount>1999 AND payment_method_details.card.last4:'4242'"
    charges = found(world, merchant, query, "charges", limit=1).body
    assert [item["id"] for item in charges["data"]] == [made["latest_charge"]]
    assert charges["has_more"] is True


def test_search_expands_what_it_finds(world: World, merchant: Merchant) -> None:
    made = pay(world, merchant, "1")
    expand = {"expand[0]": "data.latest_charge"}
    (item,) = found(world, merchant, "amount:2000", **expand).body["data"]
    assert item["latest_charge"]["payment_intent"] == made["id"]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
@pytest.mark.parametrize("scanned", [1, 2, 5])
def test_search_pages_meet_all_that_matches_once_newest_first(
    world: World, merchant: Merchant, monkeypatch: pytest.MonkeyPatch, limit: int, scanned: int
) -> None:
    # given
    monkeypatch.setattr(search, "LIMIT_MAX", scanned)
    monkeypatch.setattr(search, "SCANNED_PAGES_MAX", 2)
    made = [pay(world, merchant, "even" if n % 2 else "odd")["id"] for n in range(9)]
    # then
    assert every_page(world, merchant, "metadata['order']:'odd'", limit) == made[::-2]
    assert every_page(world, merchant, "metadata['order']:'none'", limit) == []


def test_search_goes_on_to_the_next_page_of_the_list_without_a_read(
    world: World, merchant: Merchant, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.setattr(search, "LIMIT_MAX", 2)
    first, *_ = [pay(world, merchant, f"no. {n}")["id"] for n in range(5)]
    reads: list[str] = []
    monkeypatch.setattr(world.payments, "load", reads.append)
    # when
    body = found(world, merchant, "metadata['order']:'no. 0'").body
    # then
    assert [item["id"] for item in body["data"]] == [first]
    assert reads == []


def test_search_finds_customers_and_no_deleted_ones(client: Client) -> None:
    # given
    ids = []
    for name in ("Ada Lovelace", "Ada Byron", "Grace Hopper"):
        client.platform.clock.advance(1)
        ids.append(client.post("/v1/customers", {"name": name}).body["id"])
    client.delete(f"/v1/customers/{ids[0]}")
    # then
    assert client.get(URLS["customers"], query="name~'ada'").ids == [ids[1]]
    assert client.get(URLS["customers"], query="name~'ada'", key=OTHER_KEY).ids == []


def test_search_of_customers_that_is_none_is_refused(client: Client) -> None:
    answer = client.get(URLS["customers"], query="status:'x'")
    assert (answer.status, answer.error["param"]) == (400, "query")


def test_search_sees_nothing_of_another_merchant(world: World, merchant: Merchant) -> None:
    # given
    other = world.merchant("two")
    made = pay(world, merchant, "6735")
    pay(world, merchant, "6735")
    token = found(world, merchant, "amount>0", limit=1).body["next_page"]
    # then
    for kind in ("payment_intents", "charges"):
        assert found(world, other, "created>0", kind).body["data"] == []
    answer = world.call(
        "GET", URLS["payment_intents"], {"query": "amount>0", "page": token}, merchant=other
    )
    assert (answer.status, answer.body["error"]["param"]) == (400, "page")
    assert made["id"] not in answer.text


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({}, "query"),
        ({"query": ""}, "query"),
        ({"query": "status"}, "query"),
        ({"query": "secret:'x'"}, "query"),
        ({"query": "amount:1", "page": "x"}, "page"),
        ({"query": "amount:1", "page": "%F0%9F"}, "page"),
        ({"query": "amount:1", "page": "cGlfMQ=="}, "page"),
        ({"query": "amount:1", "limit": "101"}, "limit"),
        ({"query": "amount:1", "starting_after": "pi_1"}, "starting_after"),
    ],
)
def test_search_that_cannot_be_made_is_refused(
    world: World, merchant: Merchant, params: dict[str, str], param: str
) -> None:
    for kind in ("payment_intents", "charges"):
        answer = world.call("GET", URLS[kind], params, merchant=merchant)
        error = answer.body["error"]
        assert (answer.status, error["type"]) == (400, "invalid_request_error"), answer.text
        assert error["param"] == param
