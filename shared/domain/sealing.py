"""Sealing: which records go into the next block, so that each is in exactly one.

A block is appended under the condition that its number is free. Whoever appends has looked at all
blocks before it, so what it seals is in none of them; whoever loses looks again. No record needs a
marker for that, because a block can only hold records up to its `newest_ms`, and those never go
back: a record is looked for from the newest block to the first one that is older than it.

A record that comes much later than others of its shard, because a stream stood still, would be
looked for through hours of blocks. It is sealed together with a marker of its name, and so is found
by it; the blocks in which it may lie without one are those of a minute.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from shared.domain.evidence import Block, Leaf, Record, RecordKind

# Streams run apart by seconds. Of a busy shard, a minute is some hundred blocks.
LATE_MS = 60_000
LEAVES_MAX = 250
# A transaction takes 100 items: the block, and a marker for each of its late records.
LATE_MAX = 99

# One record of a kind has an id.
Name = tuple[RecordKind, str]


def name_of(record: Record | Leaf) -> Name:
    """Names a record."""
    return record.kind, record.id


def is_late(at_ms: int, previous: Block | None) -> bool:
    """Tells whether a record is late for the block that follows."""
    return previous is not None and at_ms < previous.newest_ms - LATE_MS


@dataclass(frozen=True, slots=True)
class Sifted:
    """Records, held against what is sealed.

    Args: new: in the order to seal them. intact: the new ones, and those that are sealed as they
    are. altered: sealed under their name, but with other contents.
    """

    new: tuple[Record, ...]
    intact: tuple[Record, ...]
    altered: tuple[Record, ...]


def sift(records: Iterable[Record], sealed: Mapping[Name, str]) -> Sifted:
    """Holds records against what is sealed; what was read twice counts once.

    Args: sealed: leaf hashes by name, of all these records that are sealed.
    """
    new: dict[Name, Record] = {}
    intact: list[Record] = []
    altered: list[Record] = []
    for record in records:
        name = name_of(record)
        if name in sealed:
            is_same = sealed[name] == record.leaf_hash
        else:
            is_same = new.setdefault(name, record) == record
        (intact if is_same else altered).append(record)
    # Stable: an object's records of one moment keep the order in which they were written.
    ordered = sorted(new.values(), key=lambda record: record.at_ms)
    return Sifted(tuple(ordered), tuple(intact), tuple(altered))


@dataclass(frozen=True, slots=True)
class Batch:
    """The records of one block. Args: late: those of them that get a marker."""

    records: tuple[Record, ...]
    late: tuple[Record, ...]


def next_batch(previous: Block | None, waiting: Sequence[Record]) -> Batch:
    """Takes the records of the next block from those that wait, the oldest first."""
    late = tuple(record for record in waiting if is_late(record.at_ms, previous))
    if len(late) > LATE_MAX:
        return Batch(late[:LATE_MAX], late[:LATE_MAX])
    return Batch(tuple(waiting[:LEAVES_MAX]), late)


def spans(times_ms: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Gathers times into spans from first to last, none of them with a gap longer than LATE_MS."""
    times = sorted(times_ms)
    start = 0
    for index, at_ms in enumerate(times):
        is_last = index + 1 == len(times)
        if is_last or times[index + 1] - at_ms > LATE_MS:
            yield times[start], at_ms
            start = index + 1
