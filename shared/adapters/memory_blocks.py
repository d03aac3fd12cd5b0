"""In-memory twins of the chains of blocks and of the stripes."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from shared.domain.canonical import canonical
from shared.domain.errors import VersionConflictError
from shared.domain.evidence import Block, Leaf
from shared.domain.sealing import Name, name_of
from shared.domain.stripes import Stripes


class MemoryBlockStore:
    """Implements BlockStore."""

    def __init__(self) -> None:
        self.chains: dict[int, list[Block]] = defaultdict(list)
        self.markers: dict[Name, str] = {}
        self.folded_numbers: dict[int, int] = {}

    def tail(self, shard: int) -> Block | None:
        """Returns the newest block of a shard."""
        return next(self.newest_first(shard), None)

    def get(self, shard: int, number: int) -> Block | None:
        """Returns one block."""
        chain = self.chains[shard]
        return chain[number - 1] if 0 < number <= len(chain) else None

    def blocks(self, shard: int, after_number: int = 0) -> Iterator[Block]:
        """Returns the blocks after one, in their order."""
        return iter(self.chains[shard][after_number:])

    def newest_first(self, shard: int, before_number: int | None = None) -> Iterator[Block]:
        """Returns the blocks before one, or all, backwards."""
        chain = self.chains[shard]
        until = len(chain) if before_number is None else before_number - 1
        return iter(chain[:until][::-1])

    def append(self, block: Block, late: Sequence[Leaf] = ()) -> bool:
        """Appends a block with the markers of its late records; tells whether it was free."""
        chain = self.chains[block.shard]
        if block.number != len(chain) + 1 or any(name_of(leaf) in self.markers for leaf in late):
            return False
        # Through JSON, as a real store would.
        chain.append(Block.of(json.loads(canonical(block.to_dict()))))
        self.markers.update({name_of(leaf): leaf.hash for leaf in late})
        return True

    def late(self, names: Sequence[Name]) -> Mapping[Name, str]:
        """Returns the markers of late records."""
        return {name: self.markers[name] for name in names if name in self.markers}

    def folded(self, shard: int) -> int:
        """Returns the number of the last block that is folded."""
        return self.folded_numbers.get(shard, 0)

    def keep_folded(self, shard: int, number: int) -> None:
        """Keeps that number, unless a higher one is kept."""
        self.folded_numbers[shard] = max(number, self.folded(shard))


class MemoryStripeStore:
    """Implements StripeStore."""

    def __init__(self) -> None:
        self._stripes: dict[str, Stripes] = {}

    def of_books(self, books: Sequence[str]) -> Mapping[str, Stripes]:
        """Returns the stripes of books."""
        return {book: self._stripes.get(book, Stripes()) for book in books}

    def change(self, book: str, before: Stripes, after: Stripes) -> None:
        """Replaces the stripes of a book."""
        if self._stripes.get(book, Stripes()) != before:
            raise VersionConflictError(f"The stripes of {book} were changed by somebody else.")
        self._stripes[book] = after
