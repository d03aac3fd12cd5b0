"""What the operations on the books read."""

import re
from dataclasses import dataclass

from shared.domain.checkpoints import CheckpointLog
from shared.domain.documents import Scope
from shared.domain.ledger import Journal, book_of
from shared.domain.ports import (
    AvailableStore,
    ChangeStore,
    LedgerStore,
    PageStore,
    PaymentStore,
    SignedEvents,
    StripeStore,
)
from shared.domain.reading import BookReader

# What has not this form is no key of the store, and might be one that it refuses.
_JOURNAL_ID = re.compile(r"\w{1,64}/[a-z_]{1,64}/[\w.:#-]{1,255}(/reversal)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Stores:
    """The tables behind the books."""

    payments: PaymentStore
    events: SignedEvents
    changes: ChangeStore
    journals: LedgerStore
    available: AvailableStore
    pages: PageStore
    stripes: StripeStore
    checkpoints: CheckpointLog

    def book(self, scope: Scope) -> BookReader:
        """Opens the books that a scope may see."""
        return BookReader(book_name(scope), self.pages, self.stripes)

    def journal(self, journal_id: str, scope: Scope) -> Journal | None:
        """Reads a journal of the scope's books, strongly consistent."""
        if not _JOURNAL_ID.fullmatch(journal_id):
            return None
        journal = self.journals.get_many([journal_id]).get(journal_id)
        return journal if journal is not None and journal.book == book_name(scope) else None


def book_name(scope: Scope) -> str:
    """Names the books that a scope may see."""
    return book_of(scope.account, livemode=scope.livemode)
