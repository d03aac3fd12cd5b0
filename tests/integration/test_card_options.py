"""What merchants say of cards alone, and what comes of it: payment_method_options[card]."""

from typing import Any

import pytest

from shared.domain.errors import UnknownOutcomeError
from shared.domain.idempotency import LEASE_MS
from shared.domain.payment import Payment, rebuild
from shared.domain.resolution import MINUTE_MS
from shared.domain.sandbox_network import Operation
from tests.support.faults import fail_provider
from tests.support.world import CARD, Answer, Merchant, World

PATH = "/v1/payment_intents"
OPTIONAL = "pm_card_threeDSecureOptional"
UNSET: dict[str, Any] = {
    "capture_method": None,
    "installments": None,
    "mandate_options": None,
    "network": None,
    "request_extended_authorization": None,
    "request_incremental_authorization": None,
    "request_multicapture": None,
    "request_overcapture": None,
    "request_three_d_secure": "automatic",
    "require_cvc_recollection": None,
    "setup_credential_usage": None,
    "setup_future_usage": None,
    "statement_descriptor_suffix_kana": None,
    "statement_descriptor_suffix_kanji": None,
    "stored_credential_usage": None,
}
SETUPS = "/v1/setup_intents"
UNSET_OF_SETUPS: dict[str, Any] = {
    "mandate_options": None,
    "network": None,
    "request_three_d_secure": "automatic",
    "setup_credential_usage": None,
}


def said(**options: Any) -> dict[str, Any]:
    return {"payment_method_options": {"card": options}}


def card_options(body: dict[str, Any]) -> dict[str, Any]:
    """Returns what is said of cards, without what is as if nothing was said."""
    shown = body["payment_method_options"]["card"]
    assert shown.keys() == UNSET.keys()
    return {name: value for name, value in shown.items() if value != UNSET[name]}


def unconfirmed(world: World, merchant: Merchant, **params: Any) -> str:
    order = {"amount": 2000, "currency": "usd", "payment_method": "pm_card_visa", **params}
    return str(world.post(merchant, PATH, **order)["id"])


def refusal_of(answer: Answer) -> tuple[int, str | None, str]:
    error = answer.body["error"]
    return answer.status, error.get("code"), error["param"]


def charge_card(world: World, merchant: Merchant, body: dict[str, Any]) -> dict[str, Any]:
    path = f"/v1/charges/{body['latest_charge']}"
    charge = world.call("GET", path, merchant=merchant).body
    return dict(charge["payment_method_details"]["card"])


# Stored and shown


def test_options_are_stored_merged_and_unset(world: World, merchant: Merchant) -> None:
    # given
    first = {
        "request_three_d_secure": "any",
        "capture_method": "manual",
        "setup_future_usage": "none",
        "statement_descriptor_suffix_kana": "カナ",
        "statement_descriptor_suffix_kanji": "漢字",
    }
    intent = unconfirmed(world, merchant, **said(**first))
    # when
    read = world.call("GET", f"{PATH}/{intent}", merchant=merchant).body
    more = said(request_overcapture="if_available", request_multicapture="never")
    merged = world.post(merchant, f"{PATH}/{intent}", **more)
    less = said(
        capture_method="",
        setup_future_usage="",
        statement_descriptor_suffix_kana="",
        statement_descriptor_suffix_kanji="",
        request_multicapture="if_available",
    )
    cleared = world.post(merchant, f"{PATH}/{intent}", **less)
    empty = world.post(merchant, f"{PATH}/{intent}", payment_method_options={"card": ""})
    # then
    assert card_options(read) == first
    added = {"request_overcapture": "if_available", "request_multicapture": "never"}
    assert card_options(merged) == {**first, **added}
    assert card_options(cleared) == {
        "request_three_d_secure": "any",
        "request_overcapture": "if_available",
        "request_multicapture": "if_available",
    }
    assert card_options(empty) == {}
    assert rebuild(world.payments.events(intent)) == world.load(intent)
    world.check()


