"""From the delivery queue to a merchant's endpoint, over real HTTP."""

import json
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import boto3
import pytest
import stripe
from moto import mock_aws

from functions.deliver_webhook.handler import DELIVERY_MS_MAX, Deliverer
from shared.adapters.dynamodb_deliveries import DynamoDeliveryLog
from shared.adapters.dynamodb_documents import DynamoDocumentStore
from shared.adapters.memory import MemoryClock
from shared.adapters.sqs import SqsDeliveryQueue
from shared.adapters.webhook_http import UrllibWebhookSender, resolve
from shared.domain.announcements import announce_document
from shared.domain.documents import Document, DocumentWrite, ListEntry
from shared.domain.errors import RejectedError, TransientError
from shared.wire.events import announcement_detail, event_write
from tests.support.aws import REGION, create_table
from tests.support.logs import recorded_logger
from tests.support.loopback import Received, Reply, serve

SECRET = "whsec_of_the_test"
CUSTOMER = Document("cus_1", "customer", "acct_1", False, 1, 5, {"email": "a@b.c"})


class Context:
    def __init__(self, remaining_ms: int = 60_000) -> None:
        self.remaining_ms = remaining_ms

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_ms


class World:
    """An account with one event, the queue, and an endpoint at a URL of the test's choice."""

    def __init__(self) -> None:
        dynamodb = boto3.client("dynamodb", region_name=REGION)
        create_table(dynamodb, "objects")
        self.documents = DynamoDocumentStore(dynamodb, "objects", "idempotency")
        self.sqs = boto3.client("sqs", region_name=REGION)
        self.queue_url = self.sqs.create_queue(
            QueueName="deliveries", Attributes={"VisibilityTimeout": "360"}
        )["QueueUrl"]
        self.clock = MemoryClock(1_950_000_000_000)
        self.logger, self.log = recorded_logger()
        self.event = self.happen()
        self.delays: list[int] = []

    def endpoint(self, name: str, url: str = "http://127.0.0.1:9", **changes: Any) -> Document:
        data = {
            "url": url,
            "enabled_events": ["*"],
            "status": "enabled",
            "secret": SECRET,
            "metadata": {},
            **changes,
        }
        endpoint = Document(name, "webhook_endpoint", "acct_1", False, 1, 5, data)
        entry = ListEntry("webhook_endpoint", 5, name)
        self.documents.put_events([DocumentWrite(endpoint, (entry,))])
        return endpoint

    def happen(self, *endpoints: str) -> Document:
        """Stores the event as one that these endpoints subscribed to."""
        announcement = announce_document(None, CUSTOMER)[0]
        write = event_write(announcement, 1_790_000_000_000, endpoints)
        self.documents.put_events([write])
        return write.document

    def pending(self) -> int:
        event = self.documents.get(self.event.id)
        assert event is not None
        count: int = event.data["pending_webhooks"]
        return count

    def tried(self) -> list[str]:
        event = self.documents.get(self.event.id)
        assert event is not None
        return list(event.data.get("tried", ()))

    def announce(self, *endpoints: str) -> None:
        """Stores the event and sends what the bus sends of it."""
        self.event = self.happen(*endpoints)
        detail = announcement_detail(self.event)
        self.send({"detail-type": detail["type"], "source": "farthing", "detail": detail})

    def send(self, message: object) -> None:
        self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=json.dumps(message))

    def receive(self) -> list[Any]:
        messages = self.sqs.receive_message(
            QueueUrl=self.queue_url, MaxNumberOfMessages=10, AttributeNames=["All"]
        )
        return messages.get("Messages", [])

    def run(self, context: Context | None = None, **options: Any) -> dict[str, Any]:
        """Receives what is visible, hands it to the function, deletes what succeeded."""
        received = self.receive()
        deliverer = Deliverer(
            self.documents,
            DynamoDeliveryLog(boto3.client("dynamodb", region_name=REGION), "objects"),
            self,
            UrllibWebhookSender(allow_loopback=True, **options),
            self.clock,
            self.logger,
        )
        records = [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
            }
            for message in received
        ]
        result = deliverer.handle({"Records": records}, context or Context())
        failed = {item["itemIdentifier"] for item in result["batchItemFailures"]}
        for record in records:
            if record["messageId"] not in failed:
                self.sqs.delete_message(
                    QueueUrl=self.queue_url, ReceiptHandle=record["receiptHandle"]
                )
        return result

    def put(self, deliveries: Any) -> None:
        SqsDeliveryQueue(self.sqs, self.queue_url).put(deliveries)

    def retry_later(self, receipt_handle: str, delay_s: int) -> None:
        """Notes the delay and makes it none, so that the test needs no waiting."""
        self.delays.append(delay_s)
        SqsDeliveryQueue(self.sqs, self.queue_url).retry_later(receipt_handle, 0)


