"""Setup intents and their attempts as Stripe's objects.

Source: the resources of API version 2026-10-28.endive.
"""

from collections.abc import Mapping
from typing import Any

from shared.domain.documents import Document
from shared.domain.setups import card_options
from shared.wire.objects import payment_method

Json = dict[str, Any]

_CHECKS = ("address_line1_check", "address_postal_code_check", "cvc_check")
_CARD_OPTIONS: Mapping[str, Any] = {
    "mandate_options": None,
    "network": None,
    "request_three_d_secure": "automatic",
    "setup_credential_usage": None,
}
_CARD = ("brand", "country", "exp_month", "exp_year", "fingerprint", "funding")


def setup_intent(document: Document) -> Json:
    """Renders a setup intent."""
    data = document.data
    return {
        "id": document.id,
        "object": "setup_intent",
        "allowed_payment_method_types": data.get("allowed_payment_method_types"),
        "application": None,
        "attach_to_self": None,
        "automatic_payment_methods": data.get("automatic_payment_methods"),
        "cancellation_reason": data.get("cancellation_reason"),
        "client_secret": data["client_secret"],
        "created": document.created_ms // 1000,
        "customer": data["customer"],
        "customer_account": None,
        "description": data.get("description"),
        "excluded_payment_method_types": data.get("excluded_payment_method_types"),
        "flow_directions": None,
        "last_setup_error": _last_error(document),
        "latest_attempt": data.get("latest_attempt"),
        "livemode": document.livemode,
        "managed_payments": None,
        "mandate": None,
        "metadata": dict(data.get("metadata") or {}),
        "next_action": data.get("next_action"),
        "on_behalf_of": None,
        "payment_method": data["payment_method"],
        "payment_method_configuration_details": data.get("payment_method_configuration"),
        "payment_method_options": {"card": {**_CARD_OPTIONS, **card_options(document)}},
        "payment_method_types": ["card"],
        "single_use_mandate": None,
        "status": data["status"],
        "usage": data["usage"],
    }


def setup_attempt(document: Document) -> Json:
    """Renders an attempt to set up a payment method."""
    data = document.data
    card = data["method"]["data"]["card"]
    checks = data["checks"] or {}
    return {
        "id": document.id,
        "object": "setup_attempt",
        "application": None,
        "attach_to_self": None,
        "created": document.created_ms // 1000,
        "customer": data["customer"],
        "customer_account": None,
        "flow_directions": None,
        "livemode": document.livemode,
        "on_behalf_of": None,
        "payment_method": data["method"]["id"],
        "payment_method_details": {
            "card": {
                **{name: card[name] for name in _CARD},
                "checks": {name: checks.get(name) for name in _CHECKS},
                "description": None,
                "iin": None,
                "issuer": None,
                "last4": card["last4"],
                "moto": None,
                "network": card["brand"],
                "three_d_secure": None,
                "wallet": None,
            },
            "type": "card",
        },
        "setup_error": attempt_error(document),
        "setup_intent": data["setup_intent"],
        "status": data["status"],
        "usage": data["usage"],
    }


def attempt_error(attempt: Document) -> Json | None:
    """Renders why an attempt failed; None of one that did not."""
    data = attempt.data
    return None if data["error"] is None else _error(data["error"], data["method"], attempt)


def _last_error(intent: Document) -> Json | None:
    error = intent.data.get("last_error")
    return None if error is None else _error(error, error["method"], intent)


def _error(failure: Mapping[str, Any], method: Mapping[str, Any], holder: Document) -> Json:
    """Renders a failure with the payment method as it was then."""
    decline_code = failure.get("decline_code")
    # Only what the card's issuer, or the way there, says is about the card.
    is_about_card = decline_code is not None
    used = Document(
        id=method["id"],
        kind="payment_method",
        account=holder.account,
        livemode=holder.livemode,
        version=1,
        created_ms=method["created_ms"],
        data=method["data"],
    )
    facts = {
        "code": failure["code"],
        "decline_code": decline_code,
        "message": failure["message"],
        "payment_method": payment_method(used),
        "type": "card_error" if is_about_card else "invalid_request_error",
    }
    return {name: value for name, value in facts.items() if value is not None}
