"""Evidence: records sealed into hash-chained blocks, blocks signed for by checkpoints.

A record is sealed once, into one block of one ledger shard. A block names the block before it by
its hash and its records by the root of a Merkle tree; a checkpoint names the newest block of every
shard and is signed. Whoever has a checkpoint has what every record before it was.

Source: docs/evidence.md has the format, for whoever recomputes it. Merkle trees are those of RFC
6962, section 2.1, so that a leaf cannot be passed off as a node.
"""

from binascii import crc32
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from hashlib import sha256
from typing import Any

from shared.domain.canonical import canonical
from shared.domain.errors import InvariantError
from shared.domain.ledger import Layer

SHARDS = 64
# Per "<mode>/<control account>": debits, credits, pending debits, pending credits.
Totals = Mapping[str, Sequence[int]]
_LEAF, _NODE = b"\x00", b"\x01"


class RecordKind(StrEnum):
    """Says what a record is evidence of."""

    EVENT = "event"
    JOURNAL = "journal"
    CHANGE = "change"


# Without slots, which would leave its hash no place to be kept.
@dataclass(frozen=True)
class Record:
    """What evidence is kept of.

    Args: id: "<payment>/<version>", a journal's id, or "<entity>/<version>"; one record of a kind
    has it. book: "<account>/<live|test>". at_ms: when it was written. subject: the object whose
    history it belongs to. data: JSON without floats, by the kind.
    """

    kind: RecordKind
    id: str
    book: str
    at_ms: int
    subject: str
    data: Mapping[str, Any]

    @cached_property
    def leaf_hash(self) -> str:
        """Hex SHA-256 that stands for the record in its block's tree."""
        return leaf_hash(canonical(self.to_dict()))

    def to_dict(self) -> dict[str, Any]:
        """Returns it as JSON."""
        return {
            "kind": self.kind,
            "id": self.id,
            "book": self.book,
            "at_ms": self.at_ms,
            "subject": self.subject,
            "data": self.data,
        }

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Record":
        """Reads what to_dict returned."""
        return cls(**{**value, "kind": RecordKind(value["kind"])})


def leaf_hash(written: bytes) -> str:
    """Hashes a record as it is written in canonical JSON, as a leaf of a tree."""
    return sha256(_LEAF + written).hexdigest()


class MerkleTree:
    """Adds up leaf hashes to a root, keeping one node per level."""

    def __init__(self) -> None:
        self._nodes: list[tuple[int, bytes]] = []

    def add(self, leaf: str) -> None:
        """Adds the next leaf, by its hex hash."""
        size, node = 1, bytes.fromhex(leaf)
        while self._nodes and self._nodes[-1][0] == size:
            node = sha256(_NODE + self._nodes.pop()[1] + node).digest()
            size *= 2
        self._nodes.append((size, node))

    @property
    def root(self) -> str:
        """Hex hash of all leaves so far; of no leaf, the hash of nothing."""
        if not self._nodes:
            return sha256().hexdigest()
        *lefts, (_, node) = self._nodes
        for _, left in reversed(lefts):
            node = sha256(_NODE + left + node).digest()
        return node.hex()


def merkle_root(leaf_hashes: Iterable[str]) -> str:
    """Returns the root of a tree of leaves, all as hex."""
    tree = MerkleTree()
    for leaf in leaf_hashes:
        tree.add(leaf)
    return tree.root


@dataclass(frozen=True, slots=True)
class Leaf:
    """What a block says of one of its records."""

    kind: RecordKind
    id: str
    hash: str
    at_ms: int
    book: str

    def to_dict(self) -> dict[str, Any]:
        """Returns it as JSON."""
        return {
            "kind": self.kind,
            "id": self.id,
            "hash": self.hash,
            "at_ms": self.at_ms,
            "book": self.book,
        }

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Leaf":
        """Reads what to_dict returned."""
        return cls(**{**value, "kind": RecordKind(value["kind"])})


@dataclass(frozen=True, slots=True)
class Block:
    """The next records of one shard, in order.

    Args: number: 1 for the first of a shard, then without gap. previous_hash: of the block before,
    "" for the first. first_sequence: position of its first record in the shard, 1 for the first.
    root: of the tree of its leaves. newest_ms: the newest at_ms of this block and all before it.
    totals: of the shard's journals up to the end of the block, so a trial balance.
    """

    shard: int
    number: int
    previous_hash: str
    first_sequence: int
    leaves: tuple[Leaf, ...]
    root: str
    newest_ms: int
    sealed_at_ms: int
    totals: Totals

    @property
    def last_sequence(self) -> int:
        """Position of its last record in the shard."""
        return self.first_sequence + len(self.leaves) - 1

    @property
    def hash(self) -> str:
        """Hex SHA-256 of the header; the root in it stands for the records."""
        return header_hash(self.header())

    def header(self) -> dict[str, Any]:
        """Returns what is hashed: all but the leaves."""
        return {
            "shard": self.shard,
            "number": self.number,
            "previous_hash": self.previous_hash,
            "first_sequence": self.first_sequence,
            "last_sequence": self.last_sequence,
            "root": self.root,
            "newest_ms": self.newest_ms,
            "sealed_at_ms": self.sealed_at_ms,
            "totals": {name: list(total) for name, total in self.totals.items()},
        }

    def to_dict(self) -> dict[str, Any]:
        """Returns it as JSON: the header, and the leaves."""
        return {**self.header(), "leaves": [leaf.to_dict() for leaf in self.leaves]}

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Block":
        """Reads what to_dict returned."""
        fields = {name: part for name, part in value.items() if name != "last_sequence"}
        fields["leaves"] = tuple(Leaf.of(leaf) for leaf in value["leaves"])
        fields["totals"] = {name: tuple(total) for name, total in value["totals"].items()}
        return cls(**fields)