@pytest.fixture
def world() -> Iterator[World]:
    with mock_aws():
        yield World()


def test_announcement_to_several_endpoints_becomes_one_message_each(world: World) -> None:
    world.announce("we_1", "we_2")
    assert world.run() == {"batchItemFailures": []}
    queued = [json.loads(message["Body"]) for message in world.receive()]
    assert sorted(message["endpoint"] for message in queued) == ["we_1", "we_2"]
    assert {message["event"] for message in queued} == {world.event.id}
    assert world.pending() == 2


def test_announcement_is_split_without_reading_anything(world: World) -> None:
    world.announce("we_1", "we_2")
    boto3.client("dynamodb", region_name=REGION).delete_table(TableName="objects")
    assert world.run() == {"batchItemFailures": []}
    assert len(world.receive()) == 2


def test_endpoint_that_fails_is_tried_again_alone(world: World) -> None:
    with serve(lambda _: Reply(200)) as good, serve(lambda _: Reply(500)) as bad:
        world.endpoint("we_good", good)
        world.endpoint("we_bad", bad)
        world.announce("we_good", "we_bad")
        world.run()
        assert world.tried() == []
        assert len(world.run()["batchItemFailures"]) == 1
    assert world.tried() == ["we_bad", "we_good"]
    (left,) = world.receive()
    assert json.loads(left["Body"]) == {"event": world.event.id, "endpoint": "we_bad"}
    assert world.pending() == 1


def test_announcement_to_nobody_queues_nothing(world: World) -> None:
    world.announce()
    assert world.run() == {"batchItemFailures": []}
    assert world.receive() == []
    assert world.pending() == 0


def test_delivery_is_verified_by_the_official_sdk(world: World) -> None:
    received: list[Received] = []

    def answer(request: Received) -> Reply:
        received.append(request)
        return Reply(204, b"")

    with serve(answer) as url:
        world.endpoint("we_1", f"{url}/hooks?a=b")
        world.announce("we_1")
        assert world.pending() == 1
        assert world.run() == {"batchItemFailures": []}
    assert world.receive() == []
    (request,) = received
    assert (request.method, request.target) == ("POST", "/hooks?a=b")
    assert request.headers["host"] == url.removeprefix("http://")
    assert request.headers["user-agent"] == "Farthing/1.0 (+webhooks)"
    event = stripe.Webhook.construct_event(
        request.body, request.headers["stripe-signature"], SECRET
    )
    assert event.type == "customer.created"
    assert event.data.object["id"] == "cus_1"
    assert request.body.startswith(b'{\n  "id"')
    assert world.pending() == 0
    assert SECRET not in world.log.getvalue()


def test_failed_delivery_is_tried_again_with_a_growing_delay(world: World) -> None:
    answers = [Reply(500), Reply(302, headers={"location": "/other"}), Reply(200)]
    targets: list[str] = []

    def answer(request: Received) -> Reply:
        targets.append(request.target)
        return answers.pop(0)

    with serve(answer) as url:
        world.endpoint("we_1", f"{url}/hook")
        world.announce("we_1")
        assert len(world.run()["batchItemFailures"]) == 1
        assert world.pending() == 1
        assert len(world.run()["batchItemFailures"]) == 1
        assert world.run() == {"batchItemFailures": []}
    assert targets == ["/hook"] * 3
    assert world.delays == [2, 8]
    assert world.pending() == 0


