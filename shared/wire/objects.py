"""Documents as Stripe's objects, with every field of the API version.

The fields of `Document.data` that each kind is stored with are those read here; what is absent
is rendered as null.
Source: the resources of API version 2026-10-28.endive.
"""

from collections.abc import Mapping
from typing import Any

from shared.domain.confirmation_tokens import expires_at_ms
from shared.domain.documents import Document

API_VERSION = "2026-10-28.endive"

Json = dict[str, Any]

_ADDRESS = ("city", "country", "line1", "line2", "postal_code", "state")
_CHECKS = ("address_line1_check", "address_postal_code_check", "cvc_check")
_TOKEN_BRANDS = {
    "amex": "American Express",
    "diners": "Diners Club",
    "discover": "Discover",
    "jcb": "JCB",
    "mastercard": "MasterCard",
    "unionpay": "UnionPay",
    "visa": "Visa",
}


def customer(document: Document) -> Json:
    """Renders a customer, or what is left of a deleted one."""
    if document.is_deleted:
        return deleted(document)
    data = document.data
    settings = data.get("invoice_settings") or {}
    return {
        **_head(document),
        "address": _address(data.get("address")),
        "balance": data.get("balance", 0),
        "business_name": data.get("business_name"),
        "created": document.created_ms // 1000,
        "currency": data.get("currency"),
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": data.get("description"),
        "discount": None,
        "email": data.get("email"),
        "individual_name": data.get("individual_name"),
        "invoice_prefix": data.get("invoice_prefix"),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": settings.get("default_payment_method"),
            "footer": settings.get("footer"),
            "rendering_options": None,
        },
        "livemode": document.livemode,
        "metadata": dict(data.get("metadata") or {}),
        "name": data.get("name"),
        "next_invoice_sequence": data.get("next_invoice_sequence", 1),
        "phone": data.get("phone"),
        "preferred_locales": list(data.get("preferred_locales") or ()),
        "shipping": _shipping(data.get("shipping")),
        "tax_exempt": data.get("tax_exempt", "none"),
        "test_clock": None,
    }


def customer_balance_transaction(document: Document) -> Json:
    """Renders a change of a customer's balance."""
    data = document.data
    return {
        **_head(document),
        "amount": data["amount"],
        "checkout_session": None,
        "created": document.created_ms // 1000,
        "credit_note": None,
        "currency": data["currency"],
        "customer": data["customer"],
        "customer_account": None,
        "description": data.get("description"),
        "ending_balance": data["ending_balance"],
        "invoice": None,
        "livemode": document.livemode,
        "metadata": dict(data.get("metadata") or {}),
        "type": data["type"],
    }


def payment_method(document: Document) -> Json:
    """Renders a payment method of type card."""
    data = document.data
    return {
        **_head(document),
        "allow_redisplay": data.get("allow_redisplay", "unspecified"),
        "billing_details": billing_details(data.get("billing_details")),
        "card": payment_method_card(data["card"], data.get("checks")),
        "created": document.created_ms // 1000,
        "customer": data.get("customer"),
        "customer_account": None,
        "livemode": document.livemode,
        "metadata": dict(data.get("metadata") or {}),
        "radar_options": None,
        "type": "card",
    }


def billing_details(details: Mapping[str, Any] | None) -> Json:
    """Renders the details of a card's holder."""
    details = details or {}
    return {
        "address": _named(_ADDRESS, details.get("address")),
        **_named(("email", "name", "phone", "tax_id"), details),
    }


