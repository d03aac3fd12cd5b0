"""Pages of books in DynamoDB.

    <book>#<shard> / <newest_ms>#<block number>    body: the page, packed

Both parts of the sort key only grow from block to block, so pages lie in the order of their blocks
and can be found by time.
"""

from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from shared.adapters import dynamodb
from shared.adapters.packed import pack, unpack
from shared.domain.pages import BookPage, Place

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient

_PAGES = 20
_FIRST: Place = (0, 0)
_BEHIND_ALL: Place = (10**13 - 1, 10**12 - 1)


class DynamoPageStore:
    """Implements PageStore."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def put(self, page: BookPage) -> bool:
        """Keeps a page; tells whether it is new."""
        item = {
            "pk": {"S": _partition(page.book, page.shard)},
            "sk": {"S": _sort_key(page.place)},
            "body": pack(page.to_dict()),
        }
        return dynamodb.put_once(self._client, self._table, item)

    def last(self, book: str, shard: int, before: Place | None = None) -> BookPage | None:
        """Reads the newest page of a book in a shard, of those before a place."""
        found = self._query(book, shard, "sk < :bound", before or _BEHIND_ALL, limit=1)
        return next(found, None)

    def pages(
        self,
        book: str,
        shard: int,
        *,
        after: Place | None = None,
        before: Place | None = None,
        newest_first: bool = False,
    ) -> Iterator[BookPage]:
        """Reads the pages between two places, without those at them, some at a time."""
        after, before = after or _FIRST, before or _BEHIND_ALL
        if newest_first:
            found = self._query(book, shard, "sk < :bound", before)
            return takewhile(lambda page: page.place > after, found)
        found = self._query(book, shard, "sk > :bound", after)
        return takewhile(lambda page: page.place < before, found)

    def _query(
        self, book: str, shard: int, condition: str, bound: Place, limit: int = _PAGES
    ) -> Iterator[BookPage]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression=f"pk = :pk AND {condition}",
            ExpressionAttributeValues={
                ":pk": {"S": _partition(book, shard)},
                ":bound": {"S": _sort_key(bound)},
            },
            ScanIndexForward=">" in condition,
            ConsistentRead=True,
            PaginationConfig={"PageSize": limit},
        )
        return (_page(item) for page in pages for item in page["Items"])


def _page(item: Mapping[str, Any]) -> BookPage:
    return BookPage.of(unpack(item, "body"))


def _partition(book: str, shard: int) -> str:
    return f"{book}#{shard:02d}"


def _sort_key(place: Place) -> str:
    newest_ms, number = place
    return f"{newest_ms:013d}#{number:012d}"
