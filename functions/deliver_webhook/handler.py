"""Tells merchants' endpoints of events.

Two kinds of messages come from one queue. The bus's name an event and the endpoints to tell: one
endpoint is told at once; several become one message each. Those name one attempt to tell one
endpoint, and when it is due; the queue holds a message back for a quarter of an hour at most, so
one that is due later is queued again until it is. (Hiding received messages would reach further,
but a queue with too many of them gives out none, and one dead endpoint would stop all others.)

An attempt is noted in the log of deliveries, then the next one is queued, then that is noted. Where
the function dies in between, its message comes again and finds out what is left to be done; where
it dies before, the attempt is repeated. Of two messages of one attempt, one is noted; the other
queues the next attempt as well only where it looks before that is noted, since who noted it may
have died. Messages are handled side by side, so that an endpoint that hangs holds up none of its
batch; and as the next batch comes when all are done, what is for an endpoint that is known to hang
is set aside into a queue of its own, which few are at, until that endpoint answers again.
"""

import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import Any, Protocol

from aws_lambda_powertools import Logger

from shared import bootstrap, bootstrap_events
from shared.domain.audit_trail import updated
from shared.domain.changes import Context as ChangeContext
from shared.domain.documents import Document
from shared.domain.errors import (
    InvariantError,
    PaymentError,
    TransientError,
    VersionConflictError,
)
from shared.domain.ports import Clock, DocumentStore
from shared.domain.webhooks import (
    FAILING,
    FAILING_MS_MAX,
    HUNG,
    Attempt,
    Delivery,
    DeliveryLog,
    DeliveryQueue,
    DeliveryRecord,
    EndpointHealth,
    WebhookSender,
    deliveries_of,
    hold_s,
    next_attempt,
    retry_delay_s,
    signature_header,
    valid_secrets,
)
from shared.observability import logger as shared_logger
from shared.wire import objects
from shared.wire.json import dump

USER_AGENT = "Farthing/1.0 (+webhooks)"
# One delivery takes at most ten seconds, and its bookkeeping.
DELIVERY_MS_MAX = 12_000
# As many as there are in a batch, so that none waits for another.
SIDE_BY_SIDE = 10
_KEEP_TRIES_MAX = 5

Each = Callable[[Callable[[Any], bool], Iterable[Any]], Iterable[bool]]


class Context(Protocol):
    """The part of Lambda's context that is used."""

    def get_remaining_time_in_millis(self) -> int:
        """Returns how long the function may still run."""


