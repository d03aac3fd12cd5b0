"""Confirmation tokens: made by tests, and used by payments."""

from typing import Any

import pytest

from shared.domain.idempotency import LEASE_MS
from tests.support.faults import crash_after, crash_before
from tests.support.published import Published
from tests.support.world import CARD, Answer, Merchant

HELPER, PAYMENTS = "/v1/test_helpers/confirmation_tokens", "/v1/payment_intents"
ORDER = {"amount": 2000, "currency": "usd"}
# The operations that a payment's means can come with.
BRINGING = ("create", "confirm")
SHIPPING = {"name": "Jenny", "address": {"line1": "1 Road", "country": "NO"}}
NO_ADDRESS = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))


@pytest.fixture
def world() -> Published:
    return Published()


def make(world: Published, merchant: Merchant, **params: Any) -> Answer:
    world.clock.advance(1_000)
    return world.call("POST", HELPER, params, merchant=merchant)


def made(world: Published, merchant: Merchant, **params: Any) -> dict[str, Any]:
    answer = make(world, merchant, **params)
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
    customer = world.post(merchant, "/v1/customers")["id"]
    method = world.post(merchant, "/v1/payment_methods", type="card", card=CARD)
    attach = f"/v1/payment_methods/{method['id']}/attach"
    world.post(merchant, attach, customer=customer)
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
    card = world.post(merchant, "/v1/tokens", card={**CARD, "name": "Ada"})["id"]
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
        (
            {"payment_method_data": of_token("pm_card_visa")},
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
    customer = world.post(merchant, "/v1/customers", payment_method="pm_card_visa")["id"]
    path = f"/v1/customers/{customer}/payment_methods"
    method = world.call("GET", path, merchant=merchant).body["data"][0]["id"]
    world.post(merchant, f"/v1/payment_methods/{method}/detach")
    # when
    answer = make(world, merchant, payment_method=method)
    # then
    assert answer.body["error"]["code"] == "payment_method_unexpected_state"


def test_confirmation_token_repeated_key_makes_one(world: Published, merchant: Merchant) -> None:
    data = {"payment_method_data": of_token(world.post(merchant, "/v1/tokens", card=CARD)["id"])}
    answers = [world.call("POST", HELPER, data, merchant=merchant, key="k") for _ in range(2)]
    assert answers[0].status == 200
    assert answers[0].text == answers[1].text


def test_confirmation_token_of_another_merchant_is_unknown(
    world: Published, merchant: Merchant
) -> None:
    # given
    other = world.merchant("other")
    method = world.post(merchant, "/v1/payment_methods", type="card", card=CARD)["id"]
    card = world.post(merchant, "/v1/tokens", card=CARD)["id"]
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


def pay(world: Published, merchant: Merchant, **params: Any) -> Answer:
    order = {**ORDER, "confirm": "true", **params}
    return world.call("POST", PAYMENTS, order, merchant=merchant)


def bring(world: Published, merchant: Merchant, operation: str, **params: Any) -> Answer:
    """Pays with what a request brings, with the creation of a payment or after it."""
    if operation == "create":
        return pay(world, merchant, **params)
    payment = world.post(merchant, PAYMENTS, **ORDER)["id"]
    return world.call("POST", f"{PAYMENTS}/{payment}/confirm", params, merchant=merchant)


def expect_error(answer: Answer, status: int, code: str | None, param: str | None = None) -> None:
    error = answer.body["error"]
    found = (answer.status, error.get("code"), error.get("param"))
    assert found == (status, code, param), answer.text


@pytest.mark.parametrize("operation", BRINGING)
def test_payment_by_confirmation_token_makes_its_payment_method_and_uses_it_up(
    world: Published, merchant: Merchant, operation: str
) -> None:
    # given
    card = world.post(merchant, "/v1/tokens", card=CARD)["id"]
    data = of_token(card, billing_details={"name": "Ada"}, metadata={"a": "1"})
    token = made(world, merchant, payment_method_data=data, shipping=SHIPPING)
    # when
    answer = bring(world, merchant, operation, confirmation_token=token["id"])
    # then
    payment = answer.body
    assert (answer.status, payment["status"]) == (200, "succeeded"), answer.text
    assert payment["shipping"]["name"] == "Jenny"
    path = f"/v1/payment_methods/{payment['payment_method']}"
    method = world.call("GET", path, merchant=merchant).body
    assert (method["billing_details"]["name"], method["metadata"]) == ("Ada", {"a": "1"})
    used = kept(world, merchant, token["id"])
    assert used == {**token, "payment_intent": payment["id"]}
    again = bring(world, merchant, operation, confirmation_token=token["id"])
    expect_error(again, 400, "token_already_used", "confirmation_token")
    world.check()


def test_payment_by_confirmation_token_of_a_payment_method_charges_that(
    world: Published, merchant: Merchant
) -> None:
    # given
    customer = world.post(merchant, "/v1/customers", payment_method="pm_card_visa")["id"]
    path = f"/v1/customers/{customer}/payment_methods"
    method = world.call("GET", path, merchant=merchant).body["data"][0]["id"]
    token = made(world, merchant, payment_method=method, shipping=SHIPPING)["id"]
    elsewhere = {**SHIPPING, "name": "Max"}
    # when
    refused = pay(world, merchant, confirmation_token=token)
    paid = pay(world, merchant, confirmation_token=token, customer=customer, shipping=elsewhere)
    # then
    expect_error(refused, 400, "payment_method_customer_mismatch", "payment_method")
    assert (paid.body["status"], paid.body["payment_method"]) == ("succeeded", method)
    assert paid.body["shipping"]["name"] == "Max"
    assert kept(world, merchant, token)["payment_intent"] == paid.body["id"]


def test_declined_payment_uses_its_confirmation_token_up(
    world: Published, merchant: Merchant
) -> None:
    # given
    token = made(world, merchant, payment_method="pm_card_chargeDeclined")["id"]
    # when
    answer = pay(world, merchant, confirmation_token=token)
    # then
    assert (answer.status, answer.body["error"]["code"]) == (402, "card_declined")
    payment = answer.body["error"]["payment_intent"]["id"]
    assert kept(world, merchant, token)["payment_intent"] == payment


def test_confirmation_token_expires_after_twelve_hours(
    world: Published, merchant: Merchant
) -> None:
    # given
    tokens = [made(world, merchant, payment_method="pm_card_visa")["id"] for _ in range(2)]
    expires_ms = kept(world, merchant, tokens[1])["expires_at"] * 1000
    # when
    world.clock.advance(expires_ms - 1 - world.clock.now_ms())
    late = pay(world, merchant, confirmation_token=tokens[0])
    in_time = pay(world, merchant, confirmation_token=tokens[1])
    # then
    expect_error(late, 400, "confirmation_token_expired", "confirmation_token")
    assert in_time.status == 200
    assert kept(world, merchant, tokens[0])["payment_intent"] is None


@pytest.mark.parametrize("operation", BRINGING)
@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        (
            {"confirmation_token": "ctoken_1", "payment_method": "pm_card_visa"},
            "parameters_exclusive",
            "confirmation_token",
        ),
        (
            {"payment_method_data": of_token("tok_visa"), "payment_method": "pm_card_visa"},
            "parameters_exclusive",
            "payment_method_data",
        ),
        ({"confirmation_token": "ctoken_9"}, "resource_missing", "confirmation_token"),
        (
            {"payment_method_data": of_token("tok_9")},
            "resource_missing",
            "payment_method_data[card][token]",
        ),
        ({"payment_method_data": {"type": "card", "card": CARD}}, "card_data_refused", "card"),
    ],
)
def test_payment_by_what_cannot_be_used_is_refused(
    world: Published,
    merchant: Merchant,
    operation: str,
    params: dict[str, Any],
    code: str,
    param: str,
) -> None:
    expect_error(bring(world, merchant, operation, **params), 400, code, param)
    assert world.provider.effects() == []


