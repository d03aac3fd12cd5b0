"""Payment method configurations and domains as Stripe's objects."""

from collections.abc import Mapping
from typing import Any

from shared.domain.documents import Document
from shared.domain.method_configurations import METHODS, OFFERED, effective, is_default

Json = dict[str, Any]


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
