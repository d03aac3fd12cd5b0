"""Tells merchants' endpoints of events.

Two kinds of messages come from one queue. The bus's name an event and the endpoints to tell: one
endpoint is told at once; several become one message each, so that each is tried again alone. Those
name an event and an endpoint. What is posted is posted again with growing delays until the endpoint
answers 2xx or the queue sets the message aside.
"""

import functools
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Protocol

from aws_lambda_powertools import Logger

from shared import bootstrap, bootstrap_events
from shared.domain.documents import Document
from shared.domain.errors import InvariantError, PaymentError, TransientError
from shared.domain.ports import Clock, DocumentStore
from shared.domain.webhooks import (
    Delivery,
    DeliveryLog,
    DeliveryQueue,
    WebhookSender,
    deliveries_of,
    retry_delay_s,
    signature_header,
)
from shared.observability import logger as shared_logger
from shared.wire import objects
from shared.wire.json import dump

USER_AGENT = "Farthing/1.0 (+webhooks)"
# One delivery takes at most two seconds to connect, eight for the answer, and its bookkeeping.
DELIVERY_MS_MAX = 12_000


class Context(Protocol):
    """The part of Lambda's context that is used."""

    def get_remaining_time_in_millis(self) -> int:
        """Returns how long the function may still run."""


class Deliverer:
    """Handles a batch of the delivery queue."""

    def __init__(
        self,
        documents: DocumentStore,
        log: DeliveryLog,
        queue: DeliveryQueue,
        sender: WebhookSender,
        clock: Clock,
        logger: Logger,
    ) -> None:
        self._documents = documents
        self._log = log
        self._queue = queue
        self._sender = sender
        self._clock = clock
        self._logger = logger

    def handle(self, batch: Mapping[str, Any], context: Context) -> dict[str, Any]:
        """Handles each message by itself; returns those that must be received again."""
        failed = [
            record["messageId"] for record in batch["Records"] if not self._done(record, context)
        ]
        return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}

    def _done(self, record: Mapping[str, Any], context: Context) -> bool:
        attempt = int(record["attributes"]["ApproximateReceiveCount"])
        facts: dict[str, Any] = {"message_id": record["messageId"], "attempt": attempt}
        try:
            if context.get_remaining_time_in_millis() < DELIVERY_MS_MAX:
                raise TransientError("There is no time left in this invocation.")
            facts |= self._handle(json.loads(record["body"]))
        except PaymentError as error:
            self._logger.warning("webhook not done", error=error.message, **facts)
            self._postpone(record["receiptHandle"], attempt)
            return False
        except Exception:
            self._logger.exception("webhook message failed", **facts)
            return False
        self._logger.info("webhook", **facts)
        return True

    def _postpone(self, receipt_handle: str, attempt: int) -> None:
        try:
            self._queue.retry_later(receipt_handle, retry_delay_s(attempt))
        except TransientError:
            # It comes back anyway, when the queue's own visibility timeout is over.
            self._logger.warning("a retry comes later than planned", attempt=attempt)

    def _handle(self, message: Mapping[str, Any]) -> dict[str, Any]:
        deliveries = deliveries_of(message)
        if len(deliveries) == 1:
            return self._deliver(deliveries[0])
        self._queue.put(deliveries)
        return {"outcome": "split", "deliveries": [asdict(delivery) for delivery in deliveries]}

    def _deliver(self, delivery: Delivery) -> dict[str, Any]:
        found = self._documents.get_many([delivery.event, delivery.endpoint])
        event, endpoint = found.get(delivery.event), found.get(delivery.endpoint)
        facts: dict[str, Any] = {"event": delivery.event, "endpoint": delivery.endpoint}
        if event is None:
            return {**facts, "outcome": "event_expired"}
        if endpoint is None or endpoint.is_deleted or endpoint.data["status"] != "enabled":
            self._log.delivered(delivery.event, delivery.endpoint)
            return {**facts, "outcome": "endpoint_gone"}
        _require_same_owner(event, endpoint)
        try:
            status = self._post(event, endpoint)
        except PaymentError:
            self._log.tried(delivery.event, delivery.endpoint)
            raise
        self._log.delivered(delivery.event, delivery.endpoint)
        return {**facts, "outcome": "delivered", "status": status}

    def _post(self, event: Document, endpoint: Document) -> int:
        body = dump(objects.event(event)).encode()
        timestamp_s = self._clock.now_ms() // 1000
        headers = {
            "Accept": "*/*",
            "Cache-Control": "no-cache",
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature_header(endpoint.data["secret"], body, timestamp_s),
            "User-Agent": USER_AGENT,
        }
        status = self._sender.post(endpoint.data["url"], body, headers)
        if not 200 <= status < 300:
            raise TransientError(f"The endpoint {endpoint.id} answered {status} to {event.id}.")
        return status


def _require_same_owner(event: Document, endpoint: Document) -> None:
    owners = {(item.account, item.livemode) for item in (event, endpoint)}
    if len(owners) != 1:
        raise InvariantError(f"{event.id} is not {endpoint.id}'s to be told")


@functools.cache
def _deliverer() -> Deliverer:
    return Deliverer(
        bootstrap.documents(),
        bootstrap_events.delivery_log(),
        bootstrap_events.delivery_queue(),
        bootstrap_events.webhook_sender(),
        bootstrap.clock(),
        shared_logger,
    )


def handler(event: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Handles a batch of the delivery queue."""
    return _deliverer().handle(event, context)