def header_hash(header: Mapping[str, Any]) -> str:
    """Hashes a block's header."""
    return sha256(canonical(header)).hexdigest()


def seal(
    previous: Block | None,
    records: Sequence[Record],
    now_ms: int,
    shard: int,
    control_of: Callable[[str], str],
) -> Block:
    """Builds the block that follows.

    Args:
        previous: The newest block of the shard, None for its first.
        records: In the order to keep; at least one.
        now_ms: Time of sealing.
        shard: 0 to 63.
        control_of: Names an account without its merchant.

    Raises:
        InvariantError: There is no record, or the previous block is of another shard.
    """
    if not records:
        raise InvariantError("a block seals at least one record")
    if previous is not None and previous.shard != shard:
        raise InvariantError(f"a block of shard {shard} cannot follow one of {previous.shard}")
    leaves = tuple(
        Leaf(record.kind, record.id, record.leaf_hash, record.at_ms, record.book)
        for record in records
    )
    totals = {} if previous is None else {name: [*t] for name, t in previous.totals.items()}
    for record in records:
        if record.kind is RecordKind.JOURNAL:
            add_journal(totals, record.book, record.data, control_of)
    newest_ms = max(leaf.at_ms for leaf in leaves)
    return Block(
        shard=shard,
        number=1 if previous is None else previous.number + 1,
        previous_hash="" if previous is None else previous.hash,
        first_sequence=1 if previous is None else previous.last_sequence + 1,
        leaves=leaves,
        root=merkle_root(leaf.hash for leaf in leaves),
        newest_ms=newest_ms if previous is None else max(newest_ms, previous.newest_ms),
        sealed_at_ms=now_ms,
        totals={name: tuple(total) for name, total in totals.items()},
    )


def add_journal(
    totals: dict[str, list[int]],
    book: str,
    journal: Mapping[str, Any],
    control_of: Callable[[str], str],
) -> None:
    """Adds a journal's postings to running totals.

    Args:
        totals: Changed in place.
        book: "<account>/<live|test>"; live and test money have totals of their own.
        journal: As Journal.to_dict returns it.
        control_of: Names an account without its merchant.
    """
    mode = book.rpartition("/")[2]
    for posting in journal["postings"]:
        total = totals.setdefault(f"{mode}/{control_of(posting['account'])}", [0, 0, 0, 0])
        offset = 0 if posting["layer"] == Layer.POSTED else 2
        total[offset] += posting["debit_minor"]
        total[offset + 1] += posting["credit_minor"]


def shard_of(book: str, subject: str, stripes: int) -> int:
    """Names the ledger shard of a book's records.

    Args:
        book: A merchant's books in one mode; they start at one shard.
        subject: One object's records share a shard, whatever the stripes.
        stripes: How many shards, from that one on, the book is spread over: 1 to 64.
    """
    return (crc32(book.encode()) + crc32(subject.encode()) % stripes) % SHARDS


@dataclass(frozen=True, slots=True, order=True)
class Head:
    """The newest block of a shard, as a checkpoint names it."""

    shard: int
    number: int
    hash: str
    last_sequence: int

    def to_dict(self) -> dict[str, Any]:
        """Returns it as JSON."""
        return {
            "shard": self.shard,
            "number": self.number,
            "hash": self.hash,
            "last_sequence": self.last_sequence,
        }

    @classmethod
    def of_block(cls, block: Block) -> "Head":
        """Names a block."""
        return cls(block.shard, block.number, block.hash, block.last_sequence)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The newest block of each shard that has one, ordered by shard.

    Args: number: 1 for the first of a region, then without gap. previous_hash: hex digest of the
    checkpoint before, "" for the first.
    """

    region: str
    number: int
    previous_hash: str
    created_ms: int
    heads: tuple[Head, ...]

    @property
    def digest(self) -> bytes:
        """SHA-256 of its canonical JSON: what is signed."""
        return sha256(canonical(self.to_dict())).digest()

    def to_dict(self) -> dict[str, Any]:
        """Returns it as JSON."""
        return {
            "region": self.region,
            "number": self.number,
            "previous_hash": self.previous_hash,
            "created_ms": self.created_ms,
            "heads": [head.to_dict() for head in self.heads],
        }

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Checkpoint":
        """Reads what to_dict returned."""
        return cls(**{**value, "heads": tuple(Head(**head) for head in value["heads"])})


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint, and the platform's signature of its digest.

    Args: signature_b64: ECDSA on P-256, DER in base64. key_id: of the key that signed, for people.
    """

    checkpoint: Checkpoint
    signature_b64: str
    key_id: str

    def to_dict(self) -> dict[str, Any]:
        """Returns it as JSON."""
        return {
            "checkpoint": self.checkpoint.to_dict(),
            "signature_b64": self.signature_b64,
            "key_id": self.key_id,
        }

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "SignedCheckpoint":
        """Reads what to_dict returned."""
        return cls(Checkpoint.of(value["checkpoint"]), value["signature_b64"], value["key_id"])


def export_line(value: Mapping[str, Any]) -> bytes:
    """Writes a line of an export: {"block": ...}, {"record": ...} or a signed checkpoint.

    Verification takes these bytes and no others, so that no two readers can read a line
    differently.
    """
    return canonical(value) + b"\n"
