"""Payment method configurations, through the function's own API on memory stores."""

from typing import Any

import pytest
from stripe import PaymentMethodConfiguration

from shared.domain.documents import Document
from shared.domain.idempotency import LEASE_MS
from shared.domain.method_configurations import METHODS
from tests.support.faults import crash_before
from tests.support.shapes import fields_of
from tests.support.world import Answer, Merchant, World

PATH, PAYMENTS = "/v1/payment_method_configurations", "/v1/payment_intents"
SETUPS, EXCLUDED = "/v1/setup_intents", "excluded_payment_method_types"
AUTOMATIC: Any = {"automatic_payment_methods": {"enabled": "true"}}
OFF, ON = (
    {"display_preference": {"preference": "off"}},
    {"display_preference": {"preference": "on"}},
)


def send(world: World, merchant: Merchant, method: str, path: str = PATH, **params: Any) -> Answer:
    world.clock.advance(1_000)
    return world.call(method, path, params, merchant=merchant)


def post(world: World, merchant: Merchant, path: str = PATH, **params: Any) -> dict[str, Any]:
    answer = send(world, merchant, "POST", path, **params)
    assert answer.status == 200, answer.text
    body: dict[str, Any] = answer.body
    return body


def listed(world: World, merchant: Merchant, **params: Any) -> tuple[list[str], bool]:
    body = send(world, merchant, "GET", **params).body
    return [item["name"] for item in body["data"]], body["has_more"]


def default(world: World, merchant: Merchant) -> dict[str, Any]:
    body: dict[str, Any] = send(world, merchant, "GET").body["data"][-1]
    return body


def shown(method: dict[str, Any]) -> tuple[bool, str, str]:
    preference = method["display_preference"]
    return method["available"], preference["preference"], preference["value"]


def test_methods_are_those_of_the_sdks_class() -> None:
    others = {"active", "application", "id", "is_default", "livemode", "name", "object", "parent"}
    assert set(METHODS) == fields_of(PaymentMethodConfiguration).keys() - others


def test_every_account_has_a_default_configuration(world: World, merchant: Merchant) -> None:
    # when
    found = default(world, merchant)
    # then
    assert (found["is_default"], found["active"], found["name"]) == (True, True, "Default")
    assert shown(found["card"]) == (True, "none", "on")
    assert {shown(found[name]) for name in METHODS if name != "card"} == {(False, "none", "off")}
    assert send(world, merchant, "GET", f"{PATH}/{found['id']}").body == found
    assert default(world, world.merchant("other"))["id"] != found["id"]


def test_default_configuration_is_changed_in_place(world: World, merchant: Merchant) -> None:
    # given
    path = f"{PATH}/{default(world, merchant)['id']}"
    # when
    changed = post(world, merchant, path, name="Ours", card=OFF, alipay=ON)
    again = post(world, merchant, path, card={"display_preference": {"preference": "none"}})
    # then
    assert shown(changed["card"]) == (False, "off", "off")
    # What the account wants is kept; that the platform does not have it stays true.
    assert shown(changed["alipay"]) == (False, "on", "on")
    assert shown(again["card"]) == (True, "none", "on")
    assert (again["name"], again["is_default"]) == ("Ours", True)
    assert listed(world, merchant) == (["Ours"], False)
    assert send(world, merchant, "GET", path).body == again


def test_default_configuration_stays_active(world: World, merchant: Merchant) -> None:
    path = f"{PATH}/{default(world, merchant)['id']}"
    answer = send(world, merchant, "POST", path, active="false")
    assert (answer.status, answer.body["error"]["param"]) == (400, "active")


@pytest.mark.parametrize("is_stored", [False, True])
def test_configurations_are_listed_newest_first_and_the_default_one_last(
    world: World, merchant: Merchant, is_stored: bool
) -> None:
    # given
    first = default(world, merchant)["id"]
    if is_stored:
        post(world, merchant, f"{PATH}/{first}", card=ON)
    made = [post(world, merchant, name=name)["id"] for name in ("A", "B")]
    # then
    assert listed(world, merchant) == (["B", "A", "Default"], False)
    assert listed(world, merchant, limit=2) == (["B", "A"], True)
    assert listed(world, merchant, limit=1, starting_after=made[1]) == (["A"], True)
    assert listed(world, merchant, starting_after=made[0]) == (["Default"], False)
    assert listed(world, merchant, starting_after=first) == ([], False)
    assert listed(world, merchant, ending_before=first) == (["B", "A"], False)
    assert listed(world, merchant, ending_before=made[0]) == (["B"], False)


