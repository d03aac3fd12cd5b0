"""Charges and refunds after they were made, as a merchant uses them, in one process."""

from typing import Any

import pytest

from shared.domain.announcements import announce_payment
from shared.domain.documents import Document, ListEntry
from shared.domain.errors import UnknownOutcomeError
from shared.domain.payment import rebuild
from shared.domain.sandbox_network import Operation
from tests.support.documents import audited
from tests.support.faults import CrashError, fail_provider
from tests.support.world import CARD, Answer, Merchant, World

PAYMENTS, REFUNDS, CHARGES = "/v1/payment_intents", "/v1/refunds", "/v1/charges"


def post(
    world: World, merchant: Merchant, path: str, key: str | None = None, **params: Any
) -> Answer:
    return world.call("POST", path, params, merchant=merchant, key=key)


def get(world: World, merchant: Merchant, path: str, **params: Any) -> Any:
    answer = world.call("GET", path, params, merchant=merchant)
    assert answer.status == 200, answer.text
    return answer.body


def customer(world: World, merchant: Merchant, customer_id: str = "cus_1") -> str:
    facts = {"name": "Ada", "metadata": {}}
    document = Document(customer_id, "customer", merchant.account, False, 1, 1, facts)
    world.documents.commit([audited(document, (ListEntry("customer", 1, customer_id),))])
    return customer_id


def charged(world: World, merchant: Merchant, **params: Any) -> str:
    return str(world.pay(merchant, **params).body["latest_charge"])


def refunded(world: World, merchant: Merchant, charge: str, **params: Any) -> str:
    return str(post(world, merchant, REFUNDS, charge=charge, **params).body["id"])


def told(world: World, payment_id: str) -> list[str]:
    """Returns what merchants are told of the payment's newest change."""
    events = world.payments.events(payment_id)
    found = announce_payment(rebuild(events[:-1]), rebuild(events))
    return [announcement.type for announcement in found]


def error_of(answer: Answer) -> tuple[int, str | None, str | None]:
    error = answer.body["error"]
    return answer.status, error.get("code"), error.get("param")


# --- create a charge


def charge(world: World, merchant: Merchant, key: str | None = None, **params: Any) -> Answer:
    order = {"amount": 2000, "currency": "usd", **params}
    return post(world, merchant, CHARGES, key, **order)


def token(world: World, merchant: Merchant, **details: str) -> str:
    answer = post(world, merchant, "/v1/tokens", card={**CARD, **details})
    assert answer.status == 200, answer.text
    return str(answer.body["id"])


def saved(world: World, merchant: Merchant, owner: str, alias: str = "pm_card_visa") -> str:
    path = f"/v1/payment_methods/{alias}/attach"
    return str(post(world, merchant, path, customer=owner).body["id"])


def test_charge_of_a_token_is_paid_and_uses_it_up(world: World, merchant: Merchant) -> None:
    # given
    source = token(world, merchant, name="Ada")
    said: dict[str, Any] = {
        "description": "a book",
        "metadata": {"order": "1"},
        "statement_descriptor": "SHOP",
    }
    # when
    answer = charge(world, merchant, source=source, **said)
    # then
    assert answer.status == 200, answer.text
    made = answer.body
    assert {name: made[name] for name in ("amount", "captured", "paid", "status")} == {
        "amount": 2000,
        "captured": True,
        "paid": True,
        "status": "succeeded",
    }
    assert {name: made[name] for name in said} == said
    assert made["billing_details"]["name"] == "Ada"
    assert get(world, merchant, f"{CHARGES}/{made['id']}") == made
    intent = get(world, merchant, f"{PAYMENTS}/{made['payment_intent']}")
    assert (intent["status"], intent["latest_charge"]) == ("succeeded", made["id"])
    again = charge(world, merchant, source=source)
    assert error_of(again) == (400, "token_already_used", "source")
    world.check()


def test_charge_that_is_not_captured_waits_for_it(world: World, merchant: Merchant) -> None:
    # given
    held = charge(world, merchant, source="tok_visa", capture="false").body
    assert (held["captured"], held["paid"], held["amount_captured"]) == (False, True, 0)
    # when
    taken = post(world, merchant, f"{CHARGES}/{held['id']}/capture", amount=1200).body
    # then
    assert (taken["captured"], taken["amount_captured"]) == (True, 1200)
    world.check()


