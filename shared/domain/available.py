"""Available balances: what may be taken out of a guarded account, and how far.

A guarded account has one conditional balance. Money is taken from it in the transaction that posts
the debit, and only as far as its floor; what else moves on the account is added block by block, as
the ledger is sealed. So it lags behind in what comes in, and never in what goes out.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shared.domain.accounts import account_type
from shared.domain.errors import InsufficientFundsError
from shared.domain.ledger import Journal, Layer

# How far below zero an account may go, in minor units, until its own floor is set: fees and
# refunds of a quiet day come before the next payments that cover them.
FLOOR_MINOR = -1_000_000


@dataclass(frozen=True, slots=True)
class Available:
    """The conditional balance of one guarded account.

    Args: headroom_minor: what may still be taken before the floor.
    """

    book: str
    account: str
    available_minor: int
    headroom_minor: int

    @property
    def floor_minor(self) -> int:
        """What the balance may not fall below."""
        return self.available_minor - self.headroom_minor


def insufficient_funds() -> InsufficientFundsError:
    """Says, in Stripe's terms, that a debit would take a balance below its floor."""
    return InsufficientFundsError(
        "Insufficient funds in your available balance for this operation; it becomes possible as "
        "your pending balance settles.",
        code="balance_insufficient",
    )


def guarded_debits(journals: Iterable[Journal]) -> Mapping[tuple[str, str], int]:
    """Returns what journals take from guarded accounts, by book and account, in minor units."""
    taken: Counter[tuple[str, str]] = Counter()
    for journal in journals:
        for posting in journal.postings:
            if posting.is_guarded:
                taken[journal.book, posting.account] += posting.debit_minor
    return taken


def unguarded_changes(journals: Iterable[Journal]) -> Mapping[tuple[str, str], int]:
    """Returns what else journals change on guarded accounts, by book and account.

    Returns: credits less debits, minor units; all that `guarded_debits` leaves out.
    """
    changes: Counter[tuple[str, str]] = Counter()
    for journal in journals:
        for posting in journal.postings:
            is_money = posting.layer is Layer.POSTED and not posting.is_guarded
            if is_money and account_type(posting.account).is_guarded:
                changes[journal.book, posting.account] -= posting.net_minor
    return changes