def test_configurations_are_listed_by_whether_they_are_active(
    world: World, merchant: Merchant
) -> None:
    # given
    name = post(world, merchant, name="A")["id"]
    # when
    post(world, merchant, f"{PATH}/{name}", active="false")
    # then
    assert listed(world, merchant, active="true") == (["Default"], False)
    assert listed(world, merchant, active="false") == (["A"], False)
    post(world, merchant, f"{PATH}/{name}", active="true")
    assert listed(world, merchant, active="true") == (["A", "Default"], False)
    assert listed(world, merchant, active="false") == ([], False)


def test_child_takes_what_it_did_not_choose_from_its_parent(
    world: World, merchant: Merchant
) -> None:
    # given
    parent = post(world, merchant, name="Parent", card=OFF, link=ON)["id"]
    # when
    child = post(world, merchant, parent=parent, link=OFF)
    # then
    assert (child["parent"], child["name"]) == (parent, "Untitled")
    assert shown(child["card"]) == (False, "none", "off")
    assert shown(child["link"]) == (False, "off", "off")
    assert child["card"]["display_preference"]["overridable"] is True
    # when
    post(world, merchant, f"{PATH}/{parent}", card=ON)
    # then
    found = send(world, merchant, "GET", f"{PATH}/{child['id']}").body
    assert shown(found["card"]) == (True, "none", "on")
    assert found in send(world, merchant, "GET").body["data"]
    of_default = post(world, merchant, parent=default(world, merchant)["id"])
    assert shown(of_default["card"]) == (True, "none", "on")


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"parent": "pmc_9"}, "resource_missing", "parent"),
        ({"card": {"display_preference": {"preference": "maybe"}}}, None, None),
        ({"fr_meal_voucher_conecs": ON}, "parameter_unknown", "fr_meal_voucher_conecs"),
        ({"active": "true"}, "parameter_unknown", "active"),
    ],
)
def test_create_configuration_bad_parameter_is_refused(
    world: World, merchant: Merchant, params: dict[str, Any], code: str | None, param: str | None
) -> None:
    answer = send(world, merchant, "POST", **params)
    error = answer.body["error"]
    assert (answer.status, error.get("code")) == (400, code)
    assert param in {None, error["param"]}
    assert listed(world, merchant) == (["Default"], False)


def test_child_is_no_parent(world: World, merchant: Merchant) -> None:
    parent = post(world, merchant)["id"]
    child = post(world, merchant, parent=parent)["id"]
    answer = send(world, merchant, "POST", parent=child)
    assert (answer.status, answer.body["error"]["param"]) == (400, "parent")


def test_configuration_of_another_merchant_is_unknown(world: World, merchant: Merchant) -> None:
    # given
    other = world.merchant("other")
    names = [post(world, merchant)["id"], default(world, merchant)["id"]]
    post(world, merchant, f"{PATH}/{names[1]}", name="Ours")
    # then
    for name in names:
        for method in ("GET", "POST"):
            assert send(world, other, method, f"{PATH}/{name}").status == 404
        answer = send(world, other, "POST", parent=name)
        assert answer.body["error"]["code"] == "resource_missing"
    assert listed(world, other) == (["Default"], False)


