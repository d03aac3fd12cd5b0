"""Checkpoints: how far the chains of blocks reach, signed after it was checked.

A signature says that the platform stands for all blocks up to the heads. So before it is given,
each chain is followed from the block that was signed last to the new head: what no longer follows
from what was signed is refused for good.

Ports: CheckpointKey signs, CheckpointArchive keeps what nobody can alter, CheckpointLog is where
the newest one is looked up. SealedBlocks is the part of the block store that is read here.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from shared.domain.errors import InvariantError
from shared.domain.evidence import (
    SHARDS,
    Block,
    Checkpoint,
    Head,
    SignedCheckpoint,
    merkle_root,
)
from shared.domain.ports import Clock

# Of each shard, so that under a backlog none waits for another; a round takes some seconds.
BLOCKS_MAX = 16
# The year 2025 in UTC: no checkpoint is older. Whoever can write to the tables can take all rows of
# the log away and make all blocks anew, with any time; the archive is searched from here then.
FIRST_MS = 1_735_689_600_000


class SealedBlocks(Protocol):
    """Reads the chains of blocks."""

    def blocks(self, shard: int, after_number: int) -> Iterable[Block]:
        """Reads a shard's blocks after that number in order, strongly consistent, as needed."""


class CheckpointKey(Protocol):
    """Signs digests with a key that nobody holds."""

    @property
    def key_id(self) -> str:
        """Names the key, for people."""

    def sign(self, digest: bytes) -> bytes:
        """Returns the ECDSA signature of a SHA-256 digest, in DER."""

    def is_signed(self, digest: bytes, signature: bytes) -> bool:
        """Tells whether a signature is this key's."""


class CheckpointArchive(Protocol):
    """Keeps signed checkpoints where nobody can alter or delete them."""

    def put(self, signed: SignedCheckpoint) -> bool:
        """Keeps a checkpoint; tells whether there was none of its month, region and number."""

    def find(
        self, region: str, number: int, since_ms: int, until_ms: int
    ) -> SignedCheckpoint | None:
        """Reads the checkpoint of that number made in the months between, None without one."""


