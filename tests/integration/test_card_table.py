"""Every test card, by its number and by its name, does what the table of cards says."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from shared.domain.sandbox_cards import CARDS
from tests.support.card_table import (
    CHALLENGED,
    CHALLENGES,
    DECLINED,
    DECLINES,
    EVENTS,
    INVALID,
    LATER,
    PAID,
    ROWS,
    SECTIONS,
    Invalid,
    Row,
    invalid_line_of,
    line_of,
)
from tests.support.telling import TellingWorld
from tests.support.world import CARD, Answer, Merchant

DOCUMENT = Path(__file__).parents[2] / "docs" / "test-cards.md"
ADDRESS = {"line1": "1 High St", "postal_code": "N1 9GU"}
METHODS, TOKENS = "/v1/payment_methods", "/v1/tokens"
NAMED = [row for row in ROWS if row.name]


def named(row: Row) -> str:
    return row.name or row.number[-4:]


@pytest.fixture
def world() -> TellingWorld:
    return TellingWorld()


def typed(world: TellingWorld, merchant: Merchant, row: Row) -> dict[str, Any]:
    """Makes a payment method of a card's number."""
    cvc = "1234" if row.brand == "amex" else "123"
    params = {
        "type": "card",
        "card": {**CARD, "number": row.number, "cvc": cvc},
        "billing_details": {"address": ADDRESS},
    }
    answer = world.call("POST", METHODS, params, merchant=merchant)
    assert answer.status == 200, answer.text
    return dict(answer.body)


def intent_of(answer: Answer) -> dict[str, Any]:
    """Returns the payment intent, which the error shows where there is one."""
    return dict(answer.body["error"]["payment_intent"] if answer.status == 402 else answer.body)


def charge_of(world: TellingWorld, merchant: Merchant, answer: Answer) -> dict[str, Any]:
    charge = intent_of(answer)["latest_charge"]
    return dict(world.call("GET", f"/v1/charges/{charge}", merchant=merchant).body)


def told(world: TellingWorld, payment_id: str) -> tuple[str, ...]:
    return tuple(announcement.type for announcement in world.telling.told[payment_id])


def require_verdict(world: TellingWorld, answer: Answer, row: Row) -> None:
    """Asserts status, error and events of a payment with the card."""
    intent = intent_of(answer)
    assert intent["status"] == row.status
    assert answer.status == (402 if row.status == DECLINED else 200)
    assert told(world, intent["id"]) == EVENTS[row.status]
    if row.status == DECLINED:
        error = answer.body["error"]
        assert error["type"] == "card_error"
        assert (error["code"], error["decline_code"]) == (row.code, row.decline_code)
        failure = intent["last_payment_error"]
        assert (failure["code"], failure["decline_code"]) == (row.code, row.decline_code)


def require_charge(
    charge: Mapping[str, Any], row: Row, checks: tuple[str | None, str | None, str | None]
) -> None:
    """Asserts what the charge says of a card that was asked."""
    outcome, card = charge["outcome"], charge["payment_method_details"]["card"]
    assert (outcome["type"], outcome["network_status"]) == row.outcome
    assert outcome["risk_level"] == row.risk
    assert charge["paid"] == (row.status == PAID)
    assert charge["failure_code"] == row.code
    seen = card["checks"]
    found = (seen["cvc_check"], seen["address_line1_check"], seen["address_postal_code_check"])
    # What is blocked is never sent, so nobody checks anything.
    assert found == ((None, None, None) if row.blocked else checks)


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_card_by_number_does_what_the_table_says(
    world: TellingWorld, merchant: Merchant, row: Row
) -> None:
    # given
    method = typed(world, merchant, row)
    card = method["card"]
    assert (card["brand"], card["funding"], card["country"]) == (
        row.brand,
        row.funding,
        row.country,
    )
    # when
    answer = world.pay(merchant, payment_method=method["id"])
    # then
    require_verdict(world, answer, row)
    if row.status != CHALLENGED:
        charge = charge_of(world, merchant, answer)
        require_charge(charge, row, (row.cvc, row.line1, row.postal))
    assert bool(world.provider.transactions) is not row.blocked
    world.check()


