"""Payments as Stripe's objects: payment intents, charges and refunds.

Source: the resources of API version 2026-10-28.endive.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from shared.domain.amount_details import mismatch
from shared.domain.balance_transactions import CHARGE, REFUND, REFUND_FAILURE
from shared.domain.documents import Document
from shared.domain.ids import transaction_id
from shared.domain.payment import (
    Charge,
    ChargeStatus,
    Payment,
    PaymentStatus,
    Refund,
    RefundStatus,
)
from shared.wire.objects import billing_details, payment_method

Json = dict[str, Any]

_CARD_OPTIONS: Mapping[str, Any] = {
    "capture_method": None,
    "installments": None,
    "mandate_options": None,
    "network": None,
    "request_extended_authorization": None,
    "request_incremental_authorization": None,
    "request_multicapture": None,
    "request_overcapture": None,
    "request_three_d_secure": "automatic",
    "require_cvc_recollection": None,
    "setup_credential_usage": None,
    "setup_future_usage": None,
    "statement_descriptor_suffix_kana": None,
    "statement_descriptor_suffix_kanji": None,
    "stored_credential_usage": None,
}


def payment_intent(payment: Payment) -> Json:
    """Renders a payment as a PaymentIntent."""
    details = payment.details
    return {
        "id": payment.id,
        "object": "payment_intent",
        "allowed_payment_method_types": details.get("allowed_payment_method_types"),
        "amount": payment.amount_minor,
        "amount_capturable": payment.amount_capturable_minor,
        "amount_details": _amount_details(payment),
        "amount_received": payment.amount_received_minor,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": details.get("automatic_payment_methods"),
        "canceled_at": _seconds(payment.canceled_at_ms),
        "cancellation_reason": payment.cancellation_reason,
        "capture_method": payment.capture_method,
        "client_secret": payment.client_secret,
        "confirmation_method": details.get("confirmation_method", "automatic"),
        "created": payment.created_ms // 1000,
        "currency": payment.currency,
        "customer": payment.customer,
        "customer_account": None,
        "description": details.get("description"),
        "excluded_payment_method_types": details.get("excluded_payment_method_types"),
        "hooks": None,
        "last_payment_error": _last_payment_error(payment),
        "latest_charge": payment.charges[-1].id if payment.charges else None,
        "livemode": payment.livemode,
        "managed_payments": None,
        "metadata": dict(details.get("metadata") or {}),
        "next_action": payment.next_action,
        "on_behalf_of": None,
        "payment_details": None,
        "payment_method": payment.payment_method,
        "payment_method_configuration_details": details.get("payment_method_configuration"),
        "payment_method_options": {"card": {**_CARD_OPTIONS, **payment.card_options}},
        "payment_method_types": list(payment.payment_method_types),
        "payment_record": None,
        "presentment_details": None,
        "processing": None,
        "receipt_email": details.get("receipt_email"),
        "review": None,
        "setup_future_usage": details.get("setup_future_usage"),
        "shipping": _shipping(details.get("shipping")),
        "source": None,
        "statement_descriptor": details.get("statement_descriptor"),
        "statement_descriptor_suffix": details.get("statement_descriptor_suffix"),
        "status": _status(payment),
        "transfer_data": None,
        "transfer_group": details.get("transfer_group"),
    }


def _amount_details(payment: Payment) -> Json:
    parts = payment.details.get("amount_details") or {}
    shipping = parts.get("shipping")
    named = ("amount", "from_postal_code", "to_postal_code")
    return {
        "discount_amount": parts.get("discount_amount"),
        # Of the amount as it is now: it may have grown, or been captured in part, since then.
        "error": mismatch(parts, payment.amount_received_minor or payment.amount_minor),
        "shipping": {name: shipping.get(name) for name in named} if shipping else None,
        "tax": parts.get("tax"),
        "tip": {"amount": None},
    }


def line_items(payment: Payment) -> list[Json]:
    """Renders what was bought, in the order in which the merchant said it."""
    parts = payment.details.get("amount_details") or {}
    items = parts.get("line_items") or ()
    return [_line_item(f"{parts['line_items_id']}{place:03}", i) for place, i in enumerate(items)]


def _line_item(item_id: str, item: Mapping[str, Any]) -> Json:
    card = (item.get("payment_method_options") or {}).get("card")
    options = {"card": card, "card_present": None, "klarna": None, "paypal": None}
    return {
        "id": item_id,
        "object": "payment_intent_amount_details_line_item",
        "discount_amount": item.get("discount_amount"),
        "payment_method_options": options if card else None,
        "product_code": item.get("product_code"),
        "product_name": item["product_name"],
        "quantity": item["quantity"],
        "tax": item.get("tax"),
        "unit_cost": item["unit_cost"],
        "unit_of_measure": item.get("unit_of_measure"),
    }


def _status(payment: Payment) -> str:
    # While the provider's word on a capture or cancellation is out, nobody knows more than this.
    return str(PaymentStatus.PROCESSING if payment.pending else payment.status)


def _seconds(milliseconds: int | None) -> int | None:
    return None if milliseconds is None else milliseconds // 1000


def _last_payment_error(payment: Payment) -> Json | None:
    error = payment.last_payment_error
    if error is None:
        return None
    charge = payment.latest_charge
    return {
        **declined_error(error),
        "charge": charge.id,
        "payment_method": payment_method(_method_charged(payment, charge)),
    }


def _method_charged(payment: Payment, attempt: Charge) -> Document:
    """Returns the payment method as it was when it was charged."""
    facts = payment.method_facts or {}
    return Document(
        id=attempt.payment_method,
        kind="payment_method",
        account=payment.account,
        livemode=payment.livemode,
        version=1,
        created_ms=facts.get("created_ms", attempt.created_ms),
        data={
            **facts,
            "billing_details": attempt.billing_details,
            "card": asdict(attempt.card),
        },
    )


def declined_error(failure: Mapping[str, Any]) -> Json:
    """Renders why a card was declined, as the error object has it."""
    facts = {
        "code": failure["code"],
        "decline_code": failure["decline_code"],
        "message": failure["message"],
        "type": "card_error",
    }
    return {name: value for name, value in facts.items() if value is not None}


def charge(payment: Payment, attempt: Charge) -> Json:
    """Renders one attempt to charge a payment."""
    details = payment.charge_details(attempt)
    refunds = [refund for refund in payment.refunds if refund.charge_id == attempt.id]
    refunded = sum(r.amount_minor for r in refunds if r.status is not RefundStatus.FAILED)
    failure = attempt.failure or {}
    return {
        "id": attempt.id,
        "object": "charge",
        "amount": attempt.amount_minor,
        "amount_captured": attempt.amount_captured_minor,
        "amount_refunded": refunded,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "authorization_code": attempt.authorization_code,
        "balance_transaction": (
            transaction_id(payment.id, CHARGE, attempt.id) if attempt.captured else None
        ),
        "billing_details": billing_details(attempt.billing_details),
        "calculated_statement_descriptor": _calculated_descriptor(details),
        "captured": attempt.captured,
        "created": attempt.created_ms // 1000,
        "currency": payment.currency,
        "customer": details["customer"],
        "description": details.get("description"),
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": failure.get("code"),
        "failure_message": failure.get("message"),
        "fraud_details": {"stripe_report": None, "user_report": details.get("user_report")},
        "level3": None,
        "livemode": payment.livemode,
        "metadata": dict(details.get("metadata") or {}),
        "on_behalf_of": None,
        "outcome": _outcome(attempt),
        "paid": attempt.status is ChargeStatus.SUCCEEDED,
        "payment_intent": payment.id,
        "payment_method": attempt.payment_method,
        "payment_method_details": {"card": _charge_card(payment, attempt), "type": "card"},
        "presentment_details": None,
        "radar_options": {"session": None},
        "receipt_email": details.get("receipt_email"),
        "receipt_number": None,
        "receipt_url": None,
        "refunded": attempt.captured and refunded == attempt.amount_captured_minor,
        "review": None,
        "shipping": _shipping(details.get("shipping")),
        "source": None,
        "source_transfer": None,
        "statement_descriptor": details.get("statement_descriptor"),
        "statement_descriptor_suffix": details.get("statement_descriptor_suffix"),
        "status": str(attempt.status),
        "transfer": None,
        "transfer_data": None,
        "transfer_group": details.get("transfer_group"),
    }


def _calculated_descriptor(details: Mapping[str, Any]) -> str | None:
    """Returns what the cardholder reads: of cards the suffix, or what there is in its place."""
    suffix = details.get("statement_descriptor_suffix")
    descriptor: str | None = suffix or details.get("statement_descriptor")
    return descriptor


def _outcome(attempt: Charge) -> Json | None:
    if attempt.risk is None:
        return None
    blocked = bool(attempt.risk["blocked"])
    succeeded = attempt.status is ChargeStatus.SUCCEEDED
    failure = attempt.failure or {}
    if blocked:
        status, kind, message = "not_sent_to_network", "blocked", "Blocked by the risk score."
    elif succeeded:
        status, kind, message = "approved_by_network", "authorized", "Payment complete."
    else:
        status, kind, message = (
            "declined_by_network",
            "issuer_declined",
            "The bank declined the payment.",
        )
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": status,
        "reason": "highest_risk_level" if blocked else failure.get("decline_code"),
        "risk_level": attempt.risk["level"],
        "risk_score": attempt.risk["score"],
        "rule": None,
        "seller_message": message,
        "type": kind,
    }


def _charge_card(payment: Payment, attempt: Charge) -> Json:
    is_held = payment.amount_capturable_minor > 0 and attempt.id == payment.latest_charge.id
    card, checks = attempt.card, attempt.checks or {}
    approved = attempt.status is ChargeStatus.SUCCEEDED
    may_grow = is_held and not payment.is_automatic and payment.is_incrementable
    return {
        "amount_authorized": attempt.amount_minor if approved else None,
        "authorization_code": attempt.authorization_code,
        "brand": card.brand,
        "capture_before": (
            attempt.capture_before_ms // 1000 if attempt.capture_before_ms else None
        ),
        "checks": {
            "address_line1_check": checks.get("address_line1_check"),
            "address_postal_code_check": checks.get("address_postal_code_check"),
            "cvc_check": checks.get("cvc_check"),
        },
        "country": card.country,
        "description": None,
        "electronic_commerce_indicator": None,
        "exp_month": card.exp_month,
        "exp_year": card.exp_year,
        "extended_authorization": {"status": "disabled"},
        "fingerprint": card.fingerprint,
        "funding": card.funding,
        "iin": None,
        "incremental_authorization": {"status": "available" if may_grow else "unavailable"},
        "installments": None,
        "issuer": None,
        "last4": card.last4,
        "mandate": None,
        "moto": None,
        "multicapture": {"status": "unavailable"},
        "network": card.brand,
        "network_token": {"used": False},
        "network_transaction_id": attempt.network_transaction_id,
        "overcapture": {
            "maximum_amount_capturable": attempt.amount_minor,
            "status": "unavailable",
        },
        "regulated_status": None,
        "setup_credential_usage": None,
        "stored_credential_usage": None,
        "three_d_secure": None,
        "transaction_link_id": None,
        "wallet": None,
    }


def refund(payment: Payment, item: Refund) -> Json:
    """Renders a refund."""
    return {
        "id": item.id,
        "object": "refund",
        "amount": item.amount_minor,
        "balance_transaction": transaction_id(payment.id, REFUND, item.id),
        "charge": item.charge_id,
        "created": item.created_ms // 1000,
        "currency": payment.currency,
        "customer": payment.customer,
        "customer_account": None,
        "description": None,
        "destination_details": {
            "card": {
                "reference": item.provider_reference,
                "reference_status": "available" if item.provider_reference else "pending",
                "reference_type": "acquirer_reference_number",
                "type": "refund",
            },
            "type": "card",
        },
        **_refund_failure(payment, item),
        "instructions_email": None,
        "metadata": dict(item.metadata),
        "next_action": None,
        "payment_intent": payment.id,
        "payment_method": payment.latest_charge.payment_method,
        "pending_reason": "processing" if item.status is RefundStatus.PENDING else None,
        "presentment_details": None,
        "reason": item.reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": str(item.status),
        "transfer_reversal": None,
    }


def _refund_failure(payment: Payment, item: Refund) -> Json:
    has_failed = item.status is RefundStatus.FAILED
    return {
        "failure_balance_transaction": (
            transaction_id(payment.id, REFUND_FAILURE, item.id) if has_failed else None
        ),
        "failure_reason": item.failure_reason if has_failed else None,
    }


def _shipping(shipping: Mapping[str, Any] | None) -> Json | None:
    if shipping is None:
        return None
    address = shipping.get("address") or {}
    parts = ("city", "country", "line1", "line2", "postal_code", "state")
    return {
        "address": {part: address.get(part) for part in parts},
        "carrier": shipping.get("carrier"),
        "name": shipping.get("name"),
        "phone": shipping.get("phone"),
        "tracking_number": shipping.get("tracking_number"),
    }