def test_payment_that_was_stored_before_there_were_options_is_read(
    world: World, merchant: Merchant
) -> None:
    payment = world.load(world.pay(merchant).body["id"])
    stored = {name: value for name, value in payment.to_dict().items() if name != "card_options"}
    assert Payment.of(stored) == payment


def test_options_as_they_are_change_nothing(world: World, merchant: Merchant) -> None:
    # given
    intent = unconfirmed(world, merchant, **said(request_three_d_secure="any"))
    version = world.load(intent).version
    # when
    world.post(merchant, f"{PATH}/{intent}", **said(request_three_d_secure="any"))
    # then
    assert world.load(intent).version == version


@pytest.mark.parametrize(
    "options", [{"capture_method": "manual"}, {"request_overcapture": "never"}]
)
def test_options_of_a_confirmed_payment_stay(
    world: World, merchant: Merchant, options: dict[str, str]
) -> None:
    # given
    intent = world.pay(merchant).body["id"]
    # when
    answer = world.call("POST", f"{PATH}/{intent}", said(**options), merchant=merchant)
    # then
    assert answer.status == 400
    assert answer.body["error"]["code"] == "payment_intent_unexpected_state"
    assert world.load(intent).card_options == {}


@pytest.mark.parametrize(
    "option",
    [
        "cvc_token",
        "installments",
        "mandate_options",
        "moto",
        "setup_credential_usage",
        "stored_credential_usage",
        "three_d_secure",
    ],
)
@pytest.mark.parametrize("path", [PATH, f"{PATH}/{{id}}", f"{PATH}/{{id}}/confirm"])
def test_option_that_cannot_be_honoured_is_refused_by_its_name(
    world: World, merchant: Merchant, path: str, option: str
) -> None:
    # given
    intent = unconfirmed(world, merchant)
    order = {} if "{id}" in path else {"amount": 2000, "currency": "usd"}
    # when
    params = {**order, **said(**{option: "1"})}
    answer = world.call("POST", path.format(id=intent), params, merchant=merchant)
    # then
    param = f"payment_method_options[card][{option}]"
    assert refusal_of(answer) == (400, "parameter_unknown", param)


def test_options_of_another_payment_method_are_refused_by_its_name(
    world: World, merchant: Merchant
) -> None:
    options: dict[str, Any] = {
        "payment_method_options": {"us_bank_account": {"setup_future_usage": "none"}}
    }
    answer = world.pay(merchant, **options)
    param = "payment_method_options[us_bank_account]"
    assert refusal_of(answer) == (400, "parameter_unknown", param)


# request_three_d_secure


@pytest.mark.parametrize("wanted", ["any", "challenge"])
@pytest.mark.parametrize("has_sale", [True, False])
def test_enrolled_card_is_authenticated_where_the_merchant_wants_it(
    wanted: str, has_sale: bool
) -> None:
    # given
    world = World(has_sale=has_sale)
    merchant = world.merchant()
    # when
    options = said(request_three_d_secure=wanted)
    body = world.pay(merchant, payment_method=OPTIONAL, **options).body
    # then
    assert body["status"] == "requires_action"
    assert card_options(body) == {"request_three_d_secure": wanted}
    assert world.pending(merchant) == {}
    world.check()


def test_enrolled_card_is_paid_where_authentication_is_left_to_the_platform(
    world: World, merchant: Merchant
) -> None:
    options = said(request_three_d_secure="automatic")
    body = world.pay(merchant, payment_method=OPTIONAL, **options).body
    assert body["status"] == "succeeded"


def test_enrolled_card_off_session_is_declined_where_authentication_is_wanted(
    world: World, merchant: Merchant
) -> None:
    options = said(request_three_d_secure="any")
    answer = world.pay(merchant, payment_method=OPTIONAL, off_session="true", **options)
    assert (answer.status, answer.body["error"]["code"]) == (402, "authentication_required")
    world.check()


def test_authentication_that_is_wanted_with_the_confirmation_is_asked_for(
    world: World, merchant: Merchant
) -> None:
    # given
    intent = unconfirmed(world, merchant, payment_method=OPTIONAL)
    # when
    challenged = world.post(
        merchant, f"{PATH}/{intent}/confirm", **said(request_three_d_secure="challenge")
    )
    paid = world.post(
        merchant, f"{PATH}/{intent}/confirm", **said(request_three_d_secure="automatic")
    )
    # then
    assert challenged["status"] == "requires_action"
    assert paid["status"] == "succeeded"
    assert card_options(paid) == {}
    assert rebuild(world.payments.events(intent)) == world.load(intent)
    world.check()


