"""The sealer: seals each record once, in one block of one shard, and folds the blocks.

Sealing comes first for all shards, so that evidence is kept also where folding is stuck.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from functions.seal_ledger.chain import Chain
from functions.seal_ledger.folder import Folder
from shared.domain.accounts import control_account
from shared.domain.errors import InvariantError, TransientError
from shared.domain.evidence import Record, seal, shard_of
from shared.domain.ports import (
    AvailableStore,
    BlockStore,
    Clock,
    LedgerStore,
    PageStore,
    StripeStore,
)
from shared.domain.sealing import Sifted, is_late, next_batch, sift
from shared.domain.stripes import REMEMBERED_MS, Stripes

# One may lose against others as often as there are others; after that the stream tries again.
TRIES_MAX = 20


@dataclass(frozen=True, slots=True)
class Stores:
    """What the sealer reads and writes."""

    blocks: BlockStore
    pages: PageStore
    stripes: StripeStore
    ledger: LedgerStore
    available: AvailableStore


class Sealer:
    """Seals and folds; one for the lifetime of an environment, because it remembers."""

    def __init__(self, stores: Stores, clock: Clock) -> None:
        self._stores = stores
        self._clock = clock
        self._stripes = _KnownStripes(stores.stripes, clock)
        self._chains: dict[int, Chain] = {}
        self._folders: dict[int, Folder] = {}

    def seal(self, records: Sequence[Record]) -> Mapping[int, Sifted]:
        """Seals what is not sealed yet.

        Returns: by shard, how the records were found.
        Raises: TransientError when others were faster again and again.
        """
        by_shard: dict[int, list[Record]] = defaultdict(list)
        stripes = self._stripes.of_books({record.book for record in records})
        for record in records:
            count = stripes[record.book].count_at(record.at_ms)
            by_shard[shard_of(record.book, record.subject, count)].append(record)
        return {shard: self._seal(shard, by_shard[shard]) for shard in sorted(by_shard)}

    def fold(self, sealed: Mapping[int, Sifted]) -> Mapping[int, InvariantError]:
        """Folds the blocks that the records are in, and those before them.

        Returns: by shard, what keeps it from being folded; the others are.
        """
        stuck: dict[int, InvariantError] = {}
        for shard, sifted in sealed.items():
            try:
                self._folder(shard).fold(self._chain(shard), sifted.intact)
            except InvariantError as error:
                stuck[shard] = error
        return stuck

    def _seal(self, shard: int, records: Sequence[Record]) -> Sifted:
        chain = self._chain(shard)
        if chain.tail is None:
            chain.read()
        for _ in range(TRIES_MAX):
            sifted = sift(records, chain.sealed(records))
            if self._append(chain, shard, sifted.new):
                if any(is_late(record.at_ms, chain.tail) for record in records):
                    # What is late is found also in blocks that are newer than those read so far,
                    # and these are to be folded too.
                    chain.read()
                return sifted
            chain.read()
        raise TransientError(f"Others were faster at shard {shard} {TRIES_MAX} times.")

    def _append(self, chain: Chain, shard: int, waiting: Sequence[Record]) -> bool:
        while waiting:
            batch = next_batch(chain.tail, waiting)
            now_ms = self._clock.now_ms()
            block = seal(chain.tail, batch.records, now_ms, shard, control_account)
            if not chain.append(block, batch.late):
                return False
            waiting = waiting[len(batch.records) :]
        return True

    def _chain(self, shard: int) -> Chain:
        return self._chains.setdefault(shard, Chain(self._stores.blocks, shard))

    def _folder(self, shard: int) -> Folder:
        if shard not in self._folders:
            stores = self._stores
            self._folders[shard] = Folder(
                shard, stores.blocks, stores.ledger, stores.pages, stores.available
            )
        return self._folders[shard]


class _KnownStripes:
    """Remembers the stripes of books for as long as a reader may."""

    def __init__(self, store: StripeStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[str, Stripes] = {}
        self._read_at_ms = 0

    def of_books(self, books: set[str]) -> Mapping[str, Stripes]:
        now_ms = self._clock.now_ms()
        if now_ms - self._read_at_ms >= REMEMBERED_MS:
            self._known, self._read_at_ms = {}, now_ms
        missing = sorted(books - self._known.keys())
        if missing:
            self._known.update(self._store.of_books(missing))
        return self._known
