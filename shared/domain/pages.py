"""Pages: what a block adds to one book, with the balance of an account after each posting.

A page follows from the page before it and the block alone: whoever turns it writes the same. The
newest page of a book in a shard closes with the balances of all its accounts there; the balance of
an account is the sum over the shards that the book is spread over.
"""

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from typing import Any

from shared.domain.errors import InvariantError
from shared.domain.evidence import Block, RecordKind
from shared.domain.ledger import Balance, Journal, Layer, Posting, currency_of

# Where a page is in its book and shard: newest_ms and number of its block. Both only grow, so
# (t, 0) lies behind all pages whose records are older than t.
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Entry:
    """One posting of a journal.

    Args: at_ms: when the journal was written. balance_after: of the account, in this shard.
    """

    journal_id: str
    at_ms: int
    posting: Posting
    balance_after: Balance

    def to_dict(self) -> dict[str, Any]:
        """Returns it as JSON."""
        posting = self.posting
        return {
            "journal": self.journal_id,
            "at_ms": self.at_ms,
            "account": posting.account,
            "layer": posting.layer,
            "debit_minor": posting.debit_minor,
            "credit_minor": posting.credit_minor,
            "is_guarded": posting.is_guarded,
            "balance_after": astuple(self.balance_after),
        }

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Entry":
        """Reads what to_dict returned."""
        posting = Posting(
            value["account"],
            currency_of(value["account"]),
            value["debit_minor"],
            value["credit_minor"],
            Layer(value["layer"]),
            value["is_guarded"],
        )
        return cls(value["journal"], value["at_ms"], posting, Balance(*value["balance_after"]))


@dataclass(frozen=True, slots=True)
class Listed:
    """A record of the book. Args: sequence: its position in the shard."""

    kind: RecordKind
    id: str
    at_ms: int
    sequence: int

    def to_dict(self) -> dict[str, Any]:
        """Returns it as JSON."""
        return {"kind": self.kind, "id": self.id, "at_ms": self.at_ms, "sequence": self.sequence}

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Listed":
        """Reads what to_dict returned."""
        return cls(**{**value, "kind": RecordKind(value["kind"])})


@dataclass(frozen=True, slots=True)
class BookPage:
    """What one block adds to one book.

    Args: number: of the block. previous_number: of the block of the book's page before, in this
    shard; 0 for its first. newest_ms, sealed_at_ms: of the block. records: of the book, in sealed
    order. entries: the postings of its journals, in sealed order. closing: balances of all
    accounts of the book in this shard, after the page.
    """

    book: str
    shard: int
    number: int
    previous_number: int
    newest_ms: int
    sealed_at_ms: int
    records: tuple[Listed, ...]
    entries: tuple[Entry, ...]
    closing: Mapping[str, Balance]

    @property
    def place(self) -> Place:
        """Where it is among the pages of its book and shard."""
        return self.newest_ms, self.number

    def to_dict(self) -> dict[str, Any]:
        """Returns it as JSON."""
        return {
            "book": self.book,
            "shard": self.shard,
            "number": self.number,
            "previous_number": self.previous_number,
            "newest_ms": self.newest_ms,
            "sealed_at_ms": self.sealed_at_ms,
            "records": [record.to_dict() for record in self.records],
            "entries": [entry.to_dict() for entry in self.entries],
            "closing": {account: astuple(total) for account, total in self.closing.items()},
        }

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "BookPage":
        """Reads what to_dict returned."""
        fields = dict(value)
        fields["records"] = tuple(map(Listed.of, value["records"]))
        fields["entries"] = tuple(map(Entry.of, value["entries"]))
        fields["closing"] = {name: Balance(*total) for name, total in value["closing"].items()}
        return cls(**fields)


def turn(
    previous: BookPage | None, block: Block, book: str, journals: Mapping[str, Journal]
) -> BookPage:
    """Makes the page that a block adds to a book.

    Args:
        previous: The book's newest page of an earlier block of the shard; None when there is none.
        block: Holds at least one record of the book.
        book: "<account>/<live|test>".
        journals: By id; at least those of the book in the block.

    Raises:
        InvariantError: The page before is not of this book and shard, or not earlier.
    """
    if previous is not None and (
        (previous.book, previous.shard) != (book, block.shard) or previous.number >= block.number
    ):
        raise InvariantError(f"page {previous.number} does not come before block {block.number}")
    records = tuple(
        Listed(leaf.kind, leaf.id, leaf.at_ms, sequence)
        for sequence, leaf in enumerate(block.leaves, block.first_sequence)
        if leaf.book == book
    )
    closing = dict(previous.closing) if previous else {}
    posted = [journals[record.id] for record in records if record.kind is RecordKind.JOURNAL]
    return BookPage(
        book=book,
        shard=block.shard,
        number=block.number,
        previous_number=previous.number if previous else 0,
        newest_ms=block.newest_ms,
        sealed_at_ms=block.sealed_at_ms,
        records=records,
        entries=tuple(_enter(posted, closing)),
        closing=closing,
    )


def _enter(journals: Iterable[Journal], balances: dict[str, Balance]) -> Iterable[Entry]:
    """Yields the postings of journals, and adds them to the balances as it goes."""
    for journal in journals:
        for posting in journal.postings:
            after = balances.get(posting.account, Balance()).plus(posting)
            balances[posting.account] = after
            yield Entry(journal.id, journal.posted_at_ms, posting, after)
