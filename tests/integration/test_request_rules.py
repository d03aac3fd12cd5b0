"""How parameters may be sent, through the whole API of one process."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.published import Published
from tests.support.world import Answer, Merchant

PAYMENTS, CUSTOMERS = "/v1/payment_intents", "/v1/customers"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def world() -> Published:
    return Published()


@pytest.fixture(scope="module")
def merchant(world: Published) -> Merchant:
    return world.merchant()


def send(
    world: Published, merchant: Merchant, path: str, body: str, content_type: str = FORM
) -> Answer:
    headers = {"authorization": f"Bearer {merchant.secret_key}", "content-type": content_type}
    http = {"method": "POST", "path": path}
    event: Mapping[str, Any] = {
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {"http": http},
        "body": body,
        "isBase64Encoded": False,
    }
    return world.respond(event)


@pytest.mark.parametrize("path", [PAYMENTS, CUSTOMERS, "/v1/payment_methods", "/v1/refunds"])
@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
def test_json_body_is_refused_as_stripe_refuses_it(
    world: Published, merchant: Merchant, path: str, content_type: str
) -> None:
    # when
    answer = send(world, merchant, path, json.dumps({"amount": 2000}), content_type)
    # then
    assert answer.status == 400
    assert answer.body["error"] == {
        "type": "invalid_request_error",
        "message": f"Invalid request (check that your POST content type is {FORM}).",
    }


def test_json_in_a_form_is_an_unknown_parameter(world: Published, merchant: Merchant) -> None:
    # when: curl declares a form, whatever it sends
    answer = send(world, merchant, PAYMENTS, '{"amount":2000}')
    # then
    assert answer.status == 400
    assert answer.body["error"]["code"] == "parameter_unknown"


@pytest.mark.parametrize("name", ["allowed_payment_method_types", "payment_method_types"])
@pytest.mark.parametrize("brackets", ["[0]", "[]", "[5]", "%5B0%5D"])
@pytest.mark.parametrize("step", ["create", "update", "confirm"])
def test_types_of_payment_methods_are_taken_by_both_names_in_every_form(
    world: Published, merchant: Merchant, name: str, brackets: str, step: str
) -> None:
    # given
    order = "amount=2000&currency=usd&payment_method=pm_card_visa"
    types = f"{name}{brackets}=card"
    path = PAYMENTS
    if step != "create":
        made = send(world, merchant, PAYMENTS, order)
        suffix = "/confirm" if step == "confirm" else ""
        path = f"{PAYMENTS}/{made.body['id']}{suffix}"
    # when
    answer = send(world, merchant, path, f"{order}&{types}" if step == "create" else types)
    # then
    assert answer.status == 200, answer.text
    assert answer.body["payment_method_types"] == ["card"]
    allowed = ["card"] if name == "allowed_payment_method_types" else None
    assert answer.body["allowed_payment_method_types"] == allowed


@pytest.mark.parametrize("form", ["expand[0]=customer", "expand[]=customer", "expand[7]=customer"])
def test_expansions_are_taken_in_every_form(
    world: Published, merchant: Merchant, form: str
) -> None:
    # given
    customer = send(world, merchant, CUSTOMERS, "name=Ada").body["id"]
    # when
    answer = send(world, merchant, PAYMENTS, f"amount=1&currency=usd&customer={customer}&{form}")
    # then
    assert answer.body["customer"]["name"] == "Ada"


def test_nested_hashes_are_merged_and_an_empty_string_unsets(
    world: Published, merchant: Merchant
) -> None:
    # given
    sent = "address[city]=Paris&address[country]=FR&metadata[a]=1&metadata[b]=2&phone=1"
    made = send(world, merchant, CUSTOMERS, f"name=Ada&{sent}").body
    path = f"{CUSTOMERS}/{made['id']}"
    assert made["address"]["city"] == "Paris"
    # when
    changed = send(world, merchant, path, "metadata[a]=&phone=&address=").body
    # then
    assert (changed["metadata"], changed["phone"], changed["address"]) == ({"b": "2"}, None, None)
    assert send(world, merchant, path, "metadata=").body["metadata"] == {}


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        (PAYMENTS, "amount=0&currency=usd", "amount"),
        (PAYMENTS, "amount=999999999999&currency=usd", "amount"),
        (PAYMENTS, "amount=10&currency=usd&capture_method=later", "capture_method"),
        (PAYMENTS, "amount=10&currency=usd&payment_method_types[]=ach", "payment_method_types[0]"),
        (PAYMENTS, "amount=10&currency=usd&confirm=yes", "confirm"),
        (PAYMENTS, "amount=10&currency=", "currency"),
        (PAYMENTS, "amount=10&currency=usd&on_behalf_of=acct_1", "on_behalf_of"),
        (PAYMENTS, "amount=10&currency=usd&shipping[name]=a&shipping[x]=1", "shipping[x]"),
        (CUSTOMERS, "tax_exempt=perhaps", "tax_exempt"),
        (CUSTOMERS, "cash_balance[settings][reconciliation_mode]=manual", "cash_balance"),
        ("/v1/payment_methods", "type=card&card[networks][preferred]=visa", "card[networks]"),
    ],
)
def test_wrong_parameter_is_refused_and_named(
    world: Published, merchant: Merchant, path: str, body: str, param: str
) -> None:
    # when
    answer = send(world, merchant, path, body)
    # then
    assert answer.status == 400
    assert answer.body["error"]["param"] == param


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "capture_method=later",
            "Invalid capture_method: must be one of automatic, automatic_async, or manual",
        ),
        (
            "confirmation_method=x",
            "Invalid confirmation_method: must be one of automatic or manual",
        ),
        (
            "payment_method_types[0]=ach",
            "Invalid payment_method_types[0]: must be one of card",
        ),
    ],
)
def test_value_that_is_not_listed_is_refused_in_stripes_words(
    world: Published, merchant: Merchant, body: str, message: str
) -> None:
    """Source: stripe-python issue 123, stripe-java issue 1314."""
    answer = send(world, merchant, PAYMENTS, f"amount=10&currency=usd&{body}")
    assert answer.body["error"]["message"] == message


@pytest.mark.parametrize(
    ("value", "code"), [("ten", "parameter_invalid_integer"), ("", "parameter_invalid_empty")]
)
def test_moment_that_is_none_is_refused_by_the_name_it_was_sent_with(
    world: Published, merchant: Merchant, value: str, code: str
) -> None:
    answer = world.call("GET", CUSTOMERS, {"created": value}, merchant=merchant)
    assert (answer.body["error"]["code"], answer.body["error"]["param"]) == (code, "created")


def test_id_that_is_no_text_is_of_no_object(world: Published, merchant: Merchant) -> None:
    answer = world.call("POST", f"{CUSTOMERS}/\ud800", {"name": "Ada"}, merchant=merchant, key="k")
    assert answer.status == 404


@pytest.mark.parametrize("limit", ["0", "101", "-1", "ten", ""])
def test_limit_out_of_range_is_refused_by_every_list(
    world: Published, merchant: Merchant, limit: str
) -> None:
    for route in world.routes():
        if "limit" not in route.model.model_fields or "{" in route.template:
            continue
        # when
        params = {"limit": limit}
        if "query" in route.model.model_fields:
            params["query"] = "created>0"
        answer = world.call("GET", route.template, params, merchant=merchant)
        # then
        assert answer.status == 400, route.template
        assert answer.body["error"]["param"] == "limit"


@pytest.mark.parametrize(
    ("path", "order"),
    [
        (CUSTOMERS, ""),
        ("/v1/webhook_endpoints", "url=https://example.com&enabled_events[]=*"),
        ("/v1/setup_intents", "usage=off_session"),
    ],
)
def test_object_larger_than_can_be_stored_with_its_history_is_refused(
    world: Published, merchant: Merchant, path: str, order: str
) -> None:
    # given: each text is as long as it may be; as JSON, each character takes twelve bytes
    smile = "\N{GRINNING FACE}"
    texts = [f"metadata[{number}]={smile * 500}" for number in range(12)]
    made = send(world, merchant, path, "&".join((order, *texts[:6])))
    assert made.status == 200, made.text
    # then
    refused = [
        send(world, merchant, path, "&".join((order, *texts))),
        send(world, merchant, f"{path}/{made.body['id']}", "&".join(texts[6:])),
    ]
    for answer in refused:
        assert answer.status == 400
        assert answer.body["error"]["code"] == "details_too_large"


def test_object_filled_with_plain_text_is_stored(world: Published, merchant: Merchant) -> None:
    texts = [f"metadata[{number:040}]={'x' * 500}" for number in range(50)]
    texts += [f"{name}={'x' * 5000}" for name in ("description", "invoice_settings[footer]")]
    assert send(world, merchant, CUSTOMERS, "&".join(texts)).status == 200
