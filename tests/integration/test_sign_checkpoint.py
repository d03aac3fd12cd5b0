"""Checkpoints: signed once, after the chains were followed from what was signed before."""

import io
import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.sign_checkpoint.handler import ROUNDS_MAX, handler, sign
from shared import bootstrap
from shared.adapters.dynamodb_blocks import DynamoBlockStore
from shared.adapters.memory import MemoryClock
from shared.adapters.memory_blocks import MemoryBlockStore
from shared.adapters.memory_checkpoints import (
    MemoryCheckpointArchive,
    MemoryCheckpointKey,
    MemoryCheckpointLog,
)
from shared.domain.checkpoints import BLOCKS_MAX, CheckpointSigner
from shared.domain.errors import InvariantError
from shared.domain.evidence import Block, Checkpoint, Head, SignedCheckpoint, merkle_root
from shared.observability import logger
from tests.support.aws import create_table
from tests.support.chains import SEALED_MS, extend, with_another_leaf
from tests.support.composition import forget_composition

REGION = "us-east-1"
# SEALED_MS is noon of the last day of June.
JULY_MS = SEALED_MS + 12 * 60 * 60 * 1000
DAY_MS = 24 * 60 * 60 * 1000
REQUEST = {"Records": [{"messageId": "m1", "body": "{}"}, {"messageId": "m2", "body": "{}"}]}
NO_FAILURES: dict[str, Any] = {"batchItemFailures": []}


class Killed(BaseException):
    """Ends a run as a function's timeout does."""


class FragileLog(MemoryCheckpointLog):
    """Lets a run die before it lists its checkpoint."""

    def __init__(self) -> None:
        super().__init__()
        self.before_put: Callable[[], None] = lambda: None

    def put(self, signed: SignedCheckpoint) -> bool:
        self.before_put()
        return super().put(signed)


class OvertakenArchive(MemoryCheckpointArchive):
    """Lets something happen between a run's look and its own checkpoint."""

    def __init__(self) -> None:
        super().__init__()
        self.before_put: Callable[[], None] = lambda: None

    def put(self, signed: SignedCheckpoint) -> bool:
        happens, self.before_put = self.before_put, lambda: None
        happens()
        return super().put(signed)


@dataclass
class World:
    blocks: MemoryBlockStore = field(default_factory=MemoryBlockStore)
    key: MemoryCheckpointKey = field(default_factory=MemoryCheckpointKey)
    archive: OvertakenArchive = field(default_factory=OvertakenArchive)
    log: FragileLog = field(default_factory=FragileLog)
    clock: MemoryClock = field(default_factory=lambda: MemoryClock(SEALED_MS + 10_000))

    def signer(self) -> CheckpointSigner:
        return CheckpointSigner(
            blocks=self.blocks,
            key=self.key,
            archive=self.archive,
            log=self.log,
            clock=self.clock,
            region=REGION,
        )

    def run(self) -> dict[str, Any]:
        return sign(self.signer(), REQUEST)

    def listed(self) -> list[Checkpoint]:
        return [signed.checkpoint for signed in self.log.page(0, 100)]

    def heads(self) -> dict[int, int]:
        newest = self.log.newest()
        return {head.shard: head.number for head in newest.checkpoint.heads} if newest else {}

    def replace_block(self, shard: int, number: int, change: Callable[[Block], Block]) -> None:
        chain = self.blocks.chains[shard]
        chain[number - 1] = change(chain[number - 1])


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    stream = io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def test_checkpoint_signs_the_newest_block_of_each_shard_that_has_one(world: World) -> None:
    # given
    tail = extend(world.blocks, shard=63, blocks=3)
    extend(world.blocks, shard=0)
    # when
    answer = world.run()
    # then
    assert answer == NO_FAILURES
    (checkpoint,) = world.listed()
    assert (checkpoint.region, checkpoint.number, checkpoint.previous_hash) == (REGION, 1, "")
    assert checkpoint.created_ms == world.clock.now_ms()
    assert [head.shard for head in checkpoint.heads] == [0, 63]
    assert checkpoint.heads[1] == Head.of_block(tail)
    newest = world.log.newest()
    assert newest is not None
    assert world.key.is_signed(checkpoint.digest, b64decode(newest.signature_b64))
    now_ms = world.clock.now_ms()
    assert world.archive.find(REGION, 1, now_ms, now_ms) == newest