def test_delivery_to_an_endpoint_that_went_away_ends(world: World) -> None:
    world.endpoint("we_1", status="disabled")
    world.announce("we_1", "we_gone")
    world.run()
    world.send({"event": "evt_expired", "endpoint": "we_1"})
    assert world.run() == {"batchItemFailures": []}
    assert world.pending() == 0


def test_delivery_of_another_accounts_event_is_refused(world: World) -> None:
    endpoint = world.endpoint("we_1")
    other = Document(
        "we_other", endpoint.kind, "acct_2", False, 1, 5, {**endpoint.data, "enabled_events": ["*"]}
    )
    world.documents.put_events([DocumentWrite(other)])
    world.send({"event": world.event.id, "endpoint": "we_other"})
    assert len(world.run()["batchItemFailures"]) == 1


def test_unreadable_message_is_left_to_the_dead_letter_queue(world: World) -> None:
    world.send(["neither", "kind"])
    assert len(world.run()["batchItemFailures"]) == 1
    assert world.delays == []


def test_message_without_time_left_is_not_begun(world: World) -> None:
    received: list[Received] = []

    def answer(request: Received) -> Reply:
        received.append(request)
        return Reply(200)

    with serve(answer) as url:
        world.endpoint("we_1", url)
        world.announce("we_1")
        assert len(world.run(Context(DELIVERY_MS_MAX - 1))["batchItemFailures"]) == 1
    assert received == []
    assert world.pending() == 1


def test_sample_event_is_handled(world: World) -> None:
    body = json.loads(Path("events/deliver_webhook.json").read_text())["Records"][0]["body"]
    world.send(json.loads(body))
    assert world.run() == {"batchItemFailures": []}


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.0.0.8", "::1"])
def test_sender_refuses_names_of_special_addresses(address: str) -> None:
    # One public address beside it does not help.
    found = [ip_address("8.8.8.8"), ip_address(address)]
    sender = UrllibWebhookSender(resolve=lambda _host, _port: found)
    with pytest.raises(RejectedError):
        sender.post("https://merchant.example/hook", b"{}", {})


@pytest.mark.parametrize(
    "url",
    [
        "ftp://merchant.example/",
        "https:///hook",
        "https://user:pass@merchant.example/",
        "https://merchant.example:99999/",
        "https://merchant.example/a b",
        "https://merchant.example/\r\nX: y",
        "https://märchant.example/",
    ],
)
def test_sender_refuses_malformed_urls(url: str) -> None:
    with pytest.raises(RejectedError):
        UrllibWebhookSender().post(url, b"{}", {})


def test_sender_connects_to_the_address_that_was_checked() -> None:
    received: list[Received] = []

    def answer(request: Received) -> Reply:
        received.append(request)
        return Reply(200)

    with serve(answer) as url:
        port = url.rpartition(":")[2]
        sender = UrllibWebhookSender(
            allow_loopback=True, resolve=lambda _host, _port: [ip_address("127.0.0.1")]
        )
        assert sender.post(f"http://merchant.example:{port}/", b"{}", {}) == 200
    assert received[0].headers["host"] == f"merchant.example:{port}"


@pytest.mark.parametrize("reply", [Reply(cut=True), Reply(200, b"x" * 70_000)])
def test_sender_reports_answers_it_cannot_read(reply: Reply) -> None:
    with serve(lambda _: reply) as url, pytest.raises(TransientError):
        UrllibWebhookSender(allow_loopback=True).post(url, b"{}", {})


def test_unknown_name_does_not_resolve() -> None:
    with pytest.raises(TransientError):
        resolve("merchant.invalid", 443)
