"""Setup intents, setup attempts and mandates, through the API of one process."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from shared.adapters.memory import MemoryDatabase
from shared.domain.announcements import announce_document
from shared.domain.documents import Document, DocumentWrite
from shared.domain.resolution import MINUTE_MS
from shared.domain.sandbox_network import Operation
from shared.edge.auth import key_record_id
from shared.wire.events import event_write
from tests.support.documents import audited
from tests.support.faults import on_provider
from tests.support.shapes import violations
from tests.support.world import CARD, Answer, Merchant, World

PATH = "/v1/setup_intents"
STATE = "setup_intent_unexpected_state"


class Versions(MemoryDatabase):
    """Keeps every version of every document, as the stream tells them."""

    def __init__(self) -> None:
        super().__init__()
        self.versions: dict[str, list[Document]] = {}

    def put_documents(self, writes: Sequence[DocumentWrite]) -> None:
        super().put_documents(writes)
        for write in writes:
            self.versions.setdefault(write.document.id, []).append(write.document)


@pytest.fixture
def world() -> World:
    return World(database=Versions())


def post(world: World, merchant: Merchant, path: str, **params: Any) -> dict[str, Any]:
    world.clock.advance(1_000)
    answer = world.call("POST", path, params, merchant=merchant)
    assert answer.status == 200, answer.text
    body: dict[str, Any] = answer.body
    return body


def get(world: World, merchant: Merchant, path: str, **params: Any) -> dict[str, Any]:
    answer = world.call("GET", path, params, merchant=merchant)
    assert answer.status == 200, answer.text
    body: dict[str, Any] = answer.body
    return body


def customer(world: World, merchant: Merchant) -> str:
    name: str = post(world, merchant, "/v1/customers", name="Ada")["id"]
    return name


def typed_card(world: World, merchant: Merchant, number: str = CARD["number"]) -> str:
    card = {**CARD, "number": number}
    name: str = post(world, merchant, "/v1/payment_methods", type="card", card=card)["id"]
    return name


def refused(
    world: World, merchant: Merchant, path: str, status: int = 400, /, **params: Any
) -> dict[str, Any]:
    answer = world.call("POST", path, params, merchant=merchant)
    assert answer.status == status, answer.text
    error: dict[str, Any] = answer.body["error"]
    return error


def attempts(world: World, merchant: Merchant, intent: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = get(world, merchant, "/v1/setup_attempts", setup_intent=intent)[
        "data"
    ]
    return found


def told(world: World, *names: str) -> list[str]:
    """Returns the events of documents' lives, told in the order of their changes."""
    return [
        item.type
        for name in names
        for before, after in states(world, name)
        for item in announce_document(before, after)
    ]


def states(world: World, name: str) -> Sequence[tuple[Document | None, Document]]:
    assert isinstance(world.database, Versions)
    kept = world.database.versions[name]
    return list(zip([None, *kept], kept, strict=False))


def test_create_setup_intent_waits_for_a_payment_method(world: World, merchant: Merchant) -> None:
    # when
    body = post(world, merchant, PATH, metadata={"order": "1"}, description="a card")
    # then
    assert body["status"] == "requires_payment_method"
    assert body["client_secret"].startswith(f"{body['id']}_secret_")
    assert (body["usage"], body["payment_method_types"]) == ("off_session", ["card"])
    assert (body["metadata"], body["description"]) == ({"order": "1"}, "a card")
    assert body["latest_attempt"] is None
    assert get(world, merchant, f"{PATH}/{body['id']}") == body
    assert told(world, body["id"]) == ["setup_intent.created"]


@pytest.mark.parametrize("name", ["allowed_payment_method_types", "payment_method_types"])
def test_create_with_a_payment_method_waits_for_its_confirmation(
    world: World, merchant: Merchant, name: str
) -> None:
    method = typed_card(world, merchant)
    body = post(
        world, merchant, PATH, payment_method=method, usage="on_session", **{name: ["card"]}
    )
    assert (body["status"], body["payment_method"]) == ("requires_confirmation", method)
    assert body["usage"] == "on_session"


