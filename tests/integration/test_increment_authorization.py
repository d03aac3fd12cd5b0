"""Reserving more of an authorization, as a merchant asks for it, in one process."""

from typing import Any

import pytest

from shared.domain.announcements import announce_payment
from shared.domain.errors import UnknownOutcomeError
from shared.domain.idempotency import LEASE_MS
from shared.domain.increment import INCREMENTS_MAX
from shared.domain.payment import rebuild
from shared.domain.sandbox_network import Operation
from tests.support.faults import CrashError, crash_after, fail_provider
from tests.support.world import Answer, Merchant, World

PAYMENTS = "/v1/payment_intents"
TOO_MUCH = 2000 * 5 + 1


@pytest.fixture
def held(world: World, merchant: Merchant) -> str:
    return str(world.pay(merchant, capture_method="manual", metadata={"a": "1"}).body["id"])


def act(
    world: World, merchant: Merchant, intent: str, verb: str, key: str | None = None, **params: Any
) -> Answer:
    return world.call("POST", f"{PAYMENTS}/{intent}/{verb}", params, merchant=merchant, key=key)


def increment(
    world: World,
    merchant: Merchant,
    intent: str,
    amount: int,
    key: str | None = None,
    **params: Any,
) -> Answer:
    return act(world, merchant, intent, "increment_authorization", key, amount=amount, **params)


def error_of(answer: Answer) -> tuple[int, str | None, str | None]:
    error = answer.body["error"]
    return answer.status, error.get("code"), error.get("param")


def charge_of(world: World, merchant: Merchant, intent: str) -> Any:
    charge = world.load(intent).latest_charge.id
    return world.call("GET", f"/v1/charges/{charge}", merchant=merchant).body


def told(world: World, payment_id: str) -> list[str]:
    events = world.payments.events(payment_id)
    return [item.type for item in announce_payment(rebuild(events[:-1]), rebuild(events))]


def test_increment_reserves_more_and_all_of_it_can_be_captured(
    world: World, merchant: Merchant, held: str
) -> None:
    # given
    before = charge_of(world, merchant, held)["payment_method_details"]["card"]
    assert before["incremental_authorization"] == {"status": "available"}
    # when
    first = increment(world, merchant, held, 2500, description="and a cup", metadata={"b": "2"})
    # then
    assert first.status == 200, first.text
    grown = first.body
    assert (grown["status"], grown["amount"], grown["amount_capturable"]) == (
        "requires_capture",
        2500,
        2500,
    )
    assert (grown["description"], grown["metadata"]) == ("and a cup", {"a": "1", "b": "2"})
    assert told(world, held) == ["payment_intent.amount_capturable_updated"]
    assert sorted(world.pending(merchant).values()) == [-2500, 2500]
    assert increment(world, merchant, held, 3000).body["amount"] == 3000
    charge = charge_of(world, merchant, held)
    assert charge["amount"] == 3000
    assert charge["payment_method_details"]["card"]["amount_authorized"] == 3000
    world.check()
    # when
    taken = act(world, merchant, held, "capture").body
    # then
    assert (taken["status"], taken["amount_received"]) == ("succeeded", 3000)
    assert world.pending(merchant) == {}
    world.check()


def test_cancellation_gives_back_what_was_incremented_too(
    world: World, merchant: Merchant, held: str
) -> None:
    # given
    increment(world, merchant, held, 2500)
    # when
    canceled = act(world, merchant, held, "cancel").body
    # then
    assert canceled["status"] == "canceled"
    assert [t.amount_minor for t in world.provider.effects(Operation.VOID)] == [2500]
    assert world.pending(merchant) == {}
    world.check()


