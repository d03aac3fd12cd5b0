"""From stream records to event objects and the bus."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.relay_events.handler import Relay
from shared.adapters.dynamodb import change_item, document_item
from shared.adapters.dynamodb_documents import DynamoDocumentStore
from shared.adapters.dynamodb_payments import DynamoPaymentStore
from shared.adapters.eventbridge import ENTRIES_MAX, EventBridgeBus
from shared.adapters.memory import MemoryClock
from shared.adapters.memory_signer import MemorySigner
from shared.adapters.sqs import SqsDeadLetters
from shared.domain.audit_trail import created
from shared.domain.changes import Draft, PaymentChange
from shared.domain.documents import Document, DocumentWrite, ListEntry, Page, PageQuery, Scope
from shared.domain.errors import TransientError
from shared.domain.payment import Payment
from shared.domain.webhooks import ENDPOINTS_MAX
from tests.support.aws import REGION, create_table
from tests.support.logs import recorded_logger
from tests.support.payments import (
    AUTHORIZED,
    CONFIRMED,
    CONTEXT,
    CREATED,
    PAYMENT_ID,
    SETTLED,
    advance,
)

SCOPE = Scope("acct_1", livemode=False)
STATE_KEY = {"pk": {"S": PAYMENT_ID}, "sk": {"S": "STATE"}}


class Bus:
    def __init__(self) -> None:
        self.told: list[Mapping[str, Any]] = []
        self.fails = False

    def publish(self, announcements: Sequence[Mapping[str, Any]]) -> None:
        if self.fails:
            raise TransientError("the bus is away")
        self.told += announcements


class Documents(DynamoDocumentStore):
    """Notes which lists are read."""

    pages: list[tuple[Scope, str]]

    def page(self, scope: Scope, collection: str, query: PageQuery) -> Page:
        self.pages.append((scope, collection))
        return super().page(scope, collection, query)


class World:
    def __init__(self) -> None:
        self.dynamodb = boto3.client("dynamodb", region_name=REGION)
        for name in ("payments", "objects", "ledger"):
            create_table(self.dynamodb, name)
        self.documents = Documents(self.dynamodb, "objects", "idempotency")
        self.documents.pages = []
        self.sqs = boto3.client("sqs", region_name=REGION)
        self.dead_letters_url = self.sqs.create_queue(QueueName="dead")["QueueUrl"]
        self.bus = Bus()
        self.logger, self.log = recorded_logger()
        self.relay = Relay(
            self.documents,
            self.bus,
            SqsDeadLetters(self.sqs, self.dead_letters_url),
            self.logger,
        )

    def change(self, before: Payment | None, *drafts: Draft) -> tuple[Payment, dict[str, Any]]:
        """Commits a change; returns the payment, and the image that the stream tells of it."""
        payment, events = advance(before, PAYMENT_ID, drafts, CONTEXT)
        tables = {name: name for name in ("payments", "objects", "ledger")}
        store = DynamoPaymentStore(self.dynamodb, tables, MemorySigner(MemoryClock()))
        store.commit(PaymentChange(before.version if before else 0, payment, events))
        image = self.dynamodb.get_item(TableName="payments", Key=STATE_KEY)["Item"]
        return payment, dict(image)

    def new_payment_record(self) -> dict[str, Any]:
        return record(STATE_KEY, self.change(None, CREATED)[1])

    def endpoint(self, name: str, account: str = "acct_1", **changes: Any) -> None:
        data = {"enabled_events": ["*"], "status": "enabled", **changes}
        endpoint = Document(name, "webhook_endpoint", account, False, 1, 5, data)
        entry = ListEntry("webhook_endpoint", 5, name)
        self.documents.put_events([DocumentWrite(endpoint, (entry,))])

    def event_ids(self) -> tuple[str, ...]:
        return self.documents.page(SCOPE, "event", PageQuery()).ids

    def dead_letters(self) -> list[Any]:
        answer = self.sqs.receive_message(QueueUrl=self.dead_letters_url, MaxNumberOfMessages=10)
        return [json.loads(message["Body"]) for message in answer.get("Messages", [])]


def customer_record(name: str, account: str) -> dict[str, Any]:
    document = Document(name, "customer", account, False, 1, 5, {"metadata": {}})
    item = document_item(document)
    return record({"pk": item["pk"], "sk": item["sk"]}, item)


def record(key: Mapping[str, Any], image: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "eventID": "1",
        "eventName": "INSERT",
        "eventSourceARN": "arn:stream",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_790_000_000.0,
            "Keys": key,
            **({} if image is None else {"NewImage": image}),
            "SequenceNumber": "1",
        },
    }


@pytest.fixture
def world() -> Iterator[World]:
    with mock_aws():
        yield World()


def test_audit_record_of_a_change_is_not_announced(world: World) -> None:
    # given: the images of a new customer and of the record of who made it
    document = Document("cus_1", "customer", "acct_1", False, 1, 5, {"metadata": {}})
    write = created(document, CONTEXT)
    assert write.change is not None
    item = change_item(write.change, MemorySigner(MemoryClock()))
    told = record({"pk": item["pk"], "sk": item["sk"]}, item)
    # when
    world.relay.handle({"Records": [told, customer_record("cus_1", "acct_1")]}, None)
    # then: the customer alone is told of
    assert len(world.event_ids()) == 1
    assert world.dead_letters() == []


def test_new_payment_becomes_an_event_and_an_announcement(world: World) -> None:
    result = world.relay.handle({"Records": [world.new_payment_record()]}, None)
    assert result == {"batchItemFailures": []}
    (event_id,) = world.event_ids()
    event = world.documents.get(event_id)
    assert event is not None
    assert event.data["type"] == "payment_intent.created"
    assert event.data["data"]["object"]["id"] == PAYMENT_ID
    assert [(told["event"], told["object"]) for told in world.bus.told] == [(event_id, PAYMENT_ID)]


def test_event_names_the_endpoints_that_subscribed(world: World) -> None:
    # given
    world.endpoint("we_1")
    world.endpoint("we_2", enabled_events=["payment_intent.created"])
    world.endpoint("we_3", enabled_events=["payment_intent.succeeded"])
    world.endpoint("we_4", status="disabled")
    world.endpoint("we_5", "acct_2")
    # when
    world.relay.handle({"Records": [world.new_payment_record()]}, None)
    # then
    (told,) = world.bus.told
    assert sorted(told["endpoints"]) == ["we_1", "we_2"]
    assert told["webhooks"] is True
    event = world.documents.get(told["event"])
    assert event is not None
    assert event.data["endpoints"] == told["endpoints"]
    assert event.data["pending_webhooks"] == 2


def test_event_is_told_to_endpoints_beyond_the_limit(world: World) -> None:
    # given: the last two were created at once, when there was room for one
    names = [f"we_{number:02}" for number in range(ENDPOINTS_MAX + 1)]
    for name in names:
        world.endpoint(name)
    # when
    world.relay.handle({"Records": [world.new_payment_record()]}, None)
    # then
    (told,) = world.bus.told
    assert sorted(told["endpoints"]) == names


def test_event_that_nobody_subscribed_to_says_so(world: World) -> None:
    world.endpoint("we_1", enabled_events=["payment_intent.succeeded"])
    world.relay.handle({"Records": [world.new_payment_record()]}, None)
    (told,) = world.bus.told
    assert (told["endpoints"], told["webhooks"]) == ([], False)


def test_endpoints_are_read_once_per_account_and_batch(world: World) -> None:
    # given
    world.endpoint("we_1")
    world.endpoint("we_2", "acct_2")
    customers = [("cus_1", "acct_1"), ("cus_2", "acct_2"), ("cus_3", "acct_1")]
    # when
    world.relay.handle({"Records": [customer_record(*customer) for customer in customers]}, None)
    # then
    assert [told["endpoints"] for told in world.bus.told] == [["we_1"], ["we_2"], ["we_1"]]
    other = Scope("acct_2", livemode=False)
    assert sorted(world.documents.pages, key=str) == [
        (SCOPE, "webhook_endpoint"),
        (other, "webhook_endpoint"),
    ]


def test_wish_to_be_told_again_is_passed_on_once(world: World) -> None:
    # given
    data = {"event": "evt_1", "webhook_endpoint": "we_1"}
    item = document_item(Document("whr_1", "webhook_resend", "acct_1", False, 1, 5_000, data))
    told = record({"pk": item["pk"], "sk": item["sk"]}, item)
    # when: it is made, and removed when it expires
    world.relay.handle({"Records": [told, {**told, "eventName": "REMOVE"}]}, None)
    # then
    (detail,) = world.bus.told
    assert detail == {
        "type": "webhook_resend",
        "account": "acct_1",
        "livemode": False,
        "event": "evt_1",
        "object": "whr_1",
        "created": 5,
        "endpoints": ["we_1"],
        "webhooks": True,
        "resend": "whr_1",
    }
    assert world.event_ids() == ()


def test_endpoint_that_the_platform_disables_is_told_of_without_its_secrets(world: World) -> None:
    # given
    world.endpoint("we_2")
    data = {"enabled_events": ["*"], "status": "enabled", "url": "https://a.example", "secret": "x"}
    was = Document("we_1", "webhook_endpoint", "acct_1", False, 1, 5, data)
    disabled = {**data, "status": "disabled", "disabled_reason": "failing"}
    by_merchant = replace(was, version=2, data={**data, "status": "disabled"})
    images = [document_item(replace(was, version=2, data=disabled)), document_item(by_merchant)]
    records = [record({"pk": image["pk"], "sk": image["sk"]}, image) for image in images]
    for item in records:
        item["eventName"] = "MODIFY"
        item["dynamodb"]["OldImage"] = document_item(was)
    # when
    world.relay.handle({"Records": records}, None)
    # then: what the merchant did itself is no news
    (told,) = world.bus.told
    assert (told["type"], told["endpoints"]) == ("webhook_endpoint.disabled", ["we_2"])
    event = world.documents.get(told["event"])
    assert event is not None
    assert event.data["data"]["object"]["status"] == "disabled"
    assert "secret" not in str(event.data)
    assert event.data["object_version"] == 2


def test_batch_without_events_reads_nothing(world: World) -> None:
    world.relay.handle({"Records": [record({"pk": {"S": "x"}}, None)]}, None)
    assert world.documents.pages == []


def test_snapshot_tells_the_streams_filter_whether_it_is_announced(world: World) -> None:
    created, image = world.change(None, CREATED, CONFIRMED)
    assert image["announced"] == {"BOOL": True}
    held, image = world.change(created, AUTHORIZED)
    assert image["announced"] == {"BOOL": True}
    _, image = world.change(held, SETTLED)
    assert image["announced"] == {"BOOL": False}


def test_repeated_batch_makes_the_same_event(world: World) -> None:
    batch = {"Records": [world.new_payment_record()]}
    world.relay.handle(batch, None)
    world.relay.handle(batch, None)
    assert len(world.event_ids()) == 1
    assert world.bus.told[0] == world.bus.told[1]


def test_poison_record_is_set_aside_and_the_batch_goes_on(world: World) -> None:
    key = {"pk": {"S": "pi_bad"}, "sk": {"S": "STATE"}}
    poison = record(key, {**key, "body": {"S": '{"secret": "text"'}})
    result = world.relay.handle({"Records": [poison, world.new_payment_record()]}, None)
    assert result == {"batchItemFailures": []}
    assert len(world.event_ids()) == 1
    (letter,) = world.dead_letters()
    assert (letter["pk"], letter["sk"], letter["error"]) == ("pi_bad", "STATE", "JSONDecodeError")
    assert "text" not in json.dumps(letter)
    assert world.log.getvalue().count("a record cannot be announced") == 1


def test_bus_that_is_away_fails_the_whole_batch(world: World) -> None:
    world.bus.fails = True
    with pytest.raises(TransientError):
        world.relay.handle({"Records": [world.new_payment_record()]}, None)
    assert world.dead_letters() == []


@pytest.mark.parametrize("sk", ["EV#00000001", "1790000000000#cus_1"])
def test_rows_that_are_no_objects_are_passed_over(world: World, sk: str) -> None:
    key = {"pk": {"S": "x"}, "sk": {"S": sk}}
    world.relay.handle({"Records": [record(key, dict(key)), record(key, None)]}, None)
    assert world.event_ids() == ()
    assert world.dead_letters() == []


def test_event_objects_are_not_announced_again(world: World) -> None:
    world.relay.handle({"Records": [world.new_payment_record()]}, None)
    key = {"pk": {"S": world.event_ids()[0]}, "sk": {"S": "OBJECT"}}
    image = world.dynamodb.get_item(TableName="objects", Key=key)["Item"]
    world.relay.handle({"Records": [record(key, image)]}, None)
    assert len(world.event_ids()) == 1


def test_sample_event_is_announced(world: World) -> None:
    world.relay.handle(json.loads(Path("events/relay_events.json").read_text()), None)
    assert [told["type"] for told in world.bus.told] == ["customer.created"]


class Events:
    """Stands for an EventBridge client that fails the given entries of each call."""

    def __init__(self, *failing: set[int]) -> None:
        self.failing = list(failing)
        self.calls: list[list[str]] = []

    def put_events(self, *, Entries: list[dict[str, str]]) -> dict[str, Any]:
        self.calls.append([entry["DetailType"] for entry in Entries])
        failing = self.failing.pop(0) if self.failing else set()
        return {
            "Entries": [
                {"ErrorCode": "ThrottlingException"} if index in failing else {"EventId": "1"}
                for index in range(len(Entries))
            ]
        }


def test_bus_takes_ten_entries_a_call_and_repeats_only_the_failed() -> None:
    client = Events({1})
    types = [str(number) for number in range(ENTRIES_MAX + 1)]
    bus: Any = EventBridgeBus(client, "bus")  # type: ignore[arg-type]
    bus.publish([{"type": name} for name in types])
    assert client.calls == [types[:ENTRIES_MAX], ["1"], types[ENTRIES_MAX:]]


def test_bus_gives_up_on_entries_that_keep_failing() -> None:
    client = Events({0}, {0}, {0}, {0})
    bus: Any = EventBridgeBus(client, "bus")  # type: ignore[arg-type]
    with pytest.raises(TransientError):
        bus.publish([{"type": "x"}])
    assert len(client.calls) == 3
