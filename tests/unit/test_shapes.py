"""The checker of answers, held against answers that are wrong in one way each."""

import copy
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from stripe._object_classes import get_object_class

from shared.domain.announcements import announce_payment
from shared.domain.events import Event
from shared.domain.payment import Payment, apply
from shared.edge.expand import EXPANDABLE
from shared.wire.clients import for_client
from shared.wire.events import event_write
from shared.wire.objects import event
from tests.support.answers import answer_violations, check_answer
from tests.support.live import check_live
from tests.support.shapes import expandables, violations
from tests.support.world import CARD, World

Json = dict[str, Any]


@pytest.fixture(scope="module")
def paid() -> Json:
    """A payment that was taken, with its charge in it."""
    world = World()
    body: Json = world.pay(world.merchant(), expand=["latest_charge"]).body
    return body


@pytest.fixture(scope="module")
def declined() -> Json:
    """The answer to a payment whose card was declined."""
    world = World()
    answer = world.pay(world.merchant(), payment_method="pm_card_chargeDeclined")
    body: Json = answer.body
    return body


def told(answer: Json, change: Callable[[Json], object], *expanded: str) -> list[str]:
    changed = copy.deepcopy(answer)
    change(changed)
    return violations(changed, expanded=expanded)


def test_answers_of_the_platform_have_no_violations(paid: Json, declined: Json) -> None:
    assert violations(paid, expanded=["latest_charge"]) == []
    assert violations(declined) == []


@pytest.mark.parametrize(
    ("change", "violation"),
    [
        (lambda a: a.pop("review"), "payment_intent.review: missing"),
        (lambda a: a["amount_details"].pop("tax"), "payment_intent.amount_details.tax: missing"),
        (lambda a: a.update(amount="2000"), "payment_intent.amount: '2000' is no int"),
        (lambda a: a.update(amount=True), "payment_intent.amount: True is no int"),
        (lambda a: a.update(livemode=0), "payment_intent.livemode: 0 is no bool"),
        (lambda a: a.update(status="paid"), "payment_intent.status: unknown value 'paid'"),
        (lambda a: a.update(currency=None), "payment_intent.currency: None is no str"),
        (lambda a: a.update(color="red"), "payment_intent.color: unknown field"),
        (lambda a: a.update(metadata={"k": 1}), "payment_intent.metadata.k: 1 is no str"),
        (lambda a: a.update(shipping="here"), "payment_intent.shipping: 'here' is no object"),
        (
            lambda a: a["latest_charge"]["payment_method_details"].pop("card"),
            "payment_intent.latest_charge.payment_method_details.card: missing",
        ),
        (
            lambda a: a["latest_charge"]["payment_method_details"].update(ideal=None),
            "payment_intent.latest_charge.payment_method_details.ideal: unknown field",
        ),
        (
            lambda a: a["latest_charge"].update(object="refund"),
            "payment_intent.latest_charge: is a 'refund', not any of ['charge']",
        ),
        (
            lambda a: a["payment_method_types"].append(7),
            "payment_intent.payment_method_types[1]: 7 is no str",
        ),
    ],
)
def test_violation_is_told_with_its_path(
    paid: Json, change: Callable[[Json], object], violation: str
) -> None:
    assert told(paid, change, "latest_charge") == [violation]


def test_expansion_that_nobody_asked_for_is_told(paid: Json) -> None:
    expected = "payment_intent.latest_charge: is expanded, which nobody asked for"
    assert violations(paid) == [expected]
    page = {"object": "list", "url": "/v1/payment_intents", "has_more": False, "data": [paid]}
    assert violations(page, expanded=["latest_charge"]) == [f"list.data[0]{expected[14:]}"]
    assert violations(page, expanded=["data.latest_charge"]) == []


def test_id_where_an_object_belongs_is_told(declined: Json) -> None:
    def name_only(answer: Json) -> None:
        answer["error"]["payment_method"] = "pm_1"

    assert told(declined, name_only) == ["error.payment_method: 'pm_1' is no object"]


