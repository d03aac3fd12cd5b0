"""Payments in the states that tests start from."""

from collections.abc import Sequence
from typing import Any

from shared.domain.changes import Context, Draft, change
from shared.domain.events import Event, EventType
from shared.domain.payment import Payment

PAYMENT_ID = "pi_0000000000000000000000aB"
CHARGE_ID = "ch_0000000000000000000000aB01"
REFUND_ID = "re_0000000000000000000000aB0123456789"
CARD = {
    "vault_token": "test:visa",
    "brand": "visa",
    "last4": "4242",
    "exp_month": 12,
    "exp_year": 2040,
    "funding": "credit",
    "country": "US",
    "fingerprint": "fp",
}
CONTEXT = Context(1_790_000_000_000, "req_1", "key_1")

CREATED: Draft = (
    EventType.PAYMENT_CREATED,
    {
        "account": "acct_1",
        "livemode": False,
        "amount_minor": 1500,
        "currency": "usd",
        "capture_method": "automatic",
        "client_secret": f"{PAYMENT_ID}_secret_1",
        "customer": None,
        "payment_method": "pm_1",
        "payment_method_types": ["card"],
        "details": {"metadata": {}},
    },
)
CONFIRMED: Draft = (
    EventType.PAYMENT_CONFIRMED,
    {
        "charge_id": CHARGE_ID,
        "payment_method": "pm_1",
        "card": CARD,
        "billing_details": {},
        "provider": "sandbox",
        "operation_key": None,
        "due_at_ms": 1_790_000_060_000,
        "challenge": True,
    },
)
_VERDICT: dict[str, Any] = {
    "provider_reference": "ntx_1",
    "checks": {},
    "risk": {"level": "normal", "score": 5, "blocked": False},
}
AUTHORIZED: Draft = (
    EventType.PAYMENT_AUTHORIZED,
    {
        **_VERDICT,
        "authorization_code": "123456",
        "network_transaction_id": "1",
        "capture_before_ms": None,
    },
)
DECLINED: Draft = (
    EventType.PAYMENT_DECLINED,
    {
        **_VERDICT,
        "failure": {
            "code": "card_declined",
            "decline_code": "generic_decline",
            "message": "Your card was declined.",
        },
    },
)
ACTION_REQUIRED: Draft = (EventType.PAYMENT_ACTION_REQUIRED, {"next_action": {"type": "x"}})
OUTCOME_UNKNOWN: Draft = (
    EventType.PAYMENT_OUTCOME_UNKNOWN,
    {"refund_id": None, "due_at_ms": 1_790_000_120_000},
)
INCREMENT_REQUESTED: Draft = (
    EventType.INCREMENT_REQUESTED,
    {"amount_minor": 500, "operation_key": "more", "due_at_ms": 1, "reason": None},
)
INCREMENTED: Draft = (
    EventType.AUTHORIZATION_INCREMENTED,
    {"increment_id": f"{CHARGE_ID}_1", "amount_minor": 500, "occurred_at_ms": None},
)
CAPTURED: Draft = (
    EventType.PAYMENT_CAPTURED,
    {"amount_minor": 1500, "platform_fee_minor": 74, "provider_fee_minor": 37},
)
CANCELED: Draft = (EventType.PAYMENT_CANCELED, {"reason": "abandoned"})
SETTLED: Draft = (EventType.PAYMENT_SETTLED, {"amount_minor": 1426})
REFUND_REQUESTED: Draft = (
    EventType.REFUND_REQUESTED,
    {
        "refund_id": REFUND_ID,
        "amount_minor": 500,
        "reason": None,
        "metadata": {},
        "operation_key": None,
        "due_at_ms": 1_790_000_060_000,
    },
)


REFUND_PENDING: Draft = (
    EventType.REFUND_PENDING,
    {"refund_id": REFUND_ID, "provider_reference": "ntx_2", "due_at_ms": 1_790_000_090_000},
)


def charge_updated(**details: Any) -> Draft:
    """Makes the event of what is said anew about the charge."""
    return EventType.CHARGE_UPDATED, {"charge_id": CHARGE_ID, "details": details}


def refund_ended(event_type: EventType, failure_reason: str | None = None) -> Draft:
    """Makes the end of the refund."""
    data = {
        "refund_id": REFUND_ID,
        "provider_reference": "ntx_2",
        "failure_reason": failure_reason,
    }
    return event_type, data


def advance(
    before: Payment | None, payment_id: str, drafts: Sequence[Draft], context: Context
) -> tuple[Payment, tuple[Event, ...]]:
    """Returns the state after some drafts, and their events."""
    made = change(before, drafts, context, payment_id)
    return made.payment, made.events


def after(before: Payment | None, *drafts: Draft) -> Payment:
    """Returns the payment after events; None starts a new one."""
    return advance(before, PAYMENT_ID, drafts, CONTEXT)[0]
