"""What a page or an app may do to the one intent whose client secret it was given."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from shared.domain.idempotency import LEASE_MS
from tests.support.faults import crash_before
from tests.support.published import Published
from tests.support.shapes import FOR_CLIENTS
from tests.support.world import CARD, Answer, Merchant, World

PAYMENTS, SETUPS = "/v1/payment_intents", "/v1/setup_intents"
INTENTS = {
    PAYMENTS: ("payment_intent", "PaymentIntent", {"amount": 2000, "currency": "usd"}),
    SETUPS: ("setupintent", "SetupIntent", {}),
}
SHIPPING = {"name": "Ada", "address": {"line1": "1 Main Street"}}
CARD_USAGE_NONE = {"payment_method_options": {"card": {"setup_future_usage": "none"}}}
CARD_USAGE_OFF_SESSION = {"payment_method_options": {"card": {"setup_future_usage": "off_session"}}}

SHOWN_OF_A_PAYMENT = FOR_CLIENTS["PaymentIntent"]
SHOWN_OF_A_SETUP = FOR_CLIENTS["SetupIntent"]
SHOWN_OF_A_METHOD = FOR_CLIENTS["PaymentMethod"]
SHOWN_OF_A_CARD = FOR_CLIENTS["PaymentMethod.Card"]


@pytest.fixture
def world() -> Published:
    return Published()


@pytest.fixture
def page(merchant: Merchant) -> Merchant:
    """The merchant's page, which has the publishable key alone."""
    return public(merchant)


