"""Makes all projections again, beside the live ones, and tells where they differ.

What a payment is and posts follows from its events; what a page says, from its block and journals;
what is available, from both. Nothing is written but a temporary file, which keeps what would not
fit into memory. What changes while this runs may be told as a difference: run it again for that.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any

from ops.ledger.records import Records
from ops.ledger.stage import Ledger
from ops.stages import OperatorError
from shared.domain.authorization import created_entries
from shared.domain.available import guarded_debits, unguarded_changes
from shared.domain.documents import LIMIT_MAX, ListEntry, PageQuery, Scope
from shared.domain.errors import InvariantError
from shared.domain.events import Event
from shared.domain.evidence import SHARDS, Block, RecordKind
from shared.domain.ledger import Journal, opposite
from shared.domain.pages import BookPage, turn
from shared.domain.payment import ChargeStatus, Payment, apply
from shared.domain.postings import journals_of

Changes = Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class Difference:
    """What is not as it follows. Args: name: of the payment, page or account."""

    name: str
    what: str

    def __str__(self) -> str:
        return f"{self.name}: {self.what}"


class Workspace:
    """Keeps sums, the newest page of each book, and which journals are not counted, in a file.

    Args: path: of a file that is not there yet.
    """

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        # Nobody else reads the file, and it does not outlive the process.
        for pragma in ("journal_mode = OFF", "synchronous = OFF"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute("CREATE TABLE pages (book, shard, body, PRIMARY KEY (book, shard))")
        self._database.execute(
            "CREATE TABLE available (book, account, amount, PRIMARY KEY (book, account))"
        )
        self._database.execute("CREATE TABLE uncounted (journal PRIMARY KEY) WITHOUT ROWID")
        self._database.execute(
            "CREATE TABLE rows (account, livemode, collection, created_ms, id,"
            " PRIMARY KEY (account, livemode, collection, created_ms, id))"
        )
        self._database.execute("BEGIN")

    def last_page(self, book: str, shard: int) -> BookPage | None:
        """Returns the newest page that was made of a book in a shard."""
        query = "SELECT body FROM pages WHERE book = ? AND shard = ?"
        found = self._database.execute(query, (book, shard)).fetchone()
        return BookPage.of(json.loads(found[0])) if found else None

    def keep_page(self, page: BookPage) -> None:
        """Keeps what the next page is made of."""
        body = json.dumps({**page.to_dict(), "records": [], "entries": []})
        command = "INSERT OR REPLACE INTO pages VALUES (?, ?, ?)"
        self._database.execute(command, (page.book, page.shard, body))

    def add(self, changes: Changes, sign: int) -> None:
        """Adds to what is available."""
        command = (
            "INSERT INTO available VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET amount = amount + excluded.amount"
        )
        rows = [(*key, sign * amount) for key, amount in changes.items()]
        self._database.executemany(command, rows)

    def available(self) -> Iterator[tuple[str, dict[str, int]]]:
        """Yields what is available by book."""
        books = self._database.execute("SELECT DISTINCT book FROM available ORDER BY book")
        query = "SELECT account, amount FROM available WHERE book = ?"
        for (book,) in books.fetchall():
            yield book, dict(self._database.execute(query, (book,)).fetchall())

    def expect(self, names: Iterable[str]) -> None:
        """Keeps journals that balances are to count."""
        command = "INSERT OR IGNORE INTO uncounted VALUES (?)"
        self._database.executemany(command, ((name,) for name in names))

    def cross_off(self, names: Iterable[str]) -> None:
        """Drops journals that are counted."""
        self._database.executemany("DELETE FROM uncounted WHERE journal = ?", ((n,) for n in names))

    def uncounted(self) -> Iterator[str]:
        """Yields the journals that no balance counts."""
        for (name,) in self._database.execute("SELECT journal FROM uncounted ORDER BY journal"):
            yield name

    def expect_rows(self, scope: Scope, entries: Iterable[ListEntry]) -> None:
        """Keeps rows that lists are to have."""
        command = "INSERT OR IGNORE INTO rows VALUES (?, ?, ?, ?, ?)"
        rows = [
            (scope.account, scope.livemode, entry.collection, entry.created_ms, entry.object_id)
            for entry in entries
        ]
        self._database.executemany(command, rows)

    def lists(self) -> list[tuple[Scope, str]]:
        """Returns the lists that are to have rows."""
        query = "SELECT DISTINCT account, livemode, collection FROM rows"
        found = self._database.execute(query).fetchall()
        return [(Scope(account, bool(mode)), name) for account, mode, name in found]

    def rows(self, scope: Scope, collection: str) -> Iterator[tuple[int, str]]:
        """Yields the rows that a list is to have, newest first: when created, and whose."""
        query = (
            "SELECT created_ms, id FROM rows WHERE account = ? AND livemode = ? AND collection = ?"
            " ORDER BY created_ms DESC, id DESC"
        )
        values = (scope.account, scope.livemode, collection)
        yield from self._database.execute(query, values)

    def close(self) -> None:
        """Gives the file back."""
        self._database.close()


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A payment, made again.

    Args: journals: as they are stored. rows: that lists are to have of it.
    """

    differences: tuple[Difference, ...]
    journals: tuple[Journal, ...]
    scope: Scope | None = None
    rows: tuple[ListEntry, ...] = ()