def test_authentication_is_wanted_again_by_a_retry_of_a_lost_request(
    world: World, merchant: Merchant
) -> None:
    # given
    params = {"payment_method": OPTIONAL, **said(request_three_d_secure="any")}
    fail_provider(world, Operation.SALE, "after_effect", UnknownOutcomeError("lost"))
    assert world.pay(merchant, key="key", **params).body["status"] == "processing"
    world.clock.advance(LEASE_MS)
    # when
    answer = world.pay(merchant, key="key", **params)
    # then
    assert answer.body["status"] == "requires_action"
    world.check()


# capture_method


@pytest.mark.parametrize("has_sale", [True, False])
@pytest.mark.parametrize("general", ["automatic", "automatic_async"])
def test_card_that_is_captured_by_hand_waits_for_it(has_sale: bool, general: str) -> None:
    # given
    world = World(has_sale=has_sale)
    merchant = world.merchant()
    # when
    held = world.pay(merchant, capture_method=general, **said(capture_method="manual")).body
    # then
    assert (held["status"], held["capture_method"]) == ("requires_capture", general)
    assert card_options(held) == {"capture_method": "manual"}
    assert held["amount_capturable"] == 2000
    card = charge_card(world, merchant, held)
    assert card["capture_before"] is not None
    assert card["incremental_authorization"]["status"] == "available"
    world.check()
    # when
    captured = world.post(merchant, f"{PATH}/{held['id']}/capture", amount_to_capture=1500)
    # then
    assert (captured["status"], captured["amount_received"]) == ("succeeded", 1500)
    world.check()


def test_card_that_is_captured_by_hand_can_be_canceled(world: World, merchant: Merchant) -> None:
    # given
    held = world.pay(merchant, **said(capture_method="manual")).body
    # when
    canceled = world.post(merchant, f"{PATH}/{held['id']}/cancel")
    # then
    assert canceled["status"] == "canceled"
    assert world.pending(merchant) == {}
    world.check()


def test_unset_capture_by_hand_follows_the_payment(world: World, merchant: Merchant) -> None:
    # given
    intent = unconfirmed(world, merchant, **said(capture_method="manual"))
    # when
    paid = world.post(merchant, f"{PATH}/{intent}/confirm", **said(capture_method=""))
    # then
    assert paid["status"] == "succeeded"
    world.check()


def test_lost_authorization_of_a_card_captured_by_hand_is_found_as_one(
    world: World, merchant: Merchant
) -> None:
    # given
    fail_provider(world, Operation.AUTHORIZATION, "after_effect", UnknownOutcomeError("lost"))
    body = world.pay(merchant, **said(capture_method="manual")).body
    assert body["status"] == "processing"
    # when
    world.clock.advance(10 * MINUTE_MS)
    world.sweep()
    # then
    assert str(world.load(body["id"]).status) == "requires_capture"
    world.check()


# setup_future_usage


@pytest.mark.parametrize(
    ("general", "own", "is_saved"),
    [
        ("off_session", "none", False),
        ("off_session", "on_session", True),
        (None, "off_session", True),
        (None, "none", False),
        ("on_session", "", True),
    ],
)
def test_card_is_saved_as_it_is_said_of_cards(
    world: World, merchant: Merchant, general: str | None, own: str, is_saved: bool
) -> None:
    # given
    owner = world.post(merchant, "/v1/customers")["id"]
    method = world.post(merchant, "/v1/payment_methods", type="card", card=CARD)["id"]
    params = {"customer": owner, "payment_method": method}
    if general is not None:
        params["setup_future_usage"] = general
    # when
    body = world.pay(merchant, **params, **said(setup_future_usage=own)).body
    # then
    assert body["status"] == "succeeded"
    assert body["setup_future_usage"] == general
    path = f"/v1/customers/{owner}/payment_methods"
    saved = world.call("GET", path, merchant=merchant).body["data"]
    assert [item["id"] for item in saved] == ([method] if is_saved else [])
    world.check()