@pytest.mark.parametrize("step", ["create", "update", "confirm"])
def test_setup_says_which_types_of_payment_methods_were_allowed(
    world: World, merchant: Merchant, step: str
) -> None:
    # given
    allowed = {"allowed_payment_method_types": ["card"]}
    method = typed_card(world, merchant)
    made = allowed if step == "create" else {}
    body = post(world, merchant, PATH, payment_method=method, **made)
    path = f"{PATH}/{body['id']}"
    # when
    if step == "update":
        body = post(world, merchant, path, **allowed)
    if step == "confirm":
        body = post(world, merchant, f"{path}/confirm", **allowed)
    # then
    assert body["allowed_payment_method_types"] == ["card"]
    assert get(world, merchant, path)["allowed_payment_method_types"] == ["card"]


def test_confirmed_setup_verifies_the_card_and_attaches_it(
    world: World, merchant: Merchant
) -> None:
    # given
    owner, method = customer(world, merchant), typed_card(world, merchant)
    made = post(world, merchant, PATH, customer=owner)
    # when
    body = post(
        world, merchant, f"{PATH}/{made['id']}/confirm", payment_method=method, expand=["customer"]
    )
    # then
    assert (body["status"], body["payment_method"]) == ("succeeded", method)
    assert body["customer"]["id"] == owner
    assert (body["last_setup_error"], body["next_action"], body["mandate"]) == (None, None, None)
    (attempt,) = attempts(world, merchant, made["id"])
    assert attempt["id"] == body["latest_attempt"]
    assert (attempt["status"], attempt["payment_method"]) == ("succeeded", method)
    assert attempt["payment_method_details"]["card"]["checks"]["cvc_check"] == "pass"
    saved = get(world, merchant, f"/v1/payment_methods/{method}")
    assert saved["customer"] == owner
    assert saved["card"]["checks"]["cvc_check"] == "pass"
    listed = get(world, merchant, f"/v1/customers/{owner}/payment_methods")
    assert [item["id"] for item in listed["data"]] == [method]
    assert told(world, made["id"]) == ["setup_intent.created", "setup_intent.succeeded"]
    assert told(world, method) == ["payment_method.attached"]


def test_card_that_was_set_up_is_charged_without_the_customer(
    world: World, merchant: Merchant
) -> None:
    # given
    owner = customer(world, merchant)
    method = post(
        world, merchant, PATH, customer=owner, payment_method="pm_card_visa", confirm="true"
    )["payment_method"]
    # when
    answer = world.pay(merchant, customer=owner, payment_method=method, off_session="true")
    # then
    assert answer.body["status"] == "succeeded"


def test_setup_without_a_customer_verifies_and_attaches_nothing(
    world: World, merchant: Merchant
) -> None:
    body = post(world, merchant, PATH, payment_method="pm_card_visa", confirm="true")
    assert body["status"] == "succeeded"
    method = get(world, merchant, f"/v1/payment_methods/{body['payment_method']}")
    assert method["customer"] is None


def test_card_that_is_the_customers_already_is_verified_again(
    world: World, merchant: Merchant
) -> None:
    owner, method = customer(world, merchant), typed_card(world, merchant)
    order = {"customer": owner, "payment_method": method, "confirm": "true"}
    first, second = (post(world, merchant, PATH, **order) for _ in range(2))
    assert (first["status"], second["status"]) == ("succeeded", "succeeded")
    assert told(world, method) == ["payment_method.attached"]