def test_checkpoint_is_signed_only_when_something_was_sealed(world: World) -> None:
    # given
    world.run()
    assert world.listed() == []
    extend(world.blocks, shard=5)
    # when
    world.run()
    world.run()
    # then
    assert len(world.listed()) == 1


def test_checkpoint_follows_the_one_before_and_keeps_quiet_shards(world: World) -> None:
    # given
    extend(world.blocks, shard=5, blocks=2)
    extend(world.blocks, shard=9)
    world.run()
    # when
    extend(world.blocks, shard=9, blocks=2)
    extend(world.blocks, shard=2)
    world.run()
    # then
    first, second = world.listed()
    assert (second.number, second.previous_hash) == (2, first.digest.hex())
    assert world.heads() == {2: 1, 5: 2, 9: 3}


def test_checkpoint_is_never_older_than_the_one_before(world: World) -> None:
    # given
    extend(world.blocks, shard=5)
    world.run()
    # when a clock that is behind
    world.clock.advance(-60_000)
    extend(world.blocks, shard=5)
    world.run()
    # then
    first, second = world.listed()
    assert second.created_ms == first.created_ms


def test_backlog_is_signed_in_rounds(world: World) -> None:
    # given
    extend(world.blocks, shard=3, blocks=BLOCKS_MAX + 2)
    extend(world.blocks, shard=4)
    # when
    answer = world.run()
    # then
    assert answer == NO_FAILURES
    assert len(world.listed()) == 2
    assert world.heads() == {3: BLOCKS_MAX + 2, 4: 1}


def test_backlog_beyond_the_rounds_makes_the_requests_come_again(world: World) -> None:
    # given
    extend(world.blocks, shard=3, blocks=BLOCKS_MAX * ROUNDS_MAX + 1, records=1)
    # when
    answer = world.run()
    # then
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m1"}, {"itemIdentifier": "m2"}]}
    assert world.heads() == {3: BLOCKS_MAX * ROUNDS_MAX}
    # when
    assert world.run() == NO_FAILURES
    # then
    assert world.heads() == {3: BLOCKS_MAX * ROUNDS_MAX + 1}


def die() -> None:
    raise Killed


@pytest.mark.parametrize("waited_ms", [60_000, JULY_MS - SEALED_MS, 70 * 24 * 60 * 60 * 1000])
def test_run_that_died_before_its_row_is_taken_up_by_the_next(world: World, waited_ms: int) -> None:
    # given
    extend(world.blocks, shard=5)
    world.run()
    extend(world.blocks, shard=5)
    world.log.before_put = die
    with pytest.raises(Killed):
        world.run()
    died = world.archive.find(REGION, 2, SEALED_MS, world.clock.now_ms())
    assert died is not None
    assert len(world.listed()) == 1
    # when more was sealed, and perhaps a new month has begun
    world.log.before_put = lambda: None
    world.clock.advance(waited_ms)
    extend(world.blocks, shard=6)
    world.run()
    # then
    assert world.log.page(1, 1) == (died,)
    assert [checkpoint.number for checkpoint in world.listed()] == [1, 2, 3]
    assert world.heads() == {5: 2, 6: 1}


def test_first_run_that_died_in_another_month_is_taken_up(world: World) -> None:
    # given
    extend(world.blocks, shard=5)
    world.log.before_put = die
    with pytest.raises(Killed):
        world.run()
    # when
    world.log.before_put = lambda: None
    world.clock.advance(JULY_MS - SEALED_MS)
    world.run()
    # then
    (checkpoint,) = world.listed()
    assert checkpoint.created_ms < JULY_MS


