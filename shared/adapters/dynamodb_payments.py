"""Payments in DynamoDB: one transaction per change."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shared.adapters import dynamodb
from shared.adapters.dynamodb_available import take
from shared.adapters.dynamodb_due import due_attributes
from shared.adapters.dynamodb_ledger import journal_item
from shared.domain.announcements import SILENT
from shared.domain.available import guarded_debits, insufficient_funds
from shared.domain.changes import PaymentChange
from shared.domain.documents import ListEntry
from shared.domain.errors import PaymentError
from shared.domain.events import Event, EventType, SignedEvent
from shared.domain.payment import Payment
from shared.domain.ports import EventSigner
from shared.domain.signatures import Signature

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient
    from types_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

STATE = "STATE"


class DynamoPaymentStore:
    """Implements PaymentStore and SignedEvents.

    Args: tables: names by "payments", "objects", "ledger", "idempotency", "balances" and, where
    the function is in card-data scope, "verifications". signer: of the events
    and audit records.
    """

    def __init__(
        self, client: "DynamoDBClient", tables: Mapping[str, str], signer: EventSigner
    ) -> None:
        self._client = client
        self._tables = tables
        self._signer = signer

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
        return tuple(signed.event for signed in self.signed_events(payment_id))

    def signed_events(self, payment_id: str) -> tuple[SignedEvent, ...]:
        """Reads all events of a payment in order, with their signatures."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._tables["payments"],
            KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
            ExpressionAttributeValues={
                ":pk": {"S": payment_id},
                ":prefix": {"S": dynamodb.HISTORY_PREFIX},
            },
            ConsistentRead=True,
        )
        return tuple(event_of_image(item) for page in pages for item in page["Items"])

    def commit(self, change: PaymentChange) -> None:
        """Writes a change, all or nothing."""
        operations = self._operations(change)
        refusals: dict[int, PaymentError] = {}
        for (book, account), amount_minor in guarded_debits(change.journals).items():
            refusals[len(operations)] = insufficient_funds()
            operations.append(take(self._tables["balances"], book, account, amount_minor))
        if change.claim is not None:
            refusals[len(operations)] = dynamodb.key_in_use()
            operations.append(dynamodb.put_claim(self._tables["idempotency"], change.claim))
        dynamodb.transact(self._client, operations, refusals)

    def _operations(self, change: PaymentChange) -> list["TransactWriteItemTypeDef"]:
        payment, tables = change.payment, self._tables
        state = dynamodb.put_version(tables["payments"], _state(change), change.before_version)
        events = [
            dynamodb.put_new(tables["payments"], _event_item(event, payment.book, self._signer))
            for event in change.events
        ]
        journals = [dynamodb.put_new(tables["ledger"], journal_item(j)) for j in change.journals]
        objects = tables["objects"]
        rows = [dynamodb.put(objects, _list_row(payment, entry)) for entry in change.listed]
        rows += [dynamodb.delete(objects, _list_row(payment, entry)) for entry in change.unlisted]
        documents = dynamodb.document_operations(objects, change.documents, self._signer)
        operations = [state, *events, *journals, *rows, *documents]
        if change.verification_used is not None:
            key = {"pk": {"S": change.verification_used}}
            operations.append(dynamodb.delete(tables["verifications"], key))
        return operations


def _list_row(payment: Payment, entry: ListEntry) -> dict[str, Any]:
    return dynamodb.list_row(
        payment.account, entry, livemode=payment.livemode, stripes=payment.stripes
    )


def _state_key(payment_id: str) -> dict[str, Any]:
    return {"pk": {"S": payment_id}, "sk": {"S": STATE}}


def _state(change: PaymentChange) -> dict[str, Any]:
    payment = change.payment
    return {
        **_state_key(payment.id),
        "account": {"S": payment.account},
        "version": {"N": str(payment.version)},
        "body": dynamodb.dump(payment.to_dict()),
        # Tells the stream's filter whether the relay has anything to announce.
        "announced": {"BOOL": any(event.type not in SILENT for event in change.events)},
        **due_attributes(payment.id, payment.due_at_ms),
    }


def payment_of_image(image: Mapping[str, Any]) -> Payment:
    """Reads a payment from its snapshot item, or a stream record's image of it."""
    return Payment.of(dynamodb.load(image, "body"))


def _event_item(event: Event, book: str, signer: EventSigner) -> dict[str, Any]:
    signature = signer.sign(event.hash)
    return {
        "pk": {"S": event.payment_id},
        "sk": {"S": dynamodb.history_key(event.version)},
        "type": {"S": event.type},
        "occurred_at_ms": {"N": str(event.occurred_at_ms)},
        "body": dynamodb.dump(event.data),
        "request": dynamodb.dump(event.request),
        "previous_hash": {"S": event.previous_hash},
        "hash": {"S": event.hash},
        "key_id": {"S": signature.key_id},
        "mac": {"S": signature.mac},
        "book": {"S": book},
    }


def event_of_image(item: Mapping[str, Any]) -> SignedEvent:
    """Reads an event from its item, or a stream record's image of it."""
    event = Event(
        payment_id=item["pk"]["S"],
        version=int(item["sk"]["S"].removeprefix(dynamodb.HISTORY_PREFIX)),
        type=EventType(item["type"]["S"]),
        occurred_at_ms=int(item["occurred_at_ms"]["N"]),
        data=dynamodb.load(item, "body"),
        request=dynamodb.load(item, "request"),
        previous_hash=item["previous_hash"]["S"],
    )
    return SignedEvent(event, Signature(item["key_id"]["S"], item["mac"]["S"]))