@pytest.mark.parametrize(
    ("number", "code", "decline_code"),
    [
        ("4000000000000002", "card_declined", "generic_decline"),
        ("4000000000009995", "card_declined", "insufficient_funds"),
        ("4000000000000069", "expired_card", "expired_card"),
        ("4000000000000127", "incorrect_cvc", "incorrect_cvc"),
    ],
)
def test_declined_card_is_answered_with_402_and_the_setup_intent(
    world: World, merchant: Merchant, number: str, code: str, decline_code: str
) -> None:
    # given
    owner, method = customer(world, merchant), typed_card(world, merchant, number)
    made = post(world, merchant, PATH, customer=owner)
    # when
    path = f"{PATH}/{made['id']}/confirm"
    error = refused(world, merchant, path, 402, payment_method=method)
    # then
    assert (error["type"], error["code"]) == ("card_error", code)
    assert error["decline_code"] == decline_code
    assert error["payment_method"]["id"] == method
    intent = error["setup_intent"]
    assert intent == get(world, merchant, f"{PATH}/{made['id']}")
    assert (intent["status"], intent["payment_method"]) == ("requires_payment_method", None)
    assert intent["last_setup_error"]["code"] == code
    assert intent["last_setup_error"]["payment_method"]["id"] == method
    (attempt,) = attempts(world, merchant, made["id"])
    assert (attempt["status"], attempt["setup_error"]["code"]) == ("failed", code)
    assert get(world, merchant, f"/v1/payment_methods/{method}")["customer"] is None
    assert told(world, made["id"]) == ["setup_intent.created", "setup_intent.setup_failed"]


def test_declined_setup_succeeds_with_another_card(world: World, merchant: Merchant) -> None:
    # given
    owner = customer(world, merchant)
    made = post(world, merchant, PATH, customer=owner)
    path = f"{PATH}/{made['id']}/confirm"
    refused(world, merchant, path, 402, payment_method="pm_card_chargeDeclined")
    # when
    body = post(world, merchant, path, payment_method="pm_card_visa")
    # then
    assert (body["status"], body["last_setup_error"]) == ("succeeded", None)
    assert [item["status"] for item in attempts(world, merchant, made["id"])] == [
        "succeeded",
        "failed",
    ]


def test_card_whose_charges_are_declined_is_saved(world: World, merchant: Merchant) -> None:
    owner = customer(world, merchant)
    order = {"customer": owner, "payment_method": "pm_card_chargeCustomerFail"}
    saved = post(world, merchant, PATH, **order, confirm="true")
    assert saved["status"] == "succeeded"
    paid = world.pay(merchant, customer=owner, payment_method=saved["payment_method"])
    assert (paid.status, paid.body["error"]["code"]) == (402, "card_declined")


@pytest.mark.parametrize(
    "alias", ["pm_card_threeDSecure2Required", "pm_card_authenticationRequiredOnSetup"]
)
def test_card_that_asks_for_its_holder_requires_action(
    world: World, merchant: Merchant, alias: str
) -> None:
    # when
    body = post(world, merchant, PATH, payment_method=alias, confirm="true")
    # then
    assert body["status"] == "requires_action"
    assert body["next_action"] == {"type": "use_stripe_sdk", "use_stripe_sdk": {}}
    assert [item["status"] for item in attempts(world, merchant, body["id"])] == ["requires_action"]
    assert told(world, body["id"]) == ["setup_intent.created", "setup_intent.requires_action"]


@pytest.mark.parametrize("step", ["confirm", "cancel", "update"])
def test_authentication_that_nobody_waits_for_is_abandoned(
    world: World, merchant: Merchant, step: str
) -> None:
    # given
    order = {"payment_method": "pm_card_threeDSecure2Required", "confirm": "true"}
    made = post(world, merchant, PATH, **order)
    path = f"{PATH}/{made['id']}"
    # when
    if step == "cancel":
        after = post(world, merchant, f"{path}/cancel", cancellation_reason="abandoned")
    else:
        suffix = "/confirm" if step == "confirm" else ""
        after = post(world, merchant, path + suffix, payment_method="pm_card_visa")
    # then
    expected = {"confirm": "succeeded", "cancel": "canceled", "update": "requires_confirmation"}
    assert (after["status"], after["next_action"]) == (expected[step], None)
    assert attempts(world, merchant, made["id"])[-1]["status"] == "abandoned"


def test_cancel_ends_a_setup(world: World, merchant: Merchant) -> None:
    # given
    made = post(world, merchant, PATH, payment_method="pm_card_visa")
    path = f"{PATH}/{made['id']}"
    # when
    body = post(world, merchant, f"{path}/cancel", cancellation_reason="duplicate")
    # then
    assert (body["status"], body["cancellation_reason"]) == ("canceled", "duplicate")
    assert told(world, made["id"]) == ["setup_intent.created", "setup_intent.canceled"]
    again = refused(world, merchant, f"{path}/cancel")
    assert (again["code"], again["setup_intent"]["status"]) == (STATE, "canceled")
    assert again["message"].endswith("because it is already canceled.")
    confirmed = refused(world, merchant, f"{path}/confirm")
    assert confirmed["message"].endswith("because it has been canceled.")
    changed = refused(world, merchant, path, payment_method="pm_card_visa")
    assert changed["code"] == STATE


