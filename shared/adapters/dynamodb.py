"""What the DynamoDB adapters share: clients, item text, transactions and their refusals."""

import json
import lzma
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

from shared.adapters.dynamodb_due import due_attributes
from shared.domain.audit import Change
from shared.domain.audit_trail import require_changes
from shared.domain.documents import Document, DocumentWrite, ListEntry, mode_of
from shared.domain.errors import (
    ConflictError,
    InvariantError,
    KeyInUseError,
    PaymentError,
    TransientError,
    VersionConflictError,
)
from shared.domain.idempotency import LEASE_MS, Claim
from shared.domain.lists import shard_of_row
from shared.domain.ports import EventSigner

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient
    from types_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

# Sorts what an object was through behind each other: a payment's events, others' audit records.
HISTORY_PREFIX = "EV#"
_BATCH_READ_MAX = 100
_BATCH_TRIES_MAX = 8
# A payment waits for it: a burst is over within that time, or the table is too small.
THROTTLED_WAITS_S = (0.02, 0.05, 0.1)
_PLAIN_BODY_BYTES_MAX = 100_000
# The least that looks back a megabyte: an object has up to 64 KB, and comes again after others.
_PRESET = 1
_CONFLICT_WAITS_S = (0.005, 0.01, 0.02, 0.04, 0.08)
_RETRYABLE_REASONS = {"ThrottlingError", "ProvisionedThroughputExceeded"}
_REFUSED = "ConditionalCheckFailed"
_RETRYABLE_ERRORS = {
    "ThrottlingException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "InternalServerError",
    "TransactionInProgressException",
}

Item = Mapping[str, Any]


def dump(value: object) -> dict[str, str]:
    """Writes JSON into a string attribute: one parse, no decimals, the same text everywhere."""
    return {"S": json.dumps(value, separators=(",", ":"), sort_keys=True)}


def load(item: Item, name: str) -> Any:
    """Reads a JSON attribute."""
    return json.loads(item[name]["S"])


