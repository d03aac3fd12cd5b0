"""Journals: balanced, immutable, keyed by the operation that caused them.

Source: the chart of accounts is shared/domain/accounts.py, the posting templates are
shared/domain/postings.py; docs/ledger.md describes both.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from shared.domain.documents import mode_of
from shared.domain.errors import InvariantError

REVERSAL = "reversal"


class Layer(StrEnum):
    """Tells expected money (a hold) from money that moved."""

    PENDING = "pending"
    POSTED = "posted"


@dataclass(frozen=True, slots=True)
class Posting:
    """One leg of a journal.

    Args: account: of the chart, such as "2000:merchant:acct_1:pending:usd". debit_minor and
    credit_minor: 0 or more, exactly one of them positive. is_guarded: whether the transaction that
    posted it took the amount from the account's available balance under its floor.
    """

    account: str
    currency: str
    debit_minor: int
    credit_minor: int
    layer: Layer = Layer.POSTED
    is_guarded: bool = False

    def __post_init__(self) -> None:
        if min(self.debit_minor, self.credit_minor) != 0 or self.debit_minor == self.credit_minor:
            raise InvariantError(f"a posting is one positive debit or credit: {self}")

    @property
    def net_minor(self) -> int:
        """The debit, or the credit below zero."""
        return self.debit_minor - self.credit_minor


@dataclass(frozen=True, slots=True)
class Journal:
    """A balanced set of postings of one operation.

    Args: id: the operation, such as "pi_1/capture/ch_1"; posting it twice is a no-op for ever.
    account: the merchant whose books it belongs to. kind: template name. subject: the object whose
    history it belongs to. reference: the object that caused it. occurred_at_ms: when the money
    event happened. posted_at_ms: when it was written. reason: why, where the kind alone does not
    say it. reverses: the journal that this one takes back.
    Raises: InvariantError when a layer and currency does not balance.
    """

    id: str
    account: str
    livemode: bool
    kind: str
    subject: str
    reference: str
    occurred_at_ms: int
    posted_at_ms: int
    postings: tuple[Posting, ...]
    reason: str | None = None
    reverses: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.postings:
            raise InvariantError(f"journal {self.id} has no posting")
        sums: dict[tuple[str, Layer], int] = defaultdict(int)
        for posting in self.postings:
            sums[posting.currency, posting.layer] += posting.net_minor
        if any(sums.values()):
            raise InvariantError(f"journal {self.id} does not balance: {dict(sums)}")

    @property
    def book(self) -> str:
        """The books it is written in."""
        return book_of(self.account, livemode=self.livemode)

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON that `of` reads back."""
        return asdict(self)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Journal":
        """Reads a journal from JSON."""
        postings = tuple(Posting(**{**p, "layer": Layer(p["layer"])}) for p in data["postings"])
        return cls(**{**data, "postings": postings})


def book_of(account: str, *, livemode: bool) -> str:
    """Names the books of a merchant in one mode, such as "acct_1/test"."""
    return f"{account}/{mode_of(livemode=livemode)}"


def reverse(journal: Journal, reason: str, now_ms: int) -> Journal:
    """Corrects a journal by the one that takes it back; the journal itself stands for ever.

    There is one reversal of a journal, by its id. The reversal of a reversal is refused: what was
    right after all is posted anew.

    Args: reason: why, for who reads the books later.
    Raises: InvariantError for a reversal, or without a reason.
    """
    if journal.reverses is not None or not reason.strip():
        raise InvariantError(f"{journal.id} is not reversed: it is a reversal, or without reason")
    return replace(
        journal,
        id=f"{journal.id}/{REVERSAL}",
        kind=REVERSAL,
        occurred_at_ms=now_ms,
        posted_at_ms=now_ms,
        postings=opposite(journal.postings),
        reason=reason,
        reverses=journal.id,
        metadata={},
    )


def opposite(postings: Iterable[Posting]) -> tuple[Posting, ...]:
    """Returns what takes postings back; a debit among them asks no floor."""
    return tuple(
        replace(p, debit_minor=p.credit_minor, credit_minor=p.debit_minor, is_guarded=False)
        for p in postings
    )


@dataclass(frozen=True, slots=True)
class Balance:
    """Totals of one account, minor units; the pending ones are of holds."""

    debits_minor: int = 0
    credits_minor: int = 0
    pending_debits_minor: int = 0
    pending_credits_minor: int = 0

    @property
    def net_minor(self) -> int:
        """Posted debits minus posted credits."""
        return self.debits_minor - self.credits_minor

    @property
    def pending_net_minor(self) -> int:
        """Pending debits minus pending credits."""
        return self.pending_debits_minor - self.pending_credits_minor

    def plus(self, posting: Posting) -> "Balance":
        """Returns the totals after one more posting."""
        if posting.layer is Layer.POSTED:
            return replace(
                self,
                debits_minor=self.debits_minor + posting.debit_minor,
                credits_minor=self.credits_minor + posting.credit_minor,
            )
        return replace(
            self,
            pending_debits_minor=self.pending_debits_minor + posting.debit_minor,
            pending_credits_minor=self.pending_credits_minor + posting.credit_minor,
        )

    def __add__(self, other: "Balance") -> "Balance":
        return Balance(
            self.debits_minor + other.debits_minor,
            self.credits_minor + other.credits_minor,
            self.pending_debits_minor + other.pending_debits_minor,
            self.pending_credits_minor + other.pending_credits_minor,
        )


def currency_of(account: str) -> str:
    """Returns the currency that an account is kept in, the last part of its name."""
    return account.rpartition(":")[2]


def trial_balance(journals: Iterable[Journal]) -> dict[str, Balance]:
    """Sums journals per account, ordered by account.

    Raises: InvariantError when the posted debits and credits of a currency differ.
    """
    totals: dict[str, Balance] = defaultdict(Balance)
    for journal in journals:
        for posting in journal.postings:
            totals[posting.account] = totals[posting.account].plus(posting)
    check_trial_balance(totals)
    return dict(sorted(totals.items()))


def check_trial_balance(balances: Mapping[str, Balance]) -> None:
    """Checks that debits and credits are equal in every currency and layer.

    Raises: InvariantError when they are not.
    """
    nets: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for account, balance in balances.items():
        nets[currency_of(account)][0] += balance.net_minor
        nets[currency_of(account)][1] += balance.pending_net_minor
    for currency, net in nets.items():
        if any(net):
            raise InvariantError(f"the books of {currency} do not balance: {net}")