def test_succeeded_setup_keeps_its_card(world: World, merchant: Merchant) -> None:
    # given
    made = post(world, merchant, PATH, payment_method="pm_card_visa", confirm="true")
    path = f"{PATH}/{made['id']}"
    # then
    for suffix, params in (
        ("/confirm", {}),
        ("/cancel", {}),
        ("", {"payment_method": "pm_card_visa"}),
        ("", {"payment_method": ""}),
    ):
        error = refused(world, merchant, path + suffix, **params)
        assert (error["type"], error["code"]) == ("invalid_request_error", STATE)
        assert error["setup_intent"]["id"] == made["id"]
    changed = post(world, merchant, path, description="mine", metadata={"a": "1"})
    assert (changed["status"], changed["description"]) == ("succeeded", "mine")


def test_confirm_without_a_payment_method_is_refused(world: World, merchant: Merchant) -> None:
    made = post(world, merchant, PATH)
    error = refused(world, merchant, f"{PATH}/{made['id']}/confirm")
    assert error["code"] == STATE
    assert "missing a payment method" in error["message"]
    at_once = refused(world, merchant, PATH, confirm="true")
    assert (at_once["code"], at_once["param"]) == (STATE, "payment_method")
    assert len(get(world, merchant, PATH)["data"]) == 1


def test_update_changes_what_was_sent(world: World, merchant: Merchant) -> None:
    # given
    owner, method = customer(world, merchant), typed_card(world, merchant)
    made = post(world, merchant, PATH, metadata={"a": "1", "b": "2"}, description="x")
    path = f"{PATH}/{made['id']}"
    # when
    first = post(world, merchant, path, metadata={"a": ""}, description="", customer=owner)
    second = post(world, merchant, path, payment_method=method)
    third = post(world, merchant, path, payment_method="", metadata="")
    same = post(world, merchant, path, customer=owner)
    # then
    assert (first["metadata"], first["description"]) == ({"b": "2"}, None)
    assert first["customer"] == owner
    assert (second["status"], second["payment_method"]) == ("requires_confirmation", method)
    assert (third["status"], third["payment_method"]) == ("requires_payment_method", None)
    assert third["metadata"] == {}
    assert same == third


@pytest.mark.parametrize("moment", ["create", "update", "confirm"])
def test_payment_method_of_another_customer_is_refused(
    world: World, merchant: Merchant, moment: str
) -> None:
    # given
    owner, other, method = (
        customer(world, merchant),
        customer(world, merchant),
        typed_card(world, merchant),
    )
    post(world, merchant, f"/v1/payment_methods/{method}/attach", customer=owner)
    path, others_path = PATH, PATH
    if moment != "create":
        suffix = "/confirm" if moment == "confirm" else ""
        path = f"{PATH}/{post(world, merchant, PATH)['id']}{suffix}"
        others_path = f"{PATH}/{post(world, merchant, PATH, customer=other)['id']}{suffix}"
    of_other = {"customer": other} if moment == "create" else {}
    # when
    without = refused(world, merchant, path, payment_method=method)
    another = refused(world, merchant, others_path, payment_method=method, **of_other)
    # then
    assert without["param"] == another["param"] == "payment_method"
    assert f"belongs to the Customer {owner}" in without["message"]
    assert f"does not belong to the Customer you supplied {other}" in another["message"]
    assert ("setup_intent" in without) == (moment != "create")


