"""The ports of the platform, each call of them a boundary; and stores that feed a stream."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from shared.adapters import dynamodb
from shared.adapters.memory import MemoryDatabase, MemoryPaymentStore
from shared.adapters.memory_deliveries import MemoryEndpointHealth
from shared.adapters.memory_saga import MemorySagaRunner, StepFunction
from shared.domain.announcements import SILENT
from shared.domain.cards import CardNumber
from shared.domain.changes import PaymentChange
from shared.domain.documents import Document, DocumentWrite, Page, PageQuery, Scope
from shared.domain.events import Event
from shared.domain.idempotency import Answer, Claim, Found
from shared.domain.payment import Payment
from shared.domain.ports import (
    CardProvider,
    DocumentStore,
    DueIndex,
    IdempotencyStore,
    PaymentStore,
    Vault,
)
from shared.domain.providers import AuthorizationRequest, ProviderAnswer
from shared.domain.webhooks import Delivery, DeliveryRecord

T = TypeVar("T")
Through = Callable[..., Any]
# More than any run has faults, so that only what always fails is set aside.
RECEIVES_MAX = 12
StreamRecord = dict[str, Any]


class StreamedPaymentStore(MemoryPaymentStore):
    """A payment store whose changes are written to a stream, as the table's are.

    Args: committed: is told of every change that was written, with the state before it.
    """

    def __init__(
        self,
        database: MemoryDatabase,
        committed: Callable[[Payment | None, PaymentChange], None],
    ) -> None:
        super().__init__(database)
        self.database = database
        self._payments = database.payments
        self._committed = committed

    def commit(self, change: PaymentChange) -> None:
        """Writes a change and its stream record, all or nothing."""
        before = self._payments.get(change.payment.id)
        self.write(change)
        self._committed(before, change)

    def write(self, change: PaymentChange) -> None:
        """Writes a change; what a test of the guards replaces."""
        super().commit(change)


def stream_record(
    before: Payment | None, change: PaymentChange, number: int, now_ms: int
) -> StreamRecord | None:
    """Returns what the stream's filter lets through to the relay, None when it holds it back."""
    if all(event.type in SILENT for event in change.events):
        return None
    keys = {"pk": {"S": change.payment.id}, "sk": {"S": "STATE"}}
    images = {"NewImage": _image(keys, change.payment)}
    if before is not None:
        images["OldImage"] = _image(keys, before)
    return {
        "eventID": str(number),
        "eventName": "MODIFY" if before else "INSERT",
        "dynamodb": {"Keys": keys, "ApproximateCreationDateTime": now_ms / 1000, **images},
    }


def _image(keys: Mapping[str, Any], payment: Payment) -> dict[str, Any]:
    return {**keys, "body": dynamodb.dump(payment.to_dict())}


class BrokenPayments:
    """Implements PaymentStore."""

    def __init__(self, store: PaymentStore, through: Through) -> None:
        self._store = store
        self._through = through

    def load(self, payment_id: str) -> Payment | None:
        found: Payment | None = self._through("payments.load", lambda: self._store.load(payment_id))
        return found

    def load_many(self, payment_ids: Sequence[str]) -> Mapping[str, Payment]:
        found: Mapping[str, Payment] = self._through(
            "payments.load_many", lambda: self._store.load_many(payment_ids)
        )
        return found

    def events(self, payment_id: str) -> tuple[Event, ...]:
        found: tuple[Event, ...] = self._through(
            "payments.events", lambda: self._store.events(payment_id)
        )
        return found

    def commit(self, change: PaymentChange) -> None:
        self._through("payments.commit", lambda: self._store.commit(change))