@pytest.fixture(params=[PAYMENTS, SETUPS])
def path(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def public(merchant: Merchant) -> Merchant:
    return replace(merchant, secret_key=merchant.publishable_key)


def made(world: World, merchant: Merchant, path: str, **params: Any) -> dict[str, Any]:
    return world.post(merchant, path, **{**INTENTS[path][2], **params})


def confirm(
    world: World, asker: Merchant, intent: dict[str, Any], key: str | None = None, **params: Any
) -> Answer:
    path = PAYMENTS if intent["object"] == "payment_intent" else SETUPS
    given = {"client_secret": intent["client_secret"], "payment_method": "pm_card_visa"}
    target = f"{path}/{intent['id']}/confirm"
    return world.call("POST", target, {**given, **params}, merchant=asker, key=key)


def read(world: World, asker: Merchant, path: str, intent: dict[str, Any], **params: Any) -> Answer:
    given = {"client_secret": intent["client_secret"], **params}
    return world.call("GET", f"{path}/{intent['id']}", given, merchant=asker)


def expect_error(answer: Answer, status: int, code: str | None, param: str | None) -> str:
    error = answer.body["error"]
    assert (answer.status, error.get("code"), error.get("param")) == (status, code, param), error
    message: str = error["message"]
    return message


def test_pages_may_ask_for_these_operations_alone(world: Published) -> None:
    asked = {f"{route.method} {route.template}" for route in world.routes() if route.publishable}
    assert asked == {
        "GET /v1/payment_intents/{id}",
        "GET /v1/setup_intents/{id}",
        "POST /v1/payment_intents/{id}/confirm",
        "POST /v1/payment_methods",
        "POST /v1/setup_intents/{id}/confirm",
        "POST /v1/tokens",
    }


# --- what is shown


def test_page_is_shown_a_payment_without_what_is_the_merchants(
    world: World, merchant: Merchant, page: Merchant
) -> None:
    # given
    intent = made(
        world,
        merchant,
        PAYMENTS,
        customer=world.post(merchant, "/v1/customers", name="Ada")["id"],
        metadata={"margin": "high"},
        amount_details={"tax": {"total_tax_amount": 5}},
        payment_method="pm_card_visa",
    )
    # when
    shown = read(world, page, PAYMENTS, intent, expand=["payment_method"]).body
    # then
    assert set(shown) == SHOWN_OF_A_PAYMENT
    assert shown["amount_details"] == {"tip": {"amount": None}}
    assert set(shown["payment_method"]) == SHOWN_OF_A_METHOD
    assert set(shown["payment_method"]["card"]) == SHOWN_OF_A_CARD
    unexpanded = {**shown, "payment_method": shown["payment_method"]["id"]}
    assert unexpanded == {
        **{name: intent[name] for name in shown},
        "amount_details": {"tip": {"amount": None}},
    }


def test_page_is_shown_a_setup_without_what_is_the_merchants(
    world: World, merchant: Merchant, page: Merchant
) -> None:
    # given
    intent = made(world, merchant, SETUPS, metadata={"margin": "high"})
    # then
    shown = read(world, page, SETUPS, intent).body
    assert set(shown) == SHOWN_OF_A_SETUP
    assert shown == {name: intent[name] for name in shown}


def test_page_is_shown_a_payment_method_that_it_makes_without_its_fingerprint(
    world: World, page: Merchant
) -> None:
    shown = world.post(page, "/v1/payment_methods", type="card", card=CARD)
    assert set(shown) == SHOWN_OF_A_METHOD
    assert set(shown["card"]) == SHOWN_OF_A_CARD


def test_secret_key_is_shown_all_with_the_client_secret_too(
    world: World, merchant: Merchant, path: str
) -> None:
    intent = made(world, merchant, path)
    assert read(world, merchant, path, intent, expand=["customer"]).body == intent


@pytest.mark.parametrize("property_", ["customer", "payment_method.customer"])
def test_page_may_expand_the_payment_method_alone(
    world: World, merchant: Merchant, page: Merchant, path: str, property_: str
) -> None:
    intent = made(world, merchant, path)
    answer = read(world, page, path, intent, expand=[property_])
    message = expect_error(answer, 403, "secret_key_required", "expand")
    assert f"({property_})" in message
    assert confirm(world, page, intent, expand=["payment_method"]).body["payment_method"]["card"]


# --- the client secret


def test_page_without_the_client_secret_is_refused(
    world: World, merchant: Merchant, page: Merchant, path: str
) -> None:
    intent = made(world, merchant, path)
    for name in (intent["id"], f"{intent['id']}x"):
        for method, target in (("GET", f"{path}/{name}"), ("POST", f"{path}/{name}/confirm")):
            answer = world.call(method, target, merchant=page)
            expect_error(answer, 400, "parameter_missing", "client_secret")


@pytest.mark.parametrize("asker", [lambda m: m, public], ids=["secret", "publishable"])
def test_wrong_client_secret_is_refused(
    world: World, merchant: Merchant, path: str, asker: Callable[[Merchant], Merchant]
) -> None:
    # given
    intent, other = made(world, merchant, path), made(world, merchant, path)
    kind = "payment_intent" if path == PAYMENTS else "setup_intent"
    for wrong in (other["client_secret"], intent["client_secret"][:-1], "ü"):
        guess = {**intent, "client_secret": wrong}
        for answer in (
            read(world, asker(merchant), path, guess),
            confirm(world, asker(merchant), guess),
        ):
            # then
            message = expect_error(answer, 400, f"{kind}_invalid_parameter", "client_secret")
            assert message == (
                "The client_secret provided does not match the client_secret associated with the"
                f" {INTENTS[path][1]}."
            )
    assert read(world, merchant, path, intent).body == intent


def test_page_of_another_merchant_finds_no_intent(
    world: World, merchant: Merchant, path: str
) -> None:
    intent = made(world, merchant, path)
    elsewhere = public(world.merchant("two"))
    noun = INTENTS[path][0]
    for answer in (read(world, elsewhere, path, intent), confirm(world, elsewhere, intent)):
        message = expect_error(answer, 404, "resource_missing", "intent")
        assert message == f"No such {noun}: '{intent['id']}'"


@pytest.mark.parametrize("rest", ["", "/{id}", "/{id}/cancel", "/search"])
def test_page_may_do_nothing_else_to_an_intent(
    world: World, merchant: Merchant, page: Merchant, path: str, rest: str
) -> None:
    # given
    intent = made(world, merchant, path)
    target = path + rest.format(id=intent["id"])
    given = {"client_secret": intent["client_secret"]}
    # then
    method = "GET" if rest == "/search" else "POST"
    if path + rest == f"{SETUPS}/search":
        method, target = "GET", "/v1/setup_attempts"
    answer = world.call(method, target, given, merchant=page)
    expect_error(answer, 403, "secret_key_required", None)


# --- confirmation


def test_page_confirms_a_payment_with_all_that_it_may_say(
    world: World, merchant: Merchant, page: Merchant
) -> None:
    # given
    intent = made(world, merchant, PAYMENTS, metadata={"order": "6735"})
    said: dict[str, Any] = {
        "receipt_email": "ada@example.com",
        "return_url": "https://shop.example.com",
        "setup_future_usage": "off_session",
        "shipping": SHIPPING,
        "use_stripe_sdk": "true",
    }
    # when
    answer = confirm(world, page, intent, **said)
    # then
    assert (answer.status, answer.body["status"]) == (200, "succeeded")
    assert set(answer.body) == SHOWN_OF_A_PAYMENT
    seen = read(world, merchant, PAYMENTS, intent).body
    assert (seen["amount_received"], seen["metadata"]) == (2000, {"order": "6735"})
    assert (seen["receipt_email"], seen["shipping"]["name"]) == ("ada@example.com", "Ada")
    log = world.call(
        "GET", "/v1/ledger/audit_log", {"entity": intent["id"]}, merchant=merchant
    ).body["data"]
    actors = {record["actor"] for record in log}
    assert len(actors) == 2
    assert all(actor.startswith("key:") for actor in actors)
    world.check()


def test_token_is_shown_to_a_page_without_what_is_the_merchants(
    world: World, merchant: Merchant, page: Merchant
) -> None:
    # when
    token = world.post(page, "/v1/tokens", card=CARD)
    # then
    assert set(token["card"]) == FOR_CLIENTS["Card"]
    seen = world.call("GET", f"/v1/tokens/{token['id']}", merchant=merchant)
    assert seen.body["card"]["fingerprint"]


def test_page_confirms_with_a_card_of_its_own(
    world: World, merchant: Merchant, page: Merchant, path: str
) -> None:
    # given
    intent = made(world, merchant, path)
    token = world.post(page, "/v1/tokens", card=CARD)["id"]
    data = {"type": "card", "card": {"token": token}}
    params = {"client_secret": intent["client_secret"], "payment_method_data": data}
    # when
    target = f"{path}/{intent['id']}/confirm"
    answer = world.call("POST", target, params, merchant=page)
    # then
    assert (answer.status, answer.body["status"]) == (200, "succeeded")


def test_page_confirms_with_a_confirmation_token(
    world: World, merchant: Merchant, page: Merchant, path: str
) -> None:
    # given
    intent = made(world, merchant, path)
    tokens = "/v1/test_helpers/confirmation_tokens"
    token = world.post(merchant, tokens, payment_method="pm_card_visa")["id"]
    params = {"client_secret": intent["client_secret"], "confirmation_token": token}
    # when
    target = f"{path}/{intent['id']}/confirm"
    answer = world.call("POST", target, params, merchant=page)
    # then
    assert (answer.status, answer.body["status"]) == (200, "succeeded")


def test_decline_is_shown_to_a_page_without_what_is_the_merchants(
    world: World, merchant: Merchant, page: Merchant, path: str
) -> None:
    # given
    intent = made(world, merchant, path, metadata={"margin": "high"})
    # when
    answer = confirm(world, page, intent, payment_method="pm_card_chargeDeclined")
    # then
    error = answer.body["error"]
    assert (answer.status, error["code"]) == (402, "card_declined")
    shown = error["payment_intent" if path == PAYMENTS else "setup_intent"]
    assert set(shown) == (SHOWN_OF_A_PAYMENT if path == PAYMENTS else SHOWN_OF_A_SETUP)
    assert set(error["payment_method"]) == SHOWN_OF_A_METHOD
    assert set(error["payment_method"]["card"]) == SHOWN_OF_A_CARD
    # and the same of one that cannot be confirmed any more
    assert confirm(world, page, intent).status == 200
    again = confirm(world, page, intent)
    shown = again.body["error"]["payment_intent" if path == PAYMENTS else "setup_intent"]
    assert again.body["error"]["code"].endswith("_intent_unexpected_state")
    assert set(shown) == (SHOWN_OF_A_PAYMENT if path == PAYMENTS else SHOWN_OF_A_SETUP)


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        (PAYMENTS, "capture_method", "manual"),
        (PAYMENTS, "off_session", "true"),
        (PAYMENTS, "error_on_requires_action", "true"),
        (PAYMENTS, "payment_method_types", ["card"]),
        (PAYMENTS, "amount_details", {"tax": {"total_tax_amount": 1}}),
        (SETUPS, "allowed_payment_method_types", ["card"]),
    ],
)
def test_page_may_not_say_what_is_the_merchants(
    world: World, merchant: Merchant, page: Merchant, path: str, name: str, value: Any
) -> None:
    intent = made(world, merchant, path)
    answer = confirm(world, page, intent, **{name: value})
    assert f"`{name}`" in expect_error(answer, 403, "secret_key_required", name)
    assert read(world, merchant, path, intent).body == intent
    assert confirm(world, page, intent, amount=1).body["error"]["code"] == "parameter_unknown"
    assert confirm(world, merchant, intent, **{name: value}).status == 200


