"""Journals in DynamoDB: each lives with the object whose history it belongs to.

    <subject> / <journal id>    body: the journal

So the table has as many partition keys as there are payments, and none is hot.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shared.adapters import dynamodb
from shared.domain.errors import InvariantError, VersionConflictError
from shared.domain.ledger import Journal

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient


class DynamoLedgerStore:
    """Implements LedgerStore."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def of_subject(self, subject: str) -> tuple[Journal, ...]:
        """Reads the journals of an object's history, in the order of their ids."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            # What has another form is sealed by nobody, so it is no journal.
            KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
            ExpressionAttributeValues={":pk": {"S": subject}, ":prefix": {"S": f"{subject}/"}},
            ConsistentRead=True,
        )
        return tuple(journal_of_image(item) for page in pages for item in page["Items"])

    def get_many(self, journal_ids: Sequence[str]) -> Mapping[str, Journal]:
        """Reads journals by id; the missing ones are left out."""
        keys = [_key(journal_id) for journal_id in dict.fromkeys(journal_ids)]
        items = dynamodb.batch_get(self._client, self._table, keys) if keys else ()
        journals = [journal_of_image(item) for item in items]
        return {journal.id: journal for journal in journals}

    def post(self, journal: Journal) -> None:
        """Writes a journal that belongs to no change of a payment."""
        if not dynamodb.put_once(self._client, self._table, journal_item(journal)):
            raise VersionConflictError(f"{journal.id} is posted already.")


def journal_item(journal: Journal) -> dict[str, Any]:
    """Writes a journal as an item."""
    return {**_key(journal.id), "body": dynamodb.dump(journal.to_dict())}


def journal_of_image(image: Mapping[str, Any]) -> Journal:
    """Reads a journal from its item, or a stream record's image of it.

    Raises: InvariantError when it is kept under another name than its own.
    """
    journal = Journal.of(dynamodb.load(image, "body"))
    if {name: image[name] for name in ("pk", "sk")} != _key(journal.id):
        raise InvariantError(f"{journal.id} is kept as {image['sk']['S']}")
    return journal


def _key(journal_id: str) -> dict[str, Any]:
    return {"pk": {"S": journal_id.partition("/")[0]}, "sk": {"S": journal_id}}