@pytest.mark.parametrize(
    ("change", "violation"),
    [
        (lambda a: a["error"].pop("type"), "error.type: missing"),
        (lambda a: a["error"].update(param=None), "error.param: is null, not left out"),
        (lambda a: a["error"].update(hint="x"), "error.hint: unknown field"),
        (lambda a: a.update(object="error"), "object: unknown field"),
    ],
)
def test_violation_of_an_error_is_told(
    declined: Json, change: Callable[[Json], object], violation: str
) -> None:
    assert told(declined, change) == [violation]


def test_deleted_object_has_three_fields_only() -> None:
    deleted = {"id": "cus_1", "object": "customer", "deleted": True}
    assert violations(deleted) == []
    assert violations({**deleted, "name": "Jo"}) == ["customer.name: unknown field"]
    assert violations({"object": "customer", "deleted": True}) == ["customer.id: missing"]


def test_page_has_its_fields_and_whole_objects() -> None:
    page = {"object": "list", "url": "/v1/customers", "has_more": False, "data": []}
    assert violations(page) == []
    assert violations({**page, "has_more": None}) == ["list.has_more: None is no bool"]
    assert violations({**page, "as_of": 1}) == ["list.as_of: unknown field"]
    assert violations({**page, "data": ["cus_1"]}) == ["list.data[0]: is no object"]
    search = {**page, "object": "search_result", "next_page": None}
    assert violations(search) == []
    del search["next_page"]
    assert violations(search) == ["search_result.next_page: missing"]


def test_event_tells_of_a_whole_object(paid: Json) -> None:
    told_of: Json = {
        "id": "evt_1",
        "object": "event",
        "account": None,
        "api_version": "2026-10-28.endive",
        "context": None,
        "created": 1,
        "data": {"object": {"id": "cus_1", "object": "customer", "deleted": True}},
        "livemode": False,
        "object_version": 1,
        "pending_webhooks": 0,
        "request": None,
        "type": "customer.deleted",
    }
    assert violations(told_of) == []
    assert violations({**told_of, "type": "customer.sold"}) == [
        "event.type: unknown value 'customer.sold'"
    ]
    assert violations({**told_of, "data": {"object": {"object": "balance"}}}) != []
    assert violations({**told_of, "data": {"object": paid}}) == [
        "event.data.object.latest_charge: is expanded, which nobody asked for"
    ]


def test_answer_without_a_known_kind_is_told() -> None:
    assert violations({"object": "cat"}) == ["cat: unknown kind of object 'cat'"]
    assert violations({"id": "x"}) == ["None: is no object"]
    assert violations([]) == ["the answer is no object"]
    assert "ledger.journal.anything: unknown field" in violations(
        {"object": "ledger.journal", "anything": 1}
    )


def test_answer_is_checked_with_what_was_asked() -> None:
    world = World()
    text = world.pay(world.merchant(), expand=["latest_charge"]).text
    assert answer_violations("/v1/payment_intents", "", text) != []
    check_answer("/v1/payment_intents", "amount=1&expand%5B0%5D=latest_charge", text)
    with pytest.raises(AssertionError, match="nobody asked"):
        check_answer("/v1/payment_intents", "expand[]=customer", text)


def test_answer_to_a_publishable_key_has_its_own_fields_and_no_others(paid: Json) -> None:
    # given
    shown = for_client({**paid, "latest_charge": paid["latest_charge"]["id"]})
    assert violations(shown, publishable=True) == []
    # then
    assert told_to_client(shown, status=None) == ["payment_intent.status: is null"]
    assert told_to_client(shown, metadata={}) == ["payment_intent.metadata: unknown field"]
    whole = {**shown["amount_details"], "tax": None}
    assert told_to_client(shown, amount_details=whole) == [
        "payment_intent.amount_details.tax: unknown field"
    ]
    del shown["description"]
    assert violations(shown, publishable=True) == ["payment_intent.description: missing"]
    # and what is shown to a secret key has all fields, as ever
    assert "payment_intent.metadata: missing" in violations(shown)
    text = json.dumps(shown)
    assert answer_violations("/", "", text, "Bearer pk_test_1") != []
    assert len(answer_violations("/", "", text, "Bearer sk_test_1")) > 10


def told_to_client(shown: Json, **changes: Any) -> list[str]:
    return violations({**shown, **changes}, publishable=True)