def test_payment_that_the_merchants_server_confirms_is_not_confirmed_by_a_page(
    world: World, merchant: Merchant, page: Merchant
) -> None:
    intent = made(world, merchant, PAYMENTS, confirmation_method="manual")
    message = expect_error(confirm(world, page, intent), 403, "secret_key_required", None)
    assert "because its `confirmation_method` is set to `manual`" in message
    assert read(world, page, PAYMENTS, intent).status == 200
    assert confirm(world, merchant, intent).body["status"] == "succeeded"


@pytest.mark.parametrize(
    ("stored", "sent", "status"),
    [
        ("on_session", "off_session", 200),
        ("off_session", "off_session", 200),
        ("off_session", "on_session", 400),
        ("on_session", "", 400),
    ],
)
def test_page_may_only_widen_what_a_card_is_saved_for(
    world: World, merchant: Merchant, page: Merchant, stored: str, sent: str, status: int
) -> None:
    intent = made(world, merchant, PAYMENTS, setup_future_usage=stored)
    answer = confirm(world, page, intent, setup_future_usage=sent)
    assert answer.status == status
    if status == 400:
        expect_error(answer, 400, "payment_intent_invalid_parameter", "setup_future_usage")


@pytest.mark.parametrize(
    ("stored", "sent", "status"),
    [
        ({}, "off_session", 200),
        ({"setup_future_usage": "on_session"}, "off_session", 200),
        ({"setup_future_usage": "on_session"}, "none", 400),
        (CARD_USAGE_NONE, "off_session", 400),
        (CARD_USAGE_NONE, "none", 200),
        # Unset: what is said of all payment methods would stand in its place.
        (CARD_USAGE_NONE, "", 400),
        (CARD_USAGE_OFF_SESSION, "", 400),
        ({**CARD_USAGE_OFF_SESSION, "setup_future_usage": "off_session"}, "", 200),
        ({"setup_future_usage": "off_session"}, "", 200),
    ],
)
def test_page_may_only_widen_what_is_said_of_cards(
    world: World, merchant: Merchant, page: Merchant, stored: Any, sent: str, status: int
) -> None:
    intent = made(world, merchant, PAYMENTS, **stored)
    options = {"card": {"setup_future_usage": sent, "network": "visa"}}
    answer = confirm(world, page, intent, payment_method_options=options)
    assert answer.status == status, answer.text
    if status == 400:
        param = "payment_method_options[card][setup_future_usage]"
        expect_error(answer, 400, "payment_intent_invalid_parameter", param)


