"""Available balances in DynamoDB: one item per guarded account, changed under conditions.

AVAILABLE#<book> / <account>    available and headroom, minor units; b<shard>: the number of
                                that ledger shard's last block that is counted
"""

from typing import TYPE_CHECKING, Any, cast

from shared.adapters.dynamodb import write_if, write_in_turn
from shared.domain.available import FLOOR_MINOR, Available
from shared.domain.errors import VersionConflictError

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient
    from types_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

_CHANGE = (
    "SET available = if_not_exists(available, :zero) + :change, "
    "headroom = if_not_exists(headroom, :room) + :change"
)


def take(table: str, book: str, account: str, amount_minor: int) -> "TransactWriteItemTypeDef":
    """Takes an amount from an account where its floor allows it."""
    update: dict[str, Any] = {
        "TableName": table,
        "Key": _key(book, account),
        "UpdateExpression": _CHANGE,
        "ConditionExpression": (
            "headroom >= :amount OR (attribute_not_exists(headroom) AND :room >= :amount)"
        ),
        "ExpressionAttributeValues": {**_values(-amount_minor), ":amount": _number(amount_minor)},
    }
    return cast("TransactWriteItemTypeDef", {"Update": update})


class DynamoAvailableStore:
    """Implements AvailableStore."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def of_book(self, book: str) -> tuple[Available, ...]:
        """Reads the available balances of a book, by account, strongly consistent."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": _key(book, "")["pk"]},
            ConsistentRead=True,
        )
        return tuple(
            Available(
                book=book,
                account=item["sk"]["S"],
                available_minor=int(item["available"]["N"]),
                headroom_minor=int(item["headroom"]["N"]),
            )
            for page in pages
            for item in page["Items"]
        )

    def add(self, book: str, account: str, change_minor: int, shard: int, number: int) -> bool:
        """Adds what a block changes, once; tells whether it was this call.

        A refund's transaction may be at the item just now: it is over within milliseconds, and
        the SDK does not send such an update again.
        Raises: TransientError when others are at it again and again.
        """
        return write_in_turn(
            self._client.update_item,
            TableName=self._table,
            Key=_key(book, account),
            UpdateExpression=f"{_CHANGE}, #block = :number",
            ConditionExpression="attribute_not_exists(#block) OR #block < :number",
            ExpressionAttributeNames={"#block": f"b{shard:02d}"},
            ExpressionAttributeValues={**_values(change_minor), ":number": _number(number)},
        )

    def set_floor(self, book: str, account: str, floor_minor: int) -> None:
        """Sets how far an account may go; what it holds is not changed."""
        before = {item.account: item for item in self.of_book(book)}.get(account)
        is_same, values = "attribute_not_exists(headroom)", {}
        if before is not None:
            is_same = "available = :available AND headroom = :headroom"
            values[":headroom"] = _number(before.headroom_minor)
        available_minor = before.available_minor if before else 0
        is_set = write_if(
            self._client.update_item,
            TableName=self._table,
            Key=_key(book, account),
            UpdateExpression="SET available = :available, headroom = :room",
            ConditionExpression=is_same,
            ExpressionAttributeValues={
                **values,
                ":available": _number(available_minor),
                ":room": _number(available_minor - floor_minor),
            },
        )
        if not is_set:
            raise VersionConflictError(f"{account} changes just now; set its floor again.")


def _key(book: str, account: str) -> dict[str, Any]:
    return {"pk": {"S": f"AVAILABLE#{book}"}, "sk": {"S": account}}


def _values(change_minor: int) -> dict[str, Any]:
    return {
        ":change": _number(change_minor),
        ":zero": _number(0),
        ":room": _number(-FLOOR_MINOR),
    }


def _number(value: int) -> dict[str, str]:
    return {"N": str(value)}
