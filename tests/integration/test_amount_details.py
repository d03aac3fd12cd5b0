"""What the amount of a payment is made of, as a merchant says and reads it."""

from typing import Any

import pytest

from tests.support.world import Answer, Merchant, World

PAYMENTS = "/v1/payment_intents"
CUP: dict[str, Any] = {"product_name": "cup", "product_code": "SKU1", "quantity": 1}
WHOLE: dict[str, Any] = {
    "discount_amount": 200,
    "line_items": [
        {
            **CUP,
            "unit_cost": 1000,
            "unit_of_measure": "piece",
            "payment_method_options": {"card": {"commodity_code": "123"}},
        },
        {**CUP, "unit_cost": 500},
    ],
    "shipping": {"amount": 400, "from_postal_code": "94110", "to_postal_code": "94117"},
    "tax": {"total_tax_amount": 300},
}
ITEMS = {"line_items": [{**CUP, "unit_cost": 2000, "tax": {"total_tax_amount": 0}}]}


def paid(world: World, merchant: Merchant, details: Any = WHOLE, **params: Any) -> Answer:
    return world.pay(merchant, amount_details=details, **params)


def act(world: World, merchant: Merchant, intent: str, verb: str = "", **params: Any) -> Answer:
    path = f"{PAYMENTS}/{intent}/{verb}" if verb else f"{PAYMENTS}/{intent}"
    return world.call("POST", path, params, merchant=merchant)


def listed(world: World, merchant: Merchant, intent: str, **params: Any) -> Any:
    path = f"{PAYMENTS}/{intent}/amount_details_line_items"
    answer = world.call("GET", path, params, merchant=merchant)
    assert answer.status == 200, answer.text
    return answer.body


def costs(page: Any) -> list[int]:
    return [item["unit_cost"] for item in page["data"]]


def error_of(answer: Answer) -> tuple[int, str | None, str | None]:
    error = answer.body["error"]
    return answer.status, error.get("code"), error.get("param")


def test_payment_says_what_its_amount_is_made_of(world: World, merchant: Merchant) -> None:
    # when
    intent = paid(world, merchant).body
    # then
    assert intent["status"] == "succeeded"
    assert intent["amount_details"] == {
        "discount_amount": 200,
        "error": None,
        "shipping": {"amount": 400, "from_postal_code": "94110", "to_postal_code": "94117"},
        "tax": {"total_tax_amount": 300},
        "tip": {"amount": None},
    }
    page = listed(world, merchant, intent["id"])
    assert page["url"] == f"{PAYMENTS}/{intent['id']}/amount_details_line_items"
    first, second = page["data"]
    assert {name: first[name] for name in ("product_name", "unit_cost", "unit_of_measure")} == {
        "product_name": "cup",
        "unit_cost": 1000,
        "unit_of_measure": "piece",
    }
    assert first["payment_method_options"]["card"] == {"commodity_code": "123"}
    assert second["payment_method_options"] is None
    world.check()


def test_line_items_page_both_ways_in_their_order(world: World, merchant: Merchant) -> None:
    # given
    items = [{**CUP, "unit_cost": cost} for cost in (100, 200, 300, 400, 1000)]
    intent = paid(world, merchant, {"line_items": items}).body["id"]
    # when
    first = listed(world, merchant, intent, limit=2)
    rest = listed(world, merchant, intent, limit=3, starting_after=first["data"][1]["id"])
    before = listed(world, merchant, intent, limit=2, ending_before=rest["data"][1]["id"])
    # then
    assert (costs(first), first["has_more"]) == ([100, 200], True)
    assert (costs(rest), rest["has_more"]) == ([300, 400, 1000], False)
    assert (costs(before), before["has_more"]) == ([200, 300], True)
    assert costs(listed(world, merchant, intent, ending_before=first["data"][0]["id"])) == []
    path = f"{PAYMENTS}/{intent}/amount_details_line_items"
    odd = world.call("GET", path, {"starting_after": "uli_no"}, merchant=merchant)
    assert error_of(odd) == (400, "resource_missing", "starting_after")


def test_line_items_are_included_where_they_are_asked_for(world: World, merchant: Merchant) -> None:
    # given
    many = [{**CUP, "unit_cost": 100}] * 11
    intent = paid(world, merchant, {"line_items": many}, amount=1100).body
    asked = {"expand": ["amount_details.line_items"]}
    # when
    read = world.call("GET", f"{PAYMENTS}/{intent['id']}", asked, merchant=merchant).body
    listing = world.call(
        "GET", PAYMENTS, {"expand": ["data.amount_details.line_items"]}, merchant=merchant
    )
    # then
    page = listed(world, merchant, intent["id"])
    assert (len(page["data"]), page["has_more"]) == (10, True)
    assert read["amount_details"]["line_items"] == page
    assert listing.body["data"][0]["amount_details"]["line_items"] == page
    assert "line_items" not in intent["amount_details"]


def test_line_items_of_a_payment_without_any_are_an_empty_list(
    world: World, merchant: Merchant
) -> None:
    intent = world.pay(merchant).body["id"]
    assert listed(world, merchant, intent)["data"] == []
    path = f"{PAYMENTS}/{intent}/amount_details_line_items"
    stranger = world.call("GET", path, merchant=world.merchant("two"))
    assert error_of(stranger) == (404, "resource_missing", "intent")


