"""From the delivery queue to a merchant's endpoint, over real HTTP."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import boto3
import pytest
import stripe
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from moto import mock_aws

from functions.deliver_webhook.handler import DELIVERY_MS_MAX, SIDE_BY_SIDE, Deliverer
from shared.adapters.dynamodb_deliveries import DynamoDeliveryLog, DynamoEndpointHealth
from shared.adapters.dynamodb_documents import DynamoDocumentStore
from shared.adapters.memory import MemoryClock
from shared.adapters.memory_signer import MemorySigner
from shared.adapters.sqs import SqsDeliveryQueue
from shared.adapters.webhook_http import UrllibWebhookSender, _Deadline, resolve
from shared.domain.announcements import announce_document
from shared.domain.documents import Document, DocumentWrite, ListEntry
from shared.domain.errors import RejectedError, TransientError
from shared.domain.webhooks import FAILING_MS_MAX, HOLD_S_MAX, HUNG, Delivery, DeliveryRecord
from shared.wire.events import announcement_detail, event_write, resend_detail
from tests.support.aws import REGION, create_table
from tests.support.logs import recorded_logger
from tests.support.loopback import Received, Reply, serve

SECRET = "whsec_of_the_test"
CUSTOMER = Document("cus_1", "customer", "acct_1", False, 1, 5, {"email": "a@b.c"})


ENABLED: dict[str, Any] = {
    "url": "http://127.0.0.1:9",
    "enabled_events": ["*"],
    "status": "enabled",
    "secret": SECRET,
    "metadata": {},
}
# What the function calls, in the order of a delivery; each is where it may die.
CALLS = [
    "documents.get_many",
    "deliveries.find",
    "health.hangs",
    "health.healthy",
    "health.failing",
    "queue.put",
    "deliveries.delivered",
    "deliveries.tried",
    "deliveries.keep",
    "deliveries.keep 2",
]


class Death(BaseException):
    """Ends a function, whatever it would have caught."""


def dies_once(call: Callable[..., Any], when: str, at: int) -> Callable[..., Any]:
    """Returns a call that ends the function before or after it is made for the n-th time."""
    calls: list[object] = []

    def dying(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        if len(calls) != at:
            return call(*args, **kwargs)
        if when == "after":
            call(*args, **kwargs)
        raise Death

    return dying


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
        self.clock = MemoryClock(1_950_000_000_000)
        signer = MemorySigner(self.clock)
        self.documents = DynamoDocumentStore(dynamodb, "objects", "idempotency", signer)
        self.deliveries = DynamoDeliveryLog(dynamodb, "objects")
        self.health = DynamoEndpointHealth(dynamodb, "objects")
        self.sqs = boto3.client("sqs", region_name=REGION)
        self.queue_url = self.sqs.create_queue(
            QueueName="deliveries", Attributes={"VisibilityTimeout": "360"}
        )["QueueUrl"]
        self.aside_url = self.sqs.create_queue(QueueName="aside")["QueueUrl"]
        self.logger, self.log = recorded_logger()
        self.event = self.happen()
        self.delays: list[int] = []

    def endpoint(self, name: str, url: str = "http://127.0.0.1:9", **changes: Any) -> Document:
        data = {**ENABLED, "url": url, **changes}
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

    def receive(self, queue_url: str | None = None) -> list[Any]:
        messages = self.sqs.receive_message(
            QueueUrl=queue_url or self.queue_url, MaxNumberOfMessages=10, AttributeNames=["All"]
        )
        return messages.get("Messages", [])

    def run(self, context: Context | None = None, **options: Any) -> dict[str, Any]:
        """Receives what is visible, hands it to the function, deletes what succeeded."""
        received = self.receive()
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            result = self.handle(received, context, pool.map, **options)
        failed = {item["itemIdentifier"] for item in result["batchItemFailures"]}
        for message in received:
            if message["MessageId"] not in failed:
                self.sqs.delete_message(
                    QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"]
                )
        return result

    def handle(
        self,
        received: list[Any],
        context: Context | None = None,
        each: Any = map,
        **options: Any,
    ) -> dict[str, Any]:
        deliverer = Deliverer(
            self.documents,
            self.deliveries,
            self.health,
            self,
            SqsDeliveryQueue(self.sqs, self.aside_url),
            UrllibWebhookSender(allow_loopback=True, **options),
            self.clock,
            self.logger,
            each,
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
        return deliverer.handle({"Records": records}, context or Context())

    def put(self, deliveries: Sequence[Delivery], delay_s: int = 0) -> None:
        """Queues without the delay, but moves the clock by it: the test needs no waiting."""
        self.delays.append(delay_s)
        self.clock.advance(delay_s * 1000)
        SqsDeliveryQueue(self.sqs, self.queue_url).put(deliveries)

    def record(self, endpoint: str = "we_1") -> DeliveryRecord:
        found = self.deliveries.find(self.event.id, endpoint)
        assert found is not None
        return found

    def attempts(self, endpoint: str = "we_1") -> list[tuple[int | None, str | None]]:
        return [(item.http_status, item.error) for item in self.record(endpoint).attempts]

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
    assert world.delays == [0]


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
        assert world.run() == {"batchItemFailures": []}
    assert world.tried() == ["we_bad", "we_good"]
    (left,) = world.receive()
    queued = json.loads(left["Body"])
    assert (queued["event"], queued["endpoint"]) == (world.event.id, "we_bad")
    assert (queued["attempt"], world.record("we_bad").next_attempt_ms) == (2, queued["due_ms"])
    assert world.record("we_good").status == "delivered"
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


def test_failed_delivery_is_tried_again_when_it_is_due(world: World) -> None:
    answers = [Reply(500), Reply(302, headers={"location": "/other"}), Reply(200)]
    targets: list[str] = []

    def answer(request: Received) -> Reply:
        targets.append(request.target)
        return answers.pop(0)

    with serve(answer) as url:
        world.endpoint("we_1", f"{url}/hook")
        world.announce("we_1")
        for _ in range(12):
            assert world.run() == {"batchItemFailures": []}
    assert targets == ["/hook"] * 3
    # the second delay is of up to two hours, and a queue holds nothing that long
    assert 3 < world.delays[0] <= 5
    assert set(world.delays[1:-1]) == {HOLD_S_MAX}
    assert 5_400 < sum(world.delays[1:]) <= 7_201
    assert world.attempts() == [(500, "http_status"), (302, "http_status"), (200, None)]
    assert (world.record().status, world.record().next_attempt_ms) == ("delivered", None)
    assert (world.pending(), world.receive()) == (0, [])


def test_delivery_in_test_mode_ends_after_three_attempts(world: World) -> None:
    with serve(lambda _: Reply(503)) as url:
        world.endpoint("we_1", url)
        world.announce("we_1")
        for _ in range(15):
            world.run()
    assert world.attempts() == [(503, "http_status")] * 3
    assert (world.record().status, world.record().made) == ("failed", 3)
    assert (world.pending(), world.receive()) == (1, [])


def test_attempt_without_an_answer_is_noted_with_its_kind(world: World) -> None:
    world.endpoint("we_1")
    world.endpoint("we_2", "http://10.0.0.8/")
    world.announce("we_1", "we_2")
    world.run()
    world.run()
    assert world.attempts("we_1") == [(None, "connection_refused")]
    assert world.attempts("we_2") == [(None, "address_refused")]


def test_message_that_comes_again_changes_nothing(world: World) -> None:
    received: list[Received] = []

    def answer(request: Received) -> Reply:
        received.append(request)
        return Reply(500)

    with serve(answer) as url:
        world.endpoint("we_1", url)
        world.announce("we_1")
        world.run()
        world.receive()
        world.send({"event": world.event.id, "endpoint": "we_1"})
        assert world.run() == {"batchItemFailures": []}
    assert len(received) == 1
    assert len(world.attempts()) == 1
    assert "done_before" in world.log.getvalue()


def test_event_that_was_relayed_again_is_not_pending_for_ever(world: World) -> None:
    with serve(lambda _: Reply(200)) as url:
        world.endpoint("we_1", url)
        world.announce("we_1")
        world.run()
        # the relay writes the event object anew, and announces it again
        world.announce("we_1")
        assert world.pending() == 1
        world.run()
    assert len(world.attempts()) == 1
    assert world.pending() == 0


def test_event_that_was_relayed_again_does_not_wait_for_an_endpoint_that_is_gone(
    world: World,
) -> None:
    # given: the endpoint was there when the batch was relayed again, and is gone when it is told
    world.announce("we_gone")
    world.run()
    world.announce("we_gone")
    assert world.pending() == 1
    # when
    world.run()
    # then
    assert world.pending() == 0


def test_endpoint_that_hangs_holds_up_nobody(world: World) -> None:
    go_on = threading.Event()

    def hang(_: Received) -> Reply:
        go_on.wait(5)
        return Reply(200)

    def answer(_: Received) -> Reply:
        # The one that hangs answers only when the others were told.
        go_on.set()
        return Reply(200)

    with serve(hang) as slow, serve(answer) as quick:
        world.endpoint("we_1", slow)
        world.endpoint("we_2", quick)
        world.announce("we_1", "we_2")
        world.run()
        began_s = time.monotonic()
        assert world.run() == {"batchItemFailures": []}
        assert time.monotonic() - began_s < 4
    assert world.pending() == 0


def test_endpoint_that_hangs_is_told_aside_until_it_answers_again(world: World) -> None:
    received: list[Received] = []
    is_over = threading.Event()

    def answer(request: Received) -> Reply:
        received.append(request)
        if len(received) == 1:
            is_over.wait(5)
            return Reply(cut=True)
        return Reply(200)

    with serve(answer) as url:
        world.endpoint("we_1", url)
        world.announce("we_1")
        # given it did not answer in time
        world.run(exchange_timeout_s=0.2)
        is_over.set()
        assert world.attempts() == [(None, "timeout")]
        # when it is to be told again
        assert world.run() == {"batchItemFailures": []}
        # then that is done apart
        assert (len(world.attempts()), len(received)) == (1, 1)
        (message,) = world.receive(world.aside_url)
        queued = json.loads(message["Body"])
        assert (queued["endpoint"], queued["attempt"], queued["aside"]) == ("we_1", 2, True)
        assert world.handle([message]) == {"batchItemFailures": []}
        assert world.attempts()[1:] == [(200, None)]
        # and no more once it has answered
        resend(world, "whr_1")
        world.run()
        assert world.record().attempts[-1].resend == "whr_1"
        assert world.receive(world.aside_url) == []


def test_message_aside_that_is_not_handled_waits_in_its_own_queue(world: World) -> None:
    # given
    world.endpoint("we_1")
    world.event = world.happen("we_1")
    aside = SqsDeliveryQueue(world.sqs, world.aside_url)
    aside.put([Delivery(world.event.id, "we_1", aside=True)])
    (message,) = world.receive(world.aside_url)
    # when
    result = world.handle([message], Context(remaining_ms=DELIVERY_MS_MAX - 1))
    # then
    assert result["batchItemFailures"] != []
    assert world.delays == []
    assert "a retry comes later" not in world.log.getvalue()


def resend(world: World, name: str) -> None:
    data = {"event": world.event.id, "webhook_endpoint": "we_1"}
    wish = Document(name, "webhook_resend", "acct_1", False, 1, 5, data)
    world.send({"detail": resend_detail(wish)})


def test_resend_is_one_attempt_outside_of_the_schedule(world: World) -> None:
    answers = [Reply(200), Reply(500), Reply(200)]
    with serve(lambda _: answers.pop(0)) as url:
        world.endpoint("we_1", url)
        world.announce("we_1")
        world.run()
        for name in ("whr_1", "whr_1", "whr_2"):
            resend(world, name)
            assert world.run() == {"batchItemFailures": []}
    assert [item.resend for item in world.record().attempts] == [None, "whr_1", "whr_2"]
    assert (world.record().status, world.receive()) == ("delivered", [])


def test_resend_that_is_taken_ends_the_schedule(world: World) -> None:
    answers = [Reply(500), Reply(200)]
    with serve(lambda _: answers.pop(0)) as url:
        world.endpoint("we_1", url)
        world.announce("we_1")
        world.run()
        (planned,) = world.receive()
        resend(world, "whr_1")
        world.run()
        world.send(json.loads(planned["Body"]))
        assert world.run() == {"batchItemFailures": []}
    assert (world.record().status, world.pending(), len(world.attempts())) == ("delivered", 0, 2)


def test_endpoint_that_fails_for_three_days_is_disabled(world: World) -> None:
    answers = [Reply(500)] * 2
    with serve(lambda _: answers.pop(0)) as url:
        world.endpoint("we_1", url)
        world.announce("we_1")
        world.run()
        world.receive()
        world.clock.advance(FAILING_MS_MAX)
        world.send({"event": world.event.id, "endpoint": "we_1", "attempt": 2})
        assert world.run() == {"batchItemFailures": []}
    endpoint = world.documents.get("we_1")
    assert endpoint is not None
    assert (endpoint.data["status"], endpoint.version) == ("disabled", 2)
    assert (world.record().status, world.receive()) == ("failed", [])
    # the merchant is warned
    (warning,) = announce_document(replace(endpoint, version=1, data=ENABLED), endpoint)
    assert (warning.type, warning.version) == ("webhook_endpoint.disabled", 2)
    # and after it was enabled again, one failure does not disable it
    enabled = replace(endpoint, version=3, data={**endpoint.data, "status": "enabled"})
    now_ms = world.clock.now_ms()
    assert world.health.failing(enabled, now_ms, hung=False) == now_ms


def test_endpoint_that_takes_something_in_between_stays_enabled(world: World) -> None:
    answers = [Reply(500), Reply(200), Reply(500)]
    with serve(lambda _: answers.pop(0)) as url:
        world.endpoint("we_1", url)
        for attempt in (1, 2):
            world.announce("we_1")
            world.run()
            world.receive()
            world.clock.advance(FAILING_MS_MAX)
            world.send({"event": world.event.id, "endpoint": "we_1", "attempt": attempt + 1})
            world.run()
    endpoint = world.documents.get("we_1")
    assert endpoint is not None
    assert endpoint.data["status"] == "enabled"


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("status", [200, 500])
def test_function_that_dies_at_any_call_loses_no_delivery(
    world: World, call: str, when: str, status: int
) -> None:
    # given: a function that dies at its first call of that name
    received: list[Received] = []

    def answer(request: Received) -> Reply:
        received.append(request)
        return Reply(status)

    with serve(answer) as url:
        world.endpoint("we_1", url)
        world.announce("we_1")
        port, _, method = call.partition(".")
        dying = world if port == "queue" else getattr(world, port)
        method, _, times = method.partition(" ")
        original = getattr(dying, method)
        setattr(dying, method, dies_once(original, when, int(times or 1)))
        # when: its message comes again
        (message,) = world.receive()
        for _ in range(2):
            with suppress(Death):
                world.handle([message])
        world.sqs.delete_message(QueueUrl=world.queue_url, ReceiptHandle=message["ReceiptHandle"])
        setattr(dying, method, original)
        # then: it was told, the attempt is noted once, and the next one is queued if it failed
        assert 1 <= len(received) <= 2
        assert len(world.attempts()) == 1
        assert (world.pending(), world.tried()) == (int(status == 500), ["we_1"])
        queued = [json.loads(item["Body"])["attempt"] for item in world.receive()]
        assert set(queued) == ({2} if status == 500 else set())
        # and two messages of one attempt are followed by one
        for attempt in queued:
            world.send({"event": world.event.id, "endpoint": "we_1", "attempt": attempt})
        world.handle(world.receive())
        following = [json.loads(item["Body"])["attempt"] for item in world.receive()]
        assert following == [3] * len(set(queued))


@pytest.mark.parametrize("after", ["deliveries.keep", "queue.put"])
def test_twin_that_looks_while_the_next_attempt_is_queued_notes_nothing_twice(
    world: World, after: str
) -> None:
    # given two messages of one attempt, one handled while the other has noted or queued its next
    with serve(lambda _: Reply(500)) as url:
        world.endpoint("we_1", url)
        world.announce("we_1")
        (message,) = world.receive()
        port, _, method = after.partition(".")
        watched = world if port == "queue" else getattr(world, port)
        original = getattr(watched, method)

        def let_in(*args: Any, **kwargs: Any) -> Any:
            answer = original(*args, **kwargs)
            setattr(watched, method, original)
            world.handle([message])
            return answer

        setattr(watched, method, let_in)
        # when
        world.handle([message])
        # then: who comes in between cannot know that the other lives, and queues the next as well
        assert world.attempts() == [(500, "http_status")]
        twins = world.receive()
        assert {json.loads(item["Body"])["attempt"] for item in twins} == {2}
        # and of those, one is noted
        world.handle(twins)
    assert world.attempts() == [(500, "http_status")] * 2


def test_delivery_to_an_endpoint_that_was_deleted_ends(world: World) -> None:
    world.announce("we_1", "we_gone")
    world.send({"event": "evt_expired", "endpoint": "we_1"})
    world.run()
    assert world.run() == {"batchItemFailures": []}
    assert world.pending() == 0
    assert world.record().status == "canceled"


def test_delivery_to_a_disabled_endpoint_ends_untold(world: World) -> None:
    world.endpoint("we_1", status="disabled")
    world.announce("we_1")
    assert world.run() == {"batchItemFailures": []}
    assert (world.pending(), world.tried(), world.receive()) == (1, ["we_1"], [])
    assert world.record().status == "canceled"


def test_delivery_is_signed_with_both_secrets_after_a_roll(world: World) -> None:
    received: list[Received] = []

    def answer(request: Received) -> Reply:
        received.append(request)
        return Reply(200)

    with serve(answer) as url:
        expires_ms = world.clock.now_ms() + 1_000
        previous = [{"secret": SECRET, "expires_ms": expires_ms}]
        world.endpoint("we_1", url, secret="whsec_new", previous_secrets=previous)
        world.announce("we_1")
        world.run()
        world.clock.advance(1_000)
        resend(world, "whr_1")
        world.run()
    both, new = [request.headers["stripe-signature"] for request in received]
    assert (both.count("v1="), new.count("v1=")) == (2, 1)
    body = received[0].body.decode()
    for secret in ("whsec_new", SECRET):
        assert stripe.WebhookSignature.verify_header(body, both, secret)
    assert stripe.WebhookSignature.verify_header(received[1].body.decode(), new, "whsec_new")


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


def test_unreadable_message_without_time_left_concerns_no_other(world: World) -> None:
    # given
    world.send(["neither", "kind"])
    world.send({"event": "evt_expired", "endpoint": "we_1"})
    # when
    result = world.run(Context(DELIVERY_MS_MAX - 1))
    # then: both come again, each by itself
    assert len(result["batchItemFailures"]) == 2


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


def test_sender_reports_an_answer_that_breaks_off() -> None:
    with serve(lambda _: Reply(cut=True)) as url, pytest.raises(TransientError) as error:
        UrllibWebhookSender(allow_loopback=True).post(url, b"{}", {})
    assert error.value.code == "protocol"


def test_sender_reads_no_more_of_an_answer_than_its_bound() -> None:
    with serve(lambda _: Reply(200, b"x" * 70_000)) as url:
        assert UrllibWebhookSender(allow_loopback=True).post(url, b"{}", {}) == 200


def test_sender_unpacks_no_answer() -> None:
    # given: what nobody asked to be packed, and what could be unpacked into gigabytes
    headers = {"content-encoding": "gzip, gzip"}
    with serve(lambda _: Reply(200, b"no gzip", headers)) as url:
        assert UrllibWebhookSender(allow_loopback=True).post(url, b"{}", {}) == 200


def test_sender_reports_a_chunk_of_negative_length() -> None:
    headers = {"transfer-encoding": "chunked"}
    with (
        serve(lambda _: Reply(200, b"-5\r\n", headers)) as url,
        pytest.raises(TransientError) as error,
    ):
        UrllibWebhookSender(allow_loopback=True).post(url, b"{}", {})
    assert error.value.code == "protocol"


def test_sender_gives_up_on_an_endpoint_that_answers_byte_by_byte() -> None:
    with dripping_server() as port, pytest.raises(TransientError) as error:
        sender = UrllibWebhookSender(allow_loopback=True, exchange_timeout_s=0.3)
        began_s = time.monotonic()
        sender.post(f"http://127.0.0.1:{port}/", b"{}", {})
    assert error.value.code == "timeout"
    assert time.monotonic() - began_s < 3


def test_sender_gives_up_on_a_name_server_that_says_nothing() -> None:
    answered = threading.Event()

    def lookup(_host: str, _port: int) -> list[Any]:
        answered.wait(3)
        return [ip_address("127.0.0.1")]

    with serve(lambda _: Reply(200)) as url, pytest.raises(TransientError) as error:
        sender = UrllibWebhookSender(allow_loopback=True, resolve=lookup, lookup_timeout_s=0.1)
        try:
            sender.post(url, b"{}", {})
        finally:
            answered.set()
    # and what is for it is set aside, as for all that hang
    assert error.value.code in HUNG


def test_sender_counts_the_lookup_as_part_of_the_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    # given: a name that is found when the time for the exchange is over
    is_over = threading.Event()
    end = _Deadline._end

    def noted(deadline: _Deadline) -> None:
        end(deadline)
        is_over.set()

    def lookup(_host: str, _port: int) -> list[Any]:
        is_over.wait(1)
        return [ip_address("127.0.0.1")]

    monkeypatch.setattr(_Deadline, "_end", noted)
    with serve(lambda _: Reply(200)) as url, pytest.raises(TransientError) as error:
        sender = UrllibWebhookSender(allow_loopback=True, resolve=lookup, exchange_timeout_s=0.05)
        sender.post(url, b"{}", {})
    assert error.value.code == "timeout"


def test_sender_is_not_led_elsewhere_by_a_name_that_changes() -> None:
    # given: a name that is public when it is asked for first, and loopback from then on
    answers = [[ip_address("192.0.2.1")], [ip_address("127.0.0.1")]]
    with serve(lambda _: Reply(200)) as url:
        port = url.rpartition(":")[2]
        asked: list[str] = []

        def lookup(host: str, _port: int) -> list[Any]:
            asked.append(host)
            return answers.pop(0)

        connected: list[str] = []

        def connect(address: tuple[str, int], *_: Any, **__: Any) -> socket.socket:
            connected.append(address[0])
            raise OSError

        # when
        with (
            pytest.MonkeyPatch.context() as patch,
            pytest.raises(TransientError),
        ):
            patch.setattr("shared.adapters.webhook_http.is_public", lambda *_, **__: True)
            patch.setattr("urllib3.util.connection.create_connection", connect)
            UrllibWebhookSender(resolve=lookup).post(f"http://m.example:{port}/", b"{}", {})
    # then: it was asked for once, and the address that was checked is the one connected to
    assert (asked, connected) == (["m.example"], ["192.0.2.1"])


def test_sender_names_the_host_in_tls_although_it_connects_to_the_address() -> None:
    names: list[str] = []
    with tls_hello_server(names) as port, pytest.raises(TransientError) as error:
        sender = UrllibWebhookSender(
            allow_loopback=True, resolve=lambda _host, _port: [ip_address("127.0.0.1")]
        )
        sender.post(f"https://merchant.example:{port}/", b"{}", {})
    assert error.value.code == "tls"
    assert names == ["merchant.example"]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("merchant.example", 200),
        # The dot that ends a full name is in no certificate.
        ("merchant.example.", 200),
        ("MERCHANT.example", 200),
        ("other.example", "tls"),
        ("127.0.0.1", "tls"),
    ],
)
def test_sender_asks_for_a_certificate_of_the_name(
    host: str, expected: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = certificate_of("merchant.example", tmp_path / "server.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with tls_server(certificate) as port:
        sender = UrllibWebhookSender(
            allow_loopback=True, resolve=lambda _host, _port: [ip_address("127.0.0.1")]
        )
        status: object = None
        try:
            status = sender.post(f"https://{host}:{port}/", b"{}", {})
        except TransientError as error:
            status = error.code
    assert status == expected


def certificate_of(name: str, path: Path) -> Path:
    """Writes a certificate that signs itself, and its key, into one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2120, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    form, secrecy = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(certificate.public_bytes(pem) + key.private_bytes(pem, form, secrecy))
    return path


@contextmanager
def tls_server(certificate: Path) -> Iterator[int]:
    """Answers one request with 200."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def answer(listener: socket.socket) -> None:
        plain, _ = listener.accept()
        with plain, suppress(OSError), context.wrap_socket(plain, server_side=True) as connection:
            received = b""
            while not received.endswith(b"\r\n\r\n{}") and (some := connection.recv(4096)):
                received += some
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, args=[listener])
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join()


@contextmanager
def dripping_server() -> Iterator[int]:
    """Answers with one byte of a header after the other, for ever."""
    done = threading.Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while not done.wait(0.05):
                connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=[listener])
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            done.set()
            thread.join()


@contextmanager
def tls_hello_server(names: list[str]) -> Iterator[int]:
    """Notes the name that a client asks for, and has no certificate for it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = lambda _socket, name, _context: names.append(name)

    def greet(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with suppress(OSError), connection:
            context.wrap_socket(connection, server_side=True)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=greet, args=[listener])
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join()


def test_unknown_name_does_not_resolve() -> None:
    with pytest.raises(TransientError):
        resolve("merchant.invalid", 443)
