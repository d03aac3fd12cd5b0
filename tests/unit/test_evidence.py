"""Evidence: what stands for a record, a block and a checkpoint, and what a block adds up."""

import json
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.canonical import canonical
from shared.domain.errors import InvariantError
from shared.domain.evidence import (
    SHARDS,
    Block,
    Checkpoint,
    Head,
    MerkleTree,
    Record,
    RecordKind,
    SignedCheckpoint,
    export_line,
    merkle_root,
    seal,
    shard_of,
)

PROFILE = settings(derandomize=True, deadline=None, max_examples=200)
HASHES = st.lists(st.binary(min_size=32, max_size=32).map(bytes.hex), max_size=40)


def control_of(account: str) -> str:
    return account.replace("acct_1", "*").replace("acct_2", "*")


def posting(account: str, debit: int, credit: int, layer: str = "posted") -> dict[str, Any]:
    return {
        "account": account,
        "currency": "usd",
        "debit_minor": debit,
        "credit_minor": credit,
        "layer": layer,
    }


def journal(name: str, book: str, at_ms: int, *postings: dict[str, Any]) -> Record:
    data = {"id": name, "postings": list(postings)}
    return Record(RecordKind.JOURNAL, name, book, at_ms, "pi_1", data)


EVENT = Record(RecordKind.EVENT, "pi_1/1", "acct_1/test", 5, "pi_1", {"version": 1})
CAPTURE = journal(
    "pi_1/capture/ch_1",
    "acct_1/test",
    9,
    posting("1100:usd", 20, 0),
    posting("2000:acct_1:usd", 0, 20),
    posting("2000:acct_1:usd", 20, 0, "pending"),
    posting("1100:usd", 0, 20, "pending"),
)


def root_by_definition(leaves: list[str]) -> bytes:
    """RFC 6962 as it is written: split at the largest power of two below the count."""
    if len(leaves) < 2:
        return bytes.fromhex(leaves[0]) if leaves else sha256().digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    parts = root_by_definition(leaves[:split]), root_by_definition(leaves[split:])
    return sha256(b"\x01" + parts[0] + parts[1]).digest()


@PROFILE
@given(HASHES)
def test_root_of_any_leaves_is_that_of_rfc_6962(leaves: list[str]) -> None:
    assert merkle_root(leaves) == root_by_definition(leaves).hex()


def test_root_of_published_leaves_is_the_published_root() -> None:
    # The reference vectors of Certificate Transparency, seven and eight leaves.
    inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]
    last = "606162636465666768696a6b6c6d6e6f"
    leaves = [sha256(b"\x00" + bytes.fromhex(text)).hexdigest() for text in [*inputs, last]]

    assert merkle_root(leaves[:7]) == (
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"
    )
    assert merkle_root(leaves) == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


def test_tree_of_many_leaves_keeps_one_node_per_level() -> None:
    tree = MerkleTree()
    for number in range(10_000):
        tree.add(sha256(str(number).encode()).hexdigest())

    assert len(tree._nodes) <= 14


def test_leaf_hash_of_a_record_covers_each_of_its_fields() -> None:
    changed = [
        replace(EVENT, kind=RecordKind.CHANGE),
        replace(EVENT, id="pi_1/2"),
        replace(EVENT, book="acct_1/live"),
        replace(EVENT, at_ms=6),
        replace(EVENT, subject="pi_2"),
        replace(EVENT, data={"version": 2}),
    ]

    assert EVENT.leaf_hash == sha256(b"\x00" + canonical(EVENT.to_dict())).hexdigest()
    assert len({record.leaf_hash for record in [EVENT, *changed]}) == 7


def test_seal_of_the_first_block_begins_the_chain() -> None:
    block = seal(None, [EVENT, CAPTURE], 100, 7, control_of)

    assert (block.shard, block.number, block.previous_hash) == (7, 1, "")
    assert (block.first_sequence, block.last_sequence) == (1, 2)
    assert block.root == merkle_root([EVENT.leaf_hash, CAPTURE.leaf_hash])
    assert (block.newest_ms, block.sealed_at_ms) == (9, 100)
    assert block.totals == {"test/1100:usd": (20, 0, 0, 20), "test/2000:*:usd": (0, 20, 20, 0)}