class BrokenDocuments:
    """Implements DocumentStore."""

    def __init__(self, store: DocumentStore, through: Through) -> None:
        self._store = store
        self._through = through

    def get(self, object_id: str) -> Document | None:
        found: Document | None = self._through("documents.get", lambda: self._store.get(object_id))
        return found

    def get_many(self, object_ids: Sequence[str]) -> Mapping[str, Document]:
        found: Mapping[str, Document] = self._through(
            "documents.get_many", lambda: self._store.get_many(object_ids)
        )
        return found

    def commit(self, writes: Sequence[DocumentWrite], claim: Claim | None = None) -> None:
        self._through("documents.commit", lambda: self._store.commit(writes, claim))

    def put_events(self, events: Sequence[DocumentWrite]) -> None:
        first = events[: (len(events) + 1) // 2]
        self._through(
            "documents.put_events",
            lambda: self._store.put_events(events),
            part=lambda: self._store.put_events(first),
        )

    def page(self, scope: Scope, collection: str, query: PageQuery) -> Page:
        found: Page = self._through(
            "documents.page", lambda: self._store.page(scope, collection, query)
        )
        return found


class BrokenIdempotency:
    """Implements IdempotencyStore."""

    def __init__(self, store: IdempotencyStore, through: Through) -> None:
        self._store = store
        self._through = through

    def find(self, key_hash: str, object_ids: Sequence[str] = ()) -> Found:
        found: Found = self._through(
            "idempotency.find", lambda: self._store.find(key_hash, object_ids)
        )
        return found

    def answer(self, claim: Claim, answer: Answer) -> None:
        self._through("idempotency.answer", lambda: self._store.answer(claim, answer))

    def keep(self, claim: Claim) -> None:
        self._through("idempotency.keep", lambda: self._store.keep(claim))


class BrokenVault:
    """Implements Vault."""

    def __init__(self, vault: Vault, through: Through) -> None:
        self._vault = vault
        self._through = through

    def open(self, vault_token: str, account: str) -> CardNumber:
        card: CardNumber = self._through(
            "vault.open", lambda: self._vault.open(vault_token, account)
        )
        return card


class BrokenProvider:
    """Implements CardProvider."""

    def __init__(self, provider: CardProvider, through: Through) -> None:
        self.name = provider.name
        self.has_sale = provider.has_sale
        self._provider = provider
        self._through = through

    def authorize(self, request: AuthorizationRequest) -> ProviderAnswer:
        return self._ask("authorize", lambda: self._provider.authorize(request))

    def increment(self, reference: str, more_minor: int, idempotency_key: str) -> ProviderAnswer:
        return self._ask(
            "increment", lambda: self._provider.increment(reference, more_minor, idempotency_key)
        )

    def capture(self, reference: str, amount_minor: int, idempotency_key: str) -> ProviderAnswer:
        return self._ask(
            "capture", lambda: self._provider.capture(reference, amount_minor, idempotency_key)
        )

    def void(self, reference: str, idempotency_key: str) -> ProviderAnswer:
        return self._ask("void", lambda: self._provider.void(reference, idempotency_key))

    def refund(
        self, reference: str, refund_id: str, amount_minor: int, idempotency_key: str
    ) -> ProviderAnswer:
        return self._ask(
            "refund",
            lambda: self._provider.refund(reference, refund_id, amount_minor, idempotency_key),
        )

    def find(self, idempotency_key: str) -> ProviderAnswer | None:
        found: ProviderAnswer | None = self._through(
            "provider.find", lambda: self._provider.find(idempotency_key)
        )
        return found

    def _ask(self, operation: str, call: Callable[[], ProviderAnswer]) -> ProviderAnswer:
        answer: ProviderAnswer = self._through(f"provider.{operation}", call)
        return answer


class BrokenRunner(MemorySagaRunner):
    """Implements SagaRunner.

    Args: start: begins a lasting saga of that name, unless there was one before.
    """

    def __init__(
        self,
        steps: Mapping[str, StepFunction],
        start: Callable[[str, Mapping[str, Any]], None],
        through: Through,
    ) -> None:
        super().__init__(steps)
        self._start = start
        self._through = through

    def run(self, saga: str, saga_input: Mapping[str, Any]) -> Mapping[str, Any]:
        output: Mapping[str, Any] = self._through(
            "saga", lambda: MemorySagaRunner.run(self, saga, saga_input)
        )
        return output

    def start(self, saga: str, name: str, saga_input: Mapping[str, Any]) -> None:
        self._through("saga.start", lambda: self._start(name, saga_input))


class BrokenDueIndex:
    """Implements DueIndex: eventually consistent, as a secondary index is."""

    def __init__(self, index: DueIndex, through: Through) -> None:
        self._index = index
        self._through = through

    def overdue(self, before_ms: int, limit: int) -> Sequence[str]:
        found: Sequence[str] = self._through(
            "due.overdue", lambda: self._index.overdue(before_ms, limit), stale=lambda: ()
        )
        return found


class SimulatedQueue:
    """A queue that delivers at least once, in whatever order, and sets aside what always fails.

    Args: now_ms: the time. visibility_ms: how long a received message is hidden.
    """

    def __init__(self, now_ms: Callable[[], int], visibility_ms: int = 60_000) -> None:
        self._now_ms = now_ms
        self._visibility_ms = visibility_ms
        self.dead_letters: list[Mapping[str, Any]] = []
        self._messages: dict[str, list[Any]] = {}
        self._count = 0

    def put(self, body: Mapping[str, Any], delay_ms: int = 0) -> None:
        """Adds a message."""
        self._count += 1
        self._messages[str(self._count)] = [body, self._now_ms() + delay_ms, 0]

    def take(self, limit: int) -> list[dict[str, Any]]:
        """Receives messages, which are hidden until they are deleted or tried again."""
        now_ms = self._now_ms()
        ready = [name for name, (_, at_ms, _) in self._messages.items() if at_ms <= now_ms][:limit]
        records = []
        for name in ready:
            message = self._messages[name]
            if message[2] >= RECEIVES_MAX:
                self.dead_letters.append(message[0])
                self.delete(name)
                continue
            message[1], message[2] = now_ms + self._visibility_ms, message[2] + 1
            records.append(
                {
                    "messageId": name,
                    "receiptHandle": name,
                    "body": json.dumps(message[0]),
                    "attributes": {"ApproximateReceiveCount": str(message[2])},
                }
            )
        return records

    def delete(self, name: str) -> None:
        """Removes a message that was handled."""
        self._messages.pop(name, None)

    def hide(self, name: str, delay_ms: int) -> None:
        """Hides a received message for a while."""
        if name in self._messages:
            self._messages[name][1] = self._now_ms() + delay_ms

    def next_ms(self) -> int | None:
        """Returns when a message is there to be received, None when there is none."""
        return min((at_ms for _, at_ms, _ in self._messages.values()), default=None)


class BrokenBus:
    """Implements EventBus: passes announcements on to the queues that its rules name."""

    def __init__(self, route: Callable[[Mapping[str, Any]], None], through: Through) -> None:
        self._route = route
        self._through = through

    def publish(self, announcements: Sequence[Mapping[str, Any]]) -> None:
        first = announcements[: (len(announcements) + 1) // 2]
        self._through(
            "bus.publish",
            lambda: self._publish(announcements),
            part=lambda: self._publish(first),
        )

    def _publish(self, announcements: Sequence[Mapping[str, Any]]) -> None:
        for announcement in announcements:
            self._route(announcement)


class BrokenDeliveryQueue:
    """Implements DeliveryQueue."""

    def __init__(self, queue: SimulatedQueue, through: Through) -> None:
        self._queue = queue
        self._through = through

    def put(self, deliveries: Sequence[Delivery], delay_s: int = 0) -> None:
        self._through("queue.put", lambda: self._put(deliveries, delay_s))

    def _put(self, deliveries: Sequence[Delivery], delay_s: int) -> None:
        for delivery in deliveries:
            self._queue.put(asdict(delivery), delay_s * 1000)

    def retry_later(self, receipt_handle: str, delay_s: int) -> None:
        self._through("queue.retry_later", lambda: self._queue.hide(receipt_handle, delay_s * 1000))


class BrokenEndpoint:
    """Implements WebhookSender, DeliveryLog and EndpointHealth: a merchant's endpoint, who was
    told, and how often it was tried.
    """

    def __init__(self, through: Through) -> None:
        self.heard: list[str] = []
        self.told: set[str] = set()
        self.tried_for: set[str] = set()
        self.records: dict[tuple[str, str], DeliveryRecord] = {}
        self._health = MemoryEndpointHealth()
        self._through = through

    def post(self, _url: str, body: bytes, _headers: Mapping[str, str]) -> int:
        event_id: str = json.loads(body)["id"]
        return int(self._through("endpoint.post", lambda: self._hear(event_id)))

    def _hear(self, event_id: str) -> int:
        self.heard.append(event_id)
        return 200

    def find(self, event_id: str, endpoint_id: str) -> DeliveryRecord | None:
        name = (event_id, endpoint_id)
        record: DeliveryRecord | None = self._through(
            "deliveries.find", lambda: self.records.get(name)
        )
        return record

    def of_event(self, event_id: str) -> Sequence[DeliveryRecord]:
        return [record for record in self.records.values() if record.event == event_id]

    def keep(self, record: DeliveryRecord, _expires_at_s: int | None) -> bool:
        return bool(self._through("deliveries.keep", lambda: self._keep(record)))

    def _keep(self, record: DeliveryRecord) -> bool:
        name = (record.event, record.endpoint)
        if name in self.records and self.records[name].version >= record.version:
            return False
        self.records[name] = record
        return True

    def tried(self, event_id: str, _endpoint_id: str) -> None:
        self._through("deliveries.tried", lambda: self.tried_for.add(event_id))

    def delivered(self, event_id: str, _endpoint_id: str) -> None:
        self._through("deliveries.delivered", lambda: self.told.add(event_id))

    def failing(self, endpoint: Document, now_ms: int, *, hung: bool) -> int:
        return int(
            self._through(
                "health.failing", lambda: self._health.failing(endpoint, now_ms, hung=hung)
            )
        )

    def hangs(self, endpoint: Document) -> bool:
        return self._health.hangs(endpoint)

    def healthy(self, endpoint: Document, now_ms: int, *, after_failure: bool) -> None:
        self._through(
            "health.healthy",
            lambda: self._health.healthy(endpoint, now_ms, after_failure=after_failure),
        )