# The others


def test_increment_that_the_merchant_ruled_out_is_refused(world: World, merchant: Merchant) -> None:
    # given
    options = said(capture_method="manual", request_incremental_authorization="never")
    held = world.pay(merchant, **options).body
    card = charge_card(world, merchant, held)
    # when
    path = f"{PATH}/{held['id']}/increment_authorization"
    answer = world.call("POST", path, {"amount": 3000}, merchant=merchant)
    # then
    assert card["incremental_authorization"]["status"] == "unavailable"
    assert answer.status == 400
    assert "request_incremental_authorization" in answer.body["error"]["message"]
    assert world.load(held["id"]).amount_minor == 2000
    world.check()


def test_what_is_wanted_if_available_and_is_not_is_said_to_be_unavailable(
    world: World, merchant: Merchant
) -> None:
    # given
    wanted = {
        "request_extended_authorization": "if_available",
        "request_incremental_authorization": "if_available",
        "request_multicapture": "if_available",
        "request_overcapture": "if_available",
    }
    # when
    held = world.pay(merchant, **said(capture_method="manual", **wanted)).body
    # then
    assert card_options(held) == {"capture_method": "manual", **wanted}
    card = charge_card(world, merchant, held)
    names = ("extended_authorization", "incremental_authorization", "multicapture", "overcapture")
    found = [card[name]["status"] for name in names]
    assert found == ["disabled", "available", "unavailable", "unavailable"]


def test_network_is_taken_with_a_confirmation_and_must_be_the_cards(
    world: World, merchant: Merchant
) -> None:
    # given
    param = "payment_method_options[card][network]"
    network = said(network="visa")
    intent = unconfirmed(world, merchant)
    # when
    early = world.call("POST", f"{PATH}/{intent}", network, merchant=merchant)
    other = world.pay(merchant, payment_method="pm_card_mastercard", **network)
    paid = world.post(merchant, f"{PATH}/{intent}/confirm", **network)
    # then
    assert refusal_of(early) == refusal_of(other) == (400, None, param)
    assert "`mastercard` alone" in other.body["error"]["message"]
    assert (paid["status"], card_options(paid)) == ("succeeded", {"network": "visa"})


def test_saved_card_whose_code_is_wanted_again_is_refused(world: World, merchant: Merchant) -> None:
    # given
    owner = world.post(merchant, "/v1/customers")["id"]
    method = world.post(merchant, "/v1/payment_methods", type="card", card=CARD)["id"]
    world.post(merchant, f"/v1/payment_methods/{method}/attach", customer=owner)
    intent = unconfirmed(
        world,
        merchant,
        customer=owner,
        payment_method=method,
        **said(require_cvc_recollection="true"),
    )
    # when
    saved = world.call("POST", f"{PATH}/{intent}/confirm", {}, merchant=merchant)
    brought = world.post(merchant, f"{PATH}/{intent}/confirm", payment_method="pm_card_visa")
    # then
    param = "payment_method_options[card][require_cvc_recollection]"
    assert refusal_of(saved) == (400, None, param)
    assert "cvc_token" in saved.body["error"]["message"]
    assert brought["status"] == "succeeded"
    assert card_options(brought) == {"require_cvc_recollection": True}
    world.check()


# Setup intents


def setup_options(body: dict[str, Any]) -> dict[str, Any]:
    shown = body["payment_method_options"]["card"]
    assert shown.keys() == UNSET_OF_SETUPS.keys()
    return {name: value for name, value in shown.items() if value != UNSET_OF_SETUPS[name]}