def test_what_there_is_not_is_refused(world: World, merchant: Merchant) -> None:
    # given
    owner, method = customer(world, merchant), typed_card(world, merchant)
    post(world, merchant, f"/v1/payment_methods/{method}/attach", customer=owner)
    post(world, merchant, f"/v1/payment_methods/{method}/detach")
    # then
    for params, param in (
        ({"customer": "cus_0"}, "customer"),
        ({"payment_method": "pm_0"}, "payment_method"),
        ({"payment_method": "pm_card_nobody"}, "payment_method"),
        ({"payment_method": method}, "payment_method"),
        ({"usage": "sometimes"}, "usage"),
        ({"payment_method_types": ["ideal"]}, "payment_method_types[0]"),
        ({"mandate_data": {"customer_acceptance": {"type": "online"}}}, "mandate_data"),
        ({"single_use": {"amount": 1, "currency": "usd"}}, "single_use"),
    ):
        assert refused(world, merchant, PATH, **params)["param"] == param
    missing = world.call("GET", f"{PATH}/seti_0", merchant=merchant)
    assert missing.status == 404
    error = missing.body["error"]
    assert error["message"] == "No such setupintent: 'seti_0'"
    assert (error["code"], error["param"]) == ("resource_missing", "intent")
    mandate = world.call("GET", "/v1/mandates/mandate_0", merchant=merchant)
    assert (mandate.status, mandate.body["error"]["param"]) == (404, "mandate")


def test_configuration_says_what_may_be_set_up(world: World, merchant: Merchant) -> None:
    # given
    path, name = "/v1/payment_method_configurations", "payment_method_configuration"
    on = post(world, merchant, path, name="on")["id"]
    cards_off = {"card": {"display_preference": {"preference": "off"}}}
    off = post(world, merchant, path, name="off", **cards_off)["id"]
    # when
    chosen = post(world, merchant, PATH, **{name: on})
    automatic = post(world, merchant, PATH, automatic_payment_methods={"enabled": "true"})
    # then
    assert chosen[f"{name}_details"] == {"id": on, "parent": None}
    assert automatic[f"{name}_details"]["id"].startswith("pmc_")
    assert automatic["automatic_payment_methods"] == {"allow_redirects": "always", "enabled": True}
    for wrong in (off, "pmc_0"):
        assert refused(world, merchant, PATH, **{name: wrong})["param"] == name


@pytest.mark.parametrize(
    "alias", ["pm_card_visa", "pm_card_threeDSecure2Required"], ids=["succeeded", "requires_action"]
)
def test_microdeposits_are_not_for_cards(world: World, merchant: Merchant, alias: str) -> None:
    made = post(world, merchant, PATH, payment_method=alias, confirm="true")
    path = f"{PATH}/{made['id']}/verify_microdeposits"
    error = refused(world, merchant, path, amounts=[32, 45])
    assert (error["code"], error["setup_intent"]["id"]) == ("intent_invalid_state", made["id"])


def test_lists_are_narrowed_to_customer_and_payment_method(
    world: World, merchant: Merchant
) -> None:
    # given
    owner, method = customer(world, merchant), typed_card(world, merchant)
    bare = post(world, merchant, PATH)
    owned = post(world, merchant, PATH, customer=owner)
    both = post(world, merchant, PATH, customer=owner, payment_method=method)
    carded = post(world, merchant, PATH, payment_method=method)

    def listed(**params: Any) -> list[str]:
        return [item["id"] for item in get(world, merchant, PATH, **params)["data"]]

    # then
    assert listed() == [carded["id"], both["id"], owned["id"], bare["id"]]
    assert listed(customer=owner) == [both["id"], owned["id"]]
    assert listed(payment_method=method) == [carded["id"], both["id"]]
    assert listed(customer=owner, payment_method=method) == [both["id"]]
    assert listed(limit=2, starting_after=both["id"]) == [owned["id"], bare["id"]]
    assert listed(ending_before=both["id"]) == [carded["id"]]
    assert listed(created={"lt": owned["created"]}) == [bare["id"]]
    # when
    post(world, merchant, f"{PATH}/{both['id']}", payment_method="")
    # then
    assert listed(customer=owner, payment_method=method) == []
    assert listed(payment_method=method) == [carded["id"]]