@pytest.mark.parametrize("row", NAMED, ids=named)
def test_card_by_name_does_what_the_table_says(
    world: TellingWorld, merchant: Merchant, row: Row
) -> None:
    # when
    answer = world.pay(merchant, payment_method=row.alias)
    # then
    require_verdict(world, answer, row)
    if row.status != CHALLENGED:
        line1, postal = (None if word == "pass" else word for word in (row.line1, row.postal))
        require_charge(charge_of(world, merchant, answer), row, (row.cvc, line1, postal))


@pytest.mark.parametrize("row", CHALLENGES, ids=named)
def test_card_off_session_does_what_the_table_says(
    world: TellingWorld, merchant: Merchant, row: Row
) -> None:
    # given
    method = typed(world, merchant, row)["id"]
    # when
    answer = world.pay(merchant, payment_method=method, off_session="true")
    # then
    intent, expected = intent_of(answer), row.off_session or row.status
    assert intent["status"] == expected
    assert told(world, intent["id"]) == EVENTS[expected]
    if expected == DECLINED:
        assert answer.body["error"]["code"] == "authentication_required"
        assert answer.body["error"]["decline_code"] == "authentication_required"
    world.check()


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_card_that_the_merchant_wants_authenticated_does_what_the_table_says(
    world: TellingWorld, merchant: Merchant, row: Row
) -> None:
    # given
    method = typed(world, merchant, row)["id"]
    # when
    options = {"card": {"request_three_d_secure": "any"}}
    answer = world.pay(merchant, payment_method=method, payment_method_options=options)
    # then
    expected = row.wanted or row.status
    assert intent_of(answer)["status"] == expected
    assert told(world, intent_of(answer)["id"]) == EVENTS[expected]


def test_card_set_up_for_off_session_is_declined_on_session_without_a_challenge(
    world: TellingWorld, merchant: Merchant
) -> None:
    alias = "pm_card_authenticationRequiredSetupForOffSession"
    answer = world.pay(merchant, payment_method=alias, error_on_requires_action="true")
    assert (answer.status, answer.body["error"]["code"]) == (402, "authentication_required")


@pytest.mark.parametrize("row", DECLINES, ids=named)
def test_card_that_declines_attaches_and_declines_every_charge(
    world: TellingWorld, merchant: Merchant, row: Row
) -> None:
    # given
    method = typed(world, merchant, row)["id"]
    customer = world.call("POST", "/v1/customers", {}, merchant=merchant).body["id"]
    # when
    attached = world.call(
        "POST", f"{METHODS}/{method}/attach", {"customer": customer}, merchant=merchant
    )
    # then
    assert (attached.status, attached.body["customer"]) == (200, customer)
    for _ in range(2):
        answer = world.pay(merchant, payment_method=method, customer=customer)
        require_verdict(world, answer, row)


@pytest.mark.parametrize("row", [row for row in LATER if row.refund], ids=named)
@pytest.mark.parametrize("settled", [True, False])
def test_refund_of_a_card_begins_and_ends_as_the_table_says(
    world: TellingWorld, merchant: Merchant, row: Row, *, settled: bool
) -> None:
    assert row.refund is not None
    # given
    intent = world.pay(merchant, payment_method=row.alias).body
    if settled:
        world.settle(intent["id"])
    # when
    made = world.call("POST", "/v1/refunds", {"payment_intent": intent["id"]}, merchant=merchant)
    world.check()
    before = len(told(world, intent["id"]))
    # The network tells it once, and again.
    world.deliver_notices()
    world.deliver_notices()
    # then
    ended = world.call("GET", f"/v1/refunds/{made.body['id']}", merchant=merchant).body
    assert (made.body["status"], ended["status"]) == (row.refund.begins, row.refund.ends)
    assert ended.get("failure_reason") == row.refund.failure
    assert told(world, intent["id"])[before:] == row.refund.events
    charge = world.call("GET", f"/v1/charges/{intent['latest_charge']}", merchant=merchant).body
    is_back = row.refund.ends == "succeeded"
    assert (charge["refunded"], charge["amount_refunded"]) == (is_back, 2000 * is_back)
    world.check()


