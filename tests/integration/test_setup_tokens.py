"""Setup intents by tokens: of a card, and of a confirmation."""

from typing import Any

import pytest

from shared.domain.confirmation_tokens import LIFETIME_MS
from shared.domain.idempotency import LEASE_MS
from tests.support.faults import crash_before
from tests.support.published import Published
from tests.support.world import CARD, Answer, Merchant

PATH = "/v1/setup_intents"


@pytest.fixture
def world() -> Published:
    return Published()


def confirmation(world: Published, merchant: Merchant, **params: Any) -> str:
    order = {"payment_method": "pm_card_visa", **params}
    token: str = world.post(merchant, "/v1/test_helpers/confirmation_tokens", **order)["id"]
    return token


def of_card(world: Published, merchant: Merchant) -> dict[str, Any]:
    card = world.post(merchant, "/v1/tokens", card={**CARD, "name": "Ada"})["id"]
    return {"type": "card", "card": {"token": card}}


def set_up(
    world: Published, merchant: Merchant, key: str | None = None, /, **params: Any
) -> Answer:
    return world.call("POST", PATH, {"confirm": "true", **params}, merchant=merchant, key=key)


@pytest.mark.parametrize("moment", ["create", "update", "confirm"])
def test_card_of_a_token_becomes_a_payment_method_and_is_saved(
    world: Published, merchant: Merchant, moment: str
) -> None:
    # given
    customer = world.post(merchant, "/v1/customers")["id"]
    data = {"payment_method_data": of_card(world, merchant)}
    made = world.post(merchant, PATH, customer=customer, **(data if moment == "create" else {}))
    path = f"{PATH}/{made['id']}"
    if moment == "update":
        assert world.post(merchant, path, **data)["status"] == "requires_confirmation"
    # when
    body = world.post(merchant, f"{path}/confirm", **(data if moment == "confirm" else {}))
    # then
    assert body["status"] == "succeeded"
    method = world.call("GET", f"/v1/payment_methods/{body['payment_method']}", merchant=merchant)
    assert method.body["customer"] == customer
    assert method.body["billing_details"]["name"] == "Ada"
    again = set_up(world, merchant, **data)
    assert (again.status, again.body["error"]["code"]) == (400, "token_already_used")


def test_confirmation_token_is_used_up_by_the_setup(world: Published, merchant: Merchant) -> None:
    # given
    token = confirmation(world, merchant)
    # when
    body = set_up(world, merchant, confirmation_token=token).body
    # then
    assert body["status"] == "succeeded"
    kept = world.call("GET", f"/v1/confirmation_tokens/{token}", merchant=merchant).body
    assert kept["setup_intent"] == body["id"]
    again = set_up(world, merchant, confirmation_token=token)
    assert again.body["error"]["code"] == "token_already_used"


def test_setup_by_a_token_that_died_goes_on_with_its_own(
    world: Published, merchant: Merchant
) -> None:
    # given
    token = confirmation(world, merchant)
    crash_before(world, "verify_card")
    assert set_up(world, merchant, "key", confirmation_token=token).body["status"] == "processing"
    # when
    world.clock.advance(LEASE_MS + 1)
    answer = set_up(world, merchant, "key", confirmation_token=token)
    # then
    assert (answer.status, answer.body["status"]) == (200, "succeeded")


def test_token_that_cannot_be_used_is_refused_and_kept(
    world: Published, merchant: Merchant
) -> None:
    token = confirmation(world, merchant, setup_future_usage="on_session")
    for params, code, param in (
        ({"confirmation_token": token}, None, "confirmation_token"),
        ({"confirmation_token": token, "confirm": "false"}, None, "confirmation_token"),
        ({"confirmation_token": "ctoken_0"}, "resource_missing", "confirmation_token"),
        (
            {"confirmation_token": token, "payment_method": "pm_card_visa"},
            "parameters_exclusive",
            "confirmation_token",
        ),
        (
            {"payment_method_data": {"type": "card", "card": {"token": "tok_0"}}},
            "resource_missing",
            "payment_method_data[card][token]",
        ),
    ):
        error = set_up(world, merchant, **params).body["error"]
        assert (error.get("code"), error["param"]) == (code, param)
    assert set_up(world, merchant, confirmation_token=token, usage="on_session").status == 200
    late = confirmation(world, merchant)
    world.clock.advance(LIFETIME_MS)
    error = set_up(world, merchant, confirmation_token=late).body["error"]
    assert error["code"] == "confirmation_token_expired"