def test_attempts_are_listed_of_one_setup_in_pages(world: World, merchant: Merchant) -> None:
    # given
    made = post(world, merchant, PATH)
    path = f"{PATH}/{made['id']}/confirm"
    for alias in ("pm_card_chargeDeclined", "pm_card_chargeDeclinedExpiredCard"):
        world.clock.advance(1_000)
        refused(world, merchant, path, 402, payment_method=alias)
    post(world, merchant, PATH, payment_method="pm_card_visa", confirm="true")
    # then
    newest, oldest = attempts(world, merchant, made["id"])
    query = {"setup_intent": made["id"], "starting_after": newest["id"]}
    page = get(world, merchant, "/v1/setup_attempts", **query)
    assert ([item["id"] for item in page["data"]], page["has_more"]) == ([oldest["id"]], False)
    for params, param in (
        ({}, "setup_intent"),
        ({"setup_intent": "seti_0"}, "setup_intent"),
        ({"setup_intent": made["id"], "starting_after": "setatt_0"}, "starting_after"),
    ):
        answer = world.call("GET", "/v1/setup_attempts", params, merchant=merchant)
        assert (answer.status, answer.body["error"]["param"]) == (400, param)


def test_attempt_and_setup_are_expanded_into_each_other(world: World, merchant: Merchant) -> None:
    made = post(world, merchant, PATH, payment_method="pm_card_visa", confirm="true")
    deep = ["latest_attempt.setup_intent.payment_method"]
    body = get(world, merchant, f"{PATH}/{made['id']}", expand=deep)
    inner = body["latest_attempt"]["setup_intent"]
    assert (inner["id"], inner["payment_method"]["object"]) == (made["id"], "payment_method")


def test_live_key_cannot_confirm_where_no_live_card_is_taken(
    world: World, merchant: Merchant
) -> None:
    # given
    live = replace(merchant, secret_key="sk_live_one00000000")
    facts = {"account": live.account, "livemode": True, "kind": "secret", "revoked": False}
    key = {**facts, "home_region": "us-east-1", "expires_at_s": None}
    card = {"card": CARD, "customer": None, "billing_details": {}, "metadata": {}}
    name = key_record_id(live.secret_key)
    world.documents.commit(
        [
            audited(Document(name, "api_key", live.account, True, 1, 0, key)),
            audited(Document("pm_live", "payment_method", live.account, True, 1, 5, card)),
        ]
    )
    # when
    made = post(world, live, PATH, payment_method="pm_live")
    error = refused(world, live, f"{PATH}/{made['id']}/confirm")
    # then
    assert error["code"] == "provider_unavailable"
    assert refused(world, live, PATH, payment_method="pm_card_visa")["param"] == "payment_method"


def test_replayed_confirmation_is_answered_as_the_first(world: World, merchant: Merchant) -> None:
    # given
    order = {"payment_method": "pm_card_chargeDeclined", "confirm": "true"}
    first = world.call("POST", PATH, order, merchant=merchant, key="k")
    # when
    again = world.call("POST", PATH, order, merchant=merchant, key="k")
    # then
    assert (first.status, again.status) == (402, 402)
    assert again.text == first.text
    assert again.headers["Idempotent-Replayed"] == "true"
    (intent,) = get(world, merchant, PATH)["data"]
    assert len(attempts(world, merchant, intent["id"])) == 1


def test_second_confirmation_while_one_runs_is_refused(world: World, merchant: Merchant) -> None:
    # given
    made = post(world, merchant, PATH, payment_method="pm_card_visa")
    path, others = f"{PATH}/{made['id']}/confirm", list[Answer]()

    def meanwhile() -> None:
        others.append(world.call("POST", path, {}, merchant=merchant))
        cancel = f"{PATH}/{made['id']}/cancel"
        others.append(world.call("POST", cancel, {}, merchant=merchant))

    on_provider(world, Operation.VERIFICATION, "before_send", meanwhile)
    # when
    body = post(world, merchant, path)
    # then
    assert body["status"] == "succeeded"
    assert [answer.status for answer in others] == [400, 400]
    assert others[0].body["error"]["setup_intent"]["status"] == "processing"
    assert len(attempts(world, merchant, made["id"])) == 1