class Deliverer:
    """Handles a batch of the delivery queue.

    Args: aside: the queue of what is for endpoints that hang. each: applies a function to all
    messages, at the same time or one after the other.
    """

    def __init__(
        self,
        documents: DocumentStore,
        log: DeliveryLog,
        health: EndpointHealth,
        queue: DeliveryQueue,
        aside: DeliveryQueue,
        sender: WebhookSender,
        clock: Clock,
        logger: Logger,
        each: Each = map,
    ) -> None:
        self._documents = documents
        self._log = log
        self._health = health
        self._queue = queue
        self._aside = aside
        self._sender = sender
        self._clock = clock
        self._logger = logger
        self._each = each

    def handle(self, batch: Mapping[str, Any], context: Context) -> dict[str, Any]:
        """Handles each message by itself; returns those that must be received again."""
        records = batch["Records"]
        done = self._each(lambda record: self._done(record, context), records)
        failed = [
            record["messageId"]
            for record, is_done in zip(records, done, strict=True)
            if not is_done
        ]
        return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}

    def _done(self, record: Mapping[str, Any], context: Context) -> bool:
        receives = int(record["attributes"]["ApproximateReceiveCount"])
        facts: dict[str, Any] = {"message_id": record["messageId"], "receives": receives}
        queue = self._queue
        try:
            deliveries = deliveries_of(json.loads(record["body"]))
            queue = self._aside if any(delivery.aside for delivery in deliveries) else self._queue
            if context.get_remaining_time_in_millis() < DELIVERY_MS_MAX:
                raise TransientError("There is no time left in this invocation.")
            facts |= self._handle(deliveries)
        except PaymentError as error:
            self._logger.warning("webhook not done", error=error.message, **facts)
            self._postpone(queue, record, receives)
            return False
        except Exception:
            self._logger.exception("webhook message failed", **facts)
            return False
        self._logger.info("webhook", **facts)
        return True

    def _postpone(self, queue: DeliveryQueue, record: Mapping[str, Any], receives: int) -> None:
        try:
            queue.retry_later(record["receiptHandle"], retry_delay_s(receives))
        except TransientError:
            # It comes back anyway, when the queue's own visibility timeout is over.
            self._logger.warning("a retry comes later than planned", receives=receives)

    def _handle(self, deliveries: Sequence[Delivery]) -> dict[str, Any]:
        if len(deliveries) == 1:
            return self._deliver(deliveries[0])
        self._queue.put(deliveries)
        return {"outcome": "split", "deliveries": [asdict(delivery) for delivery in deliveries]}

    def _deliver(self, delivery: Delivery) -> dict[str, Any]:
        facts: dict[str, Any] = asdict(delivery)
        wait_s = hold_s(delivery, self._clock.now_ms())
        if wait_s > 0:
            self._queue.put([delivery], wait_s)
            return {**facts, "outcome": "held"}
        found = self._documents.get_many([delivery.event, delivery.endpoint])
        event, endpoint = found.get(delivery.event), found.get(delivery.endpoint)
        if event is None:
            return {**facts, "outcome": "event_expired"}
        record = self._record(delivery)
        is_gone = endpoint is None or endpoint.is_deleted
        if record.includes(delivery):
            # An event that was relayed twice has forgotten who was told, and who is gone.
            self._tell(delivery, delivered=is_gone or record.status == "delivered")
            self._queue_next(event, record)
            return {**facts, "outcome": "done_before"}
        if endpoint is None or endpoint.is_deleted or endpoint.data["status"] != "enabled":
            outcome = self._give_up(event, delivery, record, is_gone=is_gone)
            return {**facts, "outcome": outcome}
        _require_same_owner(event, endpoint)
        if not delivery.aside and self._health.hangs(endpoint):
            self._aside.put([replace(delivery, aside=True)])
            return {**facts, "outcome": "set_aside"}
        attempt = self._attempt(event, endpoint, delivery)
        next_ms = None
        if attempt.error is None:
            again = delivery.attempt > 1 or delivery.resend is not None or delivery.aside
            self._health.healthy(endpoint, self._clock.now_ms(), after_failure=again)
        else:
            next_ms = self._next_ms(event, endpoint, delivery, hung=attempt.error in HUNG)
        self._tell(delivery, delivered=attempt.error is None)
        self._keep(event, delivery, record, lambda told: told.after(delivery, attempt, next_ms))
        outcome = "failed" if attempt.error else "delivered"
        seen = {"status": attempt.http_status, "error": attempt.error, "next_ms": next_ms}
        return {**facts, "outcome": outcome, "latency_ms": attempt.latency_ms, **seen}

    def _attempt(self, event: Document, endpoint: Document, delivery: Delivery) -> Attempt:
        began_ms = self._clock.now_ms()
        status, error = None, None
        try:
            status = self._post(event, endpoint, began_ms)
        except PaymentError as failure:
            error = failure.code or "unavailable"
        if status is not None and not 200 <= status < 300:
            error = "http_status"
        latency_ms = self._clock.now_ms() - began_ms
        return Attempt(began_ms, latency_ms, status, error, delivery.resend)

    def _post(self, event: Document, endpoint: Document, now_ms: int) -> int:
        body = dump(objects.event(event)).encode()
        signature = signature_header(valid_secrets(endpoint, now_ms), body, now_ms // 1000)
        headers = {
            "Accept": "*/*",
            "Cache-Control": "no-cache",
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature,
            "User-Agent": USER_AGENT,
        }
        return self._sender.post(endpoint.data["url"], body, headers)

    def _next_ms(
        self, event: Document, endpoint: Document, delivery: Delivery, *, hung: bool
    ) -> int | None:
        """Returns when to try again after a failure; None when the schedule is over."""
        now_ms = self._clock.now_ms()
        since_ms = self._health.failing(endpoint, now_ms, hung=hung)
        if now_ms - since_ms >= FAILING_MS_MAX and self._disables(endpoint, now_ms):
            return None
        following = next_attempt(delivery, now_ms, livemode=event.livemode)
        return following.due_ms if following else None

    def _disables(self, endpoint: Document, now_ms: int) -> bool:
        """Disables an endpoint; not one that was changed meanwhile, whose history begins anew."""
        data = {**endpoint.data, "status": "disabled", "disabled_reason": FAILING}
        write = updated(endpoint, data, ChangeContext(now_ms), reason=FAILING)
        try:
            self._documents.commit([write])
        except VersionConflictError:
            return False
        return True

    def _record(self, delivery: Delivery) -> DeliveryRecord:
        found = self._log.find(delivery.event, delivery.endpoint)
        return found or DeliveryRecord(delivery.event, delivery.endpoint)

    def _give_up(
        self, event: Document, delivery: Delivery, record: DeliveryRecord, *, is_gone: bool
    ) -> str:
        """Ends a delivery to an endpoint that is told nothing; a disabled one stays untold."""
        self._tell(delivery, delivered=is_gone)
        self._keep(event, delivery, record, lambda told: told.canceled())
        return "endpoint_gone" if is_gone else "endpoint_disabled"

    def _tell(self, delivery: Delivery, *, delivered: bool) -> None:
        note = self._log.delivered if delivered else self._log.tried
        note(delivery.event, delivery.endpoint)

    def _keep(
        self,
        event: Document,
        delivery: Delivery,
        record: DeliveryRecord,
        change: Callable[[DeliveryRecord], DeliveryRecord],
    ) -> None:
        """Notes what became of a delivery and queues what follows; not where a twin did both."""
        for _ in range(_KEEP_TRIES_MAX):
            if record.includes(delivery):
                return
            changed = change(record)
            if self._log.keep(changed, event.expires_at_s):
                self._queue_next(event, changed)
                return
            record = self._record(delivery)
        raise TransientError("Others note their attempts again and again.")

    def _queue_next(self, event: Document, record: DeliveryRecord) -> None:
        following = record.unqueued()
        if following is None:
            return
        self._queue.put([following], hold_s(following, self._clock.now_ms()))
        # Where another attempt is noted meanwhile, this stays unsaid: then it may be queued twice.
        self._log.keep(record.with_queued(following.attempt), event.expires_at_s)


def _require_same_owner(event: Document, endpoint: Document) -> None:
    if event.scope != endpoint.scope:
        raise InvariantError(f"{event.id} is not {endpoint.id}'s to be told")


@functools.cache
def _deliverer() -> Deliverer:
    return Deliverer(
        bootstrap.audited_documents(),
        bootstrap.delivery_log(),
        bootstrap_events.endpoint_health(),
        bootstrap_events.delivery_queue(),
        bootstrap_events.delivery_queue_aside(),
        bootstrap_events.webhook_sender(),
        bootstrap.clock(),
        shared_logger,
        ThreadPoolExecutor(SIDE_BY_SIDE).map,
    )


def handler(event: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Handles a batch of the delivery queue."""
    return _deliverer().handle(event, context)
