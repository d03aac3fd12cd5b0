"""What an amount is made of: line items, tax, shipping, discount, and whether they add up.

Source: Stripe documentation, "Payment line items" and the object's own `amount_details`.
"""

from collections.abc import Mapping
from typing import Any


def mismatch(parts: Mapping[str, Any], amount_minor: int) -> dict[str, str] | None:
    """Returns how the parts of an amount do not add up to it, as {"code", "message"}.

    Args: parts: {"discount_amount", "line_items", "shipping", "tax"}, each of them or none.
    """
    items = parts.get("line_items") or ()
    around = _around(parts)
    if items:
        total = sum(_item_total(item) for item in items) + around
        if total == amount_minor:
            return None
        told = f"The line items with tax, shipping and discount add up to {total}"
        return {
            "code": "amount_details_amount_mismatch",
            "message": f"{told}, and the amount is {amount_minor}.",
        }
    if around <= amount_minor:
        return None
    told = f"The tax and shipping less the discount add up to {around}"
    return {
        "code": "amount_details_tax_shipping_discount_greater_than_amount",
        "message": f"{told}, more than the amount of {amount_minor}.",
    }


def _around(parts: Mapping[str, Any]) -> int:
    """Adds up what is not of one line item."""
    tax = (parts.get("tax") or {}).get("total_tax_amount") or 0
    shipping = (parts.get("shipping") or {}).get("amount") or 0
    discount = parts.get("discount_amount") or 0
    return int(tax + shipping - discount)


def _item_total(item: Mapping[str, Any]) -> int:
    tax = (item.get("tax") or {}).get("total_tax_amount") or 0
    return int(item["unit_cost"] * item["quantity"] + tax - (item.get("discount_amount") or 0))


def said_twice(parts: Mapping[str, Any]) -> str | None:
    """Names what is said both of the whole amount and of a line item; None where nothing is."""
    items = parts.get("line_items") or ()
    for name in ("discount_amount", "tax"):
        if parts.get(name) is not None and any(item.get(name) is not None for item in items):
            return name
    return None