def test_first_change_of_the_default_configuration_by_two_at_once_counts_one(
    world: World, merchant: Merchant, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    name = default(world, merchant)["id"]
    real = world.documents.commit

    def rivalled(*args: Any) -> None:
        monkeypatch.setattr(world.documents, "commit", real)
        post(world, merchant, f"{PATH}/{name}", name="Theirs")
        real(*args)

    monkeypatch.setattr(world.documents, "commit", rivalled)
    # when
    answer = send(world, merchant, "POST", f"{PATH}/{name}", name="Ours")
    # then
    assert (answer.status, answer.body["error"]["code"]) == (429, "lock_timeout")
    stored = world.documents.get(name)
    assert isinstance(stored, Document)
    assert (stored.version, stored.data["name"]) == (1, "Theirs")


def ask(world: World, merchant: Merchant, key: str | None = None, **params: Any) -> Answer:
    order = {"amount": 2000, "currency": "usd", **params}
    return world.call("POST", PAYMENTS, order, merchant=merchant, key=key)


@pytest.mark.parametrize("key", [None, "k"])
def test_payment_with_automatic_methods_tells_which_configuration_offers_them(
    world: World, merchant: Merchant, key: str | None
) -> None:
    # given
    parent = default(world, merchant)["id"]
    named = post(world, merchant, parent=parent)["id"]
    # when
    plain = ask(world, merchant)
    automatic = ask(
        world, merchant, key, **AUTOMATIC, payment_method="pm_card_visa", confirm="true"
    )
    by_name = ask(world, merchant, payment_method_configuration=named)
    # then
    told = [answer.body["payment_method_configuration_details"] for answer in (plain, automatic)]
    assert told == [None, {"id": parent, "parent": None}]
    assert automatic.body["status"] == "succeeded"
    details = {"id": named, "parent": parent}
    assert by_name.body["payment_method_configuration_details"] == details
    found = world.call("GET", f"{PAYMENTS}/{by_name.body['id']}", merchant=merchant).body
    assert found["payment_method_configuration_details"] == details


def test_payment_that_no_method_is_offered_for_is_refused(world: World, merchant: Merchant) -> None:
    # given
    parent = default(world, merchant)["id"]
    child = post(world, merchant, parent=parent)["id"]
    on = post(world, merchant, parent=parent, card=ON)["id"]
    # when
    post(world, merchant, f"{PATH}/{parent}", card=OFF)
    refused = ask(world, merchant, **AUTOMATIC)
    of_child = ask(world, merchant, payment_method_configuration=child)
    # then
    assert (refused.status, refused.body["error"]["param"]) == (400, "automatic_payment_methods")
    error = of_child.body["error"]
    assert (of_child.status, error["param"]) == (400, "payment_method_configuration")
    assert ask(world, merchant, payment_method_configuration=on).status == 200
    assert ask(world, merchant, payment_method_types=["card"]).status == 200
    assert len(world.database.payments) == 2


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"payment_method_types": ["card"]}, "parameters_exclusive"),
        ({"allowed_payment_method_types": ["card"]}, "parameters_exclusive"),
        ({"automatic_payment_methods": {"enabled": "false"}}, None),
    ],
)
def test_configuration_that_nothing_is_left_to_is_refused(
    world: World, merchant: Merchant, params: dict[str, Any], code: str | None
) -> None:
    named = post(world, merchant)["id"]
    answer = ask(world, merchant, payment_method_configuration=named, **params)
    assert (answer.status, answer.body["error"].get("code")) == (400, code)


def test_configuration_that_is_not_the_merchants_or_not_active_offers_nothing(
    world: World, merchant: Merchant
) -> None:
    # given
    theirs = post(world, world.merchant("other"))["id"]
    ended = post(world, merchant)["id"]
    post(world, merchant, f"{PATH}/{ended}", active="false")
    customer = world.call("POST", "/v1/customers", merchant=merchant).body["id"]
    # then
    for name in (theirs, ended, customer, "pmc_9"):
        answer = ask(world, merchant, payment_method_configuration=name)
        found = (answer.status, answer.body["error"]["param"])
        assert found == (400, "payment_method_configuration"), name


