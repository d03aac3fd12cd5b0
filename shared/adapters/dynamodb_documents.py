"""Documents, lists and idempotency claims in DynamoDB."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from shared.adapters import dynamodb
from shared.domain.documents import Document, DocumentWrite, Page, PageQuery, Scope
from shared.domain.errors import PaymentError, TransientError
from shared.domain.idempotency import Answer, Claim, Found
from shared.domain.lists import is_spread, stripes_of

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient

    from shared.domain.ports import Clock, EventSigner

_WRITE_BATCH_MAX = 25
_WRITE_TRIES_MAX = 8
_FIRST, _LAST = "0", "~"
# As many as a client keeps connections.
_SHARDS_AT_ONCE = 10
# The most that a sort key's digits hold; beyond it text and numbers sort differently.
_TIME_MAX_MS = 10**13 - 1


class DynamoDocumentStore:
    """Implements DocumentStore.

    Args: table: of the objects. idempotency_table: for claims made with a write. signer: of the
    audit records; None where nothing that is audited is written.
    """

    def __init__(
        self,
        client: "DynamoDBClient",
        table: str,
        idempotency_table: str,
        signer: "EventSigner | None" = None,
    ) -> None:
        self._client = client
        self._table = table
        self._idempotency_table = idempotency_table
        self._signer = signer

    def get(self, object_id: str) -> Document | None:
        """Reads one document, strongly consistent."""
        answer = self._client.get_item(
            TableName=self._table, Key=_key(object_id), ConsistentRead=True
        )
        return _document(answer["Item"]) if "Item" in answer else None

    def get_many(self, object_ids: Sequence[str]) -> Mapping[str, Document]:
        """Reads up to 100 documents; the missing ones are left out."""
        keys = [_key(object_id) for object_id in dict.fromkeys(object_ids)]
        items = dynamodb.batch_get(self._client, self._table, keys) if keys else ()
        documents = [_document(item) for item in items]
        return {document.id: document for document in documents}

    def commit(self, writes: Sequence[DocumentWrite], claim: Claim | None = None) -> None:
        """Writes all or nothing, with the audit records and the claim."""
        operations = dynamodb.document_operations(self._table, writes, self._signer)
        refusals: dict[int, PaymentError] = {}
        if claim is not None:
            refusals[len(operations)] = dynamodb.key_in_use()
            operations.append(dynamodb.put_claim(self._idempotency_table, claim))
        dynamodb.transact(self._client, operations, refusals)

    def put_events(self, events: Sequence[DocumentWrite]) -> None:
        """Writes event objects and their rows; the same ones again change nothing."""
        items: list[Any] = []
        for event in events:
            items.append(dynamodb.document_item(event.document))
            items += [dynamodb.list_item(event, entry) for entry in event.listed]
        for start in range(0, len(items), _WRITE_BATCH_MAX):
            self._put_batch(items[start : start + _WRITE_BATCH_MAX])

    def _put_batch(self, items: Sequence[Any]) -> None:
        pending: Any = {self._table: [{"PutRequest": {"Item": item}} for item in items]}
        for _ in range(_WRITE_TRIES_MAX):
            answer = self._client.batch_write_item(RequestItems=pending)
            pending = answer.get("UnprocessedItems") or {}
            if not pending:
                return
        raise TransientError("The store is busy; try again.")

    def page(self, scope: Scope, collection: str, query: PageQuery) -> Page:
        """Reads one page of a list, strongly consistent, newest first."""
        upward = query.before is not None
        low, high = _bounds(query)
        if low > high:
            return Page()
        found = self._rows(scope, collection, query, low, high)
        cursors = {dynamodb.sort_key(*cursor) for cursor in (query.after, query.before) if cursor}
        rows = sorted((row for row in found if row not in cursors), reverse=not upward)
        newest_first = sorted(rows[: query.limit], reverse=True)
        ids = tuple(row.partition("#")[2] for row in newest_first)
        end = (int(newest_first[-1].partition("#")[0]), ids[-1]) if ids else None
        return Page(ids, len(rows) > query.limit, end)

    def _rows(
        self, scope: Scope, collection: str, query: PageQuery, low: str, high: str
    ) -> Iterator[str]:
        """Yields the rows of all shards that may be on the page, some at a time."""

        def of_shard(shard: int) -> list[str]:
            key = dynamodb.list_key(
                scope.account, livemode=scope.livemode, collection=collection, shard=shard
            )
            answer = self._client.query(
                TableName=self._table,
                KeyConditionExpression="pk = :pk AND sk BETWEEN :low AND :high",
                ExpressionAttributeValues={
                    ":pk": {"S": key},
                    ":low": {"S": low},
                    ":high": {"S": high},
                },
                ScanIndexForward=query.before is not None,
                ConsistentRead=True,
                # One more tells whether there are more; two more make up for the cursor's own row.
                Limit=query.limit + 2,
            )
            return [item["sk"]["S"] for item in answer["Items"]]

        if not is_spread(collection):
            yield from of_shard(0)
            return
        with ThreadPoolExecutor(_SHARDS_AT_ONCE) as pool:
            # Most accounts have one: it is read while the account is asked how many there are.
            stripes = pool.submit(self._stripes, scope)
            yield from of_shard(0)
            for rows in pool.map(of_shard, range(1, stripes.result())):
                yield from rows

    def _stripes(self, scope: Scope) -> int:
        # Read each time: what was written with more stripes than it tells came after the request.
        return stripes_of(self.get(scope.account), livemode=scope.livemode)


def _bounds(query: PageQuery) -> tuple[str, str]:
    lows, highs = [_FIRST], [_LAST]
    if query.created_from_ms is not None:
        lows.append(f"{_storable(query.created_from_ms):013d}")
    if query.created_to_ms is not None:
        highs.append(f"{_storable(query.created_to_ms):013d}#{_LAST}")
    if query.before is not None:
        lows.append(dynamodb.sort_key(*query.before))
    if query.after is not None:
        highs.append(dynamodb.sort_key(*query.after))
    return max(lows), min(highs)


def _storable(created_ms: int) -> int:
    return max(-1, min(created_ms, _TIME_MAX_MS))


def _key(object_id: str) -> dict[str, Any]:
    return {"pk": {"S": object_id}, "sk": {"S": "OBJECT"}}


def _document(item: Mapping[str, Any]) -> Document:
    data = dynamodb.load(item, "body")
    return Document(
        id=item["pk"]["S"],
        kind=item["kind"]["S"],
        account=item["account"]["S"],
        livemode=item["livemode"]["BOOL"],
        version=int(item["version"]["N"]),
        created_ms=int(item["created_ms"]["N"]),
        data={**data, **_deliveries(item, data)},
        expires_at_s=int(item["expires_at"]["N"]) if "expires_at" in item else None,
        change_hash=item["change_hash"]["S"] if "change_hash" in item else "",
    )


def _deliveries(item: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """Says who is still to be told of an event, and who was tried; see DynamoDeliveryLog."""
    told, tried = (set(item.get(name, {}).get("SS", ())) for name in ("delivered", "tried"))
    if not told | tried:
        return {}
    return {
        "pending_webhooks": len(set(data["endpoints"]) - told),
        "tried": sorted(told | tried),
    }


def document_of_image(image: Mapping[str, Any]) -> Document:
    """Reads a document from a stream record's image."""
    return _document(image)


