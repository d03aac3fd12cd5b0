"""Reading the books: balances and lines of a book, merged over the ledger shards it is spread over.

All of it is read from pages, so it is as of the last blocks: a moment behind. Lines have one order,
in which nothing ever changes place: by the newest time of their block, then shard, block, line.
That is the order of posting, but for the few lines that were sealed after newer ones.
"""

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from shared.domain.errors import RejectedError
from shared.domain.evidence import shard_of
from shared.domain.ledger import Balance, Posting
from shared.domain.pages import BookPage, Entry, Place
from shared.domain.ports import PageStore, StripeStore
from shared.domain.stripes import Stripes

# A line sealed behind lines that are this much newer counts from when it was sealed, not posted:
# looking further for what nearly never is would make each question about the past a search.
SKEW_MS = 60_000
PAGES_MAX = 400

T = TypeVar("T")

# Where a line is in a book: newest_ms, shard and number of its page, and its index on it.
Position = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Balances:
    """The balances of a book's accounts. Args: as_of_ms: newest time of what is counted."""

    as_of_ms: int
    accounts: Mapping[str, Balance]


@dataclass(frozen=True, slots=True)
class Window:
    """Which lines of a book are wanted, newest first.

    Args: after: the lines that follow this one, older ones. before: the newer ones next to it; not
    with after. from_ms, to_ms: when they were posted, inclusive.
    """

    limit: int
    after: Position | None = None
    before: Position | None = None
    from_ms: int | None = None
    to_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Lines(Generic[T]):
    """Lines, newest first, and whether there are more in the direction asked for."""

    lines: tuple[tuple[Position, T], ...]
    has_more: bool


