"""Shared buckets in DynamoDB: one item each, which goes by itself when nobody asks any more."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from shared.domain.errors import TransientError

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient

# Longer than any bucket takes to be full again: an item that is gone was full.
_RETENTION_S = 2 * 60 * 60
_REFUSED = "ConditionalCheckFailedException"


class DynamoBucketStore:
    """Implements BucketStore.

    Args: client: made when the first bucket is asked, with short timeouts: requests wait for it.
    table: keyed by pk, with a time to live; the claims' table, whose keys are hashes.
    """

    def __init__(self, client: "Callable[[], DynamoDBClient]", table: str) -> None:
        self._client = client
        self._table = table

    def take(self, name: str, cost_ms: int, *, full_ms: int, ceiling_ms: int) -> int:
        """Takes from a bucket and returns until when it is drained.

        One call while the bucket is in use. One that was not touched for a while is set anew by a
        second; the third finds what another set in between. A bucket that takes none of them is
        drained beyond the ceiling, and left as it is.
        """
        try:
            for attempt in (self._add, self._set, self._add):
                held_ms = attempt(name, cost_ms, full_ms, ceiling_ms)
                if held_ms is not None:
                    return held_ms
        except (BotoCoreError, ClientError) as error:
            raise TransientError("The limits cannot be asked for.") from error
        return ceiling_ms

    def _add(self, name: str, cost_ms: int, full_ms: int, ceiling_ms: int) -> int | None:
        return self._update(
            name,
            "SET drained_until = drained_until + :cost, expires_at = :expires",
            "drained_until BETWEEN :full AND :ceiling",
            {":cost": cost_ms, ":full": full_ms, ":ceiling": ceiling_ms},
            ceiling_ms,
        )

    def _set(self, name: str, cost_ms: int, full_ms: int, ceiling_ms: int) -> int | None:
        return self._update(
            name,
            "SET drained_until = :drained, expires_at = :expires",
            "attribute_not_exists(pk) OR drained_until < :full",
            {":drained": full_ms + cost_ms, ":full": full_ms},
            ceiling_ms,
        )

    def _update(
        self, name: str, update: str, condition: str, numbers: dict[str, int], ceiling_ms: int
    ) -> int | None:
        values = {**numbers, ":expires": ceiling_ms // 1000 + _RETENTION_S}
        encoded: dict[str, Any] = {key: {"N": str(value)} for key, value in values.items()}
        try:
            answer = self._client().update_item(
                TableName=self._table,
                Key={"pk": {"S": name}},
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeValues=encoded,
                ReturnValues="UPDATED_NEW",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != _REFUSED:
                raise
            return None
        return int(answer["Attributes"]["drained_until"]["N"])
