"""Balance transactions: what changed what is owed to a merchant, derived from journals.

A charge is its capture and its fees; a hold is expected money and no transaction. A merchant who
captures a part of an authorization is charged that part: the rest was never theirs. (Stripe books
the whole and a "partial_capture_reversal"; the net is the same.) Settlement moves money between the
merchant's own accounts: it changes the status of a transaction and is none. The nets of all
transactions add up to what the journals changed on those accounts, always.
Source: Stripe's balance transaction types and reporting categories.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shared.domain import accounts
from shared.domain.ids import transaction_id
from shared.domain.ledger import REVERSAL, Journal, Layer, Posting
from shared.domain.payment import Payment

CHARGE, REFUND, REFUND_FAILURE, ADJUSTMENT = "charge", "refund", "refund_failure", "adjustment"
FEE, CAPTURE = "fee", "capture"
SETTLEMENTS = ("settle", "settle_negative")

# What a journal is to its merchant, by its kind; money that moves otherwise is an adjustment.
_TYPES: Mapping[str, str] = {
    CAPTURE: CHARGE,
    "refund_request": REFUND,
    "refund_request_pending": REFUND,
    "refund_reject": REFUND_FAILURE,
    "refund_reject_pending": REFUND_FAILURE,
    "refund_return": REFUND_FAILURE,
    "refund_return_pending": REFUND_FAILURE,
}
TYPES = frozenset(_TYPES.values()) | {ADJUSTMENT}
_OWN = (accounts.MERCHANT_PENDING, accounts.MERCHANT_AVAILABLE)
_FEES = {accounts.PLATFORM_FEE.code: "stripe_fee", accounts.TAX_PAYABLE.code: "tax"}


@dataclass(frozen=True, slots=True)
class Fee:
    """A part of a transaction's fee. Args: type: "stripe_fee" or "tax", in Stripe's words."""

    type: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class BalanceTransaction:
    """One change of what is owed to a merchant.

    Args: type: one of TYPES. amount_minor: before fees, below zero for what leaves. source: id of
    the charge or refund. journal_id: that it is derived from. available_at_ms: when the money
    became available; while that is open, when the transaction was made.
    """

    id: str
    type: str
    amount_minor: int
    fees: tuple[Fee, ...]
    currency: str
    source: str
    subject: str
    journal_id: str
    created_ms: int
    available_at_ms: int
    is_available: bool

    @property
    def fee_minor(self) -> int:
        """All fees."""
        return sum(fee.amount_minor for fee in self.fees)

    @property
    def net_minor(self) -> int:
        """What it changed on the merchant's accounts."""
        return self.amount_minor - self.fee_minor


def transactions(
    journals: Iterable[Journal], *, is_settled: bool = False
) -> tuple[BalanceTransaction, ...]:
    """Derives the transactions of one object's history, in the order in which they were made.

    Args: journals: of one subject. A part of them gives the transactions of that part, as long as
    the fees of each capture and the settlement are there. is_settled: whether the money became
    available, where no settlement says so because nothing was left to settle.
    """
    ordered = sorted(journals, key=lambda journal: (journal.posted_at_ms, journal.id))
    fees = {journal.reference: journal for journal in ordered if journal.kind == FEE}
    charged = {journal.reference for journal in ordered if journal.kind == CAPTURE}
    settled_ms = next((j.posted_at_ms for j in ordered if j.kind in SETTLEMENTS), None)
    found = []
    for journal in ordered:
        if journal.kind == FEE and journal.reference in charged:
            continue
        fee = fees.get(journal.reference) if journal.kind == CAPTURE else None
        found += _derived(journal, fee, settled_ms, is_settled=is_settled)
    return tuple(found)


def type_of(journal_id: str) -> str | None:
    """Returns the type of the transaction that a journal makes.

    Returns: None for fees, which are part of a charge.
    """
    kind = kind_of(journal_id)
    return None if kind == FEE else _TYPES.get(kind, ADJUSTMENT)


