"""Payments and journals in DynamoDB: one transaction per change."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from zlib import crc32

from shared.adapters import dynamodb
from shared.config import DUE_INDEX
from shared.domain.announcements import SILENT
from shared.domain.changes import PaymentChange
from shared.domain.documents import Scope
from shared.domain.errors import RejectedError
from shared.domain.events import Event, EventType
from shared.domain.ledger import Journal, Layer, Posting
from shared.domain.payment import Payment

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient
    from types_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

STATE = "STATE"
# A key of the index takes 1,000 writes/s: 64 take a region's 20,000 payments/s, twice each.
DUE_SHARDS = 64
_EVENT_PREFIX = "EV#"
# A page holds up to 1 MB, some 1,500 journals.
_JOURNAL_PAGES_MAX = 200


class DynamoPaymentStore:
    """Implements PaymentStore.

    Args: tables: names by "payments", "objects", "ledger", "idempotency" and, where the function
    is in card-data scope, "verifications".
    """

    def __init__(self, client: "DynamoDBClient", tables: Mapping[str, str]) -> None:
        self._client = client
        self._tables = tables

    def load(self, payment_id: str) -> Payment | None:
        """Reads the snapshot, strongly consistent."""
        answer = self._client.get_item(
            TableName=self._tables["payments"], Key=_state_key(payment_id), ConsistentRead=True
        )
        return payment_of_image(answer["Item"]) if "Item" in answer else None

    def load_many(self, payment_ids: Sequence[str]) -> Mapping[str, Payment]:
        """Reads up to 100 snapshots; the missing ones are left out."""
        keys = [_state_key(payment_id) for payment_id in dict.fromkeys(payment_ids)]
        table = self._tables["payments"]
        items = dynamodb.batch_get(self._client, table, keys) if keys else ()
        payments = [payment_of_image(item) for item in items]
        return {payment.id: payment for payment in payments}

    def events(self, payment_id: str) -> tuple[Event, ...]:
        """Reads all events of a payment in order."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._tables["payments"],
            KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
            ExpressionAttributeValues={
                ":pk": {"S": payment_id},
                ":prefix": {"S": _EVENT_PREFIX},
            },
            ConsistentRead=True,
        )
        return tuple(_event(item) for page in pages for item in page["Items"])

    def commit(self, change: PaymentChange) -> None:
        """Writes a change, all or nothing."""
        operations = self._operations(change)
        claim_index = None
        if change.claim is not None:
            claim_index = len(operations)
            operations.append(dynamodb.put_claim(self._tables["idempotency"], change.claim))
        dynamodb.transact(self._client, operations, claim_index)

    def _operations(self, change: PaymentChange) -> list["TransactWriteItemTypeDef"]:
        payment, tables = change.payment, self._tables
        state = dynamodb.put_version(tables["payments"], _state(change), change.before_version)
        events = [dynamodb.put_new(tables["payments"], _event_item(e)) for e in change.events]
        journals = [dynamodb.put_new(tables["ledger"], _journal_item(j)) for j in change.journals]
        rows = [
            dynamodb.put(
                tables["objects"],
                dynamodb.list_row(payment.account, entry, livemode=payment.livemode),
            )
            for entry in change.listed
        ]
        rows += [
            dynamodb.delete(
                tables["objects"],
                dynamodb.list_row(payment.account, entry, livemode=payment.livemode),
            )
            for entry in change.unlisted
        ]
        documents = dynamodb.document_operations(tables["objects"], change.documents)
        operations = [state, *events, *journals, *rows, *documents]
        if change.verification_used is not None:
            key = {"pk": {"S": change.verification_used}}
            operations.append(dynamodb.delete(tables["verifications"], key))
        return operations


def _state_key(payment_id: str) -> dict[str, Any]:
    return {"pk": {"S": payment_id}, "sk": {"S": STATE}}