@pytest.mark.parametrize("names_source", [True, False])
def test_charge_of_a_customer_takes_what_they_saved(
    world: World, merchant: Merchant, names_source: bool
) -> None:
    # given
    owner = str(post(world, merchant, "/v1/customers", name="Ada").body["id"])
    method = saved(world, merchant, owner)
    settings = {"default_payment_method": method}
    if not names_source:
        post(world, merchant, f"/v1/customers/{owner}", invoice_settings=settings)
    source = {"source": method} if names_source else {}
    # when
    answer = charge(world, merchant, customer=owner, **source)
    # then
    assert answer.status == 200, answer.text
    assert (answer.body["customer"], answer.body["payment_method"]) == (owner, method)
    assert [item["id"] for item in get(world, merchant, CHARGES, customer=owner)["data"]] == [
        answer.body["id"]
    ]
    world.check()


@pytest.mark.parametrize(
    ("source", "code", "decline_code"),
    [
        ("tok_chargeDeclined", "card_declined", "generic_decline"),
        ("tok_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("tok_radarBlock", "card_declined", "fraudulent"),
        ("tok_authenticationRequired", "authentication_required", "authentication_required"),
    ],
)
def test_charge_that_is_declined_is_402_and_named(
    world: World, merchant: Merchant, source: str, code: str, decline_code: str
) -> None:
    # when
    answer = charge(world, merchant, source=source)
    # then
    error = answer.body["error"]
    assert (answer.status, error["type"]) == (402, "card_error")
    assert (error["code"], error["decline_code"]) == (code, decline_code)
    failed = get(world, merchant, f"{CHARGES}/{error['charge']}")
    assert (failed["status"], failed["paid"], failed["failure_code"]) == ("failed", False, code)
    world.check()


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, (400, "parameter_missing", "source")),
        ({"source": "tok_none"}, (400, "resource_missing", "source")),
        ({"source": "pm_card_visa"}, (400, "resource_missing", "source")),
        ({"source": "tok_visa", "customer": "cus_1"}, (400, "missing", "source")),
        ({"source": "pm_1", "customer": "cus_1"}, (400, "missing", "source")),
        ({"customer": "cus_none"}, (400, "resource_missing", "customer")),
        ({"customer": "cus_1"}, (402, "missing", "card")),
        ({"source": "tok_visa", "amount": 0}, (400, "parameter_invalid_integer", "amount")),
        ({"source": "tok_visa", "on_behalf_of": "x"}, (400, "parameter_unknown", "on_behalf_of")),
    ],
)
def test_charge_of_nothing_that_can_be_charged_is_refused_and_makes_nothing(
    world: World, merchant: Merchant, params: dict[str, Any], expected: object
) -> None:
    # given
    owner = customer(world, merchant)
    data = {**world.documents.get_many([owner])[owner].data}
    assert "invoice_settings" not in data
    # then
    assert error_of(charge(world, merchant, **params)) == expected
    assert not world.database.payments


def test_charge_with_a_key_is_made_once(world: World, merchant: Merchant) -> None:
    # given
    source = token(world, merchant)
    first = charge(world, merchant, "one", source=source)
    # when
    again = charge(world, merchant, "one", source=source)
    # then
    assert (first.status, again.text) == (200, first.text)
    assert len(world.provider.effects(Operation.SALE)) == 1


@pytest.mark.parametrize("at", ["before_send", "after_effect"])
def test_charge_that_died_goes_on_with_its_retry(world: World, merchant: Merchant, at: str) -> None:
    # given: the token is used up, and the first run is dead
    source = token(world, merchant)
    fail_provider(world, Operation.SALE, at, CrashError("died"))
    charge(world, merchant, "one", source=source)
    world.clock.advance(60_000)
    # when
    answer = charge(world, merchant, "one", source=source)
    # then: paid, or given back, and in either case once
    assert answer.status in {200, 402}, answer.text
    assert len(get(world, merchant, CHARGES)["data"]) == 1
    world.check()