def kind_of(journal_id: str) -> str:
    """Returns the kind that the id of a journal tells."""
    _, kind, _, *correction = journal_id.split("/")
    return REVERSAL if correction else kind


def funds_changed(journal_id: str, postings: Iterable[Posting]) -> dict[str, int]:
    """Returns the nets of the transactions that a journal makes, by currency; of fees, none."""
    if type_of(journal_id) is None:
        return {}
    return {code: amount for code, amount in _changes(postings).items() if amount}


def siblings(journal_id: str, payment: Payment | None) -> list[str]:
    """Names the journals that a journal's transaction is derived from, itself too.

    Args: payment: that it belongs to, None where it belongs to none.
    """
    subject, kind, reference = journal_id.split("/", 2)
    fees = [f"{subject}/{FEE}/{reference}"] if kind == CAPTURE else []
    charges = [payment.latest_charge.id] if payment and payment.charges else []
    return [
        journal_id,
        *fees,
        *(f"{subject}/{name}/{charge}" for charge in charges for name in SETTLEMENTS),
    ]


def parts(payment: Payment, wanted: str) -> list[str]:
    """Names the journals that a transaction of a charge or refund may be derived from.

    Args: wanted: its id. Returns: none where it is of neither.
    """
    charges = [charge.id for charge in payment.charges]
    refunds = [refund.id for refund in payment.refunds]
    return [
        name
        for kind, type_name in _TYPES.items()
        for source in (charges if type_name == CHARGE else refunds)
        if transaction_id(payment.id, type_name, source) == wanted
        for name in siblings(f"{payment.id}/{kind}/{source}", payment)
    ]


def _derived(
    journal: Journal, fee: Journal | None, settled_ms: int | None, *, is_settled: bool
) -> list[BalanceTransaction]:
    kind = _TYPES.get(journal.kind, ADJUSTMENT)
    reference = journal.reference if kind in {CHARGE, REFUND, REFUND_FAILURE} else journal.id
    is_at_once = not _touches(journal, accounts.MERCHANT_PENDING)
    available_ms = settled_ms if settled_ms is not None and not is_at_once else journal.posted_at_ms
    changed = {code: amount for code, amount in _changes(journal.postings).items() if amount}
    return [
        BalanceTransaction(
            id=transaction_id(journal.subject, kind, reference, *([] if number == 0 else [code])),
            type=kind,
            amount_minor=amount,
            fees=_fees(fee, code) if fee else (),
            currency=code,
            source=journal.reference,
            subject=journal.subject,
            journal_id=journal.id,
            created_ms=journal.posted_at_ms,
            available_at_ms=max(available_ms, journal.posted_at_ms),
            is_available=is_at_once or is_settled or settled_ms is not None,
        )
        for number, (code, amount) in enumerate(changed.items())
    ]


def _changes(postings: Iterable[Posting]) -> dict[str, int]:
    """Returns what postings add to what is owed to the merchant, by currency."""
    changes: dict[str, int] = {}
    for posting in _own(postings):
        changes[posting.currency] = changes.get(posting.currency, 0) - posting.net_minor
    return changes


def _own(postings: Iterable[Posting]) -> Iterable[Posting]:
    return (
        posting
        for posting in postings
        if posting.layer is Layer.POSTED and accounts.account_type(posting.account) in _OWN
    )


def _touches(journal: Journal, row: accounts.AccountType) -> bool:
    return any(accounts.account_type(posting.account) is row for posting in _own(journal.postings))


def _fees(journal: Journal, currency: str) -> tuple[Fee, ...]:
    taken = (
        (_FEES.get(accounts.account_type(posting.account).code), posting)
        for posting in journal.postings
        if posting.currency == currency and posting.layer is Layer.POSTED
    )
    return tuple(Fee(name, -posting.net_minor) for name, posting in taken if name is not None)