def test_seal_of_the_next_block_goes_on_from_the_one_before() -> None:
    # given
    first = seal(None, [EVENT, CAPTURE], 100, 7, control_of)
    late = journal(
        "pi_2/capture/ch_2",
        "acct_2/test",
        3,
        posting("1100:usd", 5, 0),
        posting("2000:acct_2:usd", 0, 5),
    )
    live = journal("pi_3/x/ch_3", "acct_1/live", 4, posting("1100:usd", 1, 0))
    # when
    second = seal(first, [late, live], 101, 7, control_of)
    # then
    assert (second.number, second.previous_hash, second.first_sequence) == (2, first.hash, 3)
    assert second.newest_ms == 9
    assert second.totals == {
        "test/1100:usd": (25, 0, 0, 20),
        "test/2000:*:usd": (0, 25, 20, 0),
        "live/1100:usd": (1, 0, 0, 0),
    }
    assert first.totals["test/1100:usd"] == (20, 0, 0, 20)


def test_seal_of_nothing_or_across_shards_is_refused() -> None:
    first = seal(None, [EVENT], 100, 7, control_of)

    with pytest.raises(InvariantError, match="at least one"):
        seal(first, [], 100, 7, control_of)
    with pytest.raises(InvariantError, match="shard 8"):
        seal(first, [CAPTURE], 100, 8, control_of)


def test_block_hash_covers_each_field_of_the_header() -> None:
    block = seal(None, [EVENT, CAPTURE], 100, 7, control_of)
    changed = [
        replace(block, shard=8),
        replace(block, number=2),
        replace(block, previous_hash="00"),
        replace(block, first_sequence=2),
        replace(block, leaves=block.leaves[:1]),
        replace(block, root="00"),
        replace(block, newest_ms=10),
        replace(block, sealed_at_ms=101),
        replace(block, totals={}),
    ]

    assert len({one.hash for one in [block, *changed]}) == 10


def test_evidence_written_as_json_is_read_back_the_same() -> None:
    block = seal(None, [EVENT, CAPTURE], 100, 7, control_of)
    checkpoint = Checkpoint("us-east-1", 1, "", 200, (Head.of_block(block),))
    signed = SignedCheckpoint(checkpoint, "c2ln", "key-1")

    assert Block.of(json.loads(export_line(block.to_dict()))) == block
    assert Record.of(json.loads(export_line(CAPTURE.to_dict()))) == CAPTURE
    assert SignedCheckpoint.of(json.loads(export_line(signed.to_dict()))) == signed


def test_digest_of_a_checkpoint_covers_each_field() -> None:
    head = Head(7, 1, "ab", 2)
    checkpoint = Checkpoint("us-east-1", 2, "cd", 200, (head,))
    changed = [
        replace(checkpoint, region="eu-west-1"),
        replace(checkpoint, number=3),
        replace(checkpoint, previous_hash="ce"),
        replace(checkpoint, created_ms=201),
        replace(checkpoint, heads=()),
        replace(checkpoint, heads=(replace(head, shard=8),)),
        replace(checkpoint, heads=(replace(head, number=2),)),
        replace(checkpoint, heads=(replace(head, hash="ac"),)),
        replace(checkpoint, heads=(replace(head, last_sequence=3),)),
    ]

    assert checkpoint.digest == sha256(canonical(checkpoint.to_dict())).digest()
    assert len({one.digest for one in [checkpoint, *changed]}) == 10


@PROFILE
@given(st.text(), st.text(), st.integers(1, SHARDS))
def test_shard_of_any_subject_lies_within_its_books_stripes(
    book: str, subject: str, stripes: int
) -> None:
    first = shard_of(book, subject, 1)

    assert 0 <= first < SHARDS
    assert (shard_of(book, subject, stripes) - first) % SHARDS < stripes


def test_shards_of_a_striped_book_are_all_used() -> None:
    used = {shard_of("acct_1/test", f"pi_{number}", 64) for number in range(2_000)}

    assert len(used) == SHARDS
