"""Who was told of an event: two sets of endpoint ids on the event object's own item."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient


class DynamoDeliveryLog:
    """Implements DeliveryLog; adding to a set is atomic and idempotent.

    Args: table: of the objects.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def subscribed(self, event_id: str, endpoint_ids: Sequence[str]) -> None:
        """Adds endpoints that are to be told."""
        self._add(event_id, "subscribed", endpoint_ids)

    def delivered(self, event_id: str, endpoint_id: str) -> None:
        """Adds an endpoint that was told."""
        self._add(event_id, "delivered", [endpoint_id])

    def _add(self, event_id: str, attribute: str, endpoint_ids: Sequence[str]) -> None:
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": event_id}, "sk": {"S": "OBJECT"}},
                UpdateExpression=f"ADD {attribute} :endpoints",
                # An event that expired meanwhile must not come back as a fragment.
                ConditionExpression="attribute_exists(pk)",
                ExpressionAttributeValues={":endpoints": {"SS": list(endpoint_ids)}},
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
