"""What publishable keys are shown of payments and setups: what a customer's browser may know.

Source: what Stripe answers to publishable keys, as recorded in the tests of its iOS SDK, and its
API reference: metadata is hidden from them.
"""

from collections.abc import Collection, Mapping
from typing import Any

# By kind of object: the fields that are shown, of all that the object has.
SHOWN: Mapping[str, Collection[str]] = {
    # Of a token. Its fingerprint tells a merchant's customers apart, and is the merchant's.
    "card": (
        "id",
        "object",
        "address_city",
        "address_country",
        "address_line1",
        "address_line1_check",
        "address_line2",
        "address_state",
        "address_zip",
        "address_zip_check",
        "brand",
        "country",
        "cvc_check",
        "dynamic_last4",
        "exp_month",
        "exp_year",
        "funding",
        "last4",
        "name",
        "networks",
        "tokenization_method",
    ),
    "payment_intent": (
        "id",
        "object",
        "allowed_payment_method_types",
        "amount",
        "amount_details",
        "automatic_payment_methods",
        "canceled_at",
        "cancellation_reason",
        "capture_method",
        "client_secret",
        "confirmation_method",
        "created",
        "currency",
        "description",
        "excluded_payment_method_types",
        "last_payment_error",
        "livemode",
        "next_action",
        "payment_method",
        "payment_method_configuration_details",
        "payment_method_types",
        "processing",
        "receipt_email",
        "setup_future_usage",
        "shipping",
        "source",
        "status",
    ),
    "payment_method": (
        "id",
        "object",
        "allow_redisplay",
        "billing_details",
        "card",
        "created",
        "customer",
        "livemode",
        "type",
    ),
    "setup_intent": (
        "id",
        "object",
        "allowed_payment_method_types",
        "automatic_payment_methods",
        "cancellation_reason",
        "client_secret",
        "created",
        "description",
        "excluded_payment_method_types",
        "last_setup_error",
        "livemode",
        "next_action",
        "payment_method",
        "payment_method_configuration_details",
        "payment_method_types",
        "status",
        "usage",
    ),
}

# Of a field that is shown in part, the fields that are, by kind of object and field.
SHOWN_OF: Mapping[tuple[str, str], Collection[str]] = {
    ("payment_intent", "amount_details"): ("tip",),
    ("payment_method", "card"): (
        "brand",
        "checks",
        "country",
        "display_brand",
        "exp_month",
        "exp_year",
        "funding",
        "generated_from",
        "last4",
        "networks",
        "three_d_secure_usage",
        "wallet",
    ),
}


def for_client(body: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an answer, or an object, without what is hidden from publishable keys.

    Objects of kinds that are not listed here are shown whole, with those that are inside them.
    """
    kind = str(body.get("object"))
    shown = SHOWN.get(kind, body)
    return {
        name: _of_client(value, SHOWN_OF.get((kind, name)))
        for name, value in body.items()
        if name in shown
    }


def _of_client(value: Any, shown: Collection[str] | None) -> Any:
    if isinstance(value, list):
        return [_of_client(item, shown) for item in value]
    if not isinstance(value, Mapping):
        return value
    if shown is not None:
        value = {name: item for name, item in value.items() if name in shown}
    return for_client(value)
