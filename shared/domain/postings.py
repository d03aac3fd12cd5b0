"""Posting templates as data: which accounts an operation debits and credits, under which name.

A capability posts by naming a template; nothing else makes journals, but a reversal.
`journals_of` says what each event of a payment posts, so that the books can be made again from the
events alone.
Source: docs/ledger.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.domain import accounts
from shared.domain.accounts import AccountType
from shared.domain.errors import InvariantError
from shared.domain.events import Event, EventType
from shared.domain.ledger import Journal, Layer, Posting
from shared.domain.payment import Payment

CURRENCY, TARGET_CURRENCY = "currency", "target_currency"


@dataclass(frozen=True, slots=True)
class Leg:
    """Debits one account and credits another with the amount of that name.

    Args: currency: the name of the currency that both are kept in. is_guarded: whether the debit
    is taken from a guarded account only as far as its floor.
    """

    debit: AccountType
    credit: AccountType
    amount: str
    layer: Layer = Layer.POSTED
    currency: str = CURRENCY
    is_guarded: bool = False


_PENDING, _AVAILABLE = accounts.MERCHANT_PENDING, accounts.MERCHANT_AVAILABLE
_CONNECTED, _HOLD = accounts.CONNECTED_AVAILABLE, accounts.DISPUTE_HOLD
_RECEIVABLE, _CASH = accounts.RECEIVABLE, accounts.CASH
_IN_FLIGHT, _IN_TRANSIT = accounts.REFUND_IN_FLIGHT, accounts.PAYOUT_IN_TRANSIT
_DISPUTED, _ACH = accounts.DISPUTE_RECEIVABLE, accounts.ACH_RECEIVABLE
_FX, _SUSPENSE = accounts.FX_POSITION, accounts.SUSPENSE

TEMPLATES: Mapping[str, tuple[Leg, ...]] = {
    # Authorization. A hold is expected money: it has no posted balance.
    "hold": (Leg(_RECEIVABLE, _PENDING, "amount", Layer.PENDING),),
    # More of an authorization that stands.
    "hold_increment": (Leg(_RECEIVABLE, _PENDING, "amount", Layer.PENDING),),
    "release": (Leg(_PENDING, _RECEIVABLE, "amount", Layer.PENDING),),
    # A capture ends the whole hold: what is captured is posted, what is not is given back.
    "capture": (
        Leg(_RECEIVABLE, _PENDING, "amount"),
        Leg(_PENDING, _RECEIVABLE, "held", Layer.PENDING),
    ),
    "fee": (
        Leg(_PENDING, accounts.PLATFORM_FEE, "platform_fee"),
        Leg(_PENDING, accounts.TAX_PAYABLE, "tax"),
        Leg(accounts.PROVIDER_FEE, accounts.PROVIDER_FEE_PAYABLE, "provider_fee"),
    ),
    "fee_true_up": (Leg(accounts.PROVIDER_FEE, accounts.PROVIDER_FEE_PAYABLE, "amount"),),
    "fee_netted": (Leg(accounts.PROVIDER_FEE_PAYABLE, _RECEIVABLE, "amount"),),
    "fee_paid": (Leg(accounts.PROVIDER_FEE_PAYABLE, _CASH, "amount"),),
    "fee_return": (Leg(accounts.PLATFORM_FEE, _AVAILABLE, "amount"),),
    "provider_fee_return": (Leg(_RECEIVABLE, accounts.PROVIDER_FEE, "amount"),),
    # Settlement.
    "settlement_received": (
        Leg(_CASH, _RECEIVABLE, "amount"),
        Leg(accounts.SETTLEMENT_VARIANCE, _RECEIVABLE, "missing"),
        Leg(_RECEIVABLE, accounts.SETTLEMENT_VARIANCE, "surplus"),
    ),
    "settle": (
        Leg(_PENDING, _AVAILABLE, "amount"),
        Leg(_PENDING, accounts.MERCHANT_RESERVE, "reserve"),
    ),
    # A net amount below zero: the fees were higher than what was left of the capture.
    "settle_negative": (Leg(_AVAILABLE, _PENDING, "amount"),),
    "reserve_release": (Leg(accounts.MERCHANT_RESERVE, _AVAILABLE, "amount"),),
    "provider_reserve": (Leg(accounts.HELD_RESERVE, _RECEIVABLE, "amount"),),
    "provider_reserve_release": (Leg(_CASH, accounts.HELD_RESERVE, "amount"),),
    # Refunds.
    "refund_request": (Leg(_AVAILABLE, _IN_FLIGHT, "amount", is_guarded=True),),
    "refund_request_pending": (Leg(_PENDING, _IN_FLIGHT, "amount"),),
    "refund_accept": (Leg(_IN_FLIGHT, _RECEIVABLE, "amount"),),
    "refund_accept_prefunded": (Leg(_IN_FLIGHT, _CASH, "amount"),),
    "refund_reject": (Leg(_IN_FLIGHT, _AVAILABLE, "amount"),),
    "refund_reject_pending": (Leg(_IN_FLIGHT, _PENDING, "amount"),),
    # The card's bank sent back what the provider had accepted.
    "refund_return": (
        Leg(_RECEIVABLE, _IN_FLIGHT, "amount"),
        Leg(_IN_FLIGHT, _AVAILABLE, "amount"),
    ),
    "refund_return_pending": (
        Leg(_RECEIVABLE, _IN_FLIGHT, "amount"),
        Leg(_IN_FLIGHT, _PENDING, "amount"),
    ),
    # Payouts. One that comes back after the bank paid it is two journals, one per bank line.
    "payout": (Leg(_AVAILABLE, _IN_TRANSIT, "amount", is_guarded=True),),
    "payout_confirm": (
        Leg(_IN_TRANSIT, _CASH, "amount"),
        Leg(accounts.PAYOUT_FEE, _CASH, "bank_fee"),
    ),
    "payout_fail": (Leg(_IN_TRANSIT, _AVAILABLE, "amount"),),
    "payout_return": (Leg(_CASH, _IN_TRANSIT, "amount"),),
    "connected_payout": (Leg(_CONNECTED, _IN_TRANSIT, "amount", is_guarded=True),),
    "connected_payout_fail": (Leg(_IN_TRANSIT, _CONNECTED, "amount"),),
    # Disputes. The provider takes the money when one is opened, not when it is lost.
    "dispute_open": (
        Leg(_DISPUTED, _RECEIVABLE, "amount"),
        Leg(_AVAILABLE, _HOLD, "amount"),
    ),
    "dispute_fee": (
        Leg(accounts.DISPUTE_FEE, _RECEIVABLE, "fee"),
        Leg(_AVAILABLE, accounts.DISPUTE_FEE_RECOVERY, "passed_on"),
    ),
    "dispute_won": (
        Leg(_RECEIVABLE, _DISPUTED, "amount"),
        Leg(_HOLD, _AVAILABLE, "amount"),
    ),
    "dispute_fee_return": (
        Leg(_RECEIVABLE, accounts.DISPUTE_FEE, "fee"),
        Leg(accounts.DISPUTE_FEE_RECOVERY, _AVAILABLE, "passed_on"),
    ),
    "dispute_lost": (Leg(_HOLD, _DISPUTED, "amount"),),
    "dispute_lost_by_platform": (
        Leg(accounts.DISPUTE_LOSS, _DISPUTED, "amount"),
        Leg(_HOLD, _AVAILABLE, "amount"),
    ),
    # Currencies. The ledger converts nothing: two amounts are bought and sold, linked by a journal.
    "fx_convert": (
        Leg(_AVAILABLE, _FX, "amount", is_guarded=True),
        Leg(_AVAILABLE, accounts.FX_SPREAD, "spread", is_guarded=True),
        Leg(_FX, _AVAILABLE, "converted", currency=TARGET_CURRENCY),
    ),
    "fx_cover": (
        Leg(_FX, _CASH, "sold"),
        Leg(_CASH, _FX, "bought", currency=TARGET_CURRENCY),
        Leg(_FX, accounts.FX_GAIN, "gain", currency=TARGET_CURRENCY),
        Leg(accounts.FX_LOSS, _FX, "loss", currency=TARGET_CURRENCY),
    ),
    # Connected accounts.
    "transfer": (
        Leg(_AVAILABLE, _CONNECTED, "amount", is_guarded=True),
        Leg(_CONNECTED, accounts.PLATFORM_FEE, "application_fee"),
    ),
    "transfer_pending": (Leg(_PENDING, accounts.CONNECTED_PENDING, "amount"),),
    "transfer_reverse": (Leg(_CONNECTED, _AVAILABLE, "amount", is_guarded=True),),
    # Bank debits.
    "ach_originate": (Leg(_ACH, _PENDING, "amount"),),
    "ach_settle": (Leg(_CASH, _ACH, "amount"),),
    "ach_available": (Leg(_PENDING, _AVAILABLE, "amount"),),
    "ach_return_unsettled": (Leg(_PENDING, _ACH, "amount"),),
    # What is owed may go below zero: the bank takes it whether it is there or not.
    "ach_return": (Leg(_AVAILABLE, accounts.ACH_RETURN_CLEARING, "amount"),),
    "ach_return_debit": (Leg(accounts.ACH_RETURN_CLEARING, _CASH, "amount"),),
    "ach_return_fee": (
        Leg(accounts.ACH_RETURN_FEE, _CASH, "fee"),
        Leg(_AVAILABLE, accounts.RETURN_FEE_RECOVERY, "passed_on"),
    ),
    # What does not fit.
    "write_off": (Leg(accounts.BAD_DEBT, _AVAILABLE, "amount"),),
    "unmatched_credit": (Leg(_CASH, _SUSPENSE, "amount"),),
    "match": (Leg(_SUSPENSE, _RECEIVABLE, "amount"),),
    "late_success": (Leg(_RECEIVABLE, _SUSPENSE, "amount"),),
    "late_success_refund": (Leg(_SUSPENSE, _RECEIVABLE, "amount"),),
}


@dataclass(frozen=True, slots=True)
class Operation:
    """What a journal is posted for; its id is `<subject>/<kind>/<reference>`.

    Args: parties: who takes part, by their names in the chart, the merchant apart. reason: why.
    target_currency: of an exchange.
    """

    account: str
    livemode: bool
    subject: str
    reference: str
    currency: str
    occurred_at_ms: int
    posted_at_ms: int
    parties: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None
    target_currency: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


def amount_names(kind: str) -> frozenset[str]:
    """Returns the names of the amounts that a template knows."""
    return frozenset(leg.amount for leg in TEMPLATES[kind])


def post(kind: str, operation: Operation, amounts_minor: Mapping[str, int]) -> Journal | None:
    """Builds the journal of a template.

    Args: kind: a key of TEMPLATES. amounts_minor: by the template's amount names, 0 or more; one
    that is not given is 0.
    Returns: the journal without its zero legs, or None when every leg is zero.
    Raises: InvariantError when an amount is below zero, or the template has none of its name.
    """
    unknown = amounts_minor.keys() - amount_names(kind)
    if unknown or any(amount < 0 for amount in amounts_minor.values()):
        raise InvariantError(f"{kind} cannot post {dict(amounts_minor)}")
    postings = tuple(
        posting
        for leg in TEMPLATES[kind]
        if amounts_minor.get(leg.amount, 0)
        for posting in _postings(leg, operation, amounts_minor[leg.amount])
    )
    if not postings:
        return None
    return Journal(
        id=f"{operation.subject}/{kind}/{operation.reference}",
        account=operation.account,
        livemode=operation.livemode,
        kind=kind,
        subject=operation.subject,
        reference=operation.reference,
        occurred_at_ms=operation.occurred_at_ms,
        posted_at_ms=operation.posted_at_ms,
        postings=postings,
        reason=operation.reason,
        metadata=operation.metadata,
    )


def _postings(leg: Leg, operation: Operation, amount_minor: int) -> tuple[Posting, Posting]:
    currency = operation.currency if leg.currency == CURRENCY else operation.target_currency
    if currency is None:
        raise InvariantError(f"{operation.subject} names no {leg.currency}")
    parties = {"account": operation.account, **operation.parties}
    debit, credit = leg.debit.name(currency, parties), leg.credit.name(currency, parties)
    return (
        Posting(debit, currency, amount_minor, 0, leg.layer, leg.is_guarded),
        Posting(credit, currency, 0, amount_minor, leg.layer),
    )


Data = Mapping[str, Any]
Amounts = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Rule:
    """What an event of a payment posts.

    Args: kinds, amounts, reason: made of the state before the event and the event's data.
    refers_to: the key of the data that names what caused it, None for the newest charge.
    """

    kinds: Callable[[Payment, Data], tuple[str, ...]]
    amounts: Callable[[Payment, Data], Amounts]
    refers_to: str | None = None
    reason: Callable[[Payment, Data], str | None] = lambda _payment, _data: None


def journals_of(before: Payment | None, event: Event) -> tuple[Journal, ...]:
    """Returns what an event of a payment posts.

    Args: before: the state that the event changes.
    """
    rule = _RULES.get(event.type)
    if before is None or rule is None:
        return ()
    amounts = rule.amounts(before, event.data)
    if not any(amounts.values()):
        return ()
    operation = _operation(before, event, rule)
    made = (
        post(kind, operation, {name: amounts[name] for name in amounts.keys() & amount_names(kind)})
        for kind in rule.kinds(before, event.data)
    )
    return tuple(journal for journal in made if journal is not None)


def _operation(before: Payment, event: Event, rule: _Rule) -> Operation:
    data = event.data
    # The charge that a confirmation makes is not there before it.
    is_first = event.type is EventType.PAYMENT_CONFIRMED
    return Operation(
        account=before.account,
        livemode=before.livemode,
        subject=before.id,
        reference=data[rule.refers_to] if rule.refers_to else before.latest_charge.id,
        currency=before.currency,
        # The provider's word where it has one: an outcome may be heard of days after.
        occurred_at_ms=data.get("occurred_at_ms") or event.occurred_at_ms,
        posted_at_ms=event.occurred_at_ms,
        parties={"provider": data["provider"] if is_first else before.latest_charge.provider},
        reason=rule.reason(before, data),
    )


def _always(*kinds: str) -> Callable[[Payment, Data], tuple[str, ...]]:
    return lambda _payment, _data: kinds


def _by_settlement(settled: str, pending: str) -> Callable[[Payment, Data], tuple[str, ...]]:
    return lambda payment, _data: (settled if payment.settled else pending,)


def _whole(payment: Payment, _data: Data) -> Amounts:
    return {"amount": payment.amount_minor}


def _held(payment: Payment, _data: Data) -> Amounts:
    return {"amount": payment.amount_minor if payment.amount_capturable_minor else 0}


def _captured(payment: Payment, data: Data) -> Amounts:
    return {
        "amount": data["amount_minor"],
        "held": payment.amount_minor,
        "platform_fee": data["platform_fee_minor"],
        "provider_fee": data["provider_fee_minor"],
    }


def _requested(_payment: Payment, data: Data) -> Amounts:
    return {"amount": data["amount_minor"]}


def _refund(payment: Payment, data: Data) -> Amounts:
    refund = payment.refund(data["refund_id"])
    if refund is None:
        raise InvariantError(f"{payment.id} has no refund {data['refund_id']}")
    return {"amount": refund.amount_minor}


def _net(_payment: Payment, data: Data) -> Amounts:
    return {"amount": abs(data["amount_minor"])}


_RULES: Mapping[EventType, _Rule] = {
    EventType.PAYMENT_CONFIRMED: _Rule(_always("hold"), _whole, "charge_id"),
    EventType.PAYMENT_ACTION_REQUIRED: _Rule(
        _always("release"), _whole, reason=lambda _payment, _data: "challenged"
    ),
    EventType.PAYMENT_DECLINED: _Rule(
        _always("release"), _whole, reason=lambda _payment, data: data["failure"]["code"]
    ),
    EventType.AUTHORIZATION_INCREMENTED: _Rule(
        _always("hold_increment"), _requested, "increment_id"
    ),
    EventType.PAYMENT_CAPTURED: _Rule(_always("capture", "fee"), _captured),
    EventType.PAYMENT_CANCELED: _Rule(
        _always("release"), _held, reason=lambda _payment, data: data["reason"] or "voided"
    ),
    EventType.REFUND_REQUESTED: _Rule(
        _by_settlement("refund_request", "refund_request_pending"), _requested, "refund_id"
    ),
    EventType.REFUND_SUCCEEDED: _Rule(_always("refund_accept"), _refund, "refund_id"),
    EventType.REFUND_FAILED: _Rule(
        _by_settlement("refund_reject", "refund_reject_pending"),
        _refund,
        "refund_id",
        reason=lambda _payment, data: data["failure_reason"],
    ),
    EventType.REFUND_RETURNED: _Rule(
        _by_settlement("refund_return", "refund_return_pending"),
        _refund,
        "refund_id",
        reason=lambda _payment, data: data["failure_reason"],
    ),
    EventType.PAYMENT_SETTLED: _Rule(
        lambda _payment, data: ("settle" if data["amount_minor"] >= 0 else "settle_negative",),
        _net,
    ),
}
