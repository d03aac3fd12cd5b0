"""Payment method domains, through the function's own API on memory stores."""

from typing import Any

import pytest

from tests.support.world import Answer, Merchant, World

PATH = "/v1/payment_method_domains"
WALLETS = {"amazon_pay", "apple_pay", "google_pay", "klarna", "link", "paypal"}


def send(
    world: World,
    merchant: Merchant,
    method: str,
    path: str = PATH,
    key: str | None = None,
    **params: Any,
) -> Answer:
    world.clock.advance(1_000)
    return world.call(method, path, params, merchant=merchant, key=key)


def post(world: World, merchant: Merchant, path: str = PATH, **params: Any) -> dict[str, Any]:
    answer = send(world, merchant, "POST", path, **params)
    assert answer.status == 200, answer.text
    body: dict[str, Any] = answer.body
    return body


def listed(world: World, merchant: Merchant, **params: Any) -> list[str]:
    return [item["domain_name"] for item in send(world, merchant, "GET", **params).body["data"]]


def test_create_domain_returns_every_field_and_no_wallet_is_active(
    world: World, merchant: Merchant
) -> None:
    # when
    made = post(world, merchant, domain_name="Shop.Example.com")
    # then
    facts = {name: value for name, value in made.items() if name not in WALLETS}
    assert facts == {
        "id": made["id"],
        "object": "payment_method_domain",
        "created": world.clock.now_ms() // 1000,
        "domain_name": "shop.example.com",
        "enabled": True,
        "livemode": False,
    }
    assert made["id"].startswith("pmd_")
    assert {made[wallet]["status"] for wallet in WALLETS} == {"inactive"}
    details = {"error_message": "This platform does not offer Apple Pay."}
    assert made["apple_pay"]["status_details"] == details
    assert send(world, merchant, "GET", f"{PATH}/{made['id']}").body == made


def test_validate_domain_says_how_it_stands(world: World, merchant: Merchant) -> None:
    # given
    made = post(world, merchant, domain_name="example.com")
    # when
    path = f"{PATH}/{made['id']}/validate"
    answers = [send(world, merchant, "POST", path, key="k") for _ in range(2)]
    # then
    assert [answer.body for answer in answers] == [made, made]
    assert world.database.documents[made["id"]].version == 1


def test_domain_registered_again_is_the_one_there_is(world: World, merchant: Merchant) -> None:
    # given
    made = post(world, merchant, domain_name="example.com", enabled="false")
    # when
    again = post(world, merchant, domain_name="EXAMPLE.com")
    enabled = post(world, merchant, domain_name="example.com", enabled="true")
    # then
    assert again == made
    assert enabled == {**made, "enabled": True}
    assert listed(world, merchant) == ["example.com"]


def test_domains_are_listed_by_name_and_state(world: World, merchant: Merchant) -> None:
    # given
    made = [post(world, merchant, domain_name=f"{name}.example.com")["id"] for name in "abc"]
    # when
    post(world, merchant, f"{PATH}/{made[1]}", enabled="false")
    # then
    assert listed(world, merchant) == ["c.example.com", "b.example.com", "a.example.com"]
    assert listed(world, merchant, enabled="true") == ["c.example.com", "a.example.com"]
    assert listed(world, merchant, enabled="false") == ["b.example.com"]
    assert listed(world, merchant, domain_name="B.example.com") == ["b.example.com"]
    assert listed(world, merchant, domain_name="b.example.com", enabled="true") == []
    assert listed(world, merchant, domain_name="d.example.com") == []
    assert listed(world, merchant, starting_after=made[1]) == ["a.example.com"]
    assert listed(world, merchant, ending_before=made[1], limit=1) == ["c.example.com"]


@pytest.mark.parametrize(
    "name",
    [
        "localhost",
        "https://example.com",
        "example.com/shop",
        "example.com:8080",
        "192.0.2.1",
        "-a.example.com",
        "a..example.com",
        "exämple.com",
        "example.com.",
        f"{'a' * 64}.com",
        ".".join(["a" * 60] * 5),
    ],
)
def test_what_is_no_domain_name_is_refused(world: World, merchant: Merchant, name: str) -> None:
    answer = send(world, merchant, "POST", domain_name=name)
    assert (answer.status, answer.body["error"]["param"]) == (400, "domain_name")
    assert listed(world, merchant) == []


def test_create_domain_repeated_key_registers_one(world: World, merchant: Merchant) -> None:
    answers = [send(world, merchant, "POST", domain_name="example.com", key="k") for _ in range(2)]
    assert answers[0].status == 200
    assert answers[0].text == answers[1].text
    assert listed(world, merchant) == ["example.com"]


def test_domain_of_another_merchant_is_unknown(world: World, merchant: Merchant) -> None:
    # given
    other = world.merchant("other")
    made = post(world, merchant, domain_name="example.com", enabled="false")
    path = f"{PATH}/{made['id']}"
    # then
    for method, where in (("GET", path), ("POST", path), ("POST", f"{path}/validate")):
        assert send(world, other, method, where).status == 404
    assert post(world, other, domain_name="example.com")["id"] != made["id"]
    assert send(world, merchant, "GET", path).body == made
