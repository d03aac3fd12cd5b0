"""A ledger in memory whose sealers can be stopped, crowded and crashed at every store call."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from functions.seal_ledger.sealer import Sealer, Stores
from shared.adapters.memory import (
    MemoryAvailableStore,
    MemoryClock,
    MemoryDatabase,
    MemoryLedgerStore,
)
from shared.adapters.memory_blocks import MemoryBlockStore, MemoryStripeStore
from shared.adapters.memory_pages import MemoryPageStore
from shared.domain.accounts import control_account
from shared.domain.available import unguarded_changes
from shared.domain.evidence import (
    Block,
    Record,
    RecordKind,
    add_journal,
    merkle_root,
    shard_of,
)
from shared.domain.ledger import Balance, Journal, Layer, Posting, trial_balance
from shared.domain.pages import BookPage, turn
from shared.domain.records import journal_record
from shared.domain.sealing import name_of

START_MS = 1_790_000_000_000
Boundary = Callable[[str], None]


def leg(
    account: str, amount_minor: int, *, layer: Layer = Layer.POSTED, guarded: bool = False
) -> Posting:
    """Makes a posting; a negative amount is a credit."""
    debit, credit = max(amount_minor, 0), max(-amount_minor, 0)
    return Posting(account, "usd", debit, credit, layer, guarded)


def postings_of(kind: str, account: str, amount: int) -> tuple[Posting, ...]:
    """Returns the postings of some kinds of journals."""
    receivable = "1100:receivable:acquirer:sandbox:usd"
    pending = f"2000:merchant:{account}:pending:usd"
    available = f"2010:merchant:{account}:available:usd"
    legs: dict[str, Sequence[Posting]] = {
        "hold": (
            leg(receivable, amount, layer=Layer.PENDING),
            leg(pending, -amount, layer=Layer.PENDING),
        ),
        "capture": (leg(receivable, amount), leg(pending, -amount)),
        "settle": (leg(pending, amount), leg(available, -amount)),
        "refund_request": (
            leg(available, amount, guarded=True),
            leg("2200:refund_in_flight:usd", -amount),
        ),
        "settle_negative": (leg(available, amount), leg(pending, -amount)),
    }
    return tuple(legs[kind])


KINDS = ("hold", "capture", "settle", "refund_request", "settle_negative")


def journal(
    account: str, subject: str, kind: str, at_ms: int, amount: int = 100, reference: str = "x"
) -> Journal:
    """Makes a journal."""
    return Journal(
        id=f"{subject}/{kind}/{reference}",
        account=account,
        livemode=False,
        kind=kind,
        subject=subject,
        reference=reference,
        occurred_at_ms=at_ms,
        posted_at_ms=at_ms,
        postings=postings_of(kind, account, amount),
    )


def event(book: str, subject: str, version: int, at_ms: int) -> Record:
    """Makes a record that is no journal."""
    name = f"{subject}/{version}"
    return Record(RecordKind.EVENT, name, book, at_ms, subject, {"version": version})


def some_records(rng: random.Random, count: int, span_ms: int, books: int = 3) -> list[Record]:
    """Makes journals and events of several books, over a span of time."""
    made: list[Record] = []
    for number in range(count):
        account = f"acct_{rng.randrange(books)}"
        subject = f"pi_{rng.randrange(count)}"
        at_ms = START_MS + rng.randrange(span_ms)
        if rng.random() < 0.3:
            made.append(event(f"{account}/test", subject, number + 1, at_ms))
        else:
            kind = rng.choice(KINDS)
            amount = rng.randrange(1, 500)
            made.append(
                journal_record(journal(account, subject, kind, at_ms, amount, f"r{number}"))
            )
    return made


class Stepped:
    """A store that tells before and after each of its calls."""

    def __init__(self, store: Any, name: str, boundary: Boundary) -> None:
        self._store = store
        self._name = name
        self._boundary = boundary

    def __getattr__(self, method: str) -> Any:
        real = getattr(self._store, method)

        def call(*arguments: Any, **named: Any) -> Any:
            self._boundary(f"{self._name}.{method} before")
            answer = real(*arguments, **named)
            self._boundary(f"{self._name}.{method} after")
            return answer

        return call


class SealedLedger:
    """Stores in memory, the sealers on them, and what must hold of them."""

    def __init__(self) -> None:
        self.clock = MemoryClock(START_MS)
        self.database = MemoryDatabase()
        self.blocks = MemoryBlockStore()
        self.pages = MemoryPageStore()
        self.stripes = MemoryStripeStore()
        self.available = MemoryAvailableStore(self.database)
        self.records: list[Record] = []

    def write(self, records: Sequence[Record]) -> None:
        """Writes records, as their transactions do."""
        self.records += records
        for record in records:
            if record.kind is RecordKind.JOURNAL:
                self.database.journals[record.id] = Journal.of(record.data)

    def sealer(self, boundary: Boundary | None = None) -> Sealer:
        """Starts an environment."""
        stores: dict[str, Any] = {
            "blocks": self.blocks,
            "pages": self.pages,
            "stripes": self.stripes,
            "ledger": MemoryLedgerStore(self.database),
            "available": self.available,
        }
        if boundary is not None:
            stores = {name: Stepped(store, name, boundary) for name, store in stores.items()}
        return Sealer(Stores(**stores), self.clock)

    def deliver(self, records: Sequence[Record], sealer: Sealer | None = None) -> None:
        """Handles a batch from beginning to end."""
        sealer = sealer or self.sealer()
        assert not sealer.fold(sealer.seal(records))

    @property
    def chains(self) -> dict[int, list[Block]]:
        """The blocks of the shards that have some."""
        return {shard: chain for shard, chain in sorted(self.blocks.chains.items()) if chain}

    def check(self) -> None:
        """Raises AssertionError unless all that was written is sealed and folded, once."""
        self.check_sealed_once()
        for shard, chain in self.chains.items():
            self.check_chain(shard, chain)
            self.check_pages(shard, chain)
        self.check_balances()
        self.check_available()

    def check_sealed_once(self) -> None:
        leaves = Counter(
            (name_of(leaf), leaf.hash)
            for chain in self.chains.values()
            for block in chain
            for leaf in block.leaves
        )
        twice = [leaf for leaf, count in leaves.items() if count > 1]
        assert not twice, f"sealed twice: {twice}"
        written = {(name_of(record), record.leaf_hash) for record in self.records}
        assert written - leaves.keys() == set(), f"never sealed: {written - leaves.keys()}"
        assert leaves.keys() - written == set(), "sealed, and never written"
        for record in self.records:
            count = self.stripes.of_books([record.book])[record.book].count_at(record.at_ms)
            shard = shard_of(record.book, record.subject, count)
            chain = self.chains[shard]
            names = {name_of(leaf) for block in chain for leaf in block.leaves}
            assert name_of(record) in names, f"{record.id} is sealed in another shard"

    def check_chain(self, shard: int, chain: Sequence[Block]) -> None:
        before: Block | None = None
        totals: dict[str, list[int]] = {}
        newest_ms = 0
        by_name = {name_of(record): record for record in self.records}
        for number, block in enumerate(chain, 1):
            newest_ms = max([newest_ms, *(leaf.at_ms for leaf in block.leaves)])
            for leaf in block.leaves:
                record = by_name[name_of(leaf)]
                if record.kind is RecordKind.JOURNAL:
                    add_journal(totals, record.book, record.data, control_account)
            expected = replace(
                block,
                shard=shard,
                number=number,
                previous_hash=before.hash if before else "",
                first_sequence=before.last_sequence + 1 if before else 1,
                root=merkle_root(leaf.hash for leaf in block.leaves),
                newest_ms=newest_ms,
                totals={name: tuple(total) for name, total in totals.items()},
            )
            assert block == expected, f"block {number} of shard {shard} breaks the chain"
            before = block

    def check_pages(self, shard: int, chain: Sequence[Block]) -> None:
        expected: dict[str, list[BookPage]] = defaultdict(list)
        posted: dict[str, list[Journal]] = defaultdict(list)
        journals = self.database.journals
        for block in chain:
            for book in dict.fromkeys(leaf.book for leaf in block.leaves):
                before = expected[book][-1] if expected[book] else None
                page = turn(before, block, book, journals)
                expected[book].append(page)
                posted[book] += [
                    journals[leaf.id]
                    for leaf in block.leaves
                    if leaf.kind is RecordKind.JOURNAL and leaf.book == book
                ]
                closing = dict(sorted(page.closing.items()))
                assert closing == trial_balance(posted[book]), f"{book} is wrong at this prefix"
        for book, pages in expected.items():
            kept = list(self.pages.pages(book, shard))
            assert kept == pages, f"pages of {book} in shard {shard} do not follow from its blocks"
        kept_books = {book for book, at in self.pages.books if at == shard}
        kept_pages = {book for book in kept_books if self.pages.books[book, shard]}
        assert kept_pages == set(expected), "pages of books that have no record here"
        folded = self.blocks.folded(shard)
        assert folded == len(chain), f"shard {shard} is folded up to {folded} of {len(chain)}"

    def check_balances(self) -> None:
        by_book: dict[str, list[Journal]] = defaultdict(list)
        totals: dict[str, Balance] = defaultdict(Balance)
        for item in self.database.journals.values():
            by_book[item.book].append(item)
            for posting in item.postings:
                name = f"test/{control_account(posting.account)}"
                totals[name] = totals[name].plus(posting)
        for book, journals in by_book.items():
            sums: dict[str, Balance] = defaultdict(Balance)
            for shard in self.stripes.of_books([book])[book].shards(book):
                page = self.pages.last(book, shard)
                for account, balance in page.closing.items() if page else ():
                    sums[account] += balance
            assert dict(sorted(sums.items())) == trial_balance(journals), f"balances of {book}"
        stated: dict[str, Balance] = defaultdict(Balance)
        for chain in self.chains.values():
            for name, total in chain[-1].totals.items():
                stated[name] += Balance(*total)
        assert stated == totals, "the totals of the blocks are not the trial balance"

    def check_available(self) -> None:
        changes = unguarded_changes(self.database.journals.values())
        expected = {key: change for key, change in changes.items() if change}
        kept = {key: item.available_minor for key, item in self.database.available.items()}
        kept = {key: amount for key, amount in kept.items() if amount}
        assert kept == expected, "available balances count a change twice, or not"