def test_confirmation_token_saves_the_card_with_its_payment(
    world: Published, merchant: Merchant
) -> None:
    # given
    params = {"payment_method": "pm_card_visa", "setup_future_usage": "off_session"}
    token = made(world, merchant, **params)["id"]
    customer = world.post(merchant, "/v1/customers")["id"]
    # when
    paid = pay(world, merchant, confirmation_token=token, customer=customer).body
    # then
    assert paid["setup_future_usage"] == "off_session"
    path = f"/v1/customers/{customer}/payment_methods"
    (method,) = world.call("GET", path, merchant=merchant).body["data"]
    assert method["id"] == paid["payment_method"]


def test_confirmation_token_where_nothing_is_confirmed_is_refused(
    world: Published, merchant: Merchant
) -> None:
    token = made(world, merchant, payment_method="pm_card_visa")["id"]
    answer = pay(world, merchant, confirmation_token=token, confirm="false")
    expect_error(answer, 400, None, "confirmation_token")
    assert kept(world, merchant, token)["payment_intent"] is None


@pytest.mark.parametrize("operation", BRINGING)
def test_payment_by_a_cards_token_makes_a_payment_method_once(
    world: Published, merchant: Merchant, operation: str
) -> None:
    # given
    card = world.post(merchant, "/v1/tokens", card={**CARD, "name": "Ada"})["id"]
    # when
    answer = bring(world, merchant, operation, payment_method_data=of_token(card))
    # then
    assert (answer.status, answer.body["status"]) == (200, "succeeded"), answer.text
    path = f"/v1/payment_methods/{answer.body['payment_method']}"
    method = world.call("GET", path, merchant=merchant).body
    assert method["billing_details"]["name"] == "Ada"
    assert world.call("GET", f"/v1/tokens/{card}", merchant=merchant).body["used"]
    again = bring(world, merchant, operation, payment_method_data=of_token(card))
    expect_error(again, 400, "token_already_used", "payment_method_data[card][token]")
    world.check()