def test_first_run_that_died_is_taken_up_though_a_shard_began_later(world: World) -> None:
    # given: in June, before the first shard had a block
    extend(world.blocks, shard=5)
    world.log.before_put = die
    with pytest.raises(Killed):
        world.run()
    # when
    world.log.before_put = lambda: None
    world.clock.advance(JULY_MS - SEALED_MS)
    extend(world.blocks, shard=2, now_ms=world.clock.now_ms())
    world.run()
    # then
    assert world.listed()[0].created_ms < JULY_MS


def test_history_made_anew_is_not_signed_though_all_tables_say_so(world: World) -> None:
    # given
    extend(world.blocks, shard=5, blocks=3)
    world.run()
    # when: months later, by somebody who can write to the tables and not sign
    world.clock.advance(70 * DAY_MS)
    world.blocks, world.log = MemoryBlockStore(), FragileLog()
    extend(world.blocks, shard=5, blocks=2, records=1, now_ms=world.clock.now_ms())
    # then
    with pytest.raises(InvariantError, match="of shard 5"):
        world.run()
    assert [checkpoint.created_ms < JULY_MS for checkpoint in world.listed()] == [True]


def test_two_runs_at_once_sign_one_checkpoint(world: World) -> None:
    # given: the other signs while this one is about to
    extend(world.blocks, shard=5)
    other = world.signer()

    def overtake() -> None:
        extend(world.blocks, shard=6)
        other.sign_next()

    world.archive.before_put = overtake
    # when
    answer = world.run()
    # then
    assert answer == NO_FAILURES
    (checkpoint,) = world.listed()
    assert world.heads() == {5: 1, 6: 1}
    now_ms = world.clock.now_ms()
    archived = world.archive.find(REGION, 1, now_ms, now_ms)
    assert archived is not None
    assert archived.checkpoint == checkpoint


def test_archived_checkpoint_that_is_not_ours_is_not_adopted(world: World) -> None:
    # given
    extend(world.blocks, shard=5)
    forged = Checkpoint(REGION, 1, "", SEALED_MS, (Head(5, 1, "ab" * 32, 2),))
    world.archive.put(SignedCheckpoint(forged, "Zm9yZ2Vk", "memory"))
    # then
    with pytest.raises(InvariantError, match="checkpoint 1 is not signed by the platform"):
        world.run()
    assert world.listed() == []


def test_archived_checkpoint_that_follows_another_one_is_not_adopted(world: World) -> None:
    # given: signed by us, but of another history
    other = World(key=world.key)
    extend(other.blocks, shard=8)
    other.clock.advance(1)
    other.run()
    extend(other.blocks, shard=8)
    other.run()
    foreign = other.log.newest()
    assert foreign is not None
    extend(world.blocks, shard=5)
    world.run()
    world.archive.put(foreign)
    extend(world.blocks, shard=5)
    # then
    with pytest.raises(InvariantError, match="the archived checkpoint 2 follows another one"):
        world.run()


def edit_leaf(world: World) -> None:
    world.replace_block(5, 3, with_another_leaf)


def edit_root(world: World) -> None:
    def edit(block: Block) -> Block:
        edited = with_another_leaf(block)
        return replace(edited, root=merkle_root(leaf.hash for leaf in edited.leaves))

    world.replace_block(5, 3, edit)


def edit_time(world: World) -> None:
    world.replace_block(5, 4, lambda block: replace(block, newest_ms=block.newest_ms - 1))


def edit_totals(world: World) -> None:
    world.replace_block(5, 3, lambda block: replace(block, totals={"test/x": (1, 0, 0, 0)}))


def edit_signed(world: World) -> None:
    world.replace_block(5, 2, lambda block: replace(block, sealed_at_ms=block.sealed_at_ms + 1))


def edit_leaf_of_signed(world: World) -> None:
    world.replace_block(5, 2, with_another_leaf)


def empty(world: World) -> None:
    world.replace_block(5, 4, lambda block: replace(block, leaves=(), root=merkle_root(())))


def drop(world: World) -> None:
    del world.blocks.chains[5][2]


def swap(world: World) -> None:
    chain = world.blocks.chains[5]
    chain[2], chain[3] = chain[3], chain[2]


def truncate(world: World) -> None:
    del world.blocks.chains[5][1:]


