"""Payment method configurations and domains as Stripe's objects."""

from collections.abc import Mapping
from typing import Any

from shared.domain.documents import Document
from shared.domain.method_configurations import METHODS, OFFERED, effective, is_default

Json = dict[str, Any]

# The payment methods that depend on where they are shown, as customers know them.
_WALLETS = {
    "amazon_pay": "Amazon Pay",
    "apple_pay": "Apple Pay",
    "google_pay": "Google Pay",
    "klarna": "Klarna",
    "link": "Link",
    "paypal": "PayPal",
}


def configuration(document: Document, parent: Document | None) -> Json:
    """Renders a payment method configuration.

    Args: parent: the one it takes its defaults from, if any.
    """
    data = document.data
    return {
        "id": document.id,
        "object": document.kind,
        "active": data["active"],
        "application": None,
        "is_default": is_default(document),
        "livemode": document.livemode,
        "name": data["name"],
        "parent": data["parent"],
        **{method: _method(method, document, parent) for method in METHODS},
    }


def _method(method: str, document: Document, parent: Document | None) -> Mapping[str, Any]:
    value = effective(method, document, parent)
    return {
        "available": method in OFFERED and value == "on",
        "display_preference": {
            "overridable": True if parent is not None else None,
            "preference": document.data["preferences"].get(method, "none"),
            "value": value,
        },
    }


def domain(document: Document) -> Json:
    """Renders a payment method domain; no wallet is offered, so none is active on it."""
    return {
        "id": document.id,
        "object": document.kind,
        "created": document.created_ms // 1000,
        "domain_name": document.data["domain_name"],
        "enabled": document.data["enabled"],
        "livemode": document.livemode,
        **{wallet: _inactive(name) for wallet, name in _WALLETS.items()},
    }


def _inactive(name: str) -> Mapping[str, Any]:
    message = f"This platform does not offer {name}."
    return {"status": "inactive", "status_details": {"error_message": message}}
