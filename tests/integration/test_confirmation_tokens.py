"""Confirmation tokens: made by tests, and used by payments."""

from typing import Any

import pytest

from tests.support.published import Published
from tests.support.world import CARD, Answer, Merchant

HELPER = "/v1/test_helpers/confirmation_tokens"
HOUR_MS = 60 * 60 * 1000
SHIPPING = {"name": "Jenny", "address": {"line1": "1 Road", "country": "NO"}}
NO_ADDRESS = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))


@pytest.fixture
def world() -> Published:
    return Published()


@pytest.fixture
def merchant(world: Published) -> Merchant:
    return world.merchant()


def make(world: Published, merchant: Merchant, **params: Any) -> Answer:
    world.clock.advance(1_000)
    return world.call("POST", HELPER, params, merchant=merchant)


def made(world: Published, merchant: Merchant, **params: Any) -> dict[str, Any]:
    answer = make(world, merchant, **params)
    assert answer.status == 200, answer.text
    body: dict[str, Any] = answer.body
    return body


def post(world: Published, merchant: Merchant, path: str, **params: Any) -> dict[str, Any]:
    answer = world.call("POST", path, params, merchant=merchant)
    assert answer.status == 200, answer.text
    body: dict[str, Any] = answer.body
    return body


def kept(world: Published, merchant: Merchant, token: str) -> dict[str, Any]:
    answer = world.call("GET", f"/v1/confirmation_tokens/{token}", merchant=merchant)
    assert answer.status == 200, answer.text
    body: dict[str, Any] = answer.body
    return body


def of_token(token: str, **params: Any) -> dict[str, Any]:
    return {"type": "card", "card": {"token": token}, **params}


def test_confirmation_token_of_a_payment_method_has_every_field(
    world: Published, merchant: Merchant
) -> None:
    # given
    customer = post(world, merchant, "/v1/customers")["id"]
    method = post(world, merchant, "/v1/payment_methods", type="card", card=CARD)
    attach = f"/v1/payment_methods/{method['id']}/attach"
    post(world, merchant, attach, customer=customer)
    # when
    params = {"return_url": "https://example.com/back", "setup_future_usage": "off_session"}
    token = made(world, merchant, payment_method=method["id"], shipping=SHIPPING, **params)
    # then
    now_s = world.clock.now_ms() // 1000
    assert token == {
        "id": token["id"],
        "object": "confirmation_token",
        "created": now_s,
        "expires_at": now_s + 12 * 60 * 60,
        "livemode": False,
        "mandate_data": None,
        "metadata": None,
        "payment_intent": None,
        "payment_method_options": None,
        "payment_method_preview": {
            "allow_redisplay": "unspecified",
            "billing_details": method["billing_details"],
            "card": method["card"],
            "customer": customer,
            "customer_account": None,
            "type": "card",
        },
        "return_url": "https://example.com/back",
        "setup_future_usage": "off_session",
        "setup_intent": None,
        "shipping": {
            "address": {**NO_ADDRESS, "line1": "1 Road", "country": "NO"},
            "name": "Jenny",
            "phone": None,
        },
        "use_stripe_sdk": True,
    }
    assert token["id"].startswith("ctoken_")
    assert kept(world, merchant, token["id"]) == token


def test_confirmation_token_of_a_cards_token_uses_that_up(
    world: Published, merchant: Merchant
) -> None:
    # given
    card = post(world, merchant, "/v1/tokens", card={**CARD, "name": "Ada"})["id"]
    # when
    data = of_token(card, billing_details={"email": "a@example.com"}, allow_redisplay="always")
    preview = made(world, merchant, payment_method_data=data)["payment_method_preview"]
    # then
    assert (preview["card"]["last4"], preview["allow_redisplay"]) == ("4242", "always")
    assert preview["billing_details"]["name"] == "Ada"
    assert preview["billing_details"]["email"] == "a@example.com"
    assert world.call("GET", f"/v1/tokens/{card}", merchant=merchant).body["used"]
    again = make(world, merchant, payment_method_data=data)
    assert (again.status, again.body["error"]["code"]) == (400, "token_already_used")


