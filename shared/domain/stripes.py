"""Stripes: over how many ledger shards a merchant's books are spread, and from when on.

The count in effect for a record follows from when it was written, so a record that is read again
is looked for where it was sealed. A change lies ahead by more than any reader's memory is old:
whoever meets a record that it concerns knows of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.domain.errors import InvariantError
from shared.domain.evidence import SHARDS, shard_of

# How far ahead a change lies, and how long a reader may remember what it read. The difference is
# for clocks that differ and for the time that the change itself takes.
NOTICE_MS = 60_000
REMEMBERED_MS = 30_000


@dataclass(frozen=True, slots=True)
class Stripes:
    """The counts of one book.

    Args: history: (from_ms, count) in the order of time; the first is in effect from the
    beginning.
    """

    history: tuple[tuple[int, int], ...] = ((0, 1),)

    def __post_init__(self) -> None:
        times = [from_ms for from_ms, _ in self.history]
        counts = [count for _, count in self.history]
        if times[:1] != [0] or times != sorted(set(times)):
            raise InvariantError(f"stripes begin at 0 and go on in time: {self.history}")
        if not all(1 <= count <= SHARDS for count in counts):
            raise InvariantError(f"a book has 1 to {SHARDS} stripes: {self.history}")

    def count_at(self, at_ms: int) -> int:
        """Returns the count for what is written at that time."""
        return next((n for from_ms, n in reversed(self.history) if from_ms <= at_ms), 1)

    def changed(self, count: int, now_ms: int) -> "Stripes":
        """Returns the history with another count, in effect soon.

        Raises: InvariantError when a change of that time or later is made already.
        """
        return Stripes((*self.history, (now_ms + NOTICE_MS, count)))

    def shards(self, book: str) -> tuple[int, ...]:
        """Returns the ledger shards that may hold something of a book, in their order."""
        widest = max(count for _, count in self.history)
        first = shard_of(book, "", 1)
        return tuple(sorted((first + stripe) % SHARDS for stripe in range(widest)))

    def to_dict(self) -> list[list[int]]:
        """Returns it as JSON."""
        return [list(change) for change in self.history]

    @classmethod
    def of(cls, value: Sequence[Any]) -> "Stripes":
        """Reads what to_dict returned."""
        return cls(tuple((from_ms, count) for from_ms, count in value))
