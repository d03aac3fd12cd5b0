"""The network's own table: answers by idempotency key, authorizations, transactions.

Items, each with its JSON in `data`:
    KEY#<idempotency key>        ANSWER             the answer, with the request's fingerprint
    AUTH#<reference>             STATE              the authorization, with its version
    TXN#<merchant>               <created ms>#<id>  every transaction with an effect, now or later
    TXN#<merchant>#<payment>     <created ms>#<id>  the same, of one payment
    DECLINED#<merchant>          <created ms>#<id>  every transaction that had none
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from shared.adapters import dynamodb
from shared.domain.errors import TransientError, VersionConflictError
from shared.domain.providers import ProviderAnswer, ProviderStatus
from shared.domain.sandbox_network import (
    Authorization,
    Decision,
    Later,
    Transaction,
    answer_of_json,
    answer_to_json,
    transaction_sort_key,
)

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient
    from types_boto3_dynamodb.type_defs import TransactWriteItemTypeDef


@dataclass(frozen=True, slots=True)
class Remembered:
    """The first answer given to an idempotency key."""

    fingerprint: str
    answer: ProviderAnswer
    later: Later | None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Remembered":
        """Reads it back from JSON."""
        later = Later.of(data["later"]) if data["later"] else None
        return cls(data["fingerprint"], answer_of_json(data["answer"]), later)


class NetworkStore:
    """Keeps what the network knows; one transaction per operation."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def recall(
        self, idempotency_key: str, reference: str
    ) -> tuple[Remembered | None, Authorization | None]:
        """Reads the answer to a key and the state of an authorization, in one call."""
        keys = [_key(f"KEY#{idempotency_key}", "ANSWER"), _key(f"AUTH#{reference}", "STATE")]
        items = dynamodb.batch_get(self._client, self._table, keys)
        found = {item["sk"]["S"]: dynamodb.load(item, "data") for item in items}
        answer, state = found.get("ANSWER"), found.get("STATE")
        return (
            None if answer is None else Remembered.of(answer),
            None if state is None else Authorization.of(state),
        )

    def answer(self, idempotency_key: str) -> Remembered | None:
        """Reads the answer to a key, strongly consistent."""
        key = _key(f"KEY#{idempotency_key}", "ANSWER")
        found = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return Remembered.of(dynamodb.load(found["Item"], "data")) if "Item" in found else None

    def authorization(self, reference: str) -> Authorization | None:
        """Reads the state of an authorization, strongly consistent."""
        key = _key(f"AUTH#{reference}", "STATE")
        answer = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        return Authorization.of(dynamodb.load(answer["Item"], "data")) if "Item" in answer else None

    def commit(self, idempotency_key: str, fingerprint: str, decision: Decision) -> bool:
        """Writes answer, authorization and transaction, all or nothing.

        Returns: False, with nothing written, when another request changed one of them first
        or the table is busy.
        """
        record = {
            "fingerprint": fingerprint,
            "answer": answer_to_json(decision.answer),
            "later": asdict(decision.later) if decision.later else None,
        }
        puts = [self._put(f"KEY#{idempotency_key}", "ANSWER", record)]
        if decision.authorization is not None:
            state = decision.authorization
            puts.append(self._put(f"AUTH#{state.reference}", "STATE", asdict(state), state.version))
        if decision.transaction is not None:
            data = asdict(decision.transaction)
            partitions = _partitions(decision.transaction)
            puts += [self._put(pk, decision.transaction.sort_key, data) for pk in partitions]
        try:
            dynamodb.transact(self._client, puts)
        except (VersionConflictError, TransientError):
            return False
        return True

    def transactions(
        self,
        merchant: str,
        payment_intent: str | None,
        limit: int,
        starting_after: str | None,
        *,
        now_ms: int,
    ) -> tuple[list[Transaction], bool]:
        """Reads a page of transactions in effect, newest first, and whether more exist."""
        partition = f"TXN#{merchant}" + (f"#{payment_intent}" if payment_intent else "")
        condition, values = "pk = :pk", {":pk": {"S": partition}}
        if starting_after is not None:
            condition += " AND sk < :after"
            values[":after"] = {"S": transaction_sort_key(starting_after)}
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=values,
            ScanIndexForward=False,
            ConsistentRead=True,
            PaginationConfig={"PageSize": limit + 1},
        )
        items = (item for page in pages for item in page["Items"])
        read = (Transaction.of(dynamodb.load(item, "data")) for item in items)
        # Refunds that are not carried out yet, or came back, are passed over: few, and no page
        # of what is left ends at them.
        found = list(islice((one for one in read if one.has_effect(now_ms)), limit + 1))
        return found[:limit], len(found) > limit

    def _put(
        self, pk: str, sk: str, data: Mapping[str, Any], version: int = 1
    ) -> "TransactWriteItemTypeDef":
        item = {**_key(pk, sk), "data": dynamodb.dump(data)}
        item["version"] = {"N": str(version)}
        return dynamodb.put_version(self._table, item, version - 1)


def _key(pk: str, sk: str) -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def _partitions(transaction: Transaction) -> tuple[str, ...]:
    later = transaction.later
    ends = (transaction.status, later.status if later else None)
    if ProviderStatus.APPROVED not in ends:
        return (f"DECLINED#{transaction.merchant}",)
    merchant = f"TXN#{transaction.merchant}"
    return merchant, f"{merchant}#{transaction.payment_intent}"
