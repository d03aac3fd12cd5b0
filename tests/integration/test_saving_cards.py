"""Cards that are saved with the payment that they are charged for: setup_future_usage."""

from itertools import count
from typing import Any

import pytest

from shared.domain.changes import PaymentChange
from shared.domain.errors import UnknownOutcomeError
from shared.domain.idempotency import LEASE_MS
from shared.domain.resolution import MINUTE_MS
from shared.domain.sandbox_network import Operation
from tests.support.faults import crash_after, crash_before, fail_provider, on_provider
from tests.support.world import CARD, Answer, Merchant, World

PATH = "/v1/payment_intents"
STEP = "authorize_payment"


def customer(world: World, merchant: Merchant) -> str:
    name: str = world.post(merchant, "/v1/customers")["id"]
    return name


def saved_of(world: World, merchant: Merchant, name: str) -> list[str]:
    answer = world.call("GET", f"/v1/customers/{name}/payment_methods", merchant=merchant)
    return [item["id"] for item in answer.body["data"]]


def pay(world: World, merchant: Merchant, owner: str, **params: Any) -> Answer:
    order = {"customer": owner, "setup_future_usage": "off_session", **params}
    return world.pay(merchant, key="key", **order)


@pytest.mark.parametrize("capture", ["automatic", "manual"])
@pytest.mark.parametrize("has_sale", [True, False])
def test_paid_card_is_saved_with_its_checks(capture: str, has_sale: bool) -> None:
    # given
    world = World(has_sale=has_sale)
    merchant = world.merchant()
    owner = customer(world, merchant)
    method = world.post(merchant, "/v1/payment_methods", type="card", card=CARD)["id"]
    # when
    body = pay(world, merchant, owner, payment_method=method, capture_method=capture).body
    # then
    assert body["setup_future_usage"] == "off_session"
    assert saved_of(world, merchant, owner) == [method]
    kept = world.call("GET", f"/v1/payment_methods/{method}", merchant=merchant).body
    assert (kept["customer"], kept["card"]["checks"]["cvc_check"]) == (owner, "pass")
    again = world.pay(merchant, customer=owner, payment_method=method, off_session="true")
    assert again.body["status"] == "succeeded"
    world.check()


def test_card_by_name_is_saved(world: World, merchant: Merchant) -> None:
    owner = customer(world, merchant)
    body = pay(world, merchant, owner).body
    assert saved_of(world, merchant, owner) == [body["payment_method"]]


@pytest.mark.parametrize("moment", ["create", "update", "confirm"])
def test_wish_is_heard_until_the_confirmation(
    world: World, merchant: Merchant, moment: str
) -> None:
    # given
    owner = customer(world, merchant)
    order = {"amount": 100, "currency": "usd", "customer": owner, "payment_method": "pm_card_visa"}
    wish = {"setup_future_usage": "on_session"}
    made = world.post(merchant, PATH, **order, **(wish if moment == "create" else {}))
    path = f"{PATH}/{made['id']}"
    if moment == "update":
        assert world.post(merchant, path, **wish)["setup_future_usage"] == "on_session"
    # when
    body = world.post(merchant, f"{path}/confirm", **(wish if moment == "confirm" else {}))
    # then
    assert body["setup_future_usage"] == "on_session"
    assert saved_of(world, merchant, owner) == [body["payment_method"]]


def test_wish_that_is_taken_back_saves_nothing(world: World, merchant: Merchant) -> None:
    owner = customer(world, merchant)
    order = {"amount": 100, "currency": "usd", "customer": owner, "payment_method": "pm_card_visa"}
    made = world.post(merchant, PATH, **order, setup_future_usage="off_session")
    path = f"{PATH}/{made['id']}"
    body = world.post(merchant, f"{path}/confirm", setup_future_usage="")
    assert (body["status"], body["setup_future_usage"]) == ("succeeded", None)
    assert saved_of(world, merchant, owner) == []


@pytest.mark.parametrize("card", ["pm_card_chargeDeclined", "pm_card_threeDSecure2Required"])
def test_card_that_did_not_pay_is_not_saved(world: World, merchant: Merchant, card: str) -> None:
    owner = customer(world, merchant)
    pay(world, merchant, owner, payment_method=card)
    assert saved_of(world, merchant, owner) == []


def test_payment_of_nobody_saves_nothing(world: World, merchant: Merchant) -> None:
    body = world.pay(merchant, setup_future_usage="off_session").body
    assert body["status"] == "succeeded"
    method = world.call("GET", f"/v1/payment_methods/{body['payment_method']}", merchant=merchant)
    assert method.body["customer"] is None


def test_card_that_is_saved_already_pays_as_ever(world: World, merchant: Merchant) -> None:
    owner = customer(world, merchant)
    method = world.post(merchant, "/v1/payment_methods", type="card", card=CARD)["id"]
    world.post(merchant, f"/v1/payment_methods/{method}/attach", customer=owner)
    assert pay(world, merchant, owner, payment_method=method).body["status"] == "succeeded"
    assert world.database.documents[method].version == 2