@pytest.mark.parametrize("row", [row for row in LATER if row.is_available], ids=named)
@pytest.mark.parametrize("has_sale", [True, False])
@pytest.mark.parametrize("capture", ["automatic", "manual"])
def test_card_that_bypasses_pending_is_available_with_its_capture(
    row: Row, capture: str, *, has_sale: bool
) -> None:
    # given
    world = TellingWorld(has_sale=has_sale)
    merchant = world.merchant()
    # when
    intent = world.pay(merchant, payment_method=row.alias, capture_method=capture).body
    if capture == "manual":
        path = f"/v1/payment_intents/{intent['id']}/capture"
        assert not world.load(intent["id"]).settled
        world.call("POST", path, {"amount_to_capture": "1500"}, merchant=merchant)
    # then nothing is left for a settlement to do
    version = world.load(intent["id"]).version
    world.settle(intent["id"])
    assert world.load(intent["id"]).version == version
    charge = world.call(
        "GET",
        f"/v1/charges/{intent['latest_charge']}",
        {"expand": ["balance_transaction"]},
        merchant=merchant,
    ).body
    money = charge["balance_transaction"]
    assert (money["status"], money["available_on"]) == ("available", money["created"])
    assert money["net"] == money["amount"] - money["fee"]
    balances = world.balances(merchant)
    assert sum(v for name, v in balances.items() if name.startswith("2010")) == money["net"]
    assert not [name for name in balances if name.startswith("2000")]
    world.check()


def test_card_of_any_other_kind_is_available_with_its_settlement_only(
    world: TellingWorld, merchant: Merchant
) -> None:
    intent = world.pay(merchant).body
    assert not world.load(intent["id"]).settled


@pytest.mark.parametrize("row", [row for row in LATER if row.unserved], ids=named)
def test_card_whose_dispute_is_not_served_is_merely_paid(
    world: TellingWorld, merchant: Merchant, row: Row
) -> None:
    # given
    answer = world.pay(merchant, payment_method=row.alias)
    # when time goes by, and the network has told what it has to tell
    world.deliver_notices()
    world.sweep()
    # then
    charge = charge_of(world, merchant, answer)
    assert (charge["status"], charge["disputed"], charge["refunded"]) == (PAID, False, False)
    assert told(world, answer.body["id"]) == EVENTS[PAID]
    assert world.call("GET", "/v1/disputes", merchant=merchant).status == 404


@pytest.mark.parametrize("row", INVALID, ids=lambda row: row.code)
@pytest.mark.parametrize("path", [METHODS, TOKENS])
def test_part_of_a_card_that_cannot_be_is_refused_as_the_table_says(
    world: TellingWorld, merchant: Merchant, path: str, row: Invalid
) -> None:
    params: dict[str, Any] = {"card": {**CARD, row.param: row.value}}
    params |= {"type": "card"} if path == METHODS else {}
    # when
    answer = world.call("POST", path, params, merchant=merchant)
    # then
    error = answer.body["error"]
    assert (answer.status, error["type"]) == (402, "card_error")
    assert (error["code"], error["param"]) == (row.code, row.param)


def test_table_has_every_card_that_the_sandbox_knows() -> None:
    assert sorted(row.number for row in ROWS) == sorted(card.number for card in CARDS)
    assert {row.name for row in NAMED} == {card.names[0] for card in CARDS if card.names}


def test_document_shows_the_table_and_no_other_card() -> None:
    shown = DOCUMENT.read_text()
    for title, rows in SECTIONS.items():
        section = shown.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
        assert [line for line in section.splitlines() if re.match(r"\| \d", line)] == [
            line_of(row) for row in rows
        ]
    numbers = re.findall(r"^\| (\d[\d ]+) \|", shown, re.MULTILINE)
    assert len(numbers) == len(ROWS)
    section = shown.partition("\n## What is no card\n")[2].partition("\n## ")[0]
    assert [line for line in section.splitlines() if line.startswith("| `card[")] == [
        invalid_line_of(row) for row in INVALID
    ]