def test_declined_increment_is_402_and_leaves_the_authorization_as_it_was(
    world: World, merchant: Merchant, held: str
) -> None:
    # when
    answer = increment(world, merchant, held, TOO_MUCH, "one")
    # then
    error = answer.body["error"]
    assert (answer.status, error["type"], error["code"]) == (402, "card_error", "card_declined")
    assert error["decline_code"] == "insufficient_funds"
    shown = error["payment_intent"]
    assert (shown["status"], shown["amount_capturable"]) == ("requires_capture", 2000)
    assert increment(world, merchant, held, TOO_MUCH, "one").text == answer.text
    assert increment(world, merchant, held, 2500, "two").body["amount_capturable"] == 2500
    world.check()


@pytest.mark.parametrize(("amount", "expected"), [(2500, 200), (TOO_MUCH, 402)])
def test_increment_whose_answer_was_lost_is_answered_and_not_made_again(
    world: World, merchant: Merchant, held: str, amount: int, expected: int
) -> None:
    # given: the step did everything, and nobody heard of it
    crash_after(world, "increment_authorization")
    first = increment(world, merchant, held, amount, "one")
    world.clock.advance(LEASE_MS + 1)
    # when
    again = increment(world, merchant, held, amount, "one")
    # then
    assert (first.status, again.status) == (expected, expected)
    assert len(world.provider.effects(Operation.INCREMENT)) == (1 if expected == 200 else 0)
    world.check()


@pytest.mark.parametrize("moment", ["before_send", "after_effect"])
@pytest.mark.parametrize("error", [UnknownOutcomeError("silence"), CrashError("died")])
def test_increment_of_unknown_outcome_is_finished_without_its_client(
    world: World, merchant: Merchant, held: str, moment: str, error: Exception
) -> None:
    # given
    fail_provider(world, Operation.INCREMENT, moment, error)
    # when
    answer = increment(world, merchant, held, 2500, "one")
    # then
    assert (answer.status, answer.body["status"]) == (200, "processing")
    assert answer.body["amount"] == 2000
    capture = act(world, merchant, held, "capture")
    assert error_of(capture)[1] == "payment_intent_unexpected_state"
    world.check()
    # when
    world.clock.advance(120_000)
    world.sweep()
    # then
    assert world.load(held).amount_capturable_minor == 2500
    assert len(world.provider.effects(Operation.INCREMENT)) == 1
    assert increment(world, merchant, held, 2500, "one").body["amount"] == 2500
    world.check()


def test_increment_that_is_no_increment_is_refused(
    world: World, merchant: Merchant, held: str
) -> None:
    assert error_of(increment(world, merchant, held, 2000)) == (400, "amount_too_small", "amount")
    odd = act(world, merchant, held, "increment_authorization", amount=2500, amount_details="")
    assert error_of(odd) == (400, "parameter_unknown", "amount_details")
    world.check()


def test_increments_are_bounded_in_number(world: World, merchant: Merchant, held: str) -> None:
    # given
    for number in range(1, INCREMENTS_MAX + 1):
        assert increment(world, merchant, held, 2000 + number).status == 200
    # then
    assert error_of(increment(world, merchant, held, 3000)) == (400, None, None)
    world.check()


@pytest.mark.parametrize("status", ["requires_confirmation", "succeeded", "canceled"])
def test_increment_in_another_state_is_refused(
    world: World, merchant: Merchant, status: str
) -> None:
    # given
    confirm = "false" if status == "requires_confirmation" else "true"
    method = "manual" if status == "canceled" else "automatic"
    intent = world.pay(merchant, confirm=confirm, capture_method=method).body["id"]
    if status == "canceled":
        act(world, merchant, intent, "cancel")
    # when
    answer = increment(world, merchant, intent, 3000)
    # then
    assert error_of(answer) == (400, "payment_intent_unexpected_state", None)
    assert answer.body["error"]["payment_intent"]["status"] == status


def test_authorization_of_another_merchant_is_missing(
    world: World, merchant: Merchant, held: str
) -> None:
    answer = increment(world, world.merchant("two"), held, 3000)
    assert error_of(answer) == (404, "resource_missing", "intent")
