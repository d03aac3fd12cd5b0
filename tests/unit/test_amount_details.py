from typing import Any

import pytest

from shared.domain.amount_details import mismatch, said_twice

CUP = {"product_name": "cup", "quantity": 2, "unit_cost": 1000}
# Stripe's own example: two items of 2000, with tax and shipping of 400 each, less 200.
WHOLE = {
    "discount_amount": 200,
    "line_items": [{**CUP, "quantity": 1, "unit_cost": 2000}] * 2,
    "shipping": {"amount": 400, "to_postal_code": "94117"},
    "tax": {"total_tax_amount": 400},
}


@pytest.mark.parametrize(
    ("parts", "amount_minor", "code"),
    [
        ({}, 1, None),
        (WHOLE, 4600, None),
        (WHOLE, 4599, "amount_details_amount_mismatch"),
        (WHOLE, 4601, "amount_details_amount_mismatch"),
        ({"line_items": [CUP]}, 2000, None),
        ({"line_items": [{**CUP, "tax": {"total_tax_amount": 7}}]}, 2007, None),
        ({"line_items": [{**CUP, "discount_amount": 7}]}, 1993, None),
        ({"shipping": {"amount": None}, "tax": {"total_tax_amount": 500}}, 500, None),
        (
            {"shipping": {"amount": 400}, "tax": {"total_tax_amount": 500}, "discount_amount": 1},
            898,
            "amount_details_tax_shipping_discount_greater_than_amount",
        ),
        ({"line_items": [], "discount_amount": 5000}, 1, None),
    ],
)
def test_parts_add_up_to_the_amount_or_it_is_told_how_not(
    parts: dict[str, Any], amount_minor: int, code: str | None
) -> None:
    found = mismatch(parts, amount_minor)
    assert (found["code"] if found else None) == code


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (WHOLE, None),
        (
            {"discount_amount": 1, "line_items": [CUP, {**CUP, "discount_amount": 1}]},
            "discount_amount",
        ),
        ({"tax": {}, "line_items": [{**CUP, "tax": {"total_tax_amount": 0}}]}, "tax"),
        ({"line_items": [{**CUP, "discount_amount": 1, "tax": {"total_tax_amount": 1}}]}, None),
    ],
)
def test_what_is_said_of_the_whole_and_of_an_item_is_named(
    parts: dict[str, Any], name: str | None
) -> None:
    assert said_twice(parts) == name