def test_charge_of_unknown_outcome_is_pending(world: World, merchant: Merchant) -> None:
    # given
    fail_provider(world, Operation.SALE, "after_effect", UnknownOutcomeError("silence"))
    # when
    answer = charge(world, merchant, "one", source="tok_visa")
    # then
    assert (answer.status, answer.body["status"], answer.body["paid"]) == (200, "pending", False)
    world.clock.advance(60_000)
    world.sweep()
    assert charge(world, merchant, "one", source="tok_visa").body["status"] == "succeeded"
    world.check()


# --- update of a charge


def test_update_of_a_charge_is_of_it_alone_and_told(world: World, merchant: Merchant) -> None:
    # given
    intent = world.pay(merchant, description="a book", metadata={"order": "1"}).body
    charge = intent["latest_charge"]
    said: dict[str, Any] = {
        "description": "a cup",
        "metadata": {"seen": "yes"},
        "receipt_email": "ada@example.com",
        "shipping": {"name": "Ada", "address": {"line1": "1 Road"}},
        "transfer_group": "group",
        "fraud_details": {"user_report": "safe"},
    }
    # when
    answer = post(world, merchant, f"{CHARGES}/{charge}", **said)
    # then
    assert answer.status == 200, answer.text
    after = answer.body
    assert (after["description"], after["receipt_email"]) == ("a cup", "ada@example.com")
    assert after["metadata"] == {"order": "1", "seen": "yes"}
    assert after["shipping"]["address"]["line1"] == "1 Road"
    assert after["transfer_group"] == "group"
    assert after["fraud_details"] == {"stripe_report": None, "user_report": "safe"}
    assert get(world, merchant, f"{CHARGES}/{charge}") == after
    assert told(world, intent["id"]) == ["charge.updated"]
    unchanged = get(world, merchant, f"{PAYMENTS}/{intent['id']}")
    assert (unchanged["description"], unchanged["metadata"]) == ("a book", {"order": "1"})
    world.check()


def test_update_of_a_charge_with_empty_values_unsets(world: World, merchant: Merchant) -> None:
    # given
    charge = charged(world, merchant, description="a book", metadata={"a": "1", "b": "2"})
    post(world, merchant, f"{CHARGES}/{charge}", fraud_details={"user_report": "fraudulent"})
    # when
    empty: dict[str, Any] = {
        "description": "",
        "metadata": {"a": ""},
        "fraud_details": {"user_report": ""},
    }
    after = post(world, merchant, f"{CHARGES}/{charge}", **empty).body
    # then
    assert (after["description"], after["metadata"]) == (None, {"b": "2"})
    assert after["fraud_details"]["user_report"] is None


def test_update_of_a_charge_gives_it_a_customer_once(world: World, merchant: Merchant) -> None:
    # given
    charge = charged(world, merchant)
    own, other = customer(world, merchant), customer(world, merchant, "cus_2")
    # when
    answer = post(world, merchant, f"{CHARGES}/{charge}", customer=own)
    # then
    assert answer.body["customer"] == own
    listed = get(world, merchant, CHARGES, customer=own)["data"]
    assert [item["id"] for item in listed] == [charge]
    again = post(world, merchant, f"{CHARGES}/{charge}", customer=other)
    assert error_of(again) == (400, None, "customer")
    missing = post(world, merchant, f"{CHARGES}/{charge}", customer="cus_none")
    assert error_of(missing) == (400, "resource_missing", "customer")


def test_update_of_a_transfer_group_that_is_set_is_refused(
    world: World, merchant: Merchant
) -> None:
    charge = charged(world, merchant, transfer_group="one")
    answer = post(world, merchant, f"{CHARGES}/{charge}", transfer_group="two")
    assert error_of(answer) == (400, None, "transfer_group")


def test_update_of_a_charge_with_nothing_to_change_changes_nothing(
    world: World, merchant: Merchant
) -> None:
    # given
    intent = world.pay(merchant).body
    before = world.load(intent["id"])
    # when
    answer = post(world, merchant, f"{CHARGES}/{intent['latest_charge']}")
    # then
    assert answer.status == 200
    assert world.load(intent["id"]) == before


