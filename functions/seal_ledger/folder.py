"""Folding: pages and available balances, block after block.

What is written follows from the blocks alone, and each write counts once: a page because its block
names it, an available balance because it keeps the number of the last block that it counts. So it
does no harm when a block is folded twice, or by two at once, or half of it by one that ends. One
rule makes it exact: a block is folded when all before it are, and FOLDED says so of the last one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from functions.seal_ledger.chain import Chain
from shared.domain.available import unguarded_changes
from shared.domain.errors import InvariantError
from shared.domain.evidence import Block, Leaf, Record, RecordKind
from shared.domain.ledger import Journal
from shared.domain.pages import BookPage, turn
from shared.domain.ports import AvailableStore, BlockStore, LedgerStore, PageStore
from shared.domain.records import journal_record

# Per shard; a closed page takes a few KB.
PAGES_KEPT = 100
# Whoever is far behind must not lose all its work to its time limit.
KEPT_EVERY = 20


class Folder:
    """Folds the blocks of one shard.

    Remembers how far it has come and the closing balances there; both only spare reading.
    """

    def __init__(
        self,
        shard: int,
        blocks: BlockStore,
        ledger: LedgerStore,
        pages: PageStore,
        available: AvailableStore,
    ) -> None:
        self._shard = shard
        self._blocks = blocks
        self._ledger = ledger
        self._pages = pages
        self._available = available
        self._folded = 0
        self._kept = 0
        self._last: dict[str, BookPage] = {}

    def fold(self, chain: Chain, records: Iterable[Record]) -> None:
        """Folds what is not folded yet, up to the newest block that is known.

        Args: records: some that are sealed as they are, so that they need not be read.
        Raises: InvariantError when a journal is not the one that was sealed.
        """
        tail = chain.tail
        if tail is None or self._kept >= tail.number:
            return
        if self._folded < tail.number - 1:
            self._catch_up()
        read = {
            record.id: Journal.of(record.data)
            for record in records
            if record.kind is RecordKind.JOURNAL
        }
        for number in range(self._folded + 1, tail.number + 1):
            self._fold(chain.block(number), read)
            self._folded = number
            if number % KEPT_EVERY == 0:
                self._keep()
        self._keep()

    def _catch_up(self) -> None:
        folded = self._blocks.folded(self._shard)
        if folded > self._folded:
            # Others went on from here; which books they turned a page of is not known.
            self._folded = self._kept = folded
            self._last.clear()

    def _keep(self) -> None:
        if self._kept < self._folded:
            self._blocks.keep_folded(self._shard, self._folded)
            self._kept = self._folded

    def _fold(self, block: Block, read: Mapping[str, Journal]) -> None:
        journals = self._journals(block, read)
        pages = [
            turn(self._before(book, block), block, book, journals)
            for book in dict.fromkeys(leaf.book for leaf in block.leaves)
        ]
        for page in pages:
            self._pages.put(page)
        for (book, account), change_minor in sorted(unguarded_changes(journals.values()).items()):
            if change_minor:
                self._available.add(book, account, change_minor, self._shard, block.number)
        for page in pages:
            self._remember(page)

    def _journals(self, block: Block, read: Mapping[str, Journal]) -> Mapping[str, Journal]:
        leaves = [leaf for leaf in block.leaves if leaf.kind is RecordKind.JOURNAL]
        missing = [leaf.id for leaf in leaves if leaf.id not in read]
        found = self._ledger.get_many(missing) if missing else {}
        for leaf in leaves:
            if leaf.id not in read:
                _require_sealed(found.get(leaf.id), leaf)
        return {leaf.id: read.get(leaf.id) or found[leaf.id] for leaf in leaves}

    def _before(self, book: str, block: Block) -> BookPage | None:
        known = self._last.get(book)
        if known is not None:
            return known
        return self._pages.last(book, self._shard, before=(block.newest_ms, block.number))

    def _remember(self, page: BookPage) -> None:
        self._last.pop(page.book, None)
        self._last[page.book] = replace(page, records=(), entries=())
        if len(self._last) > PAGES_KEPT:
            del self._last[next(iter(self._last))]


def _require_sealed(journal: Journal | None, leaf: Leaf) -> None:
    if journal is None or journal_record(journal).leaf_hash != leaf.hash:
        raise InvariantError(f"journal {leaf.id} is not as it was sealed")