def test_card_that_became_anothers_meanwhile_is_not_kept(world: World, merchant: Merchant) -> None:
    # given
    owner, other, method = (
        customer(world, merchant),
        customer(world, merchant),
        typed_card(world, merchant),
    )
    attach = f"/v1/payment_methods/{method}/attach"

    def attached() -> None:
        post(world, merchant, attach, customer=other)

    on_provider(world, Operation.VERIFICATION, "before_send", attached)
    # when
    order = {"customer": owner, "payment_method": method, "confirm": "true"}
    error = refused(world, merchant, PATH, **order)
    # then
    assert error["code"] == "payment_method_unexpected_state"
    assert error["setup_intent"]["status"] == "requires_payment_method"
    assert get(world, merchant, f"/v1/payment_methods/{method}")["customer"] == other


def test_card_of_a_customer_who_was_deleted_meanwhile_is_not_kept(
    world: World, merchant: Merchant
) -> None:
    # given
    owner, method = customer(world, merchant), typed_card(world, merchant)

    def deleted() -> None:
        world.call("DELETE", f"/v1/customers/{owner}", merchant=merchant)

    on_provider(world, Operation.VERIFICATION, "before_send", deleted)
    # when
    order = {"customer": owner, "payment_method": method, "confirm": "true"}
    error = refused(world, merchant, PATH, **order)
    # then
    assert error["code"] == "resource_missing"
    assert error["setup_intent"]["status"] == "requires_payment_method"
    assert get(world, merchant, f"/v1/payment_methods/{method}")["customer"] is None


def test_security_code_is_gone_with_the_first_verification(
    world: World, merchant: Merchant
) -> None:
    # given
    method = typed_card(world, merchant)
    token = world.database.documents[method].data["card"]["vault_token"]
    assert world.vault.open(token, merchant.account).cvc is not None
    # when
    post(world, merchant, PATH, payment_method=method, confirm="true")
    # then
    assert world.vault.open(token, merchant.account).cvc is None


def test_no_secret_is_in_audit_records_or_events(world: World, merchant: Merchant) -> None:
    # given
    method = typed_card(world, merchant, "4000000000000002")
    made = post(world, merchant, PATH)
    path = f"{PATH}/{made['id']}/confirm"
    refused(world, merchant, path, 402, payment_method=method)
    card = world.database.documents[method].data["card"]
    secrets = {card["vault_token"], card["fingerprint"], made["client_secret"]}
    # when
    records = [record for history in world.database.changes.values() for record in history]
    # then
    text = "".join(str(record.change.facts()) for record in records)
    assert "last_error" in text
    assert not [secret for secret in secrets if secret in text]


def test_events_of_a_setups_life_tell_of_whole_objects(world: World, merchant: Merchant) -> None:
    # given
    made = post(world, merchant, PATH)
    path = f"{PATH}/{made['id']}"
    refused(world, merchant, f"{path}/confirm", 402, payment_method="pm_card_chargeDeclined")
    post(world, merchant, f"{path}/confirm", payment_method="pm_card_threeDSecure2Required")
    post(world, merchant, f"{path}/cancel")
    # when
    events = [
        event_write(item, 1, ["we_1"]).document.data
        for before, after in states(world, made["id"])
        for item in announce_document(before, after)
    ]
    # then
    assert [event["type"].partition(".")[2] for event in events] == [
        "created",
        "setup_failed",
        "requires_action",
        "canceled",
    ]
    assert [line for event in events for line in violations(event["data"]["object"])] == []


def test_setup_that_the_api_died_on_is_told_by_the_sweep(world: World, merchant: Merchant) -> None:
    # given: it dies when the attempt is written, and nobody retries or reads
    def died(saga: str, saga_input: Any) -> Any:
        raise RuntimeError("the API")

    world.sagas().run, real = died, world.sagas().run  # type: ignore[method-assign]
    answer = world.call(
        "POST", PATH, {"payment_method": "pm_card_visa", "confirm": "true"}, merchant=merchant
    )
    assert answer.status == 500
    world.sagas().run = real  # type: ignore[method-assign]
    # when
    world.clock.advance(2 * MINUTE_MS)
    world.sweep()
    # then
    (intent,) = get(world, merchant, PATH)["data"]
    assert told(world, intent["id"]) == ["setup_intent.created", "setup_intent.setup_failed"]