def test_page_may_choose_the_network_of_a_card_and_no_more(
    world: World, merchant: Merchant, page: Merchant, path: str
) -> None:
    # given
    intent = made(world, merchant, path)
    chosen = {"network": "visa"}
    # then
    asked = {"card": {**chosen, "request_three_d_secure": "any"}}
    answer = confirm(world, page, intent, payment_method_options=asked)
    param = "payment_method_options[card][request_three_d_secure]"
    expect_error(answer, 403, "secret_key_required", param)
    assert confirm(world, page, intent, payment_method_options={"card": chosen}).status == 200


def test_page_may_not_unset_what_is_said_of_cards(
    world: World, merchant: Merchant, page: Merchant
) -> None:
    intent = made(world, merchant, PAYMENTS, **CARD_USAGE_NONE)
    answer = confirm(world, page, intent, payment_method_options={"card": ""})
    expect_error(answer, 403, "secret_key_required", "payment_method_options[card]")


def test_page_may_change_the_shipping_that_a_page_has_set(
    world: World, merchant: Merchant, page: Merchant
) -> None:
    # given
    intent, elsewhere = made(world, merchant, PAYMENTS), {**SHIPPING, "name": "Eve"}
    declined = {"payment_method": "pm_card_chargeDeclined"}
    confirm(world, page, intent, **declined, shipping=SHIPPING)
    # when
    confirm(world, page, intent, **declined, shipping=elsewhere)
    # then
    assert read(world, page, PAYMENTS, intent).body["shipping"]["name"] == "Eve"
    # but when the merchant has set it since, it is theirs, even if the page repeats it
    world.post(merchant, f"{PAYMENTS}/{intent['id']}", shipping=SHIPPING)
    assert confirm(world, page, intent, **declined, shipping=SHIPPING).status == 402
    answer = confirm(world, page, intent, shipping=elsewhere)
    message = expect_error(answer, 400, "payment_intent_invalid_parameter", "shipping")
    assert message.startswith("The shipping information on this PaymentIntent was last set with a")
    assert read(world, page, PAYMENTS, intent).body["shipping"]["name"] == "Ada"


