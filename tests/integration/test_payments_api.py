"""Payment intents, refunds and charges, as a merchant uses them, in one process."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from shared.domain.documents import Document, ListEntry
from shared.domain.errors import UnknownOutcomeError
from shared.domain.idempotency import LEASE_MS, RETENTION_S
from shared.domain.lists import with_stripes
from shared.domain.resolution import PROBES_AFTER_MS
from shared.domain.sandbox_network import Notice, Operation
from tests.support.documents import audited
from tests.support.faults import crash_before, fail_provider, watch
from tests.support.world import CARD, Answer, Merchant, World

PAYMENTS, REFUNDS, CHARGES = "/v1/payment_intents", "/v1/refunds", "/v1/charges"


def spread(world: World, merchant: Merchant, stripes: int) -> None:
    account = world.documents.get(merchant.account)
    assert account is not None
    data = with_stripes(account, stripes, livemode=False)
    world.documents.commit([audited(replace(account, version=account.version + 1, data=data))])


def shards_of(world: World, collection: str) -> set[int]:
    lists = world.database.lists
    return {key[3] for key, rows in lists.items() if key[2] == collection and rows}


def state_of(world: World) -> tuple[object, ...]:
    """Returns everything that is stored, to tell whether a request changed anything."""
    database = world.database
    return (
        dict(database.documents),
        {key: set(rows) for key, rows in database.lists.items()},
        dict(database.payments),
        {key: tuple(events) for key, events in database.events.items()},
        dict(database.journals),
        dict(database.claims),
        len(world.provider.transactions),
    )


def customer(world: World, merchant: Merchant, customer_id: str = "cus_1", **data: Any) -> str:
    facts = {"name": "Ada", "metadata": {}, **data}
    document = Document(customer_id, "customer", merchant.account, False, 1, 1, facts)
    world.documents.commit([audited(document, (ListEntry("customer", 1, customer_id),))])
    return customer_id


def card(world: World, merchant: Merchant, **changes: str) -> str:
    params = {"type": "card", "card": {**CARD, **changes}}
    answer = world.call("POST", "/v1/payment_methods", params, merchant=merchant)
    assert answer.status == 200, answer.text
    return str(answer.body["id"])


def created(world: World, merchant: Merchant, **params: Any) -> dict[str, Any]:
    order = {"amount": 2000, "currency": "usd", **params}
    answer = world.call("POST", PAYMENTS, order, merchant=merchant)
    assert answer.status == 200, answer.text
    return dict(answer.body)


def act(world: World, merchant: Merchant, intent: str, verb: str, **params: Any) -> Answer:
    path = f"{PAYMENTS}/{intent}/{verb}" if verb else f"{PAYMENTS}/{intent}"
    return world.call("POST", path, params, merchant=merchant)


def refund(world: World, merchant: Merchant, key: str | None = None, **params: Any) -> Answer:
    return world.call("POST", REFUNDS, params, merchant=merchant, key=key)


def get(world: World, merchant: Merchant, path: str, **params: Any) -> Answer:
    return world.call("GET", path, params, merchant=merchant)


def ids(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.text
    return [item["id"] for item in answer.body["data"]]


def expect_error(
    answer: Answer, status: int, code: str | None, param: str | None = None
) -> Mapping[str, Any]:
    error: Mapping[str, Any] = answer.body["error"]
    assert (answer.status, error.get("code"), error.get("param")) == (status, code, param), error
    assert answer.headers["Request-Id"].startswith("req_")
    return error


# --- create and confirm


def test_create_without_payment_method_waits_for_one(world: World, merchant: Merchant) -> None:
    # when
    intent = created(world, merchant, description="a book", metadata={"order": "6735"})
    # then
    assert intent["object"] == "payment_intent"
    assert intent["status"] == "requires_payment_method"
    assert (intent["amount"], intent["currency"]) == (2000, "usd")
    assert intent["client_secret"].startswith(f"{intent['id']}_secret_")
    assert intent["capture_method"] == "automatic_async"
    assert (intent["description"], intent["metadata"]) == ("a book", {"order": "6735"})
    assert intent["latest_charge"] is None
    assert intent["livemode"] is False
    assert get(world, merchant, f"{PAYMENTS}/{intent['id']}").body == intent
    world.check()


def test_create_with_payment_method_requires_confirmation(world: World, merchant: Merchant) -> None:
    # given
    method = card(world, merchant)
    # when
    intent = created(world, merchant, payment_method=method)
    # then
    assert (intent["status"], intent["payment_method"]) == ("requires_confirmation", method)


def test_create_and_confirm_is_paid_captured_and_booked(world: World, merchant: Merchant) -> None:
    # when
    answer = world.pay(merchant)
    # then
    intent = answer.body
    assert (answer.status, intent["status"]) == (200, "succeeded")
    assert (intent["amount_received"], intent["amount_capturable"]) == (2000, 0)
    charge = get(world, merchant, f"{CHARGES}/{intent['latest_charge']}").body
    assert (charge["paid"], charge["captured"], charge["refunded"]) == (True, True, False)
    assert (charge["amount"], charge["amount_captured"]) == (2000, 2000)
    assert charge["payment_intent"] == intent["id"]
    assert charge["payment_method_details"]["card"]["last4"] == "4242"
    assert charge["outcome"]["risk_level"] == "normal"
    # 2.9 % and 30 cents for the platform; 1.8 % and 10 cents for the provider
    assert world.balances(merchant) == {
        "1100:receivable:acquirer:sandbox:usd": -2000,
        "2000:merchant:acct_one:pending:usd": 1912,
        "2500:provider_fee_payable:sandbox:usd": 46,
        "4000:platform_fee:usd": 88,
        "5000:provider_fee:sandbox:usd": -46,
    }
    assert [t.type for t in world.provider.effects()] == [Operation.SALE]
    world.check()


@pytest.mark.parametrize("capture_method", ["automatic", "automatic_async"])
def test_create_then_confirm_with_a_card_is_paid(
    world: World, merchant: Merchant, capture_method: str
) -> None:
    # given
    intent = created(world, merchant, capture_method=capture_method)
    # when
    answer = act(world, merchant, intent["id"], "confirm", payment_method=card(world, merchant))
    # then
    assert (answer.status, answer.body["status"]) == (200, "succeeded")
    assert answer.body["id"] == intent["id"]
    assert answer.body["client_secret"] == intent["client_secret"]
    world.check()


def test_confirm_names_the_steps_in_order(world: World, merchant: Merchant) -> None:
    # given
    entered = watch(world)
    # when
    world.pay(merchant)
    # then
    steps = ["validate_payment", "reserve_funds", "score_fraud", "authorize_payment"]
    assert entered == steps


def test_confirm_with_details_stores_them(world: World, merchant: Merchant) -> None:
    # given
    intent = created(world, merchant, payment_method="pm_card_visa", receipt_email="a@b.example")
    # when
    shipping = {"name": "Ada", "address": {"line1": "1 St", "country": "GB"}}
    answer = act(
        world,
        merchant,
        intent["id"],
        "confirm",
        receipt_email="c@d.example",
        shipping=shipping,
        return_url="https://shop.example/return",
    )
    # then
    assert answer.status == 200
    assert answer.body["receipt_email"] == "c@d.example"
    assert answer.body["shipping"]["address"]["line1"] == "1 St"
    world.check()


def test_confirm_manual_at_confirmation_holds_the_money(world: World, merchant: Merchant) -> None:
    # given
    intent = created(world, merchant, payment_method="pm_card_visa")
    # when
    answer = act(world, merchant, intent["id"], "confirm", capture_method="manual")
    # then
    assert answer.body["status"] == "requires_capture"
    world.check()


def test_confirm_without_payment_method_is_refused(world: World, merchant: Merchant) -> None:
    # given
    intent = created(world, merchant)
    before = state_of(world)
    # then
    code, param = "payment_intent_unexpected_state", "payment_method"
    expect_error(act(world, merchant, intent["id"], "confirm"), 400, code, param)
    order = {"amount": 100, "currency": "usd", "confirm": "true"}
    expect_error(world.call("POST", PAYMENTS, order, merchant=merchant), 400, code, param)
    assert state_of(world) == before


def test_confirm_a_paid_payment_is_refused(world: World, merchant: Merchant) -> None:
    # given
    intent = world.pay(merchant).body
    before = state_of(world)
    # when
    answer = act(world, merchant, intent["id"], "confirm", payment_method="pm_card_visa")
    # then
    error = expect_error(answer, 400, "payment_intent_unexpected_state")
    assert "status of succeeded" in error["message"]
    assert state_of(world) == before


def document_reads(world: World) -> list[list[str]]:
    """Returns a list that grows by the ids of every read of documents from now on."""
    reads: list[list[str]] = []
    get_many = world.documents.get_many

    def recorded(object_ids: Sequence[str]) -> Mapping[str, Document]:
        if object_ids:
            reads.append(list(object_ids))
        return get_many(object_ids)

    world.documents.get_many = recorded  # type: ignore[method-assign]
    return reads


def test_pay_with_a_key_reads_documents_with_the_key_only(world: World, merchant: Merchant) -> None:
    # given
    method, reads = card(world, merchant), document_reads(world)
    # when
    paid = world.pay(merchant, key="k", payment_method=method, customer=customer(world, merchant))
    # then
    assert (paid.status, reads) == (200, [])


def test_confirm_reads_the_documents_that_only_the_payment_names(
    world: World, merchant: Merchant
) -> None:
    # given
    stored, other = card(world, merchant), card(world, merchant)
    facts = {"customer": customer(world, merchant), "payment_method": stored}
    first, second = (created(world, merchant, **facts)["id"] for _ in range(2))
    reads = document_reads(world)
    # when
    for number, (intent, sent) in enumerate(((first, {}), (second, {"payment_method": other}))):
        path = f"{PAYMENTS}/{intent}/confirm"
        answer = world.call("POST", path, sent, merchant=merchant, key=f"k{number}")
        assert answer.body["status"] == "succeeded", answer.text
    # then
    assert reads == [["cus_1", stored], ["cus_1"]]


def test_confirm_with_another_customers_card_is_refused(world: World, merchant: Merchant) -> None:
    # given
    customer(world, merchant, "cus_1")
    customer(world, merchant, "cus_2")
    method = card(world, merchant)
    change(world, method, customer="cus_1")
    before = state_of(world)
    # when
    stranger = world.pay(merchant, payment_method=method, customer="cus_2")
    nobody = world.pay(merchant, payment_method=method)
    # then
    expect_error(stranger, 400, "payment_method_customer_mismatch", "payment_method")
    expect_error(nobody, 400, "payment_method_customer_mismatch", "payment_method")
    assert state_of(world) == before
    assert world.pay(merchant, payment_method=method, customer="cus_1").status == 200


def test_detached_card_can_not_be_charged(world: World, merchant: Merchant) -> None:
    # given
    method = card(world, merchant)
    intent = created(world, merchant, payment_method=method)
    change(world, method, customer=None, detached=True)
    before = state_of(world)
    # when
    answers = (
        world.pay(merchant, payment_method=method),
        act(world, merchant, intent["id"], "confirm"),
    )
    # then
    for answer in answers:
        expect_error(answer, 400, "payment_method_unexpected_state", "payment_method")
    assert state_of(world) == before


def change(world: World, method: str, **facts: Any) -> None:
    document = world.documents.get(method)
    assert document is not None
    changed = Document(
        document.id,
        document.kind,
        document.account,
        document.livemode,
        document.version + 1,
        document.created_ms,
        {**document.data, **facts},
    )
    world.documents.commit([audited(changed)])


# --- the test cards


@pytest.mark.parametrize(
    ("card_name", "code", "decline_code"),
    [
        ("visa_chargeDeclined", "card_declined", "generic_decline"),
        ("radarBlock", "card_declined", "fraudulent"),
    ],
)
def test_declining_card_is_402_and_the_payment_may_be_tried_again(
    world: World, merchant: Merchant, card_name: str, code: str, decline_code: str
) -> None:
    # when
    answer = world.pay(merchant, payment_method=f"pm_card_{card_name}")
    # then
    error = expect_error(answer, 402, code)
    assert error["type"] == "card_error"
    assert error["decline_code"] == decline_code
    intent = error["payment_intent"]
    assert intent["status"] == "requires_payment_method"
    assert intent["payment_method"] is None
    assert intent["last_payment_error"]["decline_code"] == decline_code
    assert error["charge"] == intent["latest_charge"]
    assert error["payment_method"]["object"] == "payment_method"
    charge = get(world, merchant, f"{CHARGES}/{error['charge']}").body
    assert (charge["status"], charge["paid"], charge["failure_code"]) == ("failed", False, code)
    world.check()
    assert world.balances(merchant) == {}
    assert world.pending(merchant) == {}
    # when
    again = act(world, merchant, intent["id"], "confirm", payment_method="pm_card_visa")
    # then
    assert (again.status, again.body["status"]) == (200, "succeeded")
    assert again.body["last_payment_error"] is None
    assert len(ids(get(world, merchant, CHARGES, payment_intent=intent["id"]))) == 2
    world.check()


def test_blocked_card_is_never_sent_to_the_network(world: World, merchant: Merchant) -> None:
    # when
    answer = world.pay(merchant, payment_method="pm_card_riskLevelHighest")
    # then
    charge = get(world, merchant, f"{CHARGES}/{answer.body['error']['charge']}").body
    assert charge["outcome"]["type"] == "blocked"
    assert charge["outcome"]["network_status"] == "not_sent_to_network"
    assert charge["outcome"]["risk_level"] == "highest"
    assert world.provider.transactions == []


def test_card_that_wants_authentication_requires_action(world: World, merchant: Merchant) -> None:
    # when
    answer = world.pay(merchant, payment_method="pm_card_authenticationRequired")
    # then
    intent = answer.body
    assert (answer.status, intent["status"]) == (200, "requires_action")
    assert intent["next_action"]["type"] == "use_stripe_sdk"
    assert world.pending(merchant) == {}
    world.check()
    # when
    paid = act(world, merchant, intent["id"], "confirm", payment_method="pm_card_visa")
    # then
    assert paid.body["status"] == "succeeded"
    assert paid.body["next_action"] is None
    world.check()


@pytest.mark.parametrize("flag", ["off_session", "error_on_requires_action"])
def test_card_that_wants_authentication_off_session_is_declined(
    world: World, merchant: Merchant, flag: str
) -> None:
    # when
    params = {"payment_method": "pm_card_authenticationRequired", flag: "true"}
    answer = world.pay(merchant, **params)
    # then
    error = expect_error(answer, 402, "authentication_required")
    assert error["payment_intent"]["status"] == "requires_payment_method"
    world.check()


def test_attempts_are_bounded(world: World, merchant: Merchant) -> None:
    # given
    intent = created(world, merchant)
    for _ in range(50):
        declined = act(
            world, merchant, intent["id"], "confirm", payment_method="pm_card_chargeDeclined"
        )
        assert declined.status == 402
    # when
    answer = act(world, merchant, intent["id"], "confirm", payment_method="pm_card_visa")
    # then
    expect_error(answer, 400, "payment_intent_payment_attempt_expired")
    world.check()


# --- manual capture


def test_capture_in_full_takes_what_was_held(world: World, merchant: Merchant) -> None:
    # given
    held = world.pay(merchant, capture_method="manual").body
    assert (held["status"], held["amount_capturable"]) == ("requires_capture", 2000)
    assert held["amount_received"] == 0
    assert set(world.pending(merchant).values()) == {2000, -2000}
    # when
    answer = act(world, merchant, held["id"], "capture")
    # then
    assert (answer.status, answer.body["status"]) == (200, "succeeded")
    assert answer.body["amount_received"] == 2000
    assert world.pending(merchant) == {}
    world.check()


def test_capture_in_part_gives_the_rest_back(world: World, merchant: Merchant) -> None:
    # given
    held = world.pay(merchant, capture_method="manual").body
    # when
    answer = act(world, merchant, held["id"], "capture", amount_to_capture=1500)
    # then
    assert answer.body["status"] == "succeeded"
    assert (answer.body["amount"], answer.body["amount_received"]) == (2000, 1500)
    assert answer.body["amount_capturable"] == 0
    assert world.pending(merchant) == {}
    charge = get(world, merchant, f"{CHARGES}/{held['latest_charge']}").body
    assert (charge["amount"], charge["amount_captured"]) == (2000, 1500)
    world.check()


def test_capture_more_than_held_is_refused(world: World, merchant: Merchant) -> None:
    # given
    held = world.pay(merchant, capture_method="manual").body
    before = state_of(world)
    # when
    answer = act(world, merchant, held["id"], "capture", amount_to_capture=2001)
    # then
    expect_error(answer, 400, "amount_too_large", "amount_to_capture")
    assert state_of(world) == before


@pytest.mark.parametrize("status", ["unconfirmed", "succeeded", "canceled"])
def test_capture_in_another_state_is_refused(world: World, merchant: Merchant, status: str) -> None:
    # given
    intent = (world.pay(merchant).body if status == "succeeded" else created(world, merchant))["id"]
    if status == "canceled":
        act(world, merchant, intent, "cancel")
    before = state_of(world)
    # then
    answer = act(world, merchant, intent, "capture")
    expect_error(answer, 400, "payment_intent_unexpected_state")
    assert state_of(world) == before


def test_second_capture_is_refused(world: World, merchant: Merchant) -> None:
    # given
    held = world.pay(merchant, capture_method="manual").body
    act(world, merchant, held["id"], "capture", amount_to_capture=500)
    # then
    answer = act(world, merchant, held["id"], "capture", amount_to_capture=500)
    expect_error(answer, 400, "payment_intent_unexpected_state")
    assert len(world.provider.effects(Operation.CAPTURE)) == 1


def test_capture_final_false_is_refused(world: World, merchant: Merchant) -> None:
    # given
    held = world.pay(merchant, capture_method="manual").body
    # then
    answer = act(world, merchant, held["id"], "capture", final_capture="false")
    expect_error(answer, 400, None, "final_capture")


# --- cancel


@pytest.mark.parametrize(
    "params",
    [{}, {"payment_method": "pm_card_visa"}],
    ids=["requires_payment_method", "requires_confirmation"],
)
def test_cancel_before_confirmation(
    world: World, merchant: Merchant, params: dict[str, str]
) -> None:
    # given
    intent = created(world, merchant, **params)
    # when
    answer = act(world, merchant, intent["id"], "cancel", cancellation_reason="abandoned")
    # then
    assert (answer.status, answer.body["status"]) == (200, "canceled")
    assert answer.body["cancellation_reason"] == "abandoned"
    assert answer.body["canceled_at"] is not None
    world.check()


def test_cancel_a_held_payment_voids_and_releases(world: World, merchant: Merchant) -> None:
    # given
    held = world.pay(merchant, capture_method="manual").body
    # when
    answer = act(world, merchant, held["id"], "cancel")
    # then
    assert answer.body["status"] == "canceled"
    assert answer.body["amount_capturable"] == 0
    assert world.pending(merchant) == {}
    types = [t.type for t in world.provider.effects()]
    assert types == [Operation.AUTHORIZATION, Operation.VOID]
    world.check()


@pytest.mark.parametrize("name", ["authenticationRequired", "chargeDeclined"])
def test_cancel_after_a_failed_or_open_attempt(world: World, merchant: Merchant, name: str) -> None:
    # given
    body = world.pay(merchant, payment_method=f"pm_card_{name}").body
    intent = body.get("id") or body["error"]["payment_intent"]["id"]
    # when
    answer = act(world, merchant, intent, "cancel")
    # then
    assert (answer.status, answer.body["status"]) == (200, "canceled")
    assert answer.body["next_action"] is None
    world.check()


@pytest.mark.parametrize("verb", ["succeeded", "canceled"])
def test_cancel_a_final_payment_is_refused(world: World, merchant: Merchant, verb: str) -> None:
    # given
    intent = world.pay(merchant).body if verb == "succeeded" else created(world, merchant)
    if verb == "canceled":
        act(world, merchant, intent["id"], "cancel")
    before = state_of(world)
    # then
    answer = act(world, merchant, intent["id"], "cancel")
    expect_error(answer, 400, "payment_intent_unexpected_state")
    assert state_of(world) == before


def test_cancel_while_processing_is_refused(world: World, merchant: Merchant) -> None:
    # given
    fail_provider(world, Operation.SALE, "after_effect", UnknownOutcomeError("lost"))
    intent = world.pay(merchant).body
    assert intent["status"] == "processing"
    # then
    for verb in ("cancel", "confirm", "capture"):
        params = {"payment_method": "pm_card_visa"} if verb == "confirm" else {}
        answer = act(world, merchant, intent["id"], verb, **params)
        expect_error(answer, 400, "payment_intent_unexpected_state")
    world.check()


# --- refunds


def test_refund_in_full_gives_everything_back(world: World, merchant: Merchant) -> None:
    # given
    intent = world.pay(merchant).body
    # when
    answer = refund(
        world,
        merchant,
        payment_intent=intent["id"],
        reason="requested_by_customer",
        metadata={"why": "wrong size"},
    )
    # then
    made = answer.body
    assert (answer.status, made["object"], made["status"]) == (200, "refund", "succeeded")
    assert (made["amount"], made["currency"]) == (2000, "usd")
    assert made["charge"] == intent["latest_charge"]
    assert (made["reason"], made["metadata"]) == ("requested_by_customer", {"why": "wrong size"})
    charge = get(world, merchant, f"{CHARGES}/{intent['latest_charge']}").body
    assert (charge["refunded"], charge["amount_refunded"]) == (True, 2000)
    assert get(world, merchant, f"{REFUNDS}/{made['id']}").body == made
    world.check()


def test_refund_in_parts_until_nothing_is_left(world: World, merchant: Merchant) -> None:
    # given
    intent = world.pay(merchant).body
    # then
    assert refund(world, merchant, charge=intent["latest_charge"], amount=500).status == 200
    too_much = refund(world, merchant, payment_intent=intent["id"], amount=1501)
    expect_error(too_much, 400, None, "amount")
    rest = refund(world, merchant, payment_intent=intent["id"])
    assert (rest.status, rest.body["amount"]) == (200, 1500)
    over = refund(world, merchant, payment_intent=intent["id"], amount=1)
    expect_error(over, 400, "charge_already_refunded")
    charge = get(world, merchant, f"{CHARGES}/{intent['latest_charge']}").body
    assert (charge["refunded"], charge["amount_refunded"]) == (True, 2000)
    world.check()


def test_refund_after_settlement_comes_from_the_available_balance(
    world: World, merchant: Merchant
) -> None:
    # given
    intent = world.pay(merchant).body
    world.settle(intent["id"])
    # when
    refund(world, merchant, payment_intent=intent["id"], amount=2000)
    world.seal()
    # then
    balance = get(world, merchant, "/v1/balance").body
    assert balance["available"][0]["amount"] == -88
    assert balance["pending"][0]["amount"] == 0
    world.check()


def test_refund_before_settlement_leaves_a_negative_net_for_it(
    world: World, merchant: Merchant
) -> None:
    # given
    intent = world.pay(merchant).body
    refund(world, merchant, payment_intent=intent["id"])
    # when
    world.settle(intent["id"])
    world.seal()
    # then
    balance = get(world, merchant, "/v1/balance").body
    assert (balance["available"][0]["amount"], balance["pending"][0]["amount"]) == (-88, 0)
    world.check()


def test_refund_of_a_partial_capture_is_bounded_by_it(world: World, merchant: Merchant) -> None:
    # given
    held = world.pay(merchant, capture_method="manual").body
    act(world, merchant, held["id"], "capture", amount_to_capture=700)
    # then
    expect_error(
        refund(world, merchant, payment_intent=held["id"], amount=701), 400, None, "amount"
    )
    assert refund(world, merchant, payment_intent=held["id"]).body["amount"] == 700
    world.check()


@pytest.mark.parametrize("step", ["reserve_funds", "refund_capture"])
def test_refunds_at_once_never_give_back_more_than_was_taken(
    world: World, merchant: Merchant, step: str
) -> None:
    # given: a second full refund arrives while the first is between two lines
    intent = world.pay(merchant).body
    answers: list[Answer] = []
    real = world.steps[step]

    def interrupted(state: Mapping[str, Any]) -> Mapping[str, Any]:
        world.steps[step] = real
        answers.append(refund(world, merchant, payment_intent=intent["id"]))
        return real(state)

    world.steps[step] = interrupted
    # when
    answers.append(refund(world, merchant, payment_intent=intent["id"]))
    # then
    assert sorted(answer.status for answer in answers) == [200, 400]
    assert [t.amount_minor for t in world.provider.effects(Operation.REFUND)] == [2000]
    world.check()


def test_refund_of_unknown_outcome_is_pending_and_due(world: World, merchant: Merchant) -> None:
    # given
    intent = world.pay(merchant).body
    fail_provider(world, Operation.REFUND, "after_effect", UnknownOutcomeError("lost"))
    # when
    answer = refund(world, merchant, payment_intent=intent["id"])
    # then: somebody will look after it
    assert (answer.status, answer.body["status"]) == (200, "pending")
    assert world.load(intent["id"]).due_at_ms == world.clock.now_ms() + PROBES_AFTER_MS[0]
    world.check()


def test_refund_of_an_uncaptured_payment_is_refused(world: World, merchant: Merchant) -> None:
    # given
    held = world.pay(merchant, capture_method="manual").body
    fresh = created(world, merchant)
    before = state_of(world)
    # then
    answer = refund(world, merchant, payment_intent=held["id"])
    expect_error(answer, 400, "charge_not_refundable", "payment_intent")
    answer = refund(world, merchant, charge=held["latest_charge"])
    expect_error(answer, 400, "charge_not_refundable", "charge")
    answer = refund(world, merchant, payment_intent=fresh["id"])
    expect_error(answer, 400, "payment_intent_unexpected_state", "payment_intent")
    assert state_of(world) == before


def test_refund_of_a_failed_charge_is_refused(world: World, merchant: Merchant) -> None:
    # given
    error = world.pay(merchant, payment_method="pm_card_chargeDeclined").body["error"]
    act(world, merchant, error["payment_intent"]["id"], "confirm", payment_method="pm_card_visa")
    # then
    answer = refund(world, merchant, charge=error["charge"])
    expect_error(answer, 400, "charge_not_refundable", "charge")


def test_refund_without_a_charge_or_with_two_that_differ_is_refused(
    world: World, merchant: Merchant
) -> None:
    # given
    one, two = world.pay(merchant).body, world.pay(merchant).body
    before = state_of(world)
    # then
    expect_error(refund(world, merchant), 400, "parameter_missing", "payment_intent")
    answer = refund(world, merchant, payment_intent=one["id"], charge=two["latest_charge"])
    expect_error(answer, 400, None, "charge")
    swapped = refund(world, merchant, payment_intent=one["latest_charge"])
    expect_error(swapped, 400, "resource_missing", "payment_intent")
    swapped = refund(world, merchant, charge=one["id"])
    expect_error(swapped, 400, "resource_missing", "charge")
    assert state_of(world) == before


def test_refunds_are_bounded_in_number(world: World, merchant: Merchant) -> None:
    # given
    intent = world.pay(merchant).body
    for _ in range(100):
        assert refund(world, merchant, payment_intent=intent["id"], amount=1).status == 200
    # then
    expect_error(refund(world, merchant, payment_intent=intent["id"], amount=1), 400, None)
    world.check()


# --- update


def test_update_before_confirmation_changes_what_is_charged(
    world: World, merchant: Merchant
) -> None:
    # given
    customer(world, merchant)
    intent = created(world, merchant)
    # when
    answer = act(
        world,
        merchant,
        intent["id"],
        "",
        amount=3500,
        currency="EUR",
        customer="cus_1",
        payment_method="pm_card_visa",
        description="two books",
    )
    # then
    changed = answer.body
    assert (changed["amount"], changed["currency"], changed["customer"]) == (3500, "eur", "cus_1")
    assert (changed["status"], changed["description"]) == ("requires_confirmation", "two books")
    assert ids(get(world, merchant, PAYMENTS, customer="cus_1")) == [intent["id"]]
    paid = act(world, merchant, intent["id"], "confirm")
    assert (paid.body["amount_received"], paid.body["status"]) == (3500, "succeeded")
    world.check()


def test_update_of_the_customer_moves_the_payment_to_their_list(
    world: World, merchant: Merchant
) -> None:
    # given
    first, second = customer(world, merchant, "cus_1"), customer(world, merchant, "cus_2")
    intent = created(world, merchant, customer=first)
    # when
    act(world, merchant, intent["id"], "", customer=second)
    # then
    assert ids(get(world, merchant, PAYMENTS, customer=first)) == []
    assert ids(get(world, merchant, PAYMENTS, customer=second)) == [intent["id"]]


@pytest.mark.parametrize(
    "params",
    [
        {"amount": 100},
        {"currency": "eur"},
        {"capture_method": "manual"},
        {"payment_method": "pm_card_visa"},
    ],
    ids=lambda params: next(iter(params)),
)
@pytest.mark.parametrize("status", ["succeeded", "requires_capture", "canceled"])
def test_update_of_money_after_confirmation_is_refused(
    world: World, merchant: Merchant, params: dict[str, str], status: str
) -> None:
    # given
    method = "automatic" if status == "succeeded" else "manual"
    intent = world.pay(merchant, capture_method=method).body
    if status == "canceled":
        act(world, merchant, intent["id"], "cancel")
    before = state_of(world)
    # then
    answer = act(world, merchant, intent["id"], "", **params)
    expect_error(answer, 400, "payment_intent_unexpected_state")
    assert state_of(world) == before


@pytest.mark.parametrize("method", ["automatic", "manual"])
def test_update_of_details_is_always_allowed(world: World, merchant: Merchant, method: str) -> None:
    # given
    intent = world.pay(merchant, capture_method=method, description="a").body
    # when
    answer = act(world, merchant, intent["id"], "", description="b", metadata={"k": "v"})
    # then
    assert answer.status == 200
    assert (answer.body["description"], answer.body["metadata"]) == ("b", {"k": "v"})
    assert answer.body["status"] == intent["status"]
    world.check()


def test_update_with_empty_values_unsets(world: World, merchant: Merchant) -> None:
    # given
    intent = created(
        world, merchant, description="a", receipt_email="a@b.example", payment_method="pm_card_visa"
    )
    # when
    changed = act(
        world, merchant, intent["id"], "", description="", receipt_email="", payment_method=""
    ).body
    # then
    assert (changed["description"], changed["receipt_email"]) == (None, None)
    assert (changed["payment_method"], changed["status"]) == (None, "requires_payment_method")
    world.check()


def test_update_of_an_action_required_payment_without_its_method_starts_over(
    world: World, merchant: Merchant
) -> None:
    # given
    intent = world.pay(merchant, payment_method="pm_card_authenticationRequired").body
    # when
    changed = act(world, merchant, intent["id"], "", payment_method="").body
    # then
    assert (changed["status"], changed["next_action"]) == ("requires_payment_method", None)
    world.check()


def test_update_with_nothing_to_change_answers_with_the_payment(
    world: World, merchant: Merchant
) -> None:
    # given
    intent = created(world, merchant)
    # then
    assert act(world, merchant, intent["id"], "").body == intent


# --- metadata


def test_metadata_merges_and_an_empty_value_unsets_a_key(world: World, merchant: Merchant) -> None:
    # given
    intent = created(world, merchant, metadata={"a": "1", "b": "2", "gone": ""})
    assert intent["metadata"] == {"a": "1", "b": "2"}
    # then
    changed = act(world, merchant, intent["id"], "", metadata={"b": "3", "a": "", "c": "4"})
    assert changed.body["metadata"] == {"b": "3", "c": "4"}
    emptied = act(world, merchant, intent["id"], "", metadata="")
    assert emptied.body["metadata"] == {}


@pytest.mark.parametrize(
    "metadata",
    [
        {f"key{n}": "v" for n in range(51)},
        {"k" * 41: "v"},
        {"k": "v" * 501},
        {"k": {"nested": "v"}},
        "text",
    ],
    ids=["51 keys", "long key", "long value", "nested", "text"],
)
def test_metadata_out_of_bounds_is_refused(world: World, merchant: Merchant, metadata: Any) -> None:
    # given
    paid = world.pay(merchant).body
    before = state_of(world)
    # then
    order = {"amount": 100, "currency": "usd", "metadata": metadata}
    assert world.call("POST", PAYMENTS, order, merchant=merchant).status == 400
    assert act(world, merchant, paid["id"], "", metadata=metadata).status == 400
    answer = refund(world, merchant, payment_intent=paid["id"], metadata=metadata)
    assert answer.status == 400
    assert answer.body["error"]["param"].startswith("metadata")
    assert state_of(world) == before


def test_metadata_at_its_bounds_is_kept(world: World, merchant: Merchant) -> None:
    # given
    metadata = {f"{n:040d}": "v" * 500 for n in range(50)}
    # then
    assert created(world, merchant, metadata=metadata)["metadata"] == metadata


def test_details_too_large_for_a_saga_are_refused(world: World, merchant: Merchant) -> None:
    # given
    metadata = {f"{n:02d}": "🏦" * 500 for n in range(15)}
    paid = world.pay(merchant).body
    before = state_of(world)
    # then
    order = {"amount": 100, "currency": "usd", "metadata": metadata}
    for params in (order, {**order, "confirm": "true", "payment_method": "pm_card_visa"}):
        answer = world.call("POST", PAYMENTS, params, merchant=merchant)
        expect_error(answer, 400, "details_too_large")
    answer = act(world, merchant, paid["id"], "", metadata=metadata)
    expect_error(answer, 400, "details_too_large")
    answer = refund(world, merchant, payment_intent=paid["id"], metadata=metadata)
    expect_error(answer, 400, "details_too_large")
    assert state_of(world) == before


# --- amounts, currencies, parameters


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"amount": "0"}, "parameter_invalid_integer", "amount"),
        ({"amount": "-1"}, "parameter_invalid_integer", "amount"),
        ({"amount": "100000000"}, "amount_too_large", "amount"),
        ({"amount": "9" * 400}, "parameter_invalid_integer", "amount"),
        ({"amount": "10.5"}, "parameter_invalid_integer", "amount"),
        ({"amount": "1e3"}, "parameter_invalid_integer", "amount"),
        ({"amount": " 5"}, "parameter_invalid_integer", "amount"),
        ({"amount": "٣"}, "parameter_invalid_integer", "amount"),
        ({"amount": ""}, "parameter_invalid_empty", "amount"),
        ({"amount": {"a": "1"}}, "parameter_invalid_integer", "amount"),
        ({"amount": None}, "parameter_missing", "amount"),
        ({"currency": None}, "parameter_missing", "currency"),
        ({"currency": "xxx"}, None, "currency"),
        ({"currency": "xau"}, None, "currency"),
        ({"currency": "us"}, None, "currency"),
        ({"currency": ""}, "parameter_invalid_empty", "currency"),
        ({"currency": {"a": "usd"}}, None, "currency"),
        ({"capture_method": "later"}, None, "capture_method"),
        ({"confirm": "yes"}, None, "confirm"),
        ({"color": "red"}, "parameter_unknown", "color"),
        ({"shipping": {"name": "A"}}, "parameter_missing", "shipping[address]"),
        (
            {"shipping": {"name": "A", "address": {"planet": "Mars"}}},
            "parameter_unknown",
            "shipping[address][planet]",
        ),
        ({"receipt_email": "nobody"}, "email_invalid", "receipt_email"),
        ({"statement_descriptor": "x" * 23}, None, "statement_descriptor"),
        ({"description": "x" * 5001}, None, "description"),
        ({"payment_method_types": ["sepa_debit"]}, None, "payment_method_types[0]"),
        ({"payment_method_types": "card"}, None, "payment_method_types"),
        ({"payment_method": "pm_nope"}, "resource_missing", "payment_method"),
        ({"payment_method": "pm_card_nope"}, "resource_missing", "payment_method"),
        ({"customer": "cus_nope"}, "resource_missing", "customer"),
        ({"expand": ["customer.name"]}, None, "expand"),
        ({"expand": ["nonsense"]}, None, "expand"),
    ],
    ids=str,
)
def test_create_wrong_parameter_is_named_and_changes_nothing(
    world: World, merchant: Merchant, changes: dict[str, Any], code: str | None, param: str
) -> None:
    # given
    before = state_of(world)
    order = {"amount": 100, "currency": "usd", "confirm": "false", **changes}
    order = {name: value for name, value in order.items() if value is not None}
    # when
    answer = world.call("POST", PAYMENTS, order, merchant=merchant, key="key-1")
    # then
    error = expect_error(answer, 400, code, param)
    assert error["type"] == "invalid_request_error"
    assert state_of(world) == before


@pytest.mark.parametrize(
    ("currency", "amount"),
    [("jpy", 1), ("kwd", 99_999_999), ("USD", 99_999_999), ("isk", 5), ("eur", 1)],
)
def test_create_in_any_currency_and_at_the_bounds_is_paid(
    world: World, merchant: Merchant, currency: str, amount: int
) -> None:
    # when
    answer = world.pay(merchant, amount=amount, currency=currency)
    # then
    assert (answer.status, answer.body["currency"]) == (200, currency.lower())
    world.settle(answer.body["id"])
    world.check()


def test_capture_and_refund_wrong_amounts_are_named(world: World, merchant: Merchant) -> None:
    # given
    held = world.pay(merchant, capture_method="manual").body
    before = state_of(world)
    # then
    for value, code in (("0", "parameter_invalid_integer"), ("x", "parameter_invalid_integer")):
        answer = act(world, merchant, held["id"], "capture", amount_to_capture=value)
        expect_error(answer, 400, code, "amount_to_capture")
        answer = refund(world, merchant, payment_intent=held["id"], amount=value)
        expect_error(answer, 400, code, "amount")
    answer = act(world, merchant, held["id"], "cancel", cancellation_reason="whim")
    expect_error(answer, 400, None, "cancellation_reason")
    answer = refund(world, merchant, payment_intent=held["id"], reason="whim")
    expect_error(answer, 400, None, "reason")
    assert state_of(world) == before


# --- foreign merchants


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/payment_intents/{intent}"),
        ("POST", "/v1/payment_intents/{intent}"),
        ("POST", "/v1/payment_intents/{intent}/confirm"),
        ("POST", "/v1/payment_intents/{intent}/capture"),
        ("POST", "/v1/payment_intents/{intent}/cancel"),
        ("GET", "/v1/charges/{charge}"),
        ("GET", "/v1/refunds/{refund}"),
    ],
)
def test_object_of_another_merchant_is_missing_by_path(
    world: World, merchant: Merchant, method: str, path: str
) -> None:
    # given
    theirs = world.merchant("two")
    paid = world.pay(theirs).body
    made = refund(world, theirs, payment_intent=paid["id"], amount=1).body
    held = world.pay(theirs, capture_method="manual").body
    intent = held["id"] if path.endswith(("capture", "cancel")) else paid["id"]
    path = path.format(intent=intent, charge=paid["latest_charge"], refund=made["id"])
    before = state_of(world)
    # when
    answer = world.call(method, path, merchant=merchant, key="key-1")
    # then
    param = "intent" if "payment_intents" in path else "id"
    error = expect_error(answer, 404, "resource_missing", param)
    assert error["message"].startswith("No such ")
    assert state_of(world) == before


def test_object_of_another_merchant_is_missing_by_parameter(
    world: World, merchant: Merchant
) -> None:
    # given
    theirs = world.merchant("two")
    customer(world, theirs, "cus_theirs")
    method = card(world, theirs)
    paid = world.pay(theirs).body
    made = refund(world, theirs, payment_intent=paid["id"], amount=1).body
    before = state_of(world)
    # then
    order = {"amount": 100, "currency": "usd"}
    for params in ({"customer": "cus_theirs"}, {"payment_method": method}):
        answer = world.call("POST", PAYMENTS, {**order, **params}, merchant=merchant)
        expect_error(answer, 400, "resource_missing", next(iter(params)))
    for params in ({"payment_intent": paid["id"]}, {"charge": paid["latest_charge"]}):
        answer = refund(world, merchant, **params)
        expect_error(answer, 400, "resource_missing", next(iter(params)))
        assert ids(get(world, merchant, REFUNDS, **params)) == []
    for path, cursor in ((PAYMENTS, paid["id"]), (CHARGES, paid["latest_charge"])):
        answer = get(world, merchant, path, starting_after=cursor)
        expect_error(answer, 400, "resource_missing", "starting_after")
    answer = get(world, merchant, REFUNDS, ending_before=made["id"])
    expect_error(answer, 400, "resource_missing", "ending_before")
    for path in (PAYMENTS, CHARGES, REFUNDS):
        assert ids(get(world, merchant, path)) == []
    assert ids(get(world, merchant, CHARGES, payment_intent=paid["id"])) == []
    assert ids(get(world, merchant, PAYMENTS, customer="cus_theirs")) == []
    journals = get(world, merchant, "/v1/ledger/journals", payment_intent=paid["id"])
    assert journals.body["data"] == []
    assert get(world, merchant, "/v1/ledger/trial_balance").body["data"] == []
    assert state_of(world) == before


@pytest.mark.parametrize(
    "odd", ["pi_", "pi_x", "pi_%2e%2e", "ch_1", "é", "KEY#1", "x" * 3000, "pi_" + "9" * 500]
)
def test_id_of_any_form_is_merely_missing(world: World, merchant: Merchant, odd: str) -> None:
    for path in (PAYMENTS, CHARGES, REFUNDS):
        expect_error(
            get(world, merchant, f"{path}/{odd}"),
            404,
            "resource_missing",
            "intent" if path == PAYMENTS else "id",
        )


# --- expansion and lists


def test_expand_replaces_ids_by_objects(world: World, merchant: Merchant) -> None:
    # given
    customer(world, merchant)
    # when
    answer = world.pay(
        merchant,
        customer="cus_1",
        expand=["customer", "latest_charge.payment_intent", "payment_method"],
    )
    # then
    intent = answer.body
    assert intent["customer"]["object"] == "customer"
    assert intent["latest_charge"]["object"] == "charge"
    assert intent["latest_charge"]["payment_intent"]["id"] == intent["id"]
    assert intent["payment_method"]["card"]["last4"] == "4242"
    made = refund(world, merchant, payment_intent=intent["id"], expand=["charge.customer"]).body
    assert made["charge"]["customer"]["id"] == "cus_1"
    listed = get(world, merchant, PAYMENTS, expand=["data.latest_charge"]).body
    assert listed["data"][0]["latest_charge"]["object"] == "charge"


def test_lists_are_newest_first_and_page_both_ways(world: World, merchant: Merchant) -> None:
    # given: some share a millisecond
    made = []
    for number in range(7):
        made.append(world.pay(merchant).body["id"])
        world.clock.advance(1000 * (number % 2))
    # when
    full = get(world, merchant, PAYMENTS, limit=100)
    forward: list[str] = []
    params: dict[str, Any] = {"limit": 3}
    while True:
        page = get(world, merchant, PAYMENTS, **params)
        forward += ids(page)
        if not page.body["has_more"]:
            break
        params["starting_after"] = forward[-1]
    back = get(world, merchant, PAYMENTS, limit=3, ending_before=forward[4])
    # then
    assert full.body["object"] == "list"
    assert full.body["url"] == PAYMENTS
    assert set(ids(full)) == set(made)
    assert forward == ids(full)
    assert ids(back) == forward[1:4]
    assert back.body["has_more"] is True
    assert len(ids(get(world, merchant, PAYMENTS, limit=7))) == 7


def test_lists_of_charges_and_refunds_page_within_a_payment(
    world: World, merchant: Merchant
) -> None:
    # given
    intent = world.pay(merchant).body
    other = world.pay(merchant).body
    made = []
    for _ in range(4):
        world.clock.advance(1000)
        made.append(refund(world, merchant, payment_intent=intent["id"], amount=1).body["id"])
    refund(world, merchant, payment_intent=other["id"], amount=1)
    # then
    page = get(world, merchant, REFUNDS, payment_intent=intent["id"], limit=2)
    assert (ids(page), page.body["has_more"]) == ([made[3], made[2]], True)
    page = get(
        world, merchant, REFUNDS, charge=intent["latest_charge"], limit=2, starting_after=made[2]
    )
    assert (ids(page), page.body["has_more"]) == ([made[1], made[0]], False)
    page = get(world, merchant, REFUNDS, payment_intent=intent["id"], ending_before=made[1])
    assert ids(page) == [made[3], made[2]]
    assert len(ids(get(world, merchant, REFUNDS))) == 5
    assert ids(get(world, merchant, CHARGES, payment_intent=intent["id"])) == [
        intent["latest_charge"]
    ]
    assert len(ids(get(world, merchant, CHARGES))) == 2


def test_lists_by_customer_and_creation_time(world: World, merchant: Merchant) -> None:
    # given
    customer(world, merchant)
    early = world.pay(merchant, customer="cus_1").body
    world.clock.advance(10_000)
    late = world.pay(merchant).body
    # then
    assert ids(get(world, merchant, PAYMENTS, customer="cus_1")) == [early["id"]]
    assert ids(get(world, merchant, CHARGES, customer="cus_1")) == [early["latest_charge"]]
    none = get(world, merchant, CHARGES, customer="cus_1", payment_intent=late["id"])
    assert ids(none) == []
    since = {"gte": late["created"]}
    assert ids(get(world, merchant, PAYMENTS, created=since)) == [late["id"]]
    assert ids(get(world, merchant, PAYMENTS, created={"lt": late["created"]})) == [early["id"]]
    assert ids(get(world, merchant, PAYMENTS, created=early["created"])) == [early["id"]]
    assert ids(get(world, merchant, PAYMENTS, created={"gt": 99_999_999_999})) == []


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"starting_after": "pi_nope"}, "starting_after"),
        ({"created": "soon"}, "created"),
        ({"color": "red"}, "color"),
    ],
    ids=str,
)
def test_list_wrong_parameter_is_named(
    world: World, merchant: Merchant, params: dict[str, Any], param: str
) -> None:
    for path in (PAYMENTS, CHARGES, REFUNDS):
        answer = get(world, merchant, path, **params)
        assert answer.status == 400
        assert answer.body["error"]["param"] == param


def test_list_with_both_cursors_is_refused(world: World, merchant: Merchant) -> None:
    # given
    intent = created(world, merchant)["id"]
    # then
    answer = get(world, merchant, PAYMENTS, starting_after=intent, ending_before=intent)
    assert (answer.status, answer.body["error"]["code"]) == (400, "parameters_exclusive")


# --- idempotency


def requests_of(world: World, merchant: Merchant) -> dict[str, tuple[str, dict[str, Any]]]:
    """Returns a request of every kind that changes something."""
    held = world.pay(merchant, capture_method="manual").body["id"]
    other = world.pay(merchant, capture_method="manual").body["id"]
    paid = world.pay(merchant).body["id"]
    fresh = created(world, merchant)["id"]
    order = {"amount": 500, "currency": "usd"}
    return {
        "create": (PAYMENTS, order),
        "pay": (PAYMENTS, {**order, "confirm": "true", "payment_method": "pm_card_visa"}),
        "confirm": (f"{PAYMENTS}/{fresh}/confirm", {"payment_method": "pm_card_visa"}),
        "decline": (f"{PAYMENTS}/{fresh}/confirm", {"payment_method": "pm_card_chargeDeclined"}),
        "update": (f"{PAYMENTS}/{fresh}", {"amount": 700}),
        "capture": (f"{PAYMENTS}/{held}/capture", {"amount_to_capture": 100}),
        "cancel": (f"{PAYMENTS}/{other}/cancel", {}),
        "refund": (REFUNDS, {"payment_intent": paid, "amount": 100}),
    }


KINDS = ["create", "pay", "confirm", "decline", "update", "capture", "cancel", "refund"]


@pytest.mark.parametrize("kind", KINDS)
def test_same_key_replays_the_first_answer(world: World, merchant: Merchant, kind: str) -> None:
    # given
    path, params = requests_of(world, merchant)[kind]
    first = world.call("POST", path, params, merchant=merchant, key="key-1")
    before = state_of(world)
    world.clock.advance(RETENTION_S * 1000 - 1)
    # when
    again = world.call("POST", path, params, merchant=merchant, key="key-1")
    # then
    assert (again.status, again.text) == (first.status, first.text)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotency-Key"] == "key-1"
    assert again.headers["Request-Id"] != first.headers["Request-Id"]
    assert state_of(world) == before
    world.check()


@pytest.mark.parametrize("kind", KINDS)
def test_same_key_with_other_parameters_or_endpoint_is_refused(
    world: World, merchant: Merchant, kind: str
) -> None:
    # given
    path, params = requests_of(world, merchant)[kind]
    world.call("POST", path, params, merchant=merchant, key="key-1")
    before = state_of(world)
    # when
    other = {**params, "expand": ["payment_method"]}
    if kind == "refund":
        other["expand"] = ["charge"]
    changed = world.call("POST", path, other, merchant=merchant, key="key-1")
    elsewhere = world.call("POST", f"{PAYMENTS}/pi_1", {}, merchant=merchant, key="key-1")
    # then
    for answer, words in ((changed, "same parameters"), (elsewhere, "same endpoint")):
        error = expect_error(answer, 400, None)
        assert error["type"] == "idempotency_error"
        assert words in error["message"]
    assert state_of(world) == before


def test_same_key_of_another_merchant_is_another_key(world: World, merchant: Merchant) -> None:
    # given
    two = world.merchant("two")
    # then
    one = world.pay(merchant, key="key-1")
    other = world.pay(two, key="key-1")
    assert (one.status, other.status) == (200, 200)
    assert one.body["id"] != other.body["id"]


@pytest.mark.parametrize("kind", ["pay", "confirm", "capture", "cancel", "refund"])
def test_same_key_in_flight_is_409(world: World, merchant: Merchant, kind: str) -> None:
    # given: the same request comes again while the first is between its two transactions
    path, params = requests_of(world, merchant)[kind]
    step = {"capture": "capture_payment", "cancel": "release_funds", "refund": "refund_capture"}
    name = step.get(kind, "authorize_payment")
    real = world.steps[name]
    twins: list[Answer] = []

    def interrupted(state: Mapping[str, Any]) -> Mapping[str, Any]:
        if kind == "capture":
            output = real(state)
        twins.append(world.call("POST", path, params, merchant=merchant, key="key-1"))
        return output if kind == "capture" else real(state)

    world.steps[name] = interrupted
    # when
    first = world.call("POST", path, params, merchant=merchant, key="key-1")
    # then
    assert first.status == 200
    error = expect_error(twins[0], 409, "idempotency_key_in_use")
    assert "key-1" in error["message"]
    assert twins[0].headers["Stripe-Should-Retry"] == "true"
    world.check()


def test_request_that_died_after_its_first_write_is_resumed(
    world: World, merchant: Merchant
) -> None:
    # given: everything dies after the reservation, so that nothing is undone
    crash_before(world, "authorize_payment")
    crash_before(world, "void_authorization")
    first = world.pay(merchant, key="key-1")
    assert first.body["status"] == "processing"
    expect_error(world.pay(merchant, key="key-1"), 409, "idempotency_key_in_use")
    # when
    world.clock.advance(LEASE_MS)
    again = world.pay(merchant, key="key-1")
    # then
    assert (again.status, again.body["status"]) == (200, "succeeded")
    assert again.body["id"] == first.body["id"]
    assert len(world.provider.effects()) == 1
    assert len(world.database.payments) == 1
    world.check()


@pytest.mark.parametrize("kind", ["pay", "decline", "capture", "cancel", "refund"])
def test_request_whose_answer_was_lost_is_answered_again(
    world: World, merchant: Merchant, kind: str
) -> None:
    # given: the request did everything, and the API died before it stored the answer
    path, params = requests_of(world, merchant)[kind]
    real = world.idempotency.answer
    world.idempotency.answer = lambda *_: None  # type: ignore[method-assign]
    first = world.call("POST", path, params, merchant=merchant, key="key-1")
    world.idempotency.answer = real  # type: ignore[method-assign]
    effects = len(world.provider.transactions)
    # when
    world.clock.advance(LEASE_MS)
    again = world.call("POST", path, params, merchant=merchant, key="key-1")
    # then
    assert (again.status, again.body) == (first.status, first.body)
    assert len(world.provider.transactions) == effects
    world.check()


@pytest.mark.parametrize("kind", ["pay", "capture", "refund"])
def test_refused_request_leaves_its_key_free(world: World, merchant: Merchant, kind: str) -> None:
    # given
    path, params = requests_of(world, merchant)[kind]
    name = {"pay": "amount", "capture": "amount_to_capture", "refund": "amount"}[kind]
    wrong = {**params, name: 99_999_999} if kind != "pay" else {**params, name: 0}
    assert world.call("POST", path, wrong, merchant=merchant, key="key-1").status == 400
    # then
    answer = world.call("POST", path, params, merchant=merchant, key="key-1")
    assert answer.status == 200
    assert "Idempotent-Replayed" not in answer.headers


def test_refund_that_the_bank_keeps_pending_is_replayed(world: World, merchant: Merchant) -> None:
    # given
    intent = world.pay(merchant, payment_method="pm_card_pendingRefund").body["id"]
    first = refund(world, merchant, "key-1", payment_intent=intent)
    asked = len(world.provider.transactions)
    assert first.body["status"] == "pending"
    for later_ms in (0, LEASE_MS + 1):
        # when
        world.clock.advance(later_ms)
        again = refund(world, merchant, "key-1", payment_intent=intent)
        # then: nothing of the request is left to do
        assert (again.status, again.text) == (first.status, first.text)
        assert again.headers["Idempotent-Replayed"] == "true"
    assert len(world.provider.transactions) == asked
    world.check()


@pytest.mark.parametrize("answer", ["state", "unchanged"])
def test_answer_that_changed_nothing_is_replayed_after_the_state_changed(
    world: World, merchant: Merchant, answer: str
) -> None:
    # given: a capture of what is not confirmed, an update of what is so already
    intent = created(world, merchant, capture_method="manual")["id"]
    path = f"{PAYMENTS}/{intent}/capture" if answer == "state" else f"{PAYMENTS}/{intent}"
    first = world.call("POST", path, {}, merchant=merchant, key="key-1")
    assert first.status == (400 if answer == "state" else 200)
    # when
    act(world, merchant, intent, "confirm", payment_method="pm_card_visa")
    before = state_of(world)
    again = world.call("POST", path, {}, merchant=merchant, key="key-1")
    # then
    assert (again.status, again.text) == (first.status, first.text)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert state_of(world) == before
    world.check()


@pytest.mark.parametrize("answer", ["state", "unchanged"])
def test_key_of_an_answer_that_changed_nothing_is_of_no_use_for_anything_else(
    world: World, merchant: Merchant, answer: str
) -> None:
    # given
    intent = created(world, merchant, capture_method="manual")["id"]
    path = f"{PAYMENTS}/{intent}/capture" if answer == "state" else f"{PAYMENTS}/{intent}"
    world.call("POST", path, {}, merchant=merchant, key="key-1")
    before = state_of(world)
    # when
    other = {"expand": ["payment_method"]}
    changed = world.call("POST", path, other, merchant=merchant, key="key-1")
    elsewhere = world.call("POST", f"{PAYMENTS}/{intent}/cancel", merchant=merchant, key="key-1")
    # then
    for answered, words in ((changed, "same parameters"), (elsewhere, "same endpoint")):
        error = expect_error(answered, 400, None)
        assert error["type"] == "idempotency_error"
        assert words in error["message"]
    assert state_of(world) == before


# --- balance and books


def test_balance_of_a_new_merchant_is_zero(world: World, merchant: Merchant) -> None:
    # when
    balance = get(world, merchant, "/v1/balance").body
    # then
    nothing = [{"amount": 0, "currency": "usd", "source_types": {"card": 0}}]
    assert (balance["object"], balance["available"], balance["pending"]) == (
        "balance",
        nothing,
        nothing,
    )


def test_balance_moves_from_pending_to_available_with_the_settlement(
    world: World, merchant: Merchant
) -> None:
    # given
    paid = world.pay(merchant).body["id"]
    world.pay(merchant, currency="eur", amount=1000)
    world.pay(merchant, capture_method="manual")
    world.seal()
    before = get(world, merchant, "/v1/balance").body
    # when
    world.settle(paid)
    world.settle(paid)
    world.seal()
    after = get(world, merchant, "/v1/balance").body

    # then
    def amounts(balance: dict[str, Any], kind: str) -> dict[str, int]:
        return {funds["currency"]: funds["amount"] for funds in balance[kind]}

    assert amounts(before, "pending") == {"usd": 1912, "eur": 946}
    assert amounts(after, "pending") == {"usd": 0, "eur": 946}
    assert amounts(after, "available") == {"usd": 1912, "eur": 0}
    world.check()


def test_trial_balance_adds_up_per_currency(world: World, merchant: Merchant) -> None:
    # given
    paid = world.pay(merchant).body["id"]
    world.pay(merchant, currency="jpy", amount=990)
    world.pay(merchant, capture_method="manual")
    refund(world, merchant, payment_intent=paid, amount=5)
    world.seal()
    # when
    books = get(world, merchant, "/v1/ledger/trial_balance").body
    # then
    assert [total["currency"] for total in books["totals"]] == ["jpy", "usd"]
    for total in books["totals"]:
        assert total["net"] == 0
        assert total["debits"] == total["credits"] > 0
    for row in books["data"]:
        assert row["net"] == row["debits"] - row["credits"]
    held = {row["account"]: row for row in books["data"]}
    receivable = held["1100:receivable:acquirer:sandbox:usd"]
    assert receivable["pending_debits"] - receivable["pending_credits"] == 2000


def test_journals_of_a_payment_are_told_in_order(world: World, merchant: Merchant) -> None:
    # given
    paid = world.pay(merchant).body["id"]
    world.clock.advance(1000)
    refund(world, merchant, payment_intent=paid, amount=500)
    world.clock.advance(1000)
    world.settle(paid)
    # when
    journals = get(world, merchant, "/v1/ledger/journals", payment_intent=paid).body["data"]
    # then
    kinds = [journal["kind"] for journal in reversed(journals)]
    assert set(kinds[:3]) == {"hold", "capture", "fee"}
    assert set(kinds[3:5]) == {"refund_request_pending", "refund_accept"}
    assert kinds[5:] == ["settle"]
    for journal in journals:
        assert journal["payment_intent"] == paid
        assert sum(leg["debit"] - leg["credit"] for leg in journal["postings"]) == 0


# --- keys


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", PAYMENTS),
        ("GET", PAYMENTS),
        ("POST", REFUNDS),
        ("GET", CHARGES),
        ("GET", "/v1/balance"),
        ("GET", "/v1/ledger/trial_balance"),
    ],
)
def test_publishable_key_may_not(world: World, merchant: Merchant, method: str, path: str) -> None:
    # given
    public = Merchant(merchant.account, merchant.publishable_key, merchant.publishable_key)
    before = state_of(world)
    # then
    answer = world.call(method, path, {}, merchant=public)
    assert answer.status in {401, 403}
    assert answer.body["error"]["code"] == "secret_key_required"
    assert state_of(world) == before


def test_key_of_another_region_names_the_home(world: World) -> None:
    # given
    abroad = world.merchant("abroad", home="eu-west-1")
    # then
    answer = world.pay(abroad)
    expect_error(answer, 403, "account_home_region_mismatch")
    assert "eu-west-1" in answer.body["error"]["message"]
    assert world.database.payments == {}


def test_card_number_outside_the_vault_is_refused_and_not_echoed(
    world: World, merchant: Merchant
) -> None:
    # given
    before = state_of(world)
    # then
    number = "4242424242424242"
    for params in (
        {"amount": 100, "currency": "usd", "description": f"card {number}"},
        {"amount": 100, "currency": "usd", "metadata": {"card": "4242-4242-4242-4242"}},
        {"amount": 100, "currency": "usd", "metadata": {number: "x"}},
    ):
        answer = world.call("POST", PAYMENTS, params, merchant=merchant)
        expect_error(answer, 400, "card_data_refused")
        assert number not in answer.text
    assert state_of(world) == before


def test_refusal_by_state_shows_the_payment(world: World, merchant: Merchant) -> None:
    # given
    intent = world.pay(merchant).body
    # when
    answer = world.call(
        "POST", f"/v1/payment_intents/{intent['id']}/capture", {}, merchant=merchant, key="again"
    )
    # then
    error = expect_error(answer, 400, "payment_intent_unexpected_state")
    assert error["payment_intent"]["id"] == intent["id"]
    assert error["payment_intent"]["status"] == "succeeded"


def test_charge_tells_what_the_issuer_said_of_the_address(world: World, merchant: Merchant) -> None:
    params = {
        "type": "card",
        "card": {**CARD, "number": "4000000000000036"},
        "billing_details": {"address": {"line1": "1 High St", "postal_code": "N1 9GU"}},
    }
    method = world.call("POST", "/v1/payment_methods", params, merchant=merchant).body["id"]
    intent = world.pay(merchant, payment_method=method).body
    charge = world.call("GET", f"{CHARGES}/{intent['latest_charge']}", merchant=merchant).body
    assert intent["status"] == "succeeded"
    assert charge["payment_method_details"]["card"]["checks"] == {
        "address_line1_check": "pass",
        "address_postal_code_check": "fail",
        "cvc_check": "pass",
    }


def test_notice_of_a_refund_that_was_never_asked_for_changes_nothing(
    world: World, merchant: Merchant
) -> None:
    intent = world.pay(merchant).body
    before = state_of(world)
    refund = f"re_{intent['id'][3:]}0000000000"
    world.provider.notices.append(Notice(intent["latest_charge"], refund))
    world.deliver_notices()
    assert state_of(world) == before


@pytest.mark.parametrize("confirm", ["true", "false"])
def test_payments_of_an_account_with_stripes_are_spread_and_listed_newest_first(
    world: World, merchant: Merchant, confirm: str
) -> None:
    # given
    before = created(world, merchant)
    spread(world, merchant, 8)
    # when
    made = [before["id"]]
    for _ in range(12):
        world.clock.advance(1)
        method = card(world, merchant)
        params = {"payment_method": method, "confirm": confirm}
        made.append(created(world, merchant, **params)["id"])
    # then
    assert len(shards_of(world, "payment_intent")) > 3
    assert len(shards_of(world, "payment_method")) > 3
    assert len(shards_of(world, "charge")) > 3 or confirm == "false"
    found = world.call("GET", "/v1/payment_intents", {"limit": 100}, merchant=merchant).body
    assert [item["id"] for item in found["data"]] == made[::-1]


def test_refund_of_a_payment_from_before_its_account_had_stripes_is_listed(
    world: World, merchant: Merchant
) -> None:
    # given
    payment = world.pay(merchant).body["id"]
    spread(world, merchant, 64)
    # when
    order = {"payment_intent": payment}
    refund = world.call("POST", "/v1/refunds", order, merchant=merchant).body
    # then
    assert shards_of(world, "refund") == {0}
    found = world.call("GET", "/v1/refunds", {}, merchant=merchant).body
    assert [item["id"] for item in found["data"]] == [refund["id"]]


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        (PAYMENTS, "off_session", "true"),
        (PAYMENTS, "error_on_requires_action", "true"),
        (PAYMENTS, "return_url", "https://shop.example/return"),
        ("/v1/setup_intents", "return_url", "https://shop.example/return"),
    ],
)
def test_create_with_what_concerns_a_confirmation_without_one_is_refused(
    world: World, merchant: Merchant, path: str, name: str, value: str
) -> None:
    # given
    order = {"amount": 100, "currency": "usd"} if path == PAYMENTS else {}
    order |= {"payment_method": "pm_card_visa"}
    # when
    answer = world.call("POST", path, {**order, name: value}, merchant=merchant)
    # then
    error = answer.body["error"]
    assert (answer.status, error["type"]) == (400, "invalid_request_error")
    assert error["param"] == name
    assert world.post(merchant, path, **order, confirm="true", **{name: value})["id"]


@pytest.mark.parametrize("moment", ["create", "before", "confirm"])
@pytest.mark.parametrize("of_cards", [True, False])
def test_card_is_not_saved_without_its_holder(
    world: World, merchant: Merchant, moment: str, of_cards: bool
) -> None:
    # given
    owner = world.post(merchant, "/v1/customers")["id"]
    order = {"amount": 100, "currency": "usd", "customer": owner, "payment_method": "pm_card_visa"}
    wish: dict[str, Any] = {"setup_future_usage": "off_session"}
    if of_cards:
        wish = {"payment_method_options": {"card": wish}}
    absent = {"off_session": "true"}
    path, params = PAYMENTS, {**order, **wish, **absent, "confirm": "true"}
    if moment != "create":
        early, late = (wish, {}) if moment == "before" else ({}, wish)
        made = world.post(merchant, PAYMENTS, **order, **early)
        path, params = f"{PAYMENTS}/{made['id']}/confirm", {**late, **absent}
    # when
    answer = world.call("POST", path, params, merchant=merchant)
    # then
    error = answer.body["error"]
    assert (answer.status, error["param"]) == (400, "off_session")
    assert "`setup_future_usage`" in error["message"]
    assert not world.provider.effects()


def test_card_that_is_not_to_be_saved_is_paid_without_its_holder(
    world: World, merchant: Merchant
) -> None:
    options = {"card": {"setup_future_usage": "none"}}
    wish: dict[str, Any] = {
        "setup_future_usage": "off_session",
        "payment_method_options": options,
    }
    assert world.pay(merchant, off_session="true", **wish).body["status"] == "succeeded"


@pytest.mark.parametrize(
    ("suffix", "is_taken"),
    [
        ("x", True),
        ("x" * 22, True),
        ("x" * 23, False),
        ("Straße 7, №1", True),
        ("12345", False),
        ("éß", False),
        *((f"a{character}", False) for character in "<>\\'\"*"),
    ],
)
def test_statement_descriptor_has_a_letter_and_nothing_that_networks_refuse(
    world: World, merchant: Merchant, suffix: str, is_taken: bool
) -> None:
    name = "statement_descriptor_suffix"
    answer = world.pay(merchant, **{name: suffix})
    if is_taken:
        charge = world.call("GET", f"{CHARGES}/{answer.body['latest_charge']}", merchant=merchant)
        assert charge.body["calculated_statement_descriptor"] == suffix
    else:
        assert (answer.status, answer.body["error"]["param"]) == (400, name)


@pytest.mark.parametrize("verb", ["", "/capture"])
def test_statement_descriptor_of_other_payment_methods_is_refused(
    world: World, merchant: Merchant, verb: str
) -> None:
    # given
    made = world.pay(merchant, capture_method="manual").body["id"]
    said = {"statement_descriptor": "SHOP"}
    # when
    answer = world.call("POST", f"{PAYMENTS}/{made}{verb}", said, merchant=merchant)
    # then
    assert (answer.status, answer.body["error"]["param"]) == (400, "statement_descriptor")
    assert "`statement_descriptor_suffix`" in answer.body["error"]["message"]
