"""Posting templates as data: which accounts an operation debits and credits.

Account codes: 1100 receivable from the acquirer (clearing), 2000 owed to the merchant, pending;
2010 owed to the merchant, available; 2200 refunds in flight; 2500 provider fees payable; 4000
platform fee income; 5000 provider fee expense. Codes below 2000 and from 2200 are the platform's;
2000 and 2010 name the merchant.
Source: docs/ledger.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.domain.ledger import Journal, Layer, Posting
from shared.domain.payment import Charge, Payment

RECEIVABLE = "1100:receivable:acquirer:{provider}:{currency}"
MERCHANT_PENDING = "2000:merchant:{account}:pending:{currency}"
MERCHANT_AVAILABLE = "2010:merchant:{account}:available:{currency}"
REFUND_IN_FLIGHT = "2200:refund_in_flight:{currency}"
PROVIDER_FEE_PAYABLE = "2500:provider_fee_payable:{provider}:{currency}"
PLATFORM_FEE = "4000:platform_fee:{currency}"
PROVIDER_FEE = "5000:provider_fee:{provider}:{currency}"


@dataclass(frozen=True, slots=True)
class Leg:
    """Debits one account and credits another with the amount of that name."""

    debit: str
    credit: str
    amount: str
    layer: Layer = Layer.POSTED


TEMPLATES: Mapping[str, tuple[Leg, ...]] = {
    "hold": (Leg(RECEIVABLE, MERCHANT_PENDING, "amount", Layer.PENDING),),
    "release": (Leg(MERCHANT_PENDING, RECEIVABLE, "amount", Layer.PENDING),),
    # A capture ends the whole hold: what is captured is posted, what is not is given back.
    "capture": (
        Leg(RECEIVABLE, MERCHANT_PENDING, "amount"),
        Leg(MERCHANT_PENDING, RECEIVABLE, "held", Layer.PENDING),
    ),
    "fee": (
        Leg(MERCHANT_PENDING, PLATFORM_FEE, "platform_fee"),
        Leg(PROVIDER_FEE, PROVIDER_FEE_PAYABLE, "provider_fee"),
    ),
    "settle": (Leg(MERCHANT_PENDING, MERCHANT_AVAILABLE, "amount"),),
    # A net amount below zero: the fees were higher than what was left of the capture.
    "settle_negative": (Leg(MERCHANT_AVAILABLE, MERCHANT_PENDING, "amount"),),
    "refund_request": (Leg(MERCHANT_AVAILABLE, REFUND_IN_FLIGHT, "amount"),),
    "refund_request_pending": (Leg(MERCHANT_PENDING, REFUND_IN_FLIGHT, "amount"),),
    "refund_accept": (Leg(REFUND_IN_FLIGHT, RECEIVABLE, "amount"),),
    "refund_reject": (Leg(REFUND_IN_FLIGHT, MERCHANT_AVAILABLE, "amount"),),
    "refund_reject_pending": (Leg(REFUND_IN_FLIGHT, MERCHANT_PENDING, "amount"),),
    # The card's bank sent back what the provider had accepted.
    "refund_return": (
        Leg(RECEIVABLE, REFUND_IN_FLIGHT, "amount"),
        Leg(REFUND_IN_FLIGHT, MERCHANT_AVAILABLE, "amount"),
    ),
    "refund_return_pending": (
        Leg(RECEIVABLE, REFUND_IN_FLIGHT, "amount"),
        Leg(REFUND_IN_FLIGHT, MERCHANT_PENDING, "amount"),
    ),
}


@dataclass(frozen=True, slots=True)
class Operation:
    """What a journal is posted for; its id is `<payment>/<kind>/<reference>`."""

    account: str
    livemode: bool
    payment_id: str
    reference: str
    provider: str
    currency: str
    occurred_at_ms: int


def post(kind: str, operation: Operation, amounts_minor: Mapping[str, int]) -> Journal | None:
    """Builds the journal of a template.

    Args: kind: a key of TEMPLATES. amounts_minor: by the template's amount names, 0 or more.
    Returns: the journal without its zero legs, or None when every leg is zero.
    """
    names = {
        "account": operation.account,
        "provider": operation.provider,
        "currency": operation.currency,
    }
    postings: list[Posting] = []
    for leg in TEMPLATES[kind]:
        amount = amounts_minor[leg.amount]
        if amount == 0:
            continue
        for account, debit, credit in ((leg.debit, amount, 0), (leg.credit, 0, amount)):
            name = account.format(**names)
            postings.append(Posting(name, operation.currency, debit, credit, leg.layer))
    if not postings:
        return None
    return Journal(
        id=f"{operation.payment_id}/{kind}/{operation.reference}",
        account=operation.account,
        livemode=operation.livemode,
        kind=kind,
        payment_id=operation.payment_id,
        reference=operation.reference,
        occurred_at_ms=operation.occurred_at_ms,
        postings=tuple(postings),
    )


def operation_of(
    payment: Payment, charge: Charge, now_ms: int, reference: str | None = None
) -> Operation:
    """Names an operation on a charge to the ledger.

    Args: reference: the object that causes it where that is not the charge, such as a refund.
    """
    return Operation(
        account=payment.account,
        livemode=payment.livemode,
        payment_id=payment.id,
        reference=reference or charge.id,
        provider=charge.provider,
        currency=payment.currency,
        occurred_at_ms=now_ms,
    )
