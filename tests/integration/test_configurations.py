"""Payment method configurations, through the function's own API on memory stores."""

from typing import Any

import pytest
from stripe import PaymentMethodConfiguration

from shared.domain.documents import Document
from shared.domain.method_configurations import METHODS
from tests.support.shapes import fields_of
from tests.support.world import Answer, Merchant, World

PATH = "/v1/payment_method_configurations"
OFF, ON = (
    {"display_preference": {"preference": "off"}},
    {"display_preference": {"preference": "on"}},
)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def merchant(world: World) -> Merchant:
    return world.merchant()


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