def _state(change: PaymentChange) -> dict[str, Any]:
    payment = change.payment
    item: dict[str, Any] = {
        **_state_key(payment.id),
        "account": {"S": payment.account},
        "version": {"N": str(payment.version)},
        "body": dynamodb.dump(payment.to_dict()),
        # Tells the stream's filter whether the relay has anything to announce.
        "announced": {"BOOL": any(event.type not in SILENT for event in change.events)},
    }
    if payment.due_at_ms is not None:
        item["due_at"] = {"N": str(payment.due_at_ms)}
        item["due_shard"] = {"S": _due_shard(crc32(payment.id.encode()) % DUE_SHARDS)}
    return item


def _due_shard(number: int) -> str:
    return f"{number:02d}"


def payment_of_image(image: Mapping[str, Any]) -> Payment:
    """Reads a payment from its snapshot item, or a stream record's image of it."""
    return Payment.of(dynamodb.load(image, "body"))


def _event_item(event: Event) -> dict[str, Any]:
    return {
        "pk": {"S": event.payment_id},
        "sk": {"S": f"{_EVENT_PREFIX}{event.version:08d}"},
        "type": {"S": event.type},
        "occurred_at_ms": {"N": str(event.occurred_at_ms)},
        "body": dynamodb.dump(event.data),
        "request": dynamodb.dump(event.request),
    }


def _event(item: Mapping[str, Any]) -> Event:
    return Event(
        payment_id=item["pk"]["S"],
        version=int(item["sk"]["S"].removeprefix(_EVENT_PREFIX)),
        type=EventType(item["type"]["S"]),
        occurred_at_ms=int(item["occurred_at_ms"]["N"]),
        data=dynamodb.load(item, "body"),
        request=dynamodb.load(item, "request"),
    )


def _journal_item(journal: Journal) -> dict[str, Any]:
    return {
        "pk": {"S": _journal_partition(Scope(journal.account, journal.livemode))},
        "sk": {"S": journal.id},
        "body": dynamodb.dump(asdict(journal)),
    }


def _journal_partition(scope: Scope) -> str:
    # The last part is the shard that a hot merchant's journals would spread over.
    return f"{scope.account}#{dynamodb.mode(scope.livemode)}#0"


class DynamoDueIndex:
    """Implements DueIndex by an index that holds the snapshots with a due date only."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def overdue(self, before_ms: int, limit: int) -> Sequence[str]:
        """Returns ids of payments due before that time, the longest overdue first.

        Each shard is read as far as the limit, so that none waits behind another's.
        """
        found: list[tuple[int, str]] = []
        for number in range(DUE_SHARDS):
            items = self._client.query(
                TableName=self._table,
                IndexName=DUE_INDEX,
                KeyConditionExpression="due_shard = :shard AND due_at < :before",
                ExpressionAttributeValues={
                    ":shard": {"S": _due_shard(number)},
                    ":before": {"N": str(before_ms)},
                },
                Limit=limit,
            )["Items"]
            found += [(int(item["due_at"]["N"]), item["pk"]["S"]) for item in items]
        return [payment_id for _, payment_id in sorted(found)[:limit]]


class DynamoLedgerStore:
    """Implements LedgerStore."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def journals(self, scope: Scope, payment_id: str | None = None) -> Iterator[Journal]:
        """Reads an account's journals, or one payment's, strongly consistent.

        Raises: RejectedError when there are more than a request may read.
        """
        condition, values = "pk = :pk", {":pk": {"S": _journal_partition(scope)}}
        if payment_id is not None:
            condition += " AND begins_with(sk, :payment)"
            values[":payment"] = {"S": f"{payment_id}/"}
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=values,
            ConsistentRead=True,
        )
        for number, page in enumerate(pages, start=1):
            if number > _JOURNAL_PAGES_MAX:
                raise RejectedError(
                    "This account has more journals than one request can add up; ask for one "
                    "payment's journals with `payment_intent`.",
                    code="too_many_journals",
                )
            for item in page["Items"]:
                yield _journal(json.loads(item["body"]["S"]))


def _journal(data: Mapping[str, Any]) -> Journal:
    postings = tuple(Posting(**{**p, "layer": Layer(p["layer"])}) for p in data["postings"])
    return Journal(**{**data, "postings": postings})