def restart(world: World) -> None:
    del world.blocks.chains[5][:]
    extend(world.blocks, shard=5, blocks=4, records=3)


def move(world: World) -> None:
    world.blocks.chains[7] = world.blocks.chains.pop(5)


TAMPERINGS = (
    edit_leaf,
    edit_root,
    edit_time,
    edit_totals,
    edit_signed,
    edit_leaf_of_signed,
    empty,
    drop,
    swap,
    truncate,
    restart,
    move,
)


@pytest.mark.parametrize("tamper", TAMPERINGS, ids=lambda tamper: tamper.__name__)
def test_chain_that_does_not_follow_from_what_was_signed_is_refused(
    world: World, tamper: Callable[[World], None], lines: Callable[[], list[dict[str, Any]]]
) -> None:
    # given: two blocks signed, two more sealed
    extend(world.blocks, shard=5, blocks=2)
    world.run()
    extend(world.blocks, shard=5, blocks=2)
    # when
    tamper(world)
    # then
    with pytest.raises(InvariantError, match="shard"):
        world.run()
    assert len(world.listed()) == 1
    (told,) = [line for line in lines() if line.get("broken")]
    assert "shard" in told["detail"]
    # then also for good
    with pytest.raises(InvariantError):
        world.run()


def test_edited_row_of_the_last_checkpoint_is_refused(world: World) -> None:
    # given
    extend(world.blocks, shard=5, blocks=2)
    world.run()
    newest = world.log.newest()
    assert newest is not None
    edited = replace(newest, checkpoint=replace(newest.checkpoint, heads=()))
    world.log = FragileLog()
    world.log.put(edited)
    extend(world.blocks, shard=5)
    # then
    with pytest.raises(InvariantError, match="checkpoint 1 is not signed by the platform"):
        world.run()


@pytest.mark.parametrize("signature", ["", "no base64"])
def test_row_without_a_signature_is_refused(world: World, signature: str) -> None:
    # given
    extend(world.blocks, shard=5)
    world.run()
    newest = world.log.newest()
    assert newest is not None
    world.log = FragileLog()
    world.log.put(replace(newest, signature_b64=signature))
    # then
    with pytest.raises(InvariantError, match="is not signed by the platform"):
        world.run()


def test_checkpoint_of_another_region_is_not_built_on(world: World) -> None:
    # given
    checkpoint = Checkpoint("eu-west-1", 1, "", SEALED_MS, ())
    world.log.put(SignedCheckpoint(checkpoint, "", "memory"))
    # then
    with pytest.raises(InvariantError, match="is one of another place"):
        world.run()


def test_handler_signs_what_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    with mock_aws():
        # given
        dynamodb: Any = boto3.client("dynamodb", region_name=REGION)
        s3: Any = boto3.client("s3", region_name=REGION)
        kms: Any = boto3.client("kms", region_name=REGION)
        create_table(dynamodb, "evidence")
        s3.create_bucket(Bucket="checkpoints", ObjectLockEnabledForBucket=True)
        key = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]
        for name, value in {
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": REGION,
            "EVIDENCE_TABLE": "evidence",
            "CHECKPOINT_BUCKET": "checkpoints",
            "CHECKPOINT_KEY_ARN": key["Arn"],
        }.items():
            monkeypatch.setenv(name, value)
        forget_composition()
        store = DynamoBlockStore(bootstrap.dynamodb(), "evidence")
        extend(store, shard=5, blocks=6)
        # when
        answers = [handler(REQUEST, None)]
        extend(store, shard=5)
        answers.append(handler(REQUEST, None))
        # then
        assert answers == [NO_FAILURES, NO_FAILURES]
        objects = s3.list_objects_v2(Bucket="checkpoints")["Contents"]
        bodies = [
            json.loads(s3.get_object(Bucket="checkpoints", Key=item["Key"])["Body"].read())
            for item in objects
        ]
        assert [body["checkpoint"]["heads"][0]["number"] for body in bodies] == [6, 7]
        assert {body["key_id"] for body in bodies} == {key["Arn"]}
    forget_composition()