def payment_method_card(card: Mapping[str, Any], checks: Mapping[str, Any] | None) -> Json:
    """Renders a card of a payment method.

    Args: card: fields of CardSummary. checks: results by Stripe's names.
    """
    return {
        "brand": card["brand"],
        "checks": _named(_CHECKS, checks),
        "country": card["country"],
        "description": None,
        "display_brand": card["brand"],
        "exp_month": card["exp_month"],
        "exp_year": card["exp_year"],
        "fingerprint": card["fingerprint"],
        "funding": card["funding"],
        "generated_from": None,
        "iin": None,
        "issuer": None,
        "last4": card["last4"],
        "networks": {"available": [card["brand"]], "preferred": None},
        "regulated_status": None,
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def confirmation_token(document: Document) -> Json:
    """Renders a confirmation token, with the payment method that it stands for."""
    data = document.data
    return {
        **_head(document),
        "created": document.created_ms // 1000,
        "expires_at": expires_at_ms(document) // 1000,
        "livemode": document.livemode,
        "mandate_data": None,
        "metadata": None,
        "payment_intent": data.get("payment_intent"),
        "payment_method_options": None,
        "payment_method_preview": _preview(data["method"]),
        "return_url": data.get("return_url"),
        "setup_future_usage": data.get("setup_future_usage"),
        "setup_intent": data.get("setup_intent"),
        "shipping": _recipient(data.get("shipping")),
        "use_stripe_sdk": True,
    }


def _preview(method: Mapping[str, Any]) -> Json:
    return {
        "allow_redisplay": method.get("allow_redisplay", "unspecified"),
        "billing_details": billing_details(method.get("billing_details")),
        "card": payment_method_card(method["card"], method.get("checks")),
        "customer": method.get("customer"),
        "customer_account": None,
        "type": "card",
    }


def token(document: Document) -> Json:
    """Renders a token of type card."""
    data = document.data
    return {
        **_head(document),
        "card": _token_card(data),
        "client_ip": None,
        "created": document.created_ms // 1000,
        "livemode": document.livemode,
        "type": "card",
        "used": bool(data.get("used")),
    }


def _token_card(data: Mapping[str, Any]) -> Json:
    card, checks = data["card"], data.get("checks") or {}
    details = data.get("billing_details") or {}
    address = _named(_ADDRESS, details.get("address"))
    return {
        "id": data["card_id"],
        "object": "card",
        "account": None,
        "address_city": address["city"],
        "address_country": address["country"],
        "address_line1": address["line1"],
        "address_line1_check": checks.get("address_line1_check"),
        "address_line2": address["line2"],
        "address_state": address["state"],
        "address_zip": address["postal_code"],
        "address_zip_check": checks.get("address_postal_code_check"),
        "allow_redisplay": None,
        "available_payout_methods": None,
        "brand": _TOKEN_BRANDS[card["brand"]],
        "country": card["country"],
        "currency": None,
        "customer": None,
        "cvc_check": checks.get("cvc_check"),
        "default_for_currency": None,
        "description": None,
        "dynamic_last4": None,
        "exp_month": card["exp_month"],
        "exp_year": card["exp_year"],
        "fingerprint": card["fingerprint"],
        "funding": card["funding"],
        "iin": None,
        "issuer": None,
        "last4": card["last4"],
        "metadata": {},
        "name": details.get("name"),
        "networks": {"preferred": None},
        "regulated_status": None,
        "status": None,
        "tokenization_method": None,
    }


def webhook_endpoint(document: Document) -> Json:
    """Renders a webhook endpoint; its secret is shown by its creation only."""
    if document.is_deleted:
        return deleted(document)
    data = document.data
    return {
        **_head(document),
        "api_version": data.get("api_version"),
        "application": None,
        "created": document.created_ms // 1000,
        "description": data.get("description"),
        "enabled_events": list(data["enabled_events"]),
        "livemode": document.livemode,
        "metadata": dict(data.get("metadata") or {}),
        "status": data["status"],
        "url": data["url"],
    }


def event(document: Document) -> Json:
    """Renders an event, whose data holds the object as it was rendered when it happened.

    `Document.data` of an event: {"type", "data": {"object", "previous_attributes"?}, "request":
    {"id", "idempotency_key"} or None, "pending_webhooks", "endpoints": ids of those that are
    told, which are the platform's business, "tried": of those that were sent it,
    "object_version"}. The last is Farthing's own: of two events about one object, the one with
    the greater version tells the newer state, in whatever order they arrive.
    """
    data = document.data
    request = data.get("request")
    return {
        **_head(document),
        "account": None,
        "api_version": API_VERSION,
        "context": None,
        "created": document.created_ms // 1000,
        "data": dict(data["data"]),
        "livemode": document.livemode,
        "object_version": data.get("object_version"),
        "pending_webhooks": data.get("pending_webhooks", 0),
        "request": _named(("id", "idempotency_key"), request),
        "type": data["type"],
    }


def deleted(document: Document) -> Json:
    """Renders what is left of a deleted object."""
    return {**_head(document), "deleted": True}


def _head(document: Document) -> Json:
    return {"id": document.id, "object": document.kind}


def _named(names: tuple[str, ...], values: Mapping[str, Any] | None) -> Json:
    values = values or {}
    return {name: values.get(name) for name in names}


def _address(address: Mapping[str, Any] | None) -> Json | None:
    return None if address is None else _named(_ADDRESS, address)


def _recipient(shipping: Mapping[str, Any] | None) -> Json | None:
    if shipping is None:
        return None
    return {
        "address": _named(_ADDRESS, shipping.get("address")),
        **_named(("name", "phone"), shipping),
    }


def _shipping(shipping: Mapping[str, Any] | None) -> Json | None:
    if shipping is None:
        return None
    return {
        "address": _named(_ADDRESS, shipping.get("address")),
        **_named(("carrier", "name", "phone", "tracking_number"), shipping),
    }
