"""A change's whole way: stream, relay, bus, queue, endpoint; each handler as its stack runs it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import stripe
from moto import mock_aws

from functions.deliver_webhook.handler import handler as deliver
from functions.relay_events.handler import handler as relay
from shared import bootstrap
from shared.domain.documents import Document, DocumentWrite, ListEntry
from tests.support.aws import REGION, create_table
from tests.support.composition import forget_composition
from tests.support.loopback import Received, Reply, serve

SECRET = "whsec_of_the_test"
ACCOUNT = "acct_1F4rthingDemo00"


class Context:
    def get_remaining_time_in_millis(self) -> int:
        return 60_000


class Deliveries:
    """The queue behind the bus."""

    def __init__(self) -> None:
        self.sqs = boto3.client("sqs", region_name=REGION)
        self.url = self.sqs.create_queue(QueueName="deliveries")["QueueUrl"]
        attributes = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        self.arn = attributes["Attributes"]["QueueArn"]

    def batch(self) -> dict[str, Any]:
        """Receives and deletes what is there, as an event of the function."""
        answer = self.sqs.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, AttributeNames=["All"]
        )
        records = []
        for message in answer.get("Messages", []):
            self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
            records.append(
                {
                    "messageId": message["MessageId"],
                    "receiptHandle": message["ReceiptHandle"],
                    "body": message["Body"],
                    "attributes": message["Attributes"],
                }
            )
        return {"Records": records}


@pytest.fixture
def deliveries(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deliveries]:
    with mock_aws():
        dynamodb = boto3.client("dynamodb", region_name=REGION)
        create_table(dynamodb, "objects")
        queue = Deliveries()
        dead = queue.sqs.create_queue(QueueName="dead")["QueueUrl"]
        events = boto3.client("events", region_name=REGION)
        events.create_event_bus(Name="bus")
        pattern = json.dumps({"source": ["farthing"], "detail": {"webhooks": [True]}})
        events.put_rule(Name="webhooks", EventBusName="bus", EventPattern=pattern)
        target: Any = {"Id": "queue", "Arn": queue.arn}
        events.put_targets(Rule="webhooks", EventBusName="bus", Targets=[target])
        settings = {
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "OBJECTS_TABLE": "objects",
            "IDEMPOTENCY_TABLE": "idempotency",
            "EVENT_BUS_NAME": "bus",
            "RELAY_DEAD_LETTERS_URL": dead,
            "DELIVERY_QUEUE_URL": queue.url,
            "DELIVERY_ASIDE_QUEUE_URL": queue.url,
            "EVIDENCE_TABLE": "evidence",
            "EVENT_KEY_ARN": "arn:aws:kms:us-east-1:123456789012:key/none",
            "FARTHING_STAGE": "test",
            "LOCAL_LOOPBACK": "1",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        forget_composition()
        yield queue
        forget_composition()


def put_endpoint(url: str) -> None:
    data = {"url": url, "enabled_events": ["*"], "status": "enabled", "secret": SECRET}
    endpoint = Document("we_1", "webhook_endpoint", ACCOUNT, False, 1, 5, data)
    write = DocumentWrite(endpoint, (ListEntry("webhook_endpoint", 5, "we_1"),))
    bootstrap.documents().put_events([write])


def test_change_reaches_the_merchants_endpoint(deliveries: Deliveries) -> None:
    received: list[Received] = []

    def answer(request: Received) -> Reply:
        received.append(request)
        return Reply(200)

    with serve(answer) as url:
        put_endpoint(url)
        batch = json.loads(Path("events/relay_events.json").read_text())
        assert relay(batch, None) == {"batchItemFailures": []}
        announced = deliveries.batch()
        assert len(announced["Records"]) == 1
        assert deliver(announced, Context()) == {"batchItemFailures": []}
        assert deliveries.batch() == {"Records": []}
    (request,) = received
    event = stripe.Webhook.construct_event(
        request.body, request.headers["stripe-signature"], SECRET
    )
    assert event.type == "customer.created"
    stored = bootstrap.documents().get(event.id)
    assert stored is not None
    assert stored.data["pending_webhooks"] == 0


def test_change_that_nobody_subscribed_to_ends_at_the_bus(deliveries: Deliveries) -> None:
    batch = json.loads(Path("events/relay_events.json").read_text())
    assert relay(batch, None) == {"batchItemFailures": []}
    assert deliveries.batch() == {"Records": []}


def test_delivery_handler_answers_its_sample_event(deliveries: Deliveries) -> None:
    batch = json.loads(Path("events/deliver_webhook.json").read_text())
    assert deliver(batch, Context()) == {"batchItemFailures": []}
    assert deliveries.batch() == {"Records": []}