@pytest.mark.parametrize("kind", [PAYMENTS, SETUPS])
def test_intent_is_given_another_configuration_while_it_is_open(
    world: World, merchant: Merchant, kind: str
) -> None:
    # given
    named, ended = post(world, merchant)["id"], post(world, merchant)["id"]
    post(world, merchant, f"{PATH}/{ended}", active="false")
    order = {"amount": 2000, "currency": "usd"} if kind == PAYMENTS else {}
    order |= {"payment_method": "pm_card_visa", **AUTOMATIC}
    path = f"{kind}/{world.post(merchant, kind, **order)['id']}"
    wanted = {"payment_method_configuration": named}
    # when
    updated = world.post(merchant, path, **wanted)
    refused = [
        world.call("POST", path, {"payment_method_configuration": name, **more}, merchant=merchant)
        for name, more in ((ended, {}), ("pmc_9", {}), (named, {"payment_method_types": ["card"]}))
    ]
    world.post(merchant, f"{path}/confirm")
    late = world.call("POST", path, wanted, merchant=merchant)
    # then
    details = {"id": named, "parent": None}
    assert updated["payment_method_configuration_details"] == details
    assert [answer.status for answer in refused] == [400] * 3
    read = world.call("GET", path, merchant=merchant).body
    assert read["payment_method_configuration_details"] == details
    assert late.body["error"]["code"].endswith("_unexpected_state")


def test_configuration_is_not_for_an_intent_whose_methods_are_named(
    world: World, merchant: Merchant
) -> None:
    # given
    named = post(world, merchant)["id"]
    by_hand = {"automatic_payment_methods": {"enabled": "false"}}
    for kind, order in ((PAYMENTS, {"amount": 2000, "currency": "usd"}), (SETUPS, {})):
        intent = world.post(merchant, kind, **order, **by_hand)["id"]
        # when
        wanted = {"payment_method_configuration": named}
        answer = world.call("POST", f"{kind}/{intent}", wanted, merchant=merchant)
        # then
        assert answer.body["error"]["param"] == "payment_method_configuration"


@pytest.mark.parametrize("kind", [PAYMENTS, SETUPS])
def test_excluded_methods_are_told_and_unset(world: World, merchant: Merchant, kind: str) -> None:
    # given
    order = {"amount": 2000, "currency": "usd"} if kind == PAYMENTS else {}
    # when
    made = world.post(merchant, kind, **order, **{EXCLUDED: ["klarna", "affirm"]})
    path = f"{kind}/{made['id']}"
    told = [
        body[EXCLUDED]
        for body in (
            made,
            world.post(merchant, path, description="another"),
            world.post(merchant, path, **{EXCLUDED: ["zip"]}),
            world.post(merchant, path, **{EXCLUDED: ""}),
        )
    ]
    # then
    assert told == [["klarna", "affirm"], ["klarna", "affirm"], ["zip"], None]


@pytest.mark.parametrize("name", ["card", "link", "another"])
@pytest.mark.parametrize("kind", [PAYMENTS, SETUPS])
def test_method_that_cannot_be_excluded_is_refused(
    world: World, merchant: Merchant, kind: str, name: str
) -> None:
    order = {"amount": 2000, "currency": "usd"} if kind == PAYMENTS else {}
    params = {**order, EXCLUDED: ["klarna", name]}
    answer = world.call("POST", kind, params, merchant=merchant)
    assert (answer.status, answer.body["error"]["param"]) == (400, f"{EXCLUDED}[1]")


def test_methods_are_excluded_with_a_confirmation(world: World, merchant: Merchant) -> None:
    # given
    intent = ask(world, merchant, payment_method="pm_card_visa").body["id"]
    # when
    paid = world.post(merchant, f"{PAYMENTS}/{intent}/confirm", **{EXCLUDED: ["zip"]})
    # then
    assert (paid["status"], paid[EXCLUDED]) == ("succeeded", ["zip"])
    world.check()


def test_payment_that_died_goes_on_though_nothing_is_offered_any_more(
    world: World, merchant: Merchant
) -> None:
    # given
    order = {**AUTOMATIC, "payment_method": "pm_card_visa", "confirm": "true"}
    crash_before(world, "authorize_payment")
    crash_before(world, "void_authorization")
    assert ask(world, merchant, "k", **order).body["status"] == "processing"
    # when
    post(world, merchant, f"{PATH}/{default(world, merchant)['id']}", card=OFF)
    world.clock.advance(LEASE_MS)
    again = ask(world, merchant, "k", **order)
    # then
    assert (again.status, again.body["status"]) == (200, "succeeded")
    assert again.body["payment_method_configuration_details"]["parent"] is None