@pytest.mark.parametrize(
    ("card", "wanted", "status"),
    [
        (OPTIONAL, "any", "requires_action"),
        (OPTIONAL, "challenge", "requires_action"),
        (OPTIONAL, "automatic", "succeeded"),
        ("pm_card_visa", "any", "succeeded"),
        ("pm_card_amex", "challenge", "succeeded"),
    ],
)
def test_setup_asks_for_an_authentication_where_the_merchant_wants_it(
    world: World, merchant: Merchant, card: str, wanted: str, status: str
) -> None:
    # given
    options = said(request_three_d_secure=wanted)
    later = world.post(merchant, SETUPS, payment_method=card)["id"]
    # when
    at_once = world.post(merchant, SETUPS, payment_method=card, confirm="true", **options)
    confirmed = world.post(merchant, f"{SETUPS}/{later}/confirm", **options)
    # then
    assert (at_once["status"], confirmed["status"]) == (status, status)
    expected = {} if wanted == "automatic" else {"request_three_d_secure": wanted}
    assert setup_options(at_once) == setup_options(confirmed) == expected
    world.check()


def test_options_of_a_setup_are_kept_and_stay_once_it_succeeded(
    world: World, merchant: Merchant
) -> None:
    # given
    wanted, automatic = (said(request_three_d_secure=value) for value in ("any", "automatic"))
    intent = world.post(merchant, SETUPS, payment_method=OPTIONAL, **wanted)
    path = f"{SETUPS}/{intent['id']}"
    # when
    challenged = world.post(merchant, f"{path}/confirm")
    updated = world.post(merchant, path, **automatic)
    succeeded = world.post(merchant, f"{path}/confirm")
    refused = world.call("POST", path, wanted, merchant=merchant)
    same = world.post(merchant, path, **automatic)
    # then
    assert setup_options(intent) == {"request_three_d_secure": "any"}
    assert (challenged["status"], updated["status"]) == ("requires_action", "requires_action")
    assert (setup_options(updated), succeeded["status"]) == ({}, "succeeded")
    assert refused.body["error"]["code"] == "setup_intent_unexpected_state"
    assert same == succeeded
    world.check()


def test_lost_setup_that_wants_an_authentication_asks_for_it_again(
    world: World, merchant: Merchant
) -> None:
    # given
    fail_provider(world, Operation.VERIFICATION, "after_effect", UnknownOutcomeError("lost"))
    params = {"payment_method": OPTIONAL, "confirm": "true", **said(request_three_d_secure="any")}
    begun = world.call("POST", SETUPS, params, merchant=merchant, key="key")
    assert begun.body["status"] == "processing"
    world.clock.advance(LEASE_MS)
    # when
    answer = world.call("POST", SETUPS, params, merchant=merchant, key="key")
    # then
    assert answer.body["status"] == "requires_action"
    world.check()


@pytest.mark.parametrize(
    "option", ["cvc_token", "mandate_options", "moto", "setup_credential_usage", "three_d_secure"]
)
@pytest.mark.parametrize("path", [SETUPS, f"{SETUPS}/{{id}}", f"{SETUPS}/{{id}}/confirm"])
def test_option_of_a_setup_that_cannot_be_honoured_is_refused_by_its_name(
    world: World, merchant: Merchant, path: str, option: str
) -> None:
    intent = world.post(merchant, SETUPS)["id"]
    params = said(**{option: "1"})
    answer = world.call("POST", path.format(id=intent), params, merchant=merchant)
    param = f"payment_method_options[card][{option}]"
    assert refusal_of(answer) == (400, "parameter_unknown", param)


def test_network_of_a_setup_is_taken_with_a_confirmation_and_must_be_the_cards(
    world: World, merchant: Merchant
) -> None:
    # given
    network = said(network="visa")
    intent = world.post(merchant, SETUPS, payment_method="pm_card_visa")["id"]
    # when
    early = world.call("POST", SETUPS, network, merchant=merchant)
    later = world.call("POST", f"{SETUPS}/{intent}", network, merchant=merchant)
    path = f"{SETUPS}/{intent}/confirm"
    params = {"payment_method": "pm_card_mastercard", **network}
    other = world.call("POST", path, params, merchant=merchant)
    done = world.post(merchant, path, **network)
    # then
    expected = (400, None, "payment_method_options[card][network]")
    assert refusal_of(early) == refusal_of(later) == refusal_of(other) == expected
    assert (done["status"], setup_options(done)) == ("succeeded", {"network": "visa"})
