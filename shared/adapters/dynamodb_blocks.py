"""Chains of blocks in DynamoDB.

    BLOCK#<shard> / <number>       header: what the block's hash is of; leaves, packed
    LATE#<kind>#<id> / LATE        hash: the leaf hash of a record that was sealed late
    FOLDED#<shard> / FOLDED        number: up to which pages and balances are complete
    STRIPES#<book> / STRIPES       history: over how many shards the book is spread, since when

A number's condition decides who appends: no two blocks of a shard have the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shared.adapters import dynamodb
from shared.adapters.packed import pack, unpack
from shared.domain.errors import VersionConflictError
from shared.domain.evidence import Block, Leaf, RecordKind
from shared.domain.sealing import Name, name_of
from shared.domain.stripes import Stripes

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient

# A full block takes some 20 KB. Whoever reads what is new needs few; all others need more.
_FEW, _MANY = 4, 20
_BEHIND_ALL = 10**12 - 1


class DynamoBlockStore:
    """Implements BlockStore."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def tail(self, shard: int) -> Block | None:
        """Reads the newest block of a shard, strongly consistent."""
        return next(self._query(shard, "sk < :bound", _BEHIND_ALL, 1), None)

    def get(self, shard: int, number: int) -> Block | None:
        """Reads one block, strongly consistent."""
        key = {"pk": {"S": _chain(shard)}, "sk": {"S": _number(number)}}
        answer = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return _block(answer["Item"]) if "Item" in answer else None

    def blocks(self, shard: int, after_number: int = 0) -> Iterator[Block]:
        """Reads the blocks after one, in their order, a few at a time."""
        return self._query(shard, "sk > :bound", after_number, _MANY)

    def newest_first(self, shard: int, before_number: int | None = None) -> Iterator[Block]:
        """Reads the blocks before one, or all, backwards, a few at a time."""
        if before_number is None:
            return self._query(shard, "sk < :bound", _BEHIND_ALL, _FEW)
        return self._query(shard, "sk < :bound", before_number, _MANY)

    def append(self, block: Block, late: Sequence[Leaf] = ()) -> bool:
        """Appends a block with the markers of its late records; tells whether it was free."""
        item = {
            "pk": {"S": _chain(block.shard)},
            "sk": {"S": _number(block.number)},
            "header": pack(block.header()),
            "leaves": pack([leaf.to_dict() for leaf in block.leaves]),
        }
        if not late:
            return dynamodb.put_once(self._client, self._table, item)
        markers = [{**_late_key(name_of(leaf)), "hash": {"S": leaf.hash}} for leaf in late]
        try:
            dynamodb.transact(
                self._client, [dynamodb.put_new(self._table, new) for new in (item, *markers)]
            )
        except VersionConflictError:
            return False
        return True

    def late(self, names: Sequence[Name]) -> Mapping[Name, str]:
        """Reads the markers of late records, strongly consistent."""
        keys = [_late_key(name) for name in dict.fromkeys(names)]
        found = dynamodb.batch_get(self._client, self._table, keys) if keys else ()
        return {_late_name(item): item["hash"]["S"] for item in found}

    def folded(self, shard: int) -> int:
        """Reads the number of the last block that is folded, strongly consistent."""
        answer = self._client.get_item(
            TableName=self._table, Key=_folded_key(shard), ConsistentRead=True
        )
        return int(answer["Item"]["number"]["N"]) if "Item" in answer else 0

    def keep_folded(self, shard: int, number: int) -> None:
        """Keeps that number, unless a higher one is kept."""
        dynamodb.write_if(
            self._client.update_item,
            TableName=self._table,
            Key=_folded_key(shard),
            UpdateExpression="SET #number = :number",
            ConditionExpression="attribute_not_exists(#number) OR #number < :number",
            ExpressionAttributeNames={"#number": "number"},
            ExpressionAttributeValues={":number": {"N": str(number)}},
        )

    def _query(self, shard: int, condition: str, bound: int, at_once: int) -> Iterator[Block]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression=f"pk = :pk AND {condition}",
            ExpressionAttributeValues={
                ":pk": {"S": _chain(shard)},
                ":bound": {"S": _number(bound)},
            },
            ScanIndexForward=">" in condition,
            ConsistentRead=True,
            PaginationConfig={"PageSize": at_once},
        )
        return (_block(item) for page in pages for item in page["Items"])


class DynamoStripeStore:
    """Implements StripeStore."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def of_books(self, books: Sequence[str]) -> Mapping[str, Stripes]:
        """Reads the stripes of books, strongly consistent; of one never changed, the default."""
        stripes = dict.fromkeys(books, Stripes())
        keys = [_stripes_key(book) for book in stripes]
        for item in dynamodb.batch_get(self._client, self._table, keys) if keys else ():
            book = item["pk"]["S"].partition("#")[2]
            stripes[book] = Stripes.of(dynamodb.load(item, "history"))
        return stripes

    def change(self, book: str, before: Stripes, after: Stripes) -> None:
        """Replaces the stripes of a book."""
        is_default = before == Stripes()
        condition = "history = :before" + (" OR attribute_not_exists(pk)" if is_default else "")
        is_kept = dynamodb.write_if(
            self._client.put_item,
            TableName=self._table,
            Item={**_stripes_key(book), "history": dynamodb.dump(after.to_dict())},
            ConditionExpression=condition,
            ExpressionAttributeValues={":before": dynamodb.dump(before.to_dict())},
        )
        if not is_kept:
            raise VersionConflictError(f"The stripes of {book} were changed by somebody else.")


def _block(item: Mapping[str, Any]) -> Block:
    return Block.of({**unpack(item, "header"), "leaves": unpack(item, "leaves")})


def _chain(shard: int) -> str:
    return f"BLOCK#{shard:02d}"


def _number(number: int) -> str:
    return f"{number:012d}"


def _late_key(name: Name) -> dict[str, Any]:
    kind, record_id = name
    return {"pk": {"S": f"LATE#{kind}#{record_id}"}, "sk": {"S": "LATE"}}


def _late_name(item: Mapping[str, Any]) -> Name:
    _, kind, record_id = item["pk"]["S"].split("#", 2)
    return RecordKind(kind), record_id


def _folded_key(shard: int) -> dict[str, Any]:
    return {"pk": {"S": f"FOLDED#{shard:02d}"}, "sk": {"S": "FOLDED"}}


def _stripes_key(book: str) -> dict[str, Any]:
    return {"pk": {"S": f"STRIPES#{book}"}, "sk": {"S": "STRIPES"}}
