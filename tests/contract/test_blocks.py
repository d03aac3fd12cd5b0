"""What every store of blocks and of stripes does; run on DynamoDB and on its twin in memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import boto3
import pytest
from moto import mock_aws

from shared.adapters.dynamodb_blocks import DynamoBlockStore, DynamoStripeStore
from shared.adapters.memory_blocks import MemoryBlockStore, MemoryStripeStore
from shared.domain.accounts import control_account
from shared.domain.errors import VersionConflictError
from shared.domain.evidence import Block, Record, seal
from shared.domain.ports import BlockStore, StripeStore
from shared.domain.records import journal_record
from shared.domain.sealing import name_of
from shared.domain.stripes import Stripes
from tests.support.aws import REGION, create_table
from tests.support.sealing import START_MS, event, journal


@dataclass
class Evidence:
    blocks: BlockStore
    stripes: StripeStore

    def chain(self, shard: int, count: int) -> list[Block]:
        """Appends that many blocks."""
        made: list[Block] = []
        for number in range(1, count + 1):
            block = next_block(made[-1] if made else None, *records(number), shard=shard)
            assert self.blocks.append(block)
            made.append(block)
        return made


def records(number: int) -> tuple[Record, ...]:
    subject = f"pi_{number}"
    at_ms = START_MS + number
    posted = journal_record(journal("acct_1", subject, "settle", at_ms))
    return event("acct_1/test", subject, 1, at_ms), posted


def next_block(previous: Block | None, *records: Record, shard: int = 7) -> Block:
    return seal(previous, records, START_MS, shard, control_account)


@pytest.fixture(params=["memory", "dynamodb"])
def evidence(request: pytest.FixtureRequest) -> Iterator[Evidence]:
    if request.param == "memory":
        yield Evidence(MemoryBlockStore(), MemoryStripeStore())
        return
    with mock_aws():
        client: Any = boto3.client("dynamodb", region_name=REGION)
        table = create_table(client, "evidence")
        yield Evidence(DynamoBlockStore(client, table), DynamoStripeStore(client, table))


def test_shard_without_blocks_has_no_tail(evidence: Evidence) -> None:
    assert evidence.blocks.tail(7) is None
    assert evidence.blocks.get(7, 1) is None
    assert list(evidence.blocks.blocks(7)) == []
    assert list(evidence.blocks.newest_first(7)) == []


def test_block_appended_is_read_back(evidence: Evidence) -> None:
    made = evidence.chain(7, 2)

    assert evidence.blocks.tail(7) == made[1]
    assert evidence.blocks.get(7, 1) == made[0]
    assert evidence.blocks.get(7, 3) is None
    assert evidence.blocks.tail(8) is None


def test_blocks_are_read_in_both_directions_from_any_number(evidence: Evidence) -> None:
    made = evidence.chain(0, 12)
    evidence.chain(1, 1)

    assert list(evidence.blocks.blocks(0)) == made
    assert list(evidence.blocks.blocks(0, 9)) == made[9:]
    assert list(evidence.blocks.newest_first(0)) == made[::-1]
    assert list(evidence.blocks.newest_first(0, 4)) == made[2::-1]
    assert list(islice(evidence.blocks.newest_first(0), 2)) == [made[11], made[10]]


def test_second_block_of_a_number_is_refused(evidence: Evidence) -> None:
    first, other = next_block(None, records(1)[0]), next_block(None, records(2)[0])
    assert evidence.blocks.append(first)

    assert not evidence.blocks.append(other)
    assert not evidence.blocks.append(first)
    assert evidence.blocks.get(7, 1) == first


def test_late_records_are_marked_with_their_block(evidence: Evidence) -> None:
    # given
    (first,) = evidence.chain(7, 1)
    second = next_block(first, *records(2), *records(3))
    # when
    assert evidence.blocks.append(second, second.leaves[:2])
    # then
    names = [name_of(record) for number in (1, 2, 3) for record in records(number)]
    marked = {name_of(leaf): leaf.hash for leaf in second.leaves[:2]}
    assert evidence.blocks.late([*names, names[2]]) == marked
    assert evidence.blocks.late([]) == {}
    assert evidence.blocks.tail(7) == second


def test_block_of_a_marked_record_is_refused_as_a_whole(evidence: Evidence) -> None:
    # given
    first = next_block(None, *records(1))
    assert evidence.blocks.append(first, first.leaves[:1])
    again = next_block(first, *records(2), records(1)[0])
    # when
    is_appended = evidence.blocks.append(again, again.leaves[1:])
    # then
    assert not is_appended
    assert evidence.blocks.tail(7) == first
    assert evidence.blocks.late([name_of(leaf) for leaf in again.leaves[:2]]) == {}


def test_marker_without_its_block_is_not_written(evidence: Evidence) -> None:
    # given
    first = next_block(None, *records(1))
    assert evidence.blocks.append(first)
    # when: somebody else was faster
    other = next_block(None, *records(2))
    is_appended = evidence.blocks.append(other, other.leaves)
    # then
    assert not is_appended
    assert evidence.blocks.late([name_of(leaf) for leaf in other.leaves]) == {}


def test_block_with_as_many_late_records_as_it_may_have_is_appended(evidence: Evidence) -> None:
    late = [event("acct_1/test", "pi_1", version, START_MS) for version in range(99)]
    block = next_block(None, *late)

    assert evidence.blocks.append(block, block.leaves)
    assert len(evidence.blocks.late([name_of(leaf) for leaf in block.leaves])) == 99


def test_folded_number_never_goes_back(evidence: Evidence) -> None:
    assert evidence.blocks.folded(7) == 0

    for number in (3, 2, 5, 5):
        evidence.blocks.keep_folded(7, number)

    assert evidence.blocks.folded(7) == 5
    assert evidence.blocks.folded(8) == 0


def test_stripes_never_changed_are_the_default(evidence: Evidence) -> None:
    found = evidence.stripes.of_books(["acct_1/test", "acct_2/live"])

    assert found == {"acct_1/test": Stripes(), "acct_2/live": Stripes()}
    assert evidence.stripes.of_books([]) == {}


def test_stripes_changed_are_read_back(evidence: Evidence) -> None:
    # given
    wider = Stripes().changed(4, START_MS)
    widest = wider.changed(64, START_MS + 1)
    # when
    evidence.stripes.change("acct_1/test", Stripes(), wider)
    evidence.stripes.change("acct_1/test", wider, widest)
    # then
    found = evidence.stripes.of_books(["acct_1/test", "acct_1/live"])
    assert found == {"acct_1/test": widest, "acct_1/live": Stripes()}


def test_stripes_changed_by_somebody_else_are_not_overwritten(evidence: Evidence) -> None:
    # given
    first = Stripes().changed(4, START_MS)
    evidence.stripes.change("acct_1/test", Stripes(), first)
    # when
    with pytest.raises(VersionConflictError):
        evidence.stripes.change("acct_1/test", Stripes(), Stripes().changed(8, START_MS))
    # then
    assert evidence.stripes.of_books(["acct_1/test"]) == {"acct_1/test": first}