def test_card_that_becomes_anothers_meanwhile_pays_and_stays_theirs(
    world: World, merchant: Merchant
) -> None:
    # given
    owner, other = customer(world, merchant), customer(world, merchant)
    method = world.post(merchant, "/v1/payment_methods", type="card", card=CARD)["id"]

    def attached() -> None:
        world.post(merchant, f"/v1/payment_methods/{method}/attach", customer=other)

    on_provider(world, Operation.SALE, "before_send", attached)
    # when
    answer = pay(world, merchant, owner, payment_method=method)
    # then
    assert answer.body["status"] == "succeeded"
    assert saved_of(world, merchant, other) == [method]
    assert saved_of(world, merchant, owner) == []


@pytest.mark.parametrize("fault", [crash_before, crash_after])
def test_payment_that_died_saves_the_card_when_it_is_resumed(
    world: World, merchant: Merchant, fault: Any
) -> None:
    # given
    owner = customer(world, merchant)
    fault(world, STEP)
    pay(world, merchant, owner)
    # when
    world.clock.advance(LEASE_MS + 1)
    answer = pay(world, merchant, owner)
    # then
    is_paid = answer.status == 200
    assert is_paid == (fault is crash_after)
    assert len(saved_of(world, merchant, owner)) == (1 if is_paid else 0)
    world.check()


def test_payment_that_is_looked_up_saves_the_card(world: World, merchant: Merchant) -> None:
    # given
    owner = customer(world, merchant)
    fail_provider(world, Operation.SALE, "after_effect", UnknownOutcomeError("silence"))
    assert pay(world, merchant, owner).body["status"] == "processing"
    assert saved_of(world, merchant, owner) == []
    # when
    world.clock.advance(2 * MINUTE_MS)
    world.sweep()
    # then
    assert len(saved_of(world, merchant, owner)) == 1
    world.check()


@pytest.mark.parametrize("at", ["before_send", "after_effect"])
def test_card_of_a_customer_who_was_deleted_meanwhile_is_nobodys(
    world: World, merchant: Merchant, at: str
) -> None:
    # given
    owner = customer(world, merchant)
    method = world.post(merchant, "/v1/payment_methods", type="card", card=CARD)["id"]

    def deleted() -> None:
        world.call("DELETE", f"/v1/customers/{owner}", merchant=merchant)

    on_provider(world, Operation.SALE, at, deleted)
    # when
    body = pay(world, merchant, owner, payment_method=method).body
    # then
    assert body["status"] == "succeeded"
    kept = world.call("GET", f"/v1/payment_methods/{method}", merchant=merchant).body
    assert kept["customer"] is None
    world.check()


def test_customer_who_is_deleted_while_a_card_is_saved_keeps_none(
    world: World, merchant: Merchant
) -> None:
    # given somebody who deletes the customer after they were read, before the card is theirs
    owner = customer(world, merchant)
    method = world.post(merchant, "/v1/payment_methods", type="card", card=CARD)["id"]
    commit = world.payments.commit

    def deleted_first(change: PaymentChange) -> None:
        if any(write.document.id == method for write in change.documents):
            world.payments.commit = commit  # type: ignore[method-assign]
            world.call("DELETE", f"/v1/customers/{owner}", merchant=merchant)
        commit(change)

    world.payments.commit = deleted_first  # type: ignore[method-assign]
    # when
    body = pay(world, merchant, owner, payment_method=method).body
    # then
    assert body["status"] == "succeeded"
    kept = world.call("GET", f"/v1/payment_methods/{method}", merchant=merchant).body
    assert kept["customer"] is None
    world.check()


@pytest.mark.parametrize("is_unknown", [True, False])
def test_card_of_a_customer_who_changes_all_the_time_is_saved_and_paid(
    world: World, merchant: Merchant, is_unknown: bool
) -> None:
    # given somebody who changes the customer whenever they were read
    owner = customer(world, merchant)
    commit, changes = world.payments.commit, count()

    def change_first(change: PaymentChange) -> None:
        if any(write.document.kind == "payment_method" for write in change.documents):
            params = {"metadata": {"changes": next(changes)}}
            world.call("POST", f"/v1/customers/{owner}", params, merchant=merchant)
        commit(change)

    world.payments.commit = change_first  # type: ignore[method-assign]
    if is_unknown:
        fail_provider(world, Operation.SALE, "after_effect", UnknownOutcomeError("silence"))
    # when
    intent = pay(world, merchant, owner).body
    world.clock.advance(2 * MINUTE_MS)
    world.sweep()
    # then
    after = world.call("GET", f"{PATH}/{intent['id']}", merchant=merchant).body
    assert after["status"] == "succeeded"
    assert saved_of(world, merchant, owner) == [intent["payment_method"]]
    world.check()