@pytest.mark.parametrize(
    "params",
    [{"payment_method": "pm_card_mastercard"}, {"payment_method_data": of_token("tok_amex")}],
)
def test_confirmation_token_of_a_test_card_by_name(
    world: Published, merchant: Merchant, params: dict[str, Any]
) -> None:
    preview = made(world, merchant, **params)["payment_method_preview"]
    assert preview["card"]["brand"] in {"mastercard", "amex"}
    assert preview["billing_details"]["address"] == NO_ADDRESS


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({}, "parameter_missing", "payment_method"),
        ({"payment_method": "pm_card_none"}, "resource_missing", "payment_method"),
        ({"payment_method": "pm_1"}, "resource_missing", "payment_method"),
        (
            {"payment_method": "pm_card_visa", "payment_method_data": of_token("tok_visa")},
            "parameters_exclusive",
            "payment_method_data",
        ),
        (
            {"payment_method_data": of_token("tok_none")},
            "resource_missing",
            "payment_method_data[card][token]",
        ),
        ({"payment_method_data": {"type": "card"}}, "parameter_missing", None),
        ({"payment_method_data": {"type": "card", "card": CARD}}, "card_data_refused", "card"),
        ({"payment_method_data": {"type": "alipay"}}, None, "payment_method_data[type]"),
        (
            {"payment_method": "pm_card_visa", "mandate_data": {}, "setup_future_usage": "later"},
            None,
            "setup_future_usage",
        ),
    ],
)
def test_confirmation_token_bad_parameter_is_refused(
    world: Published,
    merchant: Merchant,
    params: dict[str, Any],
    code: str | None,
    param: str | None,
) -> None:
    answer = make(world, merchant, **params)
    error = answer.body["error"]
    assert (answer.status, error.get("code")) == (400, code)
    assert param is None or error["param"] == param


def test_confirmation_token_of_a_detached_payment_method_is_refused(
    world: Published, merchant: Merchant
) -> None:
    # given
    customer = post(world, merchant, "/v1/customers", payment_method="pm_card_visa")["id"]
    path = f"/v1/customers/{customer}/payment_methods"
    method = world.call("GET", path, merchant=merchant).body["data"][0]["id"]
    post(world, merchant, f"/v1/payment_methods/{method}/detach")
    # when
    answer = make(world, merchant, payment_method=method)
    # then
    assert answer.body["error"]["code"] == "payment_method_unexpected_state"


def test_confirmation_token_repeated_key_makes_one(world: Published, merchant: Merchant) -> None:
    data = {"payment_method_data": of_token(post(world, merchant, "/v1/tokens", card=CARD)["id"])}
    answers = [world.call("POST", HELPER, data, merchant=merchant, key="k") for _ in range(2)]
    assert answers[0].status == 200
    assert answers[0].text == answers[1].text


def test_confirmation_token_of_another_merchant_is_unknown(
    world: Published, merchant: Merchant
) -> None:
    # given
    other = world.merchant("other")
    method = post(world, merchant, "/v1/payment_methods", type="card", card=CARD)["id"]
    card = post(world, merchant, "/v1/tokens", card=CARD)["id"]
    token = made(world, merchant, payment_method=method)["id"]
    # then
    answer = world.call("GET", f"/v1/confirmation_tokens/{token}", merchant=other)
    assert answer.status == 404
    assert make(world, other, payment_method=method).body["error"]["code"] == "resource_missing"
    answer = make(world, other, payment_method_data=of_token(card))
    assert answer.body["error"]["code"] == "resource_missing"


def test_confirmation_tokens_record_tells_no_secret_of_the_card(
    world: Published, merchant: Merchant
) -> None:
    token = made(world, merchant, payment_method="pm_card_visa")["id"]
    (record,) = world.changes.of_entity(token, 1)
    card = record.change.new["method"]["card"]
    assert (card["last4"], card["vault_token"]) == ("4242", "[changed]")