def test_payment_that_is_not_confirmed_takes_a_cards_token(
    world: Published, merchant: Merchant
) -> None:
    # given
    cards = [world.post(merchant, "/v1/tokens", card=CARD)["id"] for _ in range(2)]
    # when
    created = world.post(merchant, PAYMENTS, **ORDER, payment_method_data=of_token(cards[0]))
    path = f"{PAYMENTS}/{created['id']}"
    updated = world.post(merchant, path, payment_method_data=of_token(cards[1]))
    confirmed = world.post(merchant, f"{path}/confirm")
    # then
    assert created["status"] == updated["status"] == "requires_confirmation"
    assert created["payment_method"] != updated["payment_method"] == confirmed["payment_method"]
    for card in cards:
        assert world.call("GET", f"/v1/tokens/{card}", merchant=merchant).body["used"]


@pytest.mark.parametrize("operation", BRINGING)
@pytest.mark.parametrize("crash", ["reserve_funds", "authorize_payment"])
def test_request_that_died_with_its_token_goes_on_with_it(
    world: Published, merchant: Merchant, operation: str, crash: str
) -> None:
    # given
    token = made(world, merchant, payment_method_data=of_token("tok_visa"))["id"]
    payment = world.post(merchant, PAYMENTS, **ORDER)["id"]
    path = PAYMENTS if operation == "create" else f"{PAYMENTS}/{payment}/confirm"
    order = {**ORDER, "confirm": "true"} if operation == "create" else {}
    params = {**order, "confirmation_token": token}
    crash_after(world, crash)
    crash_before(world, "void_authorization")
    world.call("POST", path, params, merchant=merchant, key="k")
    # when
    world.clock.advance(LEASE_MS)
    other = pay(world, merchant, confirmation_token=token)
    again = world.call("POST", path, params, merchant=merchant, key="k")
    # then
    expect_error(other, 400, "token_already_used", "confirmation_token")
    assert (again.status, again.body["status"]) == (200, "succeeded"), again.text
    assert kept(world, merchant, token)["payment_intent"] == again.body["id"]
    assert len(world.provider.effects()) == 1
    world.check()


def test_request_that_died_before_it_used_its_token_does_not_take_it_from_another(
    world: Published, merchant: Merchant
) -> None:
    # given
    token = made(world, merchant, payment_method="pm_card_visa")["id"]
    params = {**ORDER, "confirm": "true", "confirmation_token": token}
    crash_before(world, "reserve_funds")
    assert world.call("POST", PAYMENTS, params, merchant=merchant, key="k").status == 500
    # when
    other = pay(world, merchant, confirmation_token=token)
    again = world.call("POST", PAYMENTS, params, merchant=merchant, key="k")
    # then
    assert other.body["status"] == "succeeded"
    expect_error(again, 400, "token_already_used", "confirmation_token")
    assert len(world.provider.effects()) == 1


def test_two_payments_at_once_do_not_both_use_a_token(world: Published, merchant: Merchant) -> None:
    # given
    token = made(world, merchant, payment_method="pm_card_visa")["id"]
    real, others = world.steps["reserve_funds"], list[Answer]()

    def rivalled(state: Any) -> Any:
        world.steps["reserve_funds"] = real
        others.append(pay(world, merchant, confirmation_token=token))
        return real(state)

    world.steps["reserve_funds"] = rivalled
    # when
    answer = pay(world, merchant, confirmation_token=token)
    # then
    assert others[0].body["status"] == "succeeded"
    expect_error(answer, 429, "lock_timeout")
    assert len(world.provider.effects()) == 1
    assert kept(world, merchant, token)["payment_intent"] == others[0].body["id"]
    world.check()