def test_update_of_a_charge_with_a_key_is_made_once(world: World, merchant: Merchant) -> None:
    # given
    intent = world.pay(merchant).body
    path = f"{CHARGES}/{intent['latest_charge']}"
    first = post(world, merchant, path, "one", description="a cup")
    # when
    again = post(world, merchant, path, "one", description="a cup")
    # then
    assert again.text == first.text
    assert again.headers["Idempotent-Replayed"] == "true"
    assert world.load(intent["id"]).last_event == "ChargeUpdated.v1"
    assert world.load(intent["id"]).version == len(world.payments.events(intent["id"]))
    assert told(world, intent["id"]) == ["charge.updated"]


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"amount": 1}, "amount"),
        ({"fraud_details": {"user_report": "maybe"}}, "fraud_details[user_report]"),
        ({"receipt_email": "nobody"}, "receipt_email"),
        ({"metadata": {"k" * 41: "v"}}, "metadata"),
    ],
)
def test_update_of_a_charge_names_the_wrong_parameter(
    world: World, merchant: Merchant, params: dict[str, Any], param: str
) -> None:
    charge = charged(world, merchant)
    answer = post(world, merchant, f"{CHARGES}/{charge}", **params)
    assert (answer.status, answer.body["error"]["param"]) == (400, param)


def test_update_that_leaves_no_room_is_refused(world: World, merchant: Merchant) -> None:
    # given
    full = {f"k{number}": "€" * 500 for number in range(50)}
    charge = charged(world, merchant)
    # when
    answer = post(world, merchant, f"{CHARGES}/{charge}", metadata=full)
    # then
    assert error_of(answer) == (400, "details_too_large", None)


@pytest.mark.parametrize("path", ["", "/capture"])
def test_charge_of_another_merchant_is_missing(world: World, merchant: Merchant, path: str) -> None:
    charge = charged(world, merchant, capture_method="manual")
    answer = post(world, world.merchant("two"), f"{CHARGES}/{charge}{path}", receipt_email="a@b.c")
    assert error_of(answer) == (404, "resource_missing", "charge")


# --- capture of a charge


def test_capture_of_a_charge_captures_its_payment(world: World, merchant: Merchant) -> None:
    # given
    held = world.pay(merchant, capture_method="manual").body
    said = {"statement_descriptor_suffix": "CUPS", "receipt_email": "ada@example.com"}
    # when
    path = f"{CHARGES}/{held['latest_charge']}/capture"
    answer = post(world, merchant, path, amount=1500, transfer_group="group", **said)
    # then
    assert answer.status == 200, answer.text
    charge = answer.body
    assert (charge["captured"], charge["amount_captured"]) == (True, 1500)
    assert {name: charge[name] for name in said} == said
    assert charge["transfer_group"] == "group"
    intent = get(world, merchant, f"{PAYMENTS}/{held['id']}")
    assert (intent["status"], intent["amount_received"]) == ("succeeded", 1500)
    assert told(world, held["id"]) == ["charge.captured", "payment_intent.succeeded"]
    world.check()


def test_second_capture_of_a_charge_is_refused_and_replayed(
    world: World, merchant: Merchant
) -> None:
    # given
    path = f"{CHARGES}/{charged(world, merchant)}/capture"
    # when
    first = post(world, merchant, path, "one")
    # then
    assert error_of(first) == (400, "charge_already_captured", None)
    assert post(world, merchant, path, "one").headers["Idempotent-Replayed"] == "true"


def test_capture_of_a_charge_with_a_key_is_made_once(world: World, merchant: Merchant) -> None:
    # given
    path = f"{CHARGES}/{charged(world, merchant, capture_method='manual')}/capture"
    first = post(world, merchant, path, "one", amount=700)
    # when
    again = post(world, merchant, path, "one", amount=700)
    # then
    assert (first.status, again.text) == (200, first.text)
    world.check()


