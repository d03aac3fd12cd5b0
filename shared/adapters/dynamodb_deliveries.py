"""Deliveries of events, beside the event objects, and the health of endpoints, beside these.

A record of attempts is an item per event and endpoint. Who was told of an event, and tried to be,
are sets of endpoint ids on the event object's item.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shared.adapters import dynamodb
from shared.adapters.dynamodb import write_if
from shared.domain.documents import Document
from shared.domain.webhooks import FAILING_MS_MAX, DeliveryRecord

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient

_PREFIX = "DELIVERY#"
# A success is noted once in that time by each process, where no failure is known.
_NOTED_MS = 60_000
_NOTED_MAX = 10_000


class DynamoDeliveryLog:
    """Implements DeliveryLog.

    Args: table: of the objects.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def find(self, event_id: str, endpoint_id: str) -> DeliveryRecord | None:
        """Reads one record, strongly consistent."""
        key = {"pk": {"S": event_id}, "sk": {"S": _PREFIX + endpoint_id}}
        answer = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return _record(answer["Item"]) if "Item" in answer else None

    def of_event(self, event_id: str) -> Sequence[DeliveryRecord]:
        """Reads the records of an event; there are few, and they fit into one answer."""
        answer = self._client.query(
            TableName=self._table,
            KeyConditionExpression="pk = :event AND begins_with(sk, :prefix)",
            ExpressionAttributeValues={":event": {"S": event_id}, ":prefix": {"S": _PREFIX}},
            ConsistentRead=True,
        )
        return [_record(item) for item in answer["Items"]]

    def keep(self, record: DeliveryRecord, expires_at_s: int | None) -> bool:
        """Writes the next version of a record; tells whether nobody else wrote it first."""
        item: dict[str, Any] = {
            "pk": {"S": record.event},
            "sk": {"S": _PREFIX + record.endpoint},
            "version": {"N": str(record.version)},
            "body": dynamodb.dump(record.to_dict()),
        }
        if expires_at_s is not None:
            item["expires_at"] = {"N": str(expires_at_s)}
        return write_if(
            self._client.put_item,
            TableName=self._table,
            Item=item,
            ConditionExpression="attribute_not_exists(pk) OR version < :version",
            ExpressionAttributeValues={":version": item["version"]},
        )

    def tried(self, event_id: str, endpoint_id: str) -> None:
        """Adds an endpoint that did not take it yet."""
        self._add("tried", event_id, endpoint_id)

    def delivered(self, event_id: str, endpoint_id: str) -> None:
        """Adds an endpoint that was told."""
        self._add("delivered", event_id, endpoint_id)

    def _add(self, name: str, event_id: str, endpoint_id: str) -> None:
        write_if(
            self._client.update_item,
            TableName=self._table,
            Key={"pk": {"S": event_id}, "sk": {"S": "OBJECT"}},
            UpdateExpression="ADD #name :endpoints",
            # An event that expired meanwhile must not come back as a fragment.
            ConditionExpression="attribute_exists(pk)",
            ExpressionAttributeNames={"#name": name},
            ExpressionAttributeValues={":endpoints": {"SS": [endpoint_id]}},
        )


def _record(item: dynamodb.Item) -> DeliveryRecord:
    return DeliveryRecord.of(dynamodb.load(item, "body"))


class DynamoEndpointHealth:
    """Implements EndpointHealth: an item per endpoint and version, with the time while it fails.

    Args: table: of the objects.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table
        self._noted: dict[tuple[str, int], int] = {}

    def failing(self, endpoint: Document, now_ms: int, *, hung: bool) -> int:
        """Notes a failure; returns the time of the first one since the last success."""
        self._noted.pop((endpoint.id, endpoint.version), None)
        answer = self._client.update_item(
            TableName=self._table,
            Key=_health_key(endpoint),
            UpdateExpression="SET failing_since = if_not_exists(failing_since, :now), "
            "hung = :hung, expires_at = :expiry",
            ExpressionAttributeValues={
                ":now": {"N": str(now_ms)},
                ":hung": {"BOOL": hung},
                # Nobody fails that long without being disabled or tried again.
                ":expiry": {"N": str((now_ms + 2 * FAILING_MS_MAX) // 1000)},
            },
            ReturnValues="ALL_NEW",
        )
        return int(answer["Attributes"]["failing_since"]["N"])

    def hangs(self, endpoint: Document) -> bool:
        """Tells whether an endpoint did not answer in time when it was tried last."""
        found = self._client.get_item(TableName=self._table, Key=_health_key(endpoint))
        return found.get("Item", {}).get("hung", {}).get("BOOL", False)

    def healthy(self, endpoint: Document, now_ms: int, *, after_failure: bool) -> None:
        """Notes a success."""
        name = (endpoint.id, endpoint.version)
        noted_ms = self._noted.get(name)
        if not after_failure and noted_ms is not None and now_ms - noted_ms < _NOTED_MS:
            return
        write_if(
            self._client.update_item,
            TableName=self._table,
            Key=_health_key(endpoint),
            UpdateExpression="REMOVE failing_since, hung",
            ConditionExpression="attribute_exists(failing_since)",
        )
        if len(self._noted) >= _NOTED_MAX:
            self._noted.clear()
        self._noted[name] = now_ms


def _health_key(endpoint: Document) -> dict[str, Any]:
    return {"pk": {"S": endpoint.id}, "sk": {"S": f"HEALTH#{endpoint.version:08d}"}}
