"""Chains of blocks for tests, sealed as the sealer does."""

from dataclasses import replace

from shared.domain.accounts import control_account
from shared.domain.evidence import Block, Leaf, Record, RecordKind, seal
from shared.domain.ports import BlockStore

SEALED_MS = 1_751_284_800_000


def record(subject: str, version: int = 1, at_ms: int = SEALED_MS) -> Record:
    """Makes a record of an event, as far as its block looks into it."""
    name = f"{subject}/{version}"
    return Record(RecordKind.EVENT, name, "acct_1/test", at_ms, subject, {"version": version})


def extend(
    store: BlockStore, shard: int, blocks: int = 1, records: int = 2, now_ms: int = SEALED_MS
) -> Block:
    """Appends blocks to a chain; returns the last."""
    for _ in range(blocks):
        before = store.tail(shard)
        number = 1 if before is None else before.number + 1
        new = [record(f"pi_{shard}_{number}_{count}") for count in range(records)]
        made = seal(before, new, now_ms, shard, control_account)
        assert store.append(made)
    return made


def with_another_leaf(block: Block) -> Block:
    """Returns a block whose first leaf says another hash, its root as it was."""
    first, *others = block.leaves
    edited = Leaf(first.kind, first.id, "00" * 32, first.at_ms, first.book)
    return replace(block, leaves=(edited, *others))