class DynamoIdempotencyStore:
    """Implements IdempotencyStore.

    Args: table: of the claims. objects_table: for documents read with a claim.
    """

    def __init__(
        self, client: "DynamoDBClient", table: str, objects_table: str, clock: "Clock"
    ) -> None:
        self._client = client
        self._table = table
        self._objects_table = objects_table
        self._clock = clock

    def find(self, key_hash: str, object_ids: Sequence[str] = ()) -> Found:
        """Reads a claim, and documents, in one call.

        A claim past its expiry counts as absent however late the store drops it.
        """
        keys: dict[str, list[dict[str, Any]]] = {self._table: [{"pk": {"S": key_hash}}]}
        if object_ids:
            keys[self._objects_table] = [_key(name) for name in dict.fromkeys(object_ids)]
        found = dynamodb.get_together(self._client, keys)
        claims = [_claim(item) for item in found[self._table]]
        held = [claim for claim in claims if claim.expires_at_s * 1000 > self._clock.now_ms()]
        documents = [_document(item) for item in found.get(self._objects_table, ())]
        return Found(
            claim=held[0] if held else None,
            documents={document.id: document for document in documents},
        )

    def keep(self, claim: Claim) -> None:
        """Stores an answered claim where its key is free; otherwise changes nothing."""
        dynamodb.write_if(
            self._client.put_item,
            TableName=self._table,
            Item=dynamodb.claim_item(claim),
            ConditionExpression="attribute_not_exists(pk) OR expires_at <= :now_s",
            ExpressionAttributeValues={":now_s": {"N": str(self._clock.now_ms() // 1000)}},
        )

    def answer(self, claim: Claim, answer: Answer) -> None:
        """Stores the first answer of a claim; a later one finds it there and changes nothing."""
        dynamodb.write_if(
            self._client.update_item,
            TableName=self._table,
            Key={"pk": {"S": claim.key_hash}},
            UpdateExpression="SET answer_status = :status, answer_body = :body",
            ConditionExpression="fingerprint = :fingerprint"
            " AND attribute_not_exists(answer_status)",
            ExpressionAttributeValues={
                ":status": {"N": str(answer.status)},
                ":body": dynamodb.body_value(answer.body),
                ":fingerprint": {"S": claim.fingerprint},
            },
        )


def _claim(item: Mapping[str, Any]) -> Claim:
    answer = None
    if "answer_status" in item:
        answer = Answer(int(item["answer_status"]["N"]), dynamodb.body_of(item["answer_body"]))
    return Claim(
        key_hash=item["pk"]["S"],
        fingerprint=item["fingerprint"]["S"],
        endpoint=item["endpoint"]["S"],
        lease_until_ms=int(item["lease_until"]["N"]),
        expires_at_s=int(item["expires_at"]["N"]),
        answer=answer,
    )