class BookReader:
    """Reads one book.

    Args: name: "<account>/<live|test>".
    """

    def __init__(self, name: str, pages: PageStore, stripes: StripeStore) -> None:
        self._name = name
        self._pages = pages
        self._stripes: Stripes = stripes.of_books([name])[name]
        self._shards: Sequence[int] = self._stripes.shards(name)

    def balances(self, as_of_ms: int | None = None) -> Balances:
        """Adds up the accounts, as they are or as they were.

        Args: as_of_ms: counts what was posted up to then.
        """
        sums: dict[str, Balance] = {}
        newest_ms = 0
        for shard in self._shards:
            for page in self._last(shard, as_of_ms):
                newest_ms = max(newest_ms, page.newest_ms)
                _add(sums, page.closing)
            if as_of_ms is not None:
                newest_ms = max(newest_ms, self._add_later(sums, shard, as_of_ms))
        return Balances(newest_ms, dict(sorted(sums.items())))

    def balance_at(self, entry: Entry, position: Position) -> Balance:
        """Returns what an entry's account held after it, over all shards.

        Args: position: of the entry.
        """
        account, shard = entry.posting.account, position[1]
        total = entry.balance_after
        for other in (other for other in self._shards if other != shard):
            page = self._pages.last(self._name, other, _behind(position, other))
            if page is not None:
                total += page.closing.get(account, Balance())
        return total

    def find(
        self,
        subject: str,
        written_at_ms: int,
        rows: Callable[[BookPage], Sequence[T]],
        is_wanted: Callable[[T], bool],
    ) -> Position | None:
        """Finds a line that a record makes; None while it is not sealed.

        Args: subject, written_at_ms: of the record. rows: the lines of a page, in order.
        """
        shard = shard_of(self._name, subject, self._stripes.count_at(written_at_ms))
        pages = self._pages.pages(self._name, shard, after=(written_at_ms, 0))
        for page in _bounded(pages):
            for index, row in enumerate(rows(page)):
                if is_wanted(row):
                    return (page.newest_ms, shard, page.number, index)
        return None

    def lines(
        self,
        window: Window,
        rows: Callable[[BookPage], Sequence[T]],
        is_wanted: Callable[[T], bool],
    ) -> Lines[T]:
        """Reads the lines of a window.

        Args: rows: all lines of a page, in order; the same at each call.
        Raises: RejectedError when too much would have to be read to find them.
        """
        is_back = window.before is not None
        found: list[tuple[Position, T]] = []
        for position, row in self._walk(window, rows, newest_first=not is_back):
            if is_wanted(row):
                found.append((position, row))
            if len(found) > window.limit:
                break
        kept = found[: window.limit]
        return Lines(tuple(reversed(kept) if is_back else kept), len(found) > window.limit)

    def pages(self, as_of_ms: int | None = None) -> Iterator[BookPage]:
        """Reads all pages, oldest first, as they are asked for.

        Args: as_of_ms: ends where nothing more counts as posted by then; the last pages hold newer
        lines too.
        """
        window = Window(1, before=(0, 0, 0, 0), to_ms=as_of_ms)
        return self._merged(window, newest_first=False)

    def _last(self, shard: int, as_of_ms: int | None) -> Iterator[BookPage]:
        before = None if as_of_ms is None else (as_of_ms + 1, 0)
        page = self._pages.last(self._name, shard, before)
        if page is not None:
            yield page

    def _add_later(self, sums: dict[str, Balance], shard: int, as_of_ms: int) -> int:
        """Adds what was posted up to a time and sealed behind newer records.

        Returns: the newest time of it, 0 without any.
        """
        newest_ms = 0
        pages = self._pages.pages(self._name, shard, after=(as_of_ms + 1, 0))
        for page in _until(pages, as_of_ms + SKEW_MS):
            for entry in page.entries:
                if entry.at_ms <= as_of_ms:
                    account = entry.posting.account
                    sums[account] = sums.get(account, Balance()).plus(entry.posting)
                    newest_ms = max(newest_ms, entry.at_ms)
        return newest_ms

    def _walk(
        self, window: Window, rows: Callable[[BookPage], Sequence[T]], *, newest_first: bool
    ) -> Iterator[tuple[Position, T]]:
        for page in _bounded(self._merged(window, newest_first=newest_first)):
            lines = list(enumerate(rows(page)))
            for index, row in reversed(lines) if newest_first else lines:
                position = (page.newest_ms, page.shard, page.number, index)
                is_behind = window.after is None or position < window.after
                is_ahead = window.before is None or position > window.before
                if is_behind and is_ahead:
                    yield position, row

    def _merged(self, window: Window, *, newest_first: bool) -> Iterator[BookPage]:
        read = self._backwards if newest_first else self._forwards
        return heapq.merge(
            *(read(shard, window) for shard in self._shards),
            key=lambda page: (page.newest_ms, page.shard, page.number),
            reverse=newest_first,
        )

    def _backwards(self, shard: int, window: Window) -> Iterator[BookPage]:
        start = _behind(window.after, shard) if window.after else None
        if window.to_ms is not None:
            latest = self._first_place_beyond(shard, window.to_ms + SKEW_MS)
            start = min((place for place in (start, latest) if place is not None), default=None)
        pages = self._pages.pages(self._name, shard, before=start, newest_first=True)
        for page in pages:
            if page.newest_ms < (window.from_ms or 0):
                return
            yield page

    def _first_place_beyond(self, shard: int, at_ms: int) -> Place | None:
        """Returns the place behind the first page that is newer; None where there is none."""
        page = next(iter(self._pages.pages(self._name, shard, after=(at_ms, 0))), None)
        return (page.newest_ms, page.number + 1) if page else None

    def _forwards(self, shard: int, window: Window) -> Iterator[BookPage]:
        newest_ms, at_shard, number, _ = window.before or (0, 0, 0, 0)
        starts = {True: (newest_ms + 1, 0), False: (newest_ms, 0)}
        start = (newest_ms, number - 1) if shard == at_shard else starts[shard < at_shard]
        pages = self._pages.pages(self._name, shard, after=max(start, ((window.from_ms or 0), 0)))
        return pages if window.to_ms is None else _until(pages, window.to_ms + SKEW_MS)


def before(held: Balance, posting: Posting) -> Balance:
    """Returns what an account held before a posting, of what it held after it."""
    posted = Balance().plus(posting)
    return Balance(
        held.debits_minor - posted.debits_minor,
        held.credits_minor - posted.credits_minor,
        held.pending_debits_minor - posted.pending_debits_minor,
        held.pending_credits_minor - posted.pending_credits_minor,
    )


def _behind(position: Position, shard: int) -> Place:
    """Returns the place in a shard whose earlier pages hold all lines before a position."""
    newest_ms, at_shard, number, _ = position
    if shard == at_shard:
        return (newest_ms, number + 1)
    return (newest_ms + 1, 0) if shard < at_shard else (newest_ms, 0)


def _until(pages: Iterator[BookPage], last_ms: int) -> Iterator[BookPage]:
    """Ends with the first page that is newer: it may hold older lines still."""
    for page in pages:
        yield page
        if page.newest_ms > last_ms:
            return


def _bounded(pages: Iterator[BookPage]) -> Iterator[BookPage]:
    for count, page in enumerate(pages):
        if count == PAGES_MAX:
            raise RejectedError(
                "Too much lies between what you ask for: ask for a narrower range of 'created'.",
                param="created",
            )
        yield page


def _add(sums: dict[str, Balance], balances: Mapping[str, Balance]) -> None:
    for account, balance in balances.items():
        sums[account] = sums.get(account, Balance()) + balance