# --- retries


def test_answer_to_a_page_is_replayed_to_the_page_alone(
    world: World, merchant: Merchant, page: Merchant, path: str
) -> None:
    # given
    intent = made(world, merchant, path)
    first = confirm(world, page, intent, key="k")
    # when
    again, server = confirm(world, page, intent, key="k"), confirm(world, merchant, intent, key="k")
    # then
    assert (again.status, again.text) == (200, first.text)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert server.body["error"]["type"] == "idempotency_error"
    # and the other way around
    other = made(world, merchant, path)
    assert confirm(world, merchant, other, key="l").status == 200
    assert confirm(world, page, other, key="l").body["error"]["type"] == "idempotency_error"


def test_retry_of_a_pages_confirmation_that_died_charges_once(
    world: World, merchant: Merchant, page: Merchant
) -> None:
    # given
    intent = made(world, merchant, PAYMENTS)
    crash_before(world, "authorize_payment")
    crash_before(world, "void_authorization")
    first = confirm(world, page, intent, key="k", shipping=SHIPPING)
    assert first.body["status"] == "processing"
    # when
    world.clock.advance(LEASE_MS)
    answer = confirm(world, page, intent, key="k", shipping=SHIPPING)
    # then
    assert (answer.status, answer.body["status"]) == (200, "succeeded")
    assert set(answer.body) == SHOWN_OF_A_PAYMENT
    assert len(world.provider.effects()) == 1
    world.check()