def write_if(write: Callable[..., object], **arguments: Any) -> bool:
    """Makes a conditional write; tells whether its condition held."""
    try:
        write(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        return False
    return True


def put_once(client: "DynamoDBClient", table: str, item: Item) -> bool:
    """Puts an item that must not exist; tells whether there was none."""
    return write_if(
        client.put_item, TableName=table, Item=item, ConditionExpression="attribute_not_exists(pk)"
    )


def _spread(seconds: float) -> float:
    """Draws half to one and a half of a time, so that those who wait do not come together."""
    return seconds * (0.5 + secrets.randbelow(1000) / 1000)


def write_in_turn(
    write: Callable[..., object], pause: Callable[[float], None] = time.sleep, **arguments: Any
) -> bool:
    """Makes a conditional write as `write_if`, again where a transaction is at the item.

    Raises: TransientError when one is each time.
    """
    for wait_s in _CONFLICT_WAITS_S:
        try:
            return write_if(write, **arguments)
        except ClientError as error:
            if error.response["Error"]["Code"] != "TransactionConflictException":
                raise
            pause(_spread(wait_s))
    raise TransientError("Others change this item again and again.")


def put_new(table: str, item: Item) -> "TransactWriteItemTypeDef":
    """Puts an item that must not exist."""
    return put(table, item, "attribute_not_exists(pk)")


def put(
    table: str, item: Item, condition: str | None = None, values: Item | None = None
) -> "TransactWriteItemTypeDef":
    """Puts an item under a condition."""
    operation: dict[str, Any] = {"TableName": table, "Item": item}
    if condition:
        operation["ConditionExpression"] = condition
    if values:
        operation["ExpressionAttributeValues"] = values
    return cast("TransactWriteItemTypeDef", {"Put": operation})


def delete(table: str, key: Item) -> "TransactWriteItemTypeDef":
    """Deletes an item; there may be none."""
    return cast("TransactWriteItemTypeDef", {"Delete": {"TableName": table, "Key": key}})


def put_version(table: str, item: Item, before_version: int) -> "TransactWriteItemTypeDef":
    """Puts a versioned item over exactly the version it builds on; 0 means that it is new."""
    if before_version == 0:
        return put_new(table, item)
    return put(table, item, "version = :before", {":before": {"N": str(before_version)}})


def key_in_use() -> KeyInUseError:
    """Says that the condition of a claim does not hold."""
    return KeyInUseError("The idempotency key is in use.")


def put_claim(table: str, claim: Claim) -> "TransactWriteItemTypeDef":
    """Puts a claim where the key is free, expired, or left behind by a dead request of its own."""
    now_ms = claim.lease_until_ms - LEASE_MS
    return put(
        table,
        claim_item(claim),
        "attribute_not_exists(pk) OR expires_at <= :now_s OR (fingerprint = :fingerprint"
        " AND attribute_not_exists(answer_status) AND lease_until <= :now_ms)",
        {
            ":now_s": {"N": str(now_ms // 1000)},
            ":now_ms": {"N": str(now_ms)},
            ":fingerprint": {"S": claim.fingerprint},
        },
    )


def claim_item(claim: Claim) -> dict[str, Any]:
    """Writes a claim as an item."""
    item: dict[str, Any] = {
        "pk": {"S": claim.key_hash},
        "fingerprint": {"S": claim.fingerprint},
        "endpoint": {"S": claim.endpoint},
        "lease_until": {"N": str(claim.lease_until_ms)},
        "expires_at": {"N": str(claim.expires_at_s)},
    }
    if claim.answer is not None:
        item["answer_status"] = {"N": str(claim.answer.status)}
        item["answer_body"] = body_value(claim.answer.body)
    return item


def body_value(body: str) -> dict[str, Any]:
    """Writes an answer's body, packed where it is long: an item holds 400 KB.

    What makes an answer long are objects that it shows many times, expanded.
    """
    text = body.encode()
    if len(text) <= _PLAIN_BODY_BYTES_MAX:
        return {"S": body}
    return {"B": lzma.compress(text, preset=_PRESET)}


def body_of(value: Mapping[str, Any]) -> str:
    """Reads what `body_value` wrote."""
    return str(value["S"]) if "S" in value else lzma.decompress(value["B"]).decode()


def document_item(document: Document) -> dict[str, Any]:
    """Writes a document as an item."""
    item: dict[str, Any] = {
        "pk": {"S": document.id},
        "sk": {"S": "OBJECT"},
        "kind": {"S": document.kind},
        "account": {"S": document.account},
        "livemode": {"BOOL": document.livemode},
        "version": {"N": str(document.version)},
        "created_ms": {"N": str(document.created_ms)},
        "body": dump(document.data),
        **due_attributes(document.id, document.due_at_ms),
    }
    if document.expires_at_s is not None:
        item["expires_at"] = {"N": str(document.expires_at_s)}
    if document.change_hash:
        item["change_hash"] = {"S": document.change_hash}
    return item


def change_item(change: Change, signer: EventSigner) -> dict[str, Any]:
    """Writes the audit record of a change as an item, beside the entity."""
    signature = signer.sign(change.hash)
    facts = change.facts()
    previous_hash = facts.pop("previous_hash")
    return {
        "pk": {"S": change.entity},
        "sk": {"S": history_key(change.version)},
        "book": {"S": change.book},
        "body": dump(facts),
        "previous_hash": {"S": previous_hash},
        "hash": {"S": change.hash},
        "key_id": {"S": signature.key_id},
        "mac": {"S": signature.mac},
    }


def history_key(version: int) -> str:
    """Orders what an object was through by version."""
    return f"{HISTORY_PREFIX}{version:08d}"


def list_key(account: str, *, livemode: bool, collection: str, shard: int) -> str:
    """Names the partition of a list's shard; see shared.domain.lists."""
    return f"LIST#{account}#{mode_of(livemode=livemode)}#{collection}#{shard}"


def list_item(write: DocumentWrite, entry: ListEntry) -> dict[str, Any]:
    """Writes a list row of a document's account; it expires with the document."""
    document = write.document
    row = list_row(document.account, entry, livemode=document.livemode, stripes=write.stripes)
    if document.expires_at_s is not None:
        row["expires_at"] = {"N": str(document.expires_at_s)}
    return row


def list_row(account: str, entry: ListEntry, *, livemode: bool, stripes: int) -> dict[str, Any]:
    """Writes a list row."""
    shard = shard_of_row(entry.collection, entry.object_id, stripes)
    key = list_key(account, livemode=livemode, collection=entry.collection, shard=shard)
    return {"pk": {"S": key}, "sk": {"S": sort_key(entry.created_ms, entry.object_id)}}


def sort_key(created_ms: int, object_id: str) -> str:
    """Orders list rows by time, then id."""
    return f"{created_ms:013d}#{object_id}"


def document_operations(
    table: str, writes: Sequence[DocumentWrite], signer: EventSigner | None
) -> list["TransactWriteItemTypeDef"]:
    """Returns the operations of document writes and of the audit records of them.

    Raises: InvariantError when a record, or what signs it, is missing.
    """
    require_changes(writes)
    operations: list[TransactWriteItemTypeDef] = []
    for write in writes:
        document = write.document
        if write.change is not None:
            if signer is None:
                raise InvariantError("this store was opened without what signs audit records")
            operations.append(put_new(table, change_item(write.change, signer)))
        operations.append(put_version(table, document_item(document), document.version - 1))
        # Put again as they are: that takes no right that the writer has not got, and the stream
        # tells nobody of an item that stayed the same.
        operations += [
            put_version(table, document_item(other), other.version) for other in write.unchanged
        ]
        operations += [put(table, list_item(write, entry)) for entry in write.listed]
        operations += [
            delete(
                table,
                list_row(
                    document.account, entry, livemode=document.livemode, stripes=write.stripes
                ),
            )
            for entry in write.unlisted
        ]
    return operations


def transact(
    client: "DynamoDBClient",
    operations: Sequence["TransactWriteItemTypeDef"],
    refusals: Mapping[int, PaymentError] | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Writes all or nothing; what was throttled is sent again, because none of it was written.

    The SDK sends a canceled transaction never again.

    Args: refusals: what it means that an operation's condition does not hold, by its place;
    where nothing is said, that another writer was first. pause: waits so many seconds.
    Raises: what `refusals` says, a conflict before all else; VersionConflictError when another
    condition did not hold, or another transaction was at the same item; TransientError when
    throttled.
    """
    for wait_s in (*THROTTLED_WAITS_S, None):
        try:
            client.transact_write_items(TransactItems=list(operations))
        except ClientError as error:
            if wait_s is None or not _is_throttled(error):
                raise _translated(error, refusals or {}) from error
            pause(_spread(wait_s))
        else:
            return


def _is_throttled(error: ClientError) -> bool:
    """Tells whether a transaction was canceled for want of capacity alone."""
    reasons = {reason.get("Code", "None") for reason in _cancellation_reasons(error)} - {"None"}
    return bool(reasons) and reasons <= _RETRYABLE_REASONS


def _translated(error: ClientError, refusals: Mapping[int, PaymentError]) -> Exception:
    code = error.response["Error"]["Code"]
    if code in _RETRYABLE_ERRORS:
        return TransientError("The store is busy; try again.")
    if code != "TransactionCanceledException":
        return error
    reasons = [r.get("Code", "None") for r in _cancellation_reasons(error)]
    refusal = _refusal(reasons, refusals)
    if refusal is not None:
        return refusal
    if {_REFUSED, "TransactionConflict"} & set(reasons):
        return VersionConflictError("Another request changed this object first.")
    if _RETRYABLE_REASONS & set(reasons):
        return TransientError("The store is busy; try again.")
    return error


def _refusal(reasons: Sequence[str], refusals: Mapping[int, PaymentError]) -> PaymentError | None:
    """Returns what the failed conditions mean; None when another writer was first, or none is."""
    failed = [index for index, reason in enumerate(reasons) if reason == _REFUSED]
    told = [refusals[index] for index in failed if index in refusals]
    conflicts = [error for error in told if isinstance(error, ConflictError)]
    if conflicts or len(told) == len(failed):
        return next(iter(conflicts or told), None)
    return None


def _cancellation_reasons(error: ClientError) -> Sequence[Mapping[str, str]]:
    return cast("Sequence[Mapping[str, str]]", error.response.get("CancellationReasons", []))


def batch_get(
    client: "DynamoDBClient", table: str, keys: Sequence[Item]
) -> Iterator[Mapping[str, Any]]:
    """Reads items by key, strongly consistent.

    Raises: TransientError when some stay unread after a bounded number of tries.
    """
    for start in range(0, len(keys), _BATCH_READ_MAX):
        read = {"Keys": keys[start : start + _BATCH_READ_MAX], "ConsistentRead": True}
        for answered in _batches(client, {table: read}):
            yield from answered.get(table, [])


def get_each(client: "DynamoDBClient", keys: Mapping[str, Item]) -> dict[str, Item]:
    """Reads one item of each table in one call, strongly consistent.

    Args: keys: by table.
    Returns: the items by table, without those that there are not.
    Raises: TransientError when some stay unread after a bounded number of tries.
    """
    found = get_together(client, {table: [key] for table, key in keys.items()})
    return {table: item for table, items in found.items() for item in items}


def get_together(
    client: "DynamoDBClient", keys: Mapping[str, Sequence[Item]]
) -> dict[str, list[Item]]:
    """Reads items of several tables in one call, strongly consistent.

    Args: keys: by table, at least one of each and 100 in all.
    Returns: the items by table, without those that there are not.
    Raises: TransientError when some stay unread after a bounded number of tries.
    """
    reads = {table: {"Keys": list(named), "ConsistentRead": True} for table, named in keys.items()}
    found: dict[str, list[Item]] = {table: [] for table in keys}
    for answered in _batches(client, reads):
        for table, items in answered.items():
            found[table] += items
    return found


def _batches(
    client: "DynamoDBClient", reads: Mapping[str, Any]
) -> Iterator[Mapping[str, Sequence[Item]]]:
    """Yields the items by table, answer by answer, until all keys are read."""
    pending: Any = reads
    for _ in range(_BATCH_TRIES_MAX):
        answer = client.batch_get_item(RequestItems=pending)
        yield answer["Responses"]
        pending = answer.get("UnprocessedKeys") or {}
        if not pending:
            return
    raise TransientError("The store is busy; try again.")