def rebuild_payment(ledger: Ledger, payment_id: str) -> Rebuilt:
    """Makes a payment again from its events.

    Raises: OperatorError when there is no such payment.
    """
    # In this order: whatever is written meanwhile shows in the events, which are read last.
    stored = ledger.payments.load(payment_id)
    journals = tuple(ledger.journals.of_subject(payment_id))
    events = ledger.payments.events(payment_id)
    if stored is None and not events:
        raise OperatorError(f"no payment {payment_id} in {ledger.region}")
    try:
        made = _replay(events, stored.version if stored else 0)
    except InvariantError as error:
        return Rebuilt((Difference(payment_id, f"its events do not follow: {error}"),), journals)
    differences = (
        *_state_differences(made.payment, stored),
        *_journal_differences(made, journals),
    )
    found = tuple(Difference(payment_id, what) for what in differences)
    if stored is None:
        return Rebuilt(found, journals)
    return Rebuilt(found, journals, Scope(stored.account, stored.livemode), _rows(stored))


@dataclass(frozen=True, slots=True)
class _Replayed:
    """Args: payment: up to the version of the snapshot. due: what was posted up to it. all: so
    far.
    """

    payment: Payment | None
    due: Mapping[str, Journal]
    all: Mapping[str, Journal]


def _replay(events: Sequence[Event], version: int) -> _Replayed:
    state: Payment | None = None
    at_version: Payment | None = None
    due: dict[str, Journal] = {}
    posted: dict[str, Journal] = {}
    for event in events:
        made = {journal.id: journal for journal in journals_of(state, event)}
        state = apply(state, event)
        posted |= made
        if event.version <= version:
            at_version, due = state, due | made
    return _Replayed(at_version, due, posted)


def _state_differences(made: Payment | None, stored: Payment | None) -> Iterator[str]:
    if made is None or stored is None:
        if made is not stored:
            yield "has a snapshot without events" if stored else "has events without a snapshot"
        return
    # As JSON: a store gives lists back for tuples inside of details.
    names = [field.name for field in fields(Payment)]
    wrong = [name for name in names if _json(made)[name] != _json(stored)[name]]
    if wrong:
        yield f"the snapshot is not what its events add up to: {', '.join(wrong)}"


def _json(payment: Payment) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(json.dumps(asdict(payment)))
    return value


def _journal_differences(made: _Replayed, journals: Sequence[Journal]) -> Iterator[str]:
    stored = {journal.id: journal for journal in journals}
    for name, journal in made.due.items():
        if name not in stored:
            yield f"the journal {name} is missing"
        elif stored[name] != journal:
            yield f"the journal {name} is not what its event posts"
    for name, journal in stored.items():
        # A correction is an operator's: it takes back what is there.
        taken_back = stored.get(journal.reverses or "")
        if name not in made.all and taken_back is None:
            yield f"the journal {name} follows from no event"
        elif taken_back is not None and journal.postings != opposite(taken_back.postings):
            yield f"the journal {name} does not take {taken_back.id} back"


def _rows(payment: Payment) -> tuple[ListEntry, ...]:
    charges = (
        ListEntry("charge", charge.created_ms, charge.id)
        for charge in payment.charges
        if charge.status is not ChargeStatus.PENDING
    )
    refunds = (ListEntry("refund", refund.created_ms, refund.id) for refund in payment.refunds)
    return (*created_entries(payment), *charges, *refunds)


