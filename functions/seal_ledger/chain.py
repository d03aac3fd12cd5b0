"""The chain of one shard, as far as it was read.

Blocks never change, so what was read stays true; there may be newer ones. Whoever appends to a
chain that has grown meanwhile is refused, and reads on.
"""

from collections import deque
from collections.abc import Iterator, Sequence

from shared.domain.errors import InvariantError
from shared.domain.evidence import Block, Leaf, Record
from shared.domain.ports import BlockStore
from shared.domain.sealing import LATE_MS, Name, is_late, name_of, spans

# What is remembered of a shard, in leaves: some seconds of the busiest, and half a megabyte.
LEAVES_KEPT = 1_000


class Chain:
    """Knows the newest blocks of a shard, and finds records in it."""

    def __init__(self, store: BlockStore, shard: int) -> None:
        self._store = store
        self._shard = shard
        self._known: deque[Block] = deque()  # the newest ones, without gap
        self._leaves = 0

    @property
    def tail(self) -> Block | None:
        """The newest block that is known."""
        return self._known[-1] if self._known else None

    def read(self) -> None:
        """Reads what is new."""
        tail = self.tail
        if tail is None:
            found = self._store.tail(self._shard)
            if found is not None:
                self._keep(found)
            return
        newer: list[Block] = []
        for block in self._store.newest_first(self._shard):
            if block.number <= tail.number:
                break
            newer.append(block)
            if sum(len(one.leaves) for one in newer) >= LEAVES_KEPT:
                self._known.clear()
                self._leaves = 0
                break
        for block in reversed(newer):
            self._keep(block)

    def append(self, block: Block, late: Sequence[Record] = ()) -> bool:
        """Appends a block; tells whether it follows the newest one that there is."""
        names = {name_of(record) for record in late}
        leaves = [leaf for leaf in block.leaves if name_of(leaf) in names]
        if not self._store.append(block, leaves):
            return False
        self._keep(block)
        return True

    def block(self, number: int) -> Block:
        """Returns a block that there is.

        Raises: InvariantError when there is none of the number.
        """
        first = self._known[0].number if self._known else 0
        if self._known and first <= number < first + len(self._known):
            return self._known[number - first]
        block = self._store.get(self._shard, number)
        if block is None:
            raise InvariantError(f"shard {self._shard} has no block {number}")
        return block

    def sealed(self, records: Sequence[Record]) -> dict[Name, str]:
        """Finds those of some records that the blocks up to the tail hold.

        Returns: their leaf hashes.
        """
        tail = self.tail
        if tail is None:
            return {}
        wanted = {name_of(record) for record in records}
        ordinary = [r.at_ms for r in records if not is_late(r.at_ms, tail)]
        found: dict[Name, str] = {}
        if ordinary:
            found |= _pick(wanted, self._back_to(min(ordinary)))
        late = [r for r in records if is_late(r.at_ms, tail) and name_of(r) not in found]
        if late:
            found |= self._store.late([name_of(record) for record in late])
            for oldest_ms, newest_ms in spans(record.at_ms for record in late):
                found |= _pick(wanted, self._span(tail, oldest_ms, newest_ms))
        return found

    def _keep(self, block: Block) -> None:
        self._known.append(block)
        self._leaves += len(block.leaves)
        while self._leaves > LEAVES_KEPT and len(self._known) > 1:
            self._leaves -= len(self._known.popleft().leaves)

    def _back_to(self, at_ms: int) -> Iterator[Block]:
        """Yields, newest first, the blocks that may hold records of that time or newer."""
        known = list(self._known)
        for block in reversed(known):
            if block.newest_ms < at_ms:
                return
            yield block
        for block in self._store.newest_first(self._shard, known[0].number):
            if block.newest_ms < at_ms:
                return
            yield block

    def _span(self, tail: Block, oldest_ms: int, newest_ms: int) -> Iterator[Block]:
        """Yields the blocks that may hold records of a span of time without a marker."""
        first = self._first_at(tail, oldest_ms)
        for block in self._store.blocks(self._shard, first - 1):
            yield block
            if block.newest_ms > newest_ms + LATE_MS:
                return

    def _first_at(self, tail: Block, at_ms: int) -> int:
        """Returns the number of the first block whose newest_ms is that time or later."""
        low, high = 1, tail.number
        while low < high:
            middle = (low + high) // 2
            if self.block(middle).newest_ms >= at_ms:
                high = middle
            else:
                low = middle + 1
        return low


def _pick(wanted: set[Name], blocks: Iterator[Block]) -> dict[Name, str]:
    return {name: leaf.hash for name, leaf in _leaves(blocks) if name in wanted}


def _leaves(blocks: Iterator[Block]) -> Iterator[tuple[Name, Leaf]]:
    for block in blocks:
        for leaf in block.leaves:
            yield name_of(leaf), leaf