def test_capture_of_a_charge_that_died_goes_on_with_its_retry(
    world: World, merchant: Merchant
) -> None:
    # given: the first run recorded what it was going to do, and died
    held = world.pay(merchant, capture_method="manual").body
    path = f"{CHARGES}/{held['latest_charge']}/capture"
    fail_provider(world, Operation.CAPTURE, "before_send", CrashError("died"))
    post(world, merchant, path, "one", receipt_email="ada@example.com")
    world.clock.advance(60_000)
    # when
    answer = post(world, merchant, path, "one", receipt_email="ada@example.com")
    # then
    assert (answer.status, answer.body["captured"]) == (200, True)
    assert answer.body["receipt_email"] == "ada@example.com"
    world.check()


def test_capture_of_more_than_the_charge_names_the_amount(world: World, merchant: Merchant) -> None:
    path = f"{CHARGES}/{charged(world, merchant, capture_method='manual')}/capture"
    answer = post(world, merchant, path, amount=2001)
    assert error_of(answer) == (400, "amount_too_large", "amount")


def test_capture_of_a_charge_that_failed_or_was_canceled_is_refused(
    world: World, merchant: Merchant
) -> None:
    # given
    declined = world.pay(merchant, payment_method="pm_card_chargeDeclined", capture_method="manual")
    held = world.pay(merchant, capture_method="manual").body
    post(world, merchant, f"{PAYMENTS}/{held['id']}/cancel")
    # then
    for charge in (declined.body["error"]["charge"], held["latest_charge"]):
        answer = post(world, merchant, f"{CHARGES}/{charge}/capture")
        assert error_of(answer) == (400, None, None)
        assert "payment_intent" not in answer.body["error"]


def test_capture_of_a_payment_takes_what_is_said_with_it(world: World, merchant: Merchant) -> None:
    # given
    held = world.pay(merchant, capture_method="manual", metadata={"a": "1"}).body
    said = {"statement_descriptor_suffix": "CUPS"}
    # when
    path = f"{PAYMENTS}/{held['id']}/capture"
    after = post(world, merchant, path, metadata={"b": "2"}, **said).body
    # then
    assert after["status"] == "succeeded"
    assert after["metadata"] == {"a": "1", "b": "2"}
    assert {name: after[name] for name in said} == said
    world.check()


# --- update and cancellation of a refund


def test_update_of_a_refund_changes_its_metadata_and_is_told(
    world: World, merchant: Merchant
) -> None:
    # given
    intent = world.pay(merchant).body
    params = {"amount": 500, "metadata": {"a": "1"}}
    refund = refunded(world, merchant, intent["latest_charge"], **params)
    # when
    answer = post(world, merchant, f"{REFUNDS}/{refund}", "one", metadata={"b": "2"})
    # then
    assert answer.body["metadata"] == {"a": "1", "b": "2"}
    assert get(world, merchant, f"{REFUNDS}/{refund}") == answer.body
    assert told(world, intent["id"]) == ["refund.updated"]
    again = post(world, merchant, f"{REFUNDS}/{refund}", "one", metadata={"b": "2"})
    assert again.headers["Idempotent-Replayed"] == "true"
    cleared = post(world, merchant, f"{REFUNDS}/{refund}", metadata="")
    assert cleared.body["metadata"] == {}
    same = post(world, merchant, f"{REFUNDS}/{refund}")
    assert same.body == cleared.body
    world.check()


def test_cancellation_of_a_refund_is_refused_by_its_state(world: World, merchant: Merchant) -> None:
    # given
    charge = charged(world, merchant, payment_method="pm_card_pendingRefund")
    refund = refunded(world, merchant, charge)
    # when
    answer = post(world, merchant, f"{REFUNDS}/{refund}/cancel")
    # then
    assert error_of(answer) == (400, None, None)
    assert "status of pending" in answer.body["error"]["message"]
    world.check()


@pytest.mark.parametrize("path", ["", "/cancel"])
def test_refund_of_another_merchant_is_missing(world: World, merchant: Merchant, path: str) -> None:
    refund = refunded(world, merchant, charged(world, merchant))
    answer = post(world, world.merchant("two"), f"{REFUNDS}/{refund}{path}")
    assert error_of(answer) == (404, "resource_missing", "id")