class CheckpointLog(Protocol):
    """Lists signed checkpoints."""

    def newest(self) -> SignedCheckpoint | None:
        """Reads the checkpoint with the highest number, strongly consistent."""

    def put(self, signed: SignedCheckpoint) -> bool:
        """Lists a checkpoint; tells whether there was none of its number."""

    def page(self, after_number: int, limit: int) -> Sequence[SignedCheckpoint]:
        """Reads checkpoints after that number in order."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """The blocks of a shard from the one that was signed last to a new head.

    Args: records: in them. is_cut: whether there may be more.
    """

    head: Head
    blocks: int
    records: int
    is_cut: bool


@dataclass(frozen=True, slots=True)
class Signing:
    """What one signing did; is_behind: whether there may be more to sign at once."""

    signed: SignedCheckpoint
    blocks: int
    records: int
    is_behind: bool


def stretch(shard: int, signed: Head | None, blocks: Iterable[Block]) -> Stretch | None:
    """Follows a chain; None when it ends where it was signed.

    Args: signed: the head that was signed last, None where there was none. blocks: from that one
    on, in order.
    Raises: InvariantError when the signed block is gone or another, or a block does not follow.
    """
    remaining = iter(blocks)
    before = None if signed is None else _signed_block(signed, next(remaining, None))
    new: list[Block] = []
    for block in islice(remaining, BLOCKS_MAX):
        _require_follows(shard, before, block)
        before = block
        new.append(block)
    if before is None or not new:
        return None
    return Stretch(
        Head.of_block(before),
        blocks=len(new),
        records=sum(len(block.leaves) for block in new),
        is_cut=len(new) == BLOCKS_MAX,
    )


def _signed_block(signed: Head, block: Block | None) -> Block:
    where = f"block {signed.number} of shard {signed.shard}"
    if block is None:
        raise InvariantError(f"{where} was signed and is gone")
    if Head.of_block(block) != signed or block.root != _root(block):
        raise InvariantError(f"{where} is not what was signed")
    return block


def _require_follows(shard: int, before: Block | None, block: Block) -> None:
    expected = {
        "shard": shard,
        "number": before.number + 1 if before else 1,
        "previous_hash": before.hash if before else "",
        "first_sequence": before.last_sequence + 1 if before else 1,
        "root": _root(block),
        "newest_ms": max(
            before.newest_ms if before else 0, *(leaf.at_ms for leaf in block.leaves), 0
        ),
    }
    wrong = [name for name, value in expected.items() if getattr(block, name) != value]
    if wrong or not block.leaves:
        where = f"block {expected['number']} of shard {shard}"
        what = ", ".join(wrong) or "leaves"
        raise InvariantError(f"{where} does not follow from the block before it: {what}")


def _root(block: Block) -> str:
    return merkle_root(leaf.hash for leaf in block.leaves)


class CheckpointSigner:
    """Signs how far the chains reach.

    The archive comes first, and its condition decides: of two runs that sign the same number, or
    one after another that died, the second adopts what is archived.
    """

    def __init__(
        self,
        *,
        blocks: SealedBlocks,
        key: CheckpointKey,
        archive: CheckpointArchive,
        log: CheckpointLog,
        clock: Clock,
        region: str,
    ) -> None:
        self._blocks = blocks
        self._key = key
        self._archive = archive
        self._log = log
        self._clock = clock
        self._region = region

    def sign_next(self) -> Signing | None:
        """Signs what was sealed since the last checkpoint, None when nothing was.

        Raises: InvariantError when the chains, the last checkpoint or the archive are not what was
        signed; TransientError when a service is busy.
        """
        previous = self._log.newest()
        if previous is not None:
            self._require_ours(previous, previous.checkpoint.number)
        heads = {head.shard: head for head in previous.checkpoint.heads} if previous else {}
        stretches = [
            found
            for shard in range(SHARDS)
            if (found := self._stretch(shard, heads.get(shard))) is not None
        ]
        if not stretches:
            return None
        made = self._make(previous, {**heads, **{new.head.shard: new.head for new in stretches}})
        since_ms = previous.checkpoint.created_ms if previous else FIRST_MS
        signed = self._archived(made, since_ms)
        self._log.put(signed)
        return Signing(
            signed,
            blocks=sum(new.blocks for new in stretches),
            records=sum(new.records for new in stretches),
            is_behind=signed.checkpoint != made or any(new.is_cut for new in stretches),
        )

    def _stretch(self, shard: int, signed: Head | None) -> Stretch | None:
        after = signed.number - 1 if signed else 0
        return stretch(shard, signed, self._blocks.blocks(shard, after))

    def _make(self, previous: SignedCheckpoint | None, heads: dict[int, Head]) -> Checkpoint:
        newest = tuple(heads[shard] for shard in sorted(heads))
        now_ms = self._clock.now_ms()
        if previous is None:
            return Checkpoint(self._region, 1, "", now_ms, newest)
        before = previous.checkpoint
        created_ms = max(now_ms, before.created_ms)
        return Checkpoint(self._region, before.number + 1, before.digest.hex(), created_ms, newest)

    def _archived(self, made: Checkpoint, since_ms: int) -> SignedCheckpoint:
        """Signs and archives a checkpoint, or returns the one of its number that is archived."""
        place = (self._region, made.number, since_ms, made.created_ms)
        found = self._archive.find(*place)
        if found is None:
            signature = b64encode(self._key.sign(made.digest)).decode()
            signed = SignedCheckpoint(made, signature, self._key.key_id)
            if self._archive.put(signed):
                return signed
            found = self._archive.find(*place)
        if found is None:
            raise InvariantError(f"checkpoint {made.number} is archived and cannot be found")
        self._require_ours(found, made.number)
        if found.checkpoint.previous_hash != made.previous_hash:
            raise InvariantError(f"the archived checkpoint {made.number} follows another one")
        return found

    def _require_ours(self, signed: SignedCheckpoint, number: int) -> None:
        checkpoint = signed.checkpoint
        if (checkpoint.region, checkpoint.number) != (self._region, number):
            raise InvariantError(f"checkpoint {number} is one of another place")
        try:
            signature = b64decode(signed.signature_b64, validate=True)
        except ValueError:
            signature = b""
        if not signature or not self._key.is_signed(checkpoint.digest, signature):
            raise InvariantError(f"checkpoint {number} is not signed by the platform")