@pytest.mark.parametrize("verb", ["create", "update", "confirm", "capture"])
def test_parts_that_do_not_add_up_are_refused_and_change_nothing(
    world: World, merchant: Merchant, verb: str
) -> None:
    # given
    wrong = {**WHOLE, "discount_amount": 201}
    if verb == "create":
        assert error_of(paid(world, merchant, wrong))[1] == "amount_details_amount_mismatch"
        assert not world.database.payments
        return
    confirm = "true" if verb == "capture" else "false"
    intent = world.pay(merchant, capture_method="manual", confirm=confirm).body["id"]
    before = world.load(intent)
    # when
    answer = act(world, merchant, intent, "" if verb == "update" else verb, amount_details=wrong)
    # then
    assert error_of(answer) == (400, "amount_details_amount_mismatch", "amount_details")
    assert world.load(intent) == before


@pytest.mark.parametrize("verb", ["update", "confirm", "capture"])
def test_parts_are_taken_by_every_step(world: World, merchant: Merchant, verb: str) -> None:
    # given
    confirm = "true" if verb == "capture" else "false"
    intent = world.pay(merchant, capture_method="manual", confirm=confirm).body["id"]
    # when
    answer = act(world, merchant, intent, "" if verb == "update" else verb, amount_details=WHOLE)
    # then
    assert answer.status == 200, answer.text
    assert answer.body["amount_details"]["tax"] == {"total_tax_amount": 300}
    assert costs(listed(world, merchant, intent)) == [1000, 500]
    world.check()


def test_parts_of_a_partial_capture_add_up_to_what_is_captured(
    world: World, merchant: Merchant
) -> None:
    # given
    intent = paid(world, merchant, capture_method="manual").body["id"]
    parts = {"discount_amount": "", "line_items": "", "tax": "", "shipping": {"amount": 700}}
    # when
    params = {"amount_to_capture": 699, "amount_details": parts}
    refused = act(world, merchant, intent, "capture", **params)
    taken = act(world, merchant, intent, "capture", **{**params, "amount_to_capture": 700})
    # then
    code = "amount_details_tax_shipping_discount_greater_than_amount"
    assert error_of(refused) == (400, code, "amount_details")
    assert taken.body["amount_received"] == 700
    assert taken.body["amount_details"]["shipping"]["amount"] == 700
    assert taken.body["amount_details"]["discount_amount"] is None
    assert listed(world, merchant, intent)["data"] == []


def test_parts_that_need_not_add_up_tell_how_they_do_not(world: World, merchant: Merchant) -> None:
    # given
    loose = {**ITEMS, "enforce_arithmetic_validation": "false"}
    intent = paid(world, merchant, loose, amount=1999, confirm="false").body
    assert intent["amount_details"]["error"]["code"] == "amount_details_amount_mismatch"
    # when: the amount is made to fit
    after = act(world, merchant, intent["id"], amount=2000).body
    # then
    assert after["amount_details"]["error"] is None


def test_amount_that_does_not_fit_its_parts_any_more_is_refused(
    world: World, merchant: Merchant
) -> None:
    # given
    intent = paid(world, merchant, ITEMS, confirm="false").body["id"]
    # then
    answer = act(world, merchant, intent, amount=2001)
    assert error_of(answer) == (400, "amount_details_amount_mismatch", "amount_details")
    assert act(world, merchant, intent, amount_details="", amount=2001).status == 200
    assert listed(world, merchant, intent)["data"] == []


@pytest.mark.parametrize(
    ("details", "param"),
    [
        ({"line_items": [{"quantity": 1, "unit_cost": 1}]}, "[line_items][0][product_name]"),
        ({"line_items": [{**CUP, "unit_cost": -1}]}, "[line_items][0][unit_cost]"),
        ({"line_items": [{**CUP, "unit_cost": 1, "quantity": 0}]}, "[line_items][0][quantity]"),
        ({"line_items": [{**CUP, "unit_cost": 0}] * 201}, "[line_items]"),
        ({"discount_amount": 0}, "[discount_amount]"),
        ({"shipping": {"from_postal_code": "12345678901"}}, "[shipping][from_postal_code]"),
        ({"tax": {"total_tax_amount": -1}}, "[tax][total_tax_amount]"),
        ({"tip": {"amount": 1}}, "[tip]"),
        ({**ITEMS, "tax": {"total_tax_amount": 0}}, "[tax]"),
    ],
)
def test_wrong_part_is_named(
    world: World, merchant: Merchant, details: dict[str, Any], param: str
) -> None:
    answer = paid(world, merchant, details)
    assert (answer.status, answer.body["error"]["param"]) == (400, f"amount_details{param}")


def test_capture_with_parts_that_is_tried_again_is_answered_again(
    world: World, merchant: Merchant
) -> None:
    # given
    intent = paid(world, merchant, capture_method="manual").body["id"]
    path, params = f"{PAYMENTS}/{intent}/capture", {"amount_details": WHOLE}
    first = world.call("POST", path, params, merchant=merchant, key="one")
    # when
    again = world.call("POST", path, params, merchant=merchant, key="one")
    # then
    assert (first.status, again.text) == (200, first.text)


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("increment_authorization", {"amount": 2001}),
        ("capture", {"amount_to_capture": 1999}),
    ],
)
def test_amount_that_grew_or_was_captured_in_part_is_not_what_its_parts_add_up_to(
    world: World, merchant: Merchant, path: str, params: dict[str, Any]
) -> None:
    # given
    details = {"line_items": [{"product_name": "cup", "quantity": 2, "unit_cost": 1000}]}
    intent = paid(world, merchant, details, capture_method="manual").body
    assert intent["amount_details"]["error"] is None
    # when
    after = world.post(merchant, f"/v1/payment_intents/{intent['id']}/{path}", **params)
    # then
    assert after["amount_details"]["error"]["code"] == "amount_details_amount_mismatch"
