"""Payments that may look alike, the messages that announce them, and what they should lead to."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from shared.domain.changes import Context, Draft, PaymentChange
from shared.domain.duplicates import WINDOW_MS
from shared.domain.payment import Payment
from tests.support.payments import AUTHORIZED, CAPTURED, CARD, CONFIRMED, CREATED, advance

NOON_MS = 1_790_000_000_000
HELD: tuple[Draft, ...] = (AUTHORIZED,)
PAID: tuple[Draft, ...] = (AUTHORIZED, CAPTURED)


@dataclass(frozen=True)
class Sale:
    """One payment, and what others may share with it."""

    name: str
    after_ms: int = 0
    account: str = "acct_1"
    livemode: bool = True
    amount_minor: int = 1500
    currency: str = "usd"
    card: str = "fp_1"
    customer: str | None = None

    @property
    def id(self) -> str:
        """The payment's id."""
        return f"pi_{self.name:0>24}"

    def change(self, *outcome: Draft) -> PaymentChange:
        """Makes the payment: confirmed, then what its provider said."""
        facts = {
            "account": self.account,
            "livemode": self.livemode,
            "amount_minor": self.amount_minor,
            "currency": self.currency,
            "customer": self.customer,
        }
        card = {**CARD, "fingerprint": self.card}
        drafts = [
            (CREATED[0], {**CREATED[1], **facts}),
            (CONFIRMED[0], {**CONFIRMED[1], "card": card}),
            *outcome,
        ]
        context = Context(NOON_MS + self.after_ms, "req_1", "key_1")
        payment, events = advance(None, self.id, drafts, context)
        return PaymentChange(before_version=0, payment=payment, events=events)

    def payment(self, *outcome: Draft) -> Payment:
        """Returns the payment's state."""
        return self.change(*(outcome or PAID)).payment

    def message(self, event: str = "evt_1", message_id: str = "m1") -> dict[str, Any]:
        """Returns the queue's record of an announcement."""
        detail = {"object": self.id, "event": f"{event}_{self.name}"}
        return {"messageId": message_id, "body": json.dumps({"detail": detail})}


def resemble(one: Sale, other: Sale) -> bool:
    """Tells whether two sales look alike; written for the tests alone."""
    same_deal = (one.account, one.livemode, one.amount_minor, one.currency) == (
        other.account,
        other.livemode,
        other.amount_minor,
        other.currency,
    )
    same_customer = one.customer is not None and one.customer == other.customer
    is_near = abs(one.after_ms - other.after_ms) <= WINDOW_MS
    return same_deal and is_near and (same_customer or one.card == other.card)


def expected_duplicates(sales: Iterable[Sale]) -> list[str]:
    """Returns, sorted, the ids of all sales that look like one made before them."""
    ordered = sorted(sales, key=lambda sale: (sale.after_ms, sale.id))
    return sorted(
        sale.id
        for index, sale in enumerate(ordered)
        if any(resemble(sale, earlier) for earlier in ordered[:index])
    )
