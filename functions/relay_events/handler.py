"""Announces changes of payments and documents: event objects first, then the bus.

A merchant's wish to be told of an event once more is a document, and passed on to the bus.

An event names the webhook endpoints that are told of it, as they were subscribed when it was
relayed; so the bus passes on to the delivery queue only what somebody asked for.

A record that cannot be read or rendered is poison: it would stop its shard for ever where the
stream's retry limits do not apply, so it is set aside and the batch goes on. A failure to write or
to publish concerns every record, so it is raised and the stream repeats the batch; that is
harmless, because the same records make the same event objects.
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from aws_lambda_powertools import Logger

from shared import bootstrap, bootstrap_events
from shared.adapters.dynamodb_documents import document_of_image
from shared.adapters.dynamodb_payments import STATE, payment_of_image
from shared.domain.announcements import Announcement, announce_document, announce_payment
from shared.domain.documents import LIMIT_MAX, Document, DocumentWrite, PageQuery, Scope
from shared.domain.ports import DocumentStore, EventBus
from shared.domain.webhooks import COLLECTION, RESEND, is_subscribed
from shared.observability import DeadLetters, spared
from shared.observability import logger as shared_logger
from shared.wire.events import announcement_detail, event_write, resend_detail

Record = Mapping[str, Any]
Endpoints = Mapping[Scope, Sequence[Document]]
_Made = TypeVar("_Made")


class Relay:
    """Turns a batch of stream records into event objects and announcements."""

    def __init__(
        self, documents: DocumentStore, bus: EventBus, dead_letters: DeadLetters, logger: Logger
    ) -> None:
        self._documents = documents
        self._bus = bus
        self._dead_letters = dead_letters
        self._logger = logger

    def handle(self, batch: Mapping[str, Any], _context: object) -> dict[str, Any]:
        """Announces a batch; returns no failures, because what fails is raised or set aside."""
        records: Sequence[Record] = batch["Records"]
        events, resends = self._events(records), self._resends(records)
        if events:
            self._documents.put_events(events)
        details = [announcement_detail(event.document) for event in events]
        details += [resend_detail(resend) for resend in resends]
        if details:
            self._bus.publish(details)
        self._logger.info(
            "relayed", records=len(records), events=[event.document.id for event in events]
        )
        return {"batchItemFailures": []}

    def _events(self, records: Sequence[Record]) -> list[DocumentWrite]:
        found = [(record, self._spared(record, _announcements)) for record in records]
        scopes = {_scope(item) for _, announcements in found for item in announcements}
        endpoints = {scope: self._endpoints(scope) for scope in scopes}
        made = [
            self._spared(record, functools.partial(_writes, announcements, endpoints))
            for record, announcements in found
        ]
        return [event for events in made for event in events]

    def _resends(self, records: Sequence[Record]) -> list[Document]:
        found = [self._spared(record, _resent) for record in records]
        return [resend for resends in found for resend in resends]

    def _endpoints(self, scope: Scope) -> Sequence[Document]:
        # Two that are created at once may be one more than an account may have.
        ids = self._documents.page(scope, COLLECTION, PageQuery(limit=LIMIT_MAX)).ids
        return tuple(self._documents.get_many(ids).values()) if ids else ()

    def _spared(self, record: Record, make: Callable[[Record], Sequence[_Made]]) -> Sequence[_Made]:
        """Makes something of a record, or nothing where it is poison."""
        failure = "a record cannot be announced"
        return spared(record, make, self._dead_letters, failure=failure, log=self._logger) or ()


def _announcements(record: Record) -> tuple[Announcement, ...]:
    new, old = record["dynamodb"].get("NewImage"), record["dynamodb"].get("OldImage")
    if record["eventName"] == "REMOVE" or new is None:
        return ()
    if new["sk"]["S"] == STATE:
        return announce_payment(payment_of_image(old) if old else None, payment_of_image(new))
    if "kind" in new:
        return announce_document(document_of_image(old) if old else None, document_of_image(new))
    return ()


def _resent(record: Record) -> tuple[Document, ...]:
    new = record["dynamodb"].get("NewImage")
    if record["eventName"] != "INSERT" or new is None or new.get("kind", {}).get("S") != RESEND:
        return ()
    return (document_of_image(new),)


def _scope(announcement: Announcement) -> Scope:
    return Scope(announcement.after.account, announcement.after.livemode)


def _writes(
    announcements: Iterable[Announcement], endpoints: Endpoints, record: Record
) -> list[DocumentWrite]:
    return [
        event_write(
            announcement,
            int(record["dynamodb"]["ApproximateCreationDateTime"] * 1000),
            [
                endpoint.id
                for endpoint in endpoints[_scope(announcement)]
                if is_subscribed(endpoint, announcement.type)
            ],
        )
        for announcement in announcements
    ]


@functools.cache
def _relay() -> Relay:
    return Relay(
        bootstrap.documents(),
        bootstrap_events.bus(),
        bootstrap_events.relay_dead_letters(),
        shared_logger,
    )


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Handles a batch of a DynamoDB stream."""
    return _relay().handle(event, context)
