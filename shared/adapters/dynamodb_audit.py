"""Audit records in DynamoDB: beside the entity, in the table of the objects.

    <entity> / EV#<version>    book, body: the change; previous_hash, hash, key_id, mac

An item that is there is never put again. It has no `kind`, so nobody is told of it as of an object.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shared.adapters import dynamodb
from shared.domain.audit import AuditRecord, Change
from shared.domain.errors import InvariantError, VersionConflictError
from shared.domain.signatures import Signature

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient

    from shared.domain.ports import EventSigner

_VERSION_MAX = 10**8 - 1


class DynamoChangeStore:
    """Implements ChangeStore.

    Args: table: of the objects. signer: None where records are only read.
    """

    def __init__(
        self, client: "DynamoDBClient", table: str, signer: "EventSigner | None" = None
    ) -> None:
        self._client = client
        self._table = table
        self._signer = signer

    def of_entity(
        self,
        entity: str,
        limit: int,
        *,
        before_version: int | None = None,
        after_version: int | None = None,
    ) -> tuple[AuditRecord, ...]:
        """Reads an entity's records, newest first."""
        first = 1 if after_version is None else after_version + 1
        last = _VERSION_MAX if before_version is None else before_version - 1
        if not 1 <= first <= last <= _VERSION_MAX:
            return ()
        is_back = after_version is not None
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
            ExpressionAttributeValues={
                ":pk": {"S": entity},
                ":first": {"S": dynamodb.history_key(first)},
                ":last": {"S": dynamodb.history_key(last)},
            },
            ScanIndexForward=is_back,
            ConsistentRead=True,
            PaginationConfig={"MaxItems": limit, "PageSize": limit},
        )
        records = tuple(audit_record_of_image(item) for page in pages for item in page["Items"])
        return records[::-1] if is_back else records

    def get_many(self, names: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], AuditRecord]:
        """Reads up to 100 records; the missing ones are left out."""
        keys = [
            {"pk": {"S": entity}, "sk": {"S": dynamodb.history_key(version)}}
            for entity, version in dict.fromkeys(names)
        ]
        items = dynamodb.batch_get(self._client, self._table, keys) if keys else ()
        records = [audit_record_of_image(item) for item in items]
        return {(record.change.entity, record.change.version): record for record in records}

    def append(self, change: Change) -> None:
        """Writes the record of an operator's action."""
        if self._signer is None:
            raise InvariantError("this store was opened without what signs audit records")
        item = dynamodb.change_item(change, self._signer)
        if not dynamodb.put_once(self._client, self._table, item):
            raise VersionConflictError(f"Somebody else changed {change.entity} first.")


def audit_record_of_image(image: Mapping[str, Any]) -> AuditRecord:
    """Reads an audit record from its item, or a stream record's image of it."""
    facts = dynamodb.load(image, "body")
    change = Change(**facts, previous_hash=image["previous_hash"]["S"])
    return AuditRecord(
        change, image["hash"]["S"], Signature(image["key_id"]["S"], image["mac"]["S"])
    )