def test_every_answer_of_an_api_is_watched(answers_watched: list[str]) -> None:
    # given a payment whose rendering lacks what every payment has
    world = World()
    merchant = world.merchant()
    payment_id = world.pay(merchant).body["id"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shared.wire.payments.payment_intent", lambda _: {"object": "payment_intent"})
        # when
        world.call("GET", f"/v1/payment_intents/{payment_id}", merchant=merchant)
    # then
    assert any(line.endswith("payment_intent.amount: missing") for line in answers_watched)
    answers_watched.clear()


def test_answer_of_a_running_platform_is_checked_unless_it_is_the_gateways() -> None:
    headers = {"content-type": "application/json", "request-id": "req_1"}
    with pytest.raises(AssertionError, match=r"customer\.name: unknown field"):
        check_live(
            "http://127.0.0.1/v1/customers/cus_1?x=1",
            None,
            headers,
            '{"id": "cus_1", "object": "customer", "deleted": true, "name": "Jo"}',
        )
    check_live("/v1/customers", b"", {"content-type": "application/json"}, '{"message": "no"}')
    check_live("/v1/ledger/export", "", {**headers, "content-type": "text/csv"}, "a,b")


def test_events_of_a_payments_life_tell_of_whole_objects() -> None:
    # given payments that were taken, held and captured, declined, given back in part and in vain
    world = World()
    merchant = world.merchant()
    taken = world.pay(merchant).body["id"]
    held = world.pay(merchant, capture_method="manual").body["id"]
    world.call("POST", f"/v1/payment_intents/{held}/capture", merchant=merchant)
    world.pay(merchant, payment_method="pm_card_chargeDeclined")
    world.pay(merchant, payment_method="pm_card_authenticationRequired")
    world.call("POST", "/v1/refunds", {"payment_intent": taken, "amount": 1}, merchant=merchant)
    failing = {**CARD, "number": "4000000000005126"}
    method = world.call(
        "POST", "/v1/payment_methods", {"type": "card", "card": failing}, merchant=merchant
    )
    unlucky = world.pay(merchant, payment_method=method.body["id"]).body["id"]
    world.call("POST", "/v1/refunds", {"payment_intent": unlucky}, merchant=merchant)
    world.deliver_notices()
    # when
    told = [
        event(event_write(announcement, 1, ["we_1"]).document)
        for payment_id in world.database.payments
        for before, after in states(world.payments.events(payment_id))
        for announcement in announce_payment(before, after)
    ]
    # then
    kinds = {body["type"] for body in told}
    assert {"charge.failed", "refund.failed", "charge.captured", "charge.refunded"} <= kinds
    assert [line for body in told for line in violations(body)] == []


def states(events: Sequence[Event]) -> list[tuple[Payment | None, Payment]]:
    made: list[tuple[Payment | None, Payment]] = []
    before: Payment | None = None
    for change in events:
        after = apply(before, change)
        made.append((before, after))
        before = after
    return made


@pytest.mark.parametrize("kind", sorted(EXPANDABLE))
def test_every_property_that_stripe_expands_can_be_expanded(kind: str) -> None:
    known = set(expandables(get_object_class("V1", kind)))
    assert known <= EXPANDABLE[kind].keys()
    assert EXPANDABLE[kind].keys() - known <= {"amount_details.line_items", "refunds.data"}


def test_four_levels_are_expanded_through_a_list() -> None:
    # given
    world = World()
    merchant = world.merchant()
    world.pay(merchant)
    path = "data.latest_charge.balance_transaction.source"
    # when
    answer = world.call("GET", "/v1/payment_intents", {"expand": [path]}, merchant=merchant)
    # then
    charge = answer.body["data"][0]["latest_charge"]
    assert charge["balance_transaction"]["source"] == {
        **charge,
        "balance_transaction": charge["balance_transaction"]["id"],
    }
    assert violations(answer.body, expanded=[path]) == []
    # and what nothing is kept of is null, not refused
    nothing = {"expand": ["data.on_behalf_of", "data.latest_charge.transfer_data.destination"]}
    answer = world.call("GET", "/v1/payment_intents", nothing, merchant=merchant)
    assert answer.body["data"][0]["latest_charge"]["transfer_data"] is None
