"""From stream records to blocks, pages and available balances, over DynamoDB and SQS."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.seal_ledger.handler import LedgerSeal
from functions.seal_ledger.records import record_of
from functions.seal_ledger.sealer import Sealer, Stores
from shared.adapters import dynamodb
from shared.adapters.checkpoint_requests import WINDOW_MS, SqsCheckpointRequests
from shared.adapters.dynamodb_available import DynamoAvailableStore
from shared.adapters.dynamodb_blocks import DynamoBlockStore, DynamoStripeStore
from shared.adapters.dynamodb_ledger import DynamoLedgerStore, journal_item
from shared.adapters.dynamodb_pages import DynamoPageStore
from shared.adapters.dynamodb_payments import DynamoPaymentStore
from shared.adapters.memory import MemoryClock
from shared.adapters.memory_signer import MemorySigner
from shared.adapters.sqs import SqsDeadLetters
from shared.domain.changes import Context, change
from shared.domain.errors import TransientError
from shared.domain.evidence import Block, Record, RecordKind, shard_of
from shared.domain.ledger import Balance, Journal, trial_balance
from shared.domain.payment import Payment
from shared.domain.sealing import LATE_MS
from tests.support.aws import REGION, create_payment_tables
from tests.support.logs import recorded_logger
from tests.support.payments import AUTHORIZED, CAPTURED, CONFIRMED, CREATED, PAYMENT_ID
from tests.support.sealing import START_MS, journal

BOOK = "acct_1/test"
SHARD = shard_of(BOOK, PAYMENT_ID, 1)
AVAILABLE = "2010:merchant:acct_1:available:usd"


class World:
    def __init__(self) -> None:
        self.client: Any = boto3.client("dynamodb", region_name=REGION)
        self.clock = MemoryClock(START_MS)
        self.signer = MemorySigner(self.clock)
        self.tables = create_payment_tables(self.client)
        evidence, balances = self.tables["evidence"], self.tables["balances"]
        self.stores = Stores(
            blocks=DynamoBlockStore(self.client, evidence),
            pages=DynamoPageStore(self.client, balances),
            stripes=DynamoStripeStore(self.client, evidence),
            ledger=DynamoLedgerStore(self.client, self.tables["ledger"]),
            available=DynamoAvailableStore(self.client, balances),
        )
        self.sqs: Any = boto3.client("sqs", region_name=REGION)
        self.dead_letters_url = self.sqs.create_queue(QueueName="dead")["QueueUrl"]
        self.requests_url = self.sqs.create_queue(
            QueueName="requests.fifo", Attributes={"FifoQueue": "true"}
        )["QueueUrl"]
        self.logger, self.log = recorded_logger()
        self.start()

    def start(self) -> None:
        """Starts a new environment."""
        self.seal = LedgerSeal(
            Sealer(self.stores, self.clock),
            SqsCheckpointRequests(self.sqs, self.requests_url, self.clock),
            SqsDeadLetters(self.sqs, self.dead_letters_url),
            self.logger,
        )

    def pay(self) -> Payment:
        """Commits a captured payment."""
        drafts = [CREATED, CONFIRMED, AUTHORIZED, CAPTURED]
        made = change(None, drafts, Context(self.clock.now_ms()), PAYMENT_ID)
        DynamoPaymentStore(self.client, self.tables, self.signer).commit(made)
        return made.payment

    def post(self, *journals: Journal) -> list[dict[str, Any]]:
        """Writes journals; returns what the stream tells of them."""
        for made in journals:
            self.stores.ledger.post(made)
        return [told(journal_item(made)) for made in journals]

    def stream(self) -> list[dict[str, Any]]:
        """Returns what the streams of payments and journals tell."""
        names = ("payments", "ledger")
        items = [self.client.scan(TableName=self.tables[name])["Items"] for name in names]
        return [told(item) for found in items for item in found]

    def handle(self, records: list[dict[str, Any]]) -> None:
        assert self.seal.handle({"Records": records}, None) == {"batchItemFailures": []}

    def chain(self) -> list[Block]:
        return list(self.stores.blocks.blocks(SHARD))

    def dead_letters(self) -> list[Any]:
        return self._received(self.dead_letters_url)

    def requests(self) -> list[Any]:
        return self._received(self.requests_url)

    def _received(self, url: str) -> list[Any]:
        answer = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        return [json.loads(message["Body"]) for message in answer.get("Messages", [])]


def told(image: Mapping[str, Any], name: str = "INSERT") -> dict[str, Any]:
    return {
        "eventID": "1",
        "eventName": name,
        "eventSourceARN": "arn:stream",
        "dynamodb": {"Keys": {key: image[key] for key in ("pk", "sk")}, "NewImage": image},
    }


def settled(number: int, at_ms: int = START_MS, amount: int = 100) -> Journal:
    return journal("acct_1", PAYMENT_ID, "settle", at_ms, amount, f"r{number}")


def read(records: list[dict[str, Any]]) -> list[Record]:
    return [record for record in map(record_of, records) if record is not None]


@pytest.fixture
def world() -> Iterator[World]:
    with mock_aws():
        yield World()


def test_payment_becomes_a_block_a_page_and_balances(world: World) -> None:
    # given
    world.pay()
    # when
    world.handle(world.stream())
    # then
    (block,) = world.chain()
    kinds = [leaf.kind for leaf in block.leaves]
    assert (kinds.count(RecordKind.EVENT), kinds.count(RecordKind.JOURNAL)) == (4, 3)
    (page,) = world.stores.pages.pages(BOOK, SHARD)
    journals = world.stores.ledger.of_subject(PAYMENT_ID)
    assert dict(sorted(page.closing.items())) == trial_balance(journals)
    assert len(page.records) == 7
    assert world.stores.blocks.folded(SHARD) == 1
    assert world.dead_letters() == []
    assert len(world.requests()) == 1


def test_change_of_a_document_is_sealed_with_its_evidence(world: World) -> None:
    # given
    facts = {"entity": "cus_1", "version": 3, "occurred_at_ms": START_MS, "action": "updated"}
    evidence = {"hash": "ab", "previous_hash": "cd", "key_id": "2026-11-22", "mac": "ef"}
    image = {
        "pk": {"S": "cus_1"},
        "sk": {"S": "EV#00000003"},
        "book": {"S": BOOK},
        "body": dynamodb.dump(facts),
        **{name: {"S": text} for name, text in evidence.items()},
    }
    # when
    world.handle([told(image)])
    # then
    (block,) = world.stores.blocks.blocks(shard_of(BOOK, "cus_1", 1))
    (leaf,) = block.leaves
    assert (leaf.kind, leaf.id, leaf.book) == (RecordKind.CHANGE, "cus_1/3", BOOK)


def test_what_is_no_record_is_passed_over(world: World) -> None:
    state = {"pk": {"S": PAYMENT_ID}, "sk": {"S": "STATE"}}
    row = {"pk": {"S": "LIST#acct_1#test#customer#0"}, "sk": {"S": "1#cus_1"}}
    (written,) = world.post(settled(1))

    world.handle([told(state), told(row), {**written, "eventName": "MODIFY"}])

    assert world.chain() == []
    assert (world.dead_letters(), world.requests()) == ([], [])


def test_batch_that_comes_again_changes_nothing_and_asks_again(world: World) -> None:
    # given
    records = world.post(settled(1), settled(2))
    world.handle(records)
    before = world.chain()
    assert len(world.requests()) == 1
    # when: to the same environment, and to another one
    world.clock.advance(WINDOW_MS)
    world.handle(records)
    world.start()
    world.handle([*records, *records])
    # then
    assert world.chain() == before
    (available,) = world.stores.available.of_book(BOOK)
    assert available.available_minor == 200
    assert len(world.requests()) <= 1  # one for both, as soon as the first is done


def test_environments_go_on_from_one_another(world: World) -> None:
    # given
    first = world.seal
    world.start()
    other = world.seal
    # when
    for number in range(6):
        records = world.post(settled(number))
        (first if number % 2 else other).handle({"Records": records}, None)
    # then
    assert [block.number for block in world.chain()] == [1, 2, 3, 4, 5, 6]
    pages = list(world.stores.pages.pages(BOOK, SHARD))
    assert [page.previous_number for page in pages] == [0, 1, 2, 3, 4, 5]
    assert [page.closing[AVAILABLE].credits_minor for page in pages] == [
        100 * number for number in range(1, 7)
    ]
    (available,) = world.stores.available.of_book(BOOK)
    assert available.available_minor == 600


def test_block_of_somebody_who_stopped_is_folded_by_the_next(world: World) -> None:
    # given: sealed, and not folded
    world.handle(world.post(settled(1)))
    stopped = Sealer(world.stores, world.clock)
    stopped.seal(read(world.post(settled(2))))
    # when
    world.handle(world.post(settled(3)))
    # then
    assert world.stores.blocks.folded(SHARD) == 3
    last = world.stores.pages.last(BOOK, SHARD)
    assert last is not None
    assert last.closing[AVAILABLE] == Balance(0, 300, 0, 0)
    (available,) = world.stores.available.of_book(BOOK)
    assert available.available_minor == 300


def test_late_record_is_sealed_once_though_it_comes_again(world: World) -> None:
    # given
    late = world.post(settled(1, START_MS - 2 * LATE_MS), settled(2, START_MS - LATE_MS - 1))
    for number in range(3, 6):
        world.handle(world.post(settled(number)))
    # when
    world.handle(late)
    world.start()
    world.handle(late)
    # then
    names = [leaf.id for block in world.chain() for leaf in block.leaves]
    assert len(names) == len(set(names)) == 5
    marked = world.stores.blocks.late([(RecordKind.JOURNAL, settled(1).id)])
    assert len(marked) == 1


def test_stripes_spread_what_is_written_after_their_notice(world: World) -> None:
    # given
    stripes = world.stores.stripes
    (before,) = stripes.of_books([BOOK]).values()
    after = before.changed(64, START_MS)
    stripes.change(BOOK, before, after)
    world.clock.advance(120_000)
    # when
    names = [f"pi_{number}" for number in range(20)]
    made = [journal("acct_1", name, "settle", world.clock.now_ms()) for name in names]
    world.handle(world.post(settled(1), *made))
    # then
    assert world.stores.pages.last(BOOK, SHARD) is not None
    pages = [world.stores.pages.last(BOOK, shard) for shard in after.shards(BOOK)]
    total = sum(page.closing[AVAILABLE].credits_minor for page in pages if page)
    assert len([page for page in pages if page]) > 10
    assert total == 2100
    (available,) = world.stores.available.of_book(BOOK)
    assert available.available_minor == 2100


def test_record_that_cannot_be_read_is_set_aside_and_the_others_are_sealed(world: World) -> None:
    # given
    (good,) = world.post(settled(1))
    (bad,) = world.post(settled(2))
    bad["dynamodb"]["NewImage"] = {**bad["dynamodb"]["NewImage"], "body": {"S": "{"}}
    outside = settled(3).to_dict()
    outside["postings"][0]["account"] = "9999:nowhere:usd"
    strange = told({**journal_item(settled(3)), "body": dynamodb.dump(outside)})
    timeless = told(journal_item(replace(settled(4), posted_at_ms=10**13)))
    renamed = told({**journal_item(settled(6)), "sk": {"S": settled(5).id}})
    # when
    world.handle([bad, strange, timeless, renamed, good])
    # then
    (block,) = world.chain()
    assert [leaf.id for leaf in block.leaves] == [settled(1).id]
    letters = world.dead_letters()
    assert sorted(letter["sk"] for letter in letters) == [settled(n).id for n in (2, 3, 4, 5)]
    assert "a record cannot be read" in world.log.getvalue()


def test_item_that_nobody_seals_is_no_journal(world: World) -> None:
    # given
    hidden = {**journal_item(settled(1)), "sk": {"S": "beside the journals"}}
    world.client.put_item(TableName=world.tables["ledger"], Item=hidden)
    # when
    world.handle([told(hidden)])
    # then
    assert world.chain() == []
    assert world.stores.ledger.of_subject(PAYMENT_ID) == ()


def test_record_with_other_contents_than_sealed_is_set_aside(world: World) -> None:
    # given
    world.handle(world.post(settled(1)))
    edited = told(journal_item(settled(1, amount=999)))
    # when
    world.handle([edited, *world.post(settled(2))])
    # then
    assert [len(block.leaves) for block in world.chain()] == [1, 1]
    (letter,) = world.dead_letters()
    assert (letter["record"], letter["kind"]) == (settled(1).id, "journal")
    last = world.stores.pages.last(BOOK, SHARD)
    assert last is not None
    assert last.closing[AVAILABLE] == Balance(0, 200, 0, 0)


def test_journal_edited_before_it_was_folded_stops_folding_but_not_sealing(world: World) -> None:
    # given: sealed by somebody who stopped
    first = world.post(settled(1))
    Sealer(world.stores, world.clock).seal(read(first))
    edited = journal_item(settled(1, amount=999))
    world.client.put_item(TableName=world.tables["ledger"], Item=edited)
    # when
    other = journal("acct_2", "pi_2", "settle", START_MS)
    world.handle(world.post(settled(2), other))
    # then: other shards are folded, and an alarm fires
    assert [block.number for block in world.chain()] == [1, 2]
    assert list(world.stores.pages.pages(BOOK, SHARD)) == []
    assert len(world.stores.available.of_book(other.book)) == 1
    (letter,) = world.dead_letters()
    assert (letter["shard"], "is not as it was sealed" in letter["error"]) == (str(SHARD), True)
    assert len(world.requests()) == 1


def test_queue_that_is_away_has_the_batch_repeated(world: World) -> None:
    # given
    world.sqs.delete_queue(QueueUrl=world.requests_url)
    # when
    with pytest.raises(TransientError):
        world.seal.handle({"Records": world.post(settled(1))}, None)
    # then: what was sealed is sealed
    assert len(world.chain()) == 1


def test_large_batch_is_sealed_in_blocks_of_250(world: World) -> None:
    records = [told(journal_item(settled(number))) for number in range(501)]

    world.handle(records)

    assert [len(block.leaves) for block in world.chain()] == [250, 250, 1]
    assert world.stores.blocks.folded(SHARD) == 3


def test_sample_event_is_sealed(world: World) -> None:
    sample = json.loads(Path("events/seal_ledger.json").read_text())

    assert world.seal.handle(sample, None) == {"batchItemFailures": []}

    shard = shard_of("acct_1F4rthingDemo00/test", PAYMENT_ID, 1)
    (block,) = world.stores.blocks.blocks(shard)
    assert [leaf.kind for leaf in block.leaves] == [RecordKind.EVENT, RecordKind.JOURNAL]
    assert world.dead_letters() == []
