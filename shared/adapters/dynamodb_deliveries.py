"""Who was told of an event, and tried to be: sets of endpoint ids on the event object's item."""

from typing import TYPE_CHECKING

from shared.adapters.dynamodb import write_if

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient


class DynamoDeliveryLog:
    """Implements DeliveryLog; adding to a set is atomic and idempotent.

    Args: table: of the objects.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

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
