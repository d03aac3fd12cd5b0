"""A walk through the payments: a table's scan, a page at a time, with its place in another table.

The place is an item of its own in a table of its own, so that who walks needs no right to write
where payments are.
"""

from typing import TYPE_CHECKING, Any

from shared.adapters.dynamodb_payments import STATE

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient

# Items, events among them: some 40 payments.
PAGE_ITEMS = 200
_PLACE_KEY = {"pk": {"S": "payments"}, "sk": {"S": "PLACE"}}


class DynamoPaymentWalk:
    """Implements PaymentWalk.

    Args: table: of the payments. places: table of the place. page_items: read for each page.
    """

    def __init__(
        self, client: "DynamoDBClient", table: str, places: str, page_items: int = PAGE_ITEMS
    ) -> None:
        self._client = client
        self._table = table
        self._places = places
        self._page_items = page_items

    def place(self) -> str | None:
        """Reads the place, strongly consistent."""
        answer = self._client.get_item(TableName=self._places, Key=_PLACE_KEY, ConsistentRead=True)
        return answer["Item"]["place"]["S"] if "place" in answer.get("Item", {}) else None

    def page(self, place: str | None) -> tuple[tuple[str, ...], str | None]:
        """Scans one page; it may be stale, because each payment is read again."""
        start: dict[str, Any] = {}
        if place is not None:
            pk, _, sk = place.partition("/")
            start["ExclusiveStartKey"] = {"pk": {"S": pk}, "sk": {"S": sk}}
        answer = self._client.scan(
            TableName=self._table,
            FilterExpression="sk = :state",
            ExpressionAttributeValues={":state": {"S": STATE}},
            ProjectionExpression="pk",
            Limit=self._page_items,
            **start,
        )
        last = answer.get("LastEvaluatedKey")
        ids = tuple(item["pk"]["S"] for item in answer["Items"])
        return ids, f"{last['pk']['S']}/{last['sk']['S']}" if last else None

    def keep(self, place: str | None) -> None:
        """Puts the place."""
        item: dict[str, Any] = dict(_PLACE_KEY)
        if place is not None:
            item["place"] = {"S": place}
        self._client.put_item(TableName=self._places, Item=item)