def _list_differences(ledger: Ledger, workspace: Workspace) -> Iterator[Difference]:
    """Reads every list once, newest first, beside the rows that it is to have."""
    for scope, collection in workspace.lists():
        wanted = workspace.rows(scope, collection)
        while rows := list(islice(wanted, LIMIT_MAX)):
            found = _listed(ledger, scope, collection, rows[0], rows[-1])
            for row in rows:
                if row[1] in found:
                    continue
                if row[1] not in _listed(ledger, scope, collection, row, row):
                    yield Difference(row[1], f"is not in the list {collection}")


def _listed(
    ledger: Ledger, scope: Scope, collection: str, first: tuple[int, str], last: tuple[int, str]
) -> set[str]:
    """Returns what a list has from one row on, as far as one page goes.

    Rows that nobody wants may lie between: then one that is wanted may be behind the page.
    """
    created_ms, object_id = first
    query = PageQuery(
        # Behind the row itself, before any of the same time.
        after=(created_ms, f"{object_id}~"),
        created_from_ms=last[0],
        limit=1 if first == last else LIMIT_MAX,
    )
    return set(ledger.documents.page(scope, collection, query).ids)


def rebuild_one(ledger: Ledger, payment_id: str) -> Iterator[Difference]:
    """Makes one payment again, with its journals and the rows that list it.

    Raises: OperatorError when there is no such payment.
    """
    made = rebuild_payment(ledger, payment_id)
    yield from made.differences
    if made.scope is None:
        return
    for entry in made.rows:
        row = (entry.created_ms, entry.object_id)
        if row[1] not in _listed(ledger, made.scope, entry.collection, row, row):
            yield Difference(row[1], f"is not in the list {entry.collection}")


def rebuild(ledger: Ledger, workspace: Workspace) -> Iterator[Difference]:
    """Makes everything again and yields the differences as they are found."""
    place: str | None = None
    while True:
        names, place = ledger.walk.page(place)
        for name in names:
            made = rebuild_payment(ledger, name)
            workspace.add(guarded_debits(made.journals), -1)
            workspace.expect(journal.id for journal in made.journals)
            if made.scope is not None:
                workspace.expect_rows(made.scope, made.rows)
            yield from made.differences
        if place is None:
            break
    yield from _list_differences(ledger, workspace)
    records = Records(ledger)
    for shard in range(SHARDS):
        folded = ledger.blocks.folded(shard)
        for block in ledger.blocks.blocks(shard):
            if block.number > folded:
                break
            workspace.cross_off(leaf.id for leaf in block.leaves if leaf.kind is RecordKind.JOURNAL)
            yield from _rebuild_pages(ledger, workspace, block, records.journals(block))
    for name in workspace.uncounted():
        yield Difference(name, "is in no block that is folded: no balance counts it")
    yield from _available_differences(ledger, workspace)


def _rebuild_pages(
    ledger: Ledger, workspace: Workspace, block: Block, journals: Mapping[str, Journal]
) -> Iterator[Difference]:
    name = f"block {block.number} of shard {block.shard}"
    sealed = [leaf.id for leaf in block.leaves if leaf.kind is RecordKind.JOURNAL]
    missing = [journal_id for journal_id in sealed if journal_id not in journals]
    if missing:
        yield Difference(name, f"its journal {missing[0]} is missing")
        return
    workspace.add(unguarded_changes(journals.values()), 1)
    for book in dict.fromkeys(leaf.book for leaf in block.leaves):
        made = turn(workspace.last_page(book, block.shard), block, book, journals)
        workspace.keep_page(made)
        place = (block.newest_ms, block.number)
        stored = next(
            ledger.pages.pages(
                book,
                block.shard,
                after=(place[0], place[1] - 1),
                before=(place[0], place[1] + 1),
            ),
            None,
        )
        if stored is None:
            yield Difference(name, f"{book} has no page of it")
        elif stored != made:
            yield Difference(name, f"the page of {book} does not follow from it")


def _available_differences(ledger: Ledger, workspace: Workspace) -> Iterator[Difference]:
    for book, made in workspace.available():
        stored = {item.account: item.available_minor for item in ledger.available.of_book(book)}
        for account in sorted(made.keys() | stored.keys()):
            wanted, held = made.get(account, 0), stored.get(account, 0)
            if wanted != held:
                yield Difference(account, f"{held} is available, and {wanted} follows")
