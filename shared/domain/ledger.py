"""Journals: balanced, immutable, keyed by the operation that caused them.

Source: the chart of accounts and posting templates are described in docs/ledger.md.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from shared.domain.errors import InvariantError


class Layer(StrEnum):
    """Tells expected money (a hold) from money that moved."""

    PENDING = "pending"
    POSTED = "posted"


@dataclass(frozen=True, slots=True)
class Posting:
    """One leg of a journal.

    Args: account: code of the chart, such as "2000:acct_1:pending:usd". debit_minor and
    credit_minor: 0 or more, exactly one of them positive.
    """

    account: str
    currency: str
    debit_minor: int
    credit_minor: int
    layer: Layer = Layer.POSTED

    def __post_init__(self) -> None:
        if min(self.debit_minor, self.credit_minor) != 0 or self.debit_minor == self.credit_minor:
            raise InvariantError(f"a posting is one positive debit or credit: {self}")


@dataclass(frozen=True, slots=True)
class Journal:
    """A balanced set of postings of one operation.

    Args: id: the operation, such as "pi_1/capture/ch_1"; posting it twice is a no-op for ever.
    account: the merchant whose books it belongs to. kind: template name. reference: the object
    that caused it. occurred_at_ms: when the money event happened.
    Raises: InvariantError when a layer and currency does not balance.
    """

    id: str
    account: str
    livemode: bool
    kind: str
    payment_id: str
    reference: str
    occurred_at_ms: int
    postings: tuple[Posting, ...]

    def __post_init__(self) -> None:
        if not self.postings:
            raise InvariantError(f"journal {self.id} has no posting")
        sums: dict[tuple[str, Layer], int] = defaultdict(int)
        for posting in self.postings:
            sums[posting.currency, posting.layer] += posting.debit_minor - posting.credit_minor
        if any(sums.values()):
            raise InvariantError(f"journal {self.id} does not balance: {dict(sums)}")


@dataclass(frozen=True, slots=True)
class AccountBalance:
    """Totals of one account in one currency, minor units; `net_minor` is debits minus credits."""

    account: str
    currency: str
    debits_minor: int
    credits_minor: int
    pending_debits_minor: int
    pending_credits_minor: int

    @property
    def net_minor(self) -> int:
        """Posted debits minus posted credits."""
        return self.debits_minor - self.credits_minor


def trial_balance(journals: Iterable[Journal]) -> list[AccountBalance]:
    """Sums journals per account and currency, ordered by account.

    Raises: InvariantError when the posted debits and credits of a currency differ.
    """
    totals: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for journal in journals:
        for posting in journal.postings:
            row = totals[posting.account, posting.currency]
            offset = 0 if posting.layer is Layer.POSTED else 2
            row[offset] += posting.debit_minor
            row[offset + 1] += posting.credit_minor
    balances = [AccountBalance(*key, *row) for key, row in sorted(totals.items())]
    for currency in {balance.currency for balance in balances}:
        if sum(b.net_minor for b in balances if b.currency == currency) != 0:
            raise InvariantError(f"the books of {currency} do not balance")
    return balances
