"""Recent payments in a table of their own, which forgets.

pk                    sk                            attributes
alike_…               <at_ms, 13 digits>#<pi_…>     expires_at      a trace
DUPLICATE#<pi_…>      REPORT                        original, event, reported, expires_at
"""

from typing import TYPE_CHECKING, Any

from shared.adapters.dynamodb import sort_key, write_if
from shared.domain.duplicates import WINDOW_MS, Neighbours, Suspicion, Trace

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient

# The trace that is asked about, and the one next to it.
_READ = 2


class DynamoRecentPayments:
    """Implements RecentPayments.

    Args: table: of the recent payments.
    """

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def remember(self, trace: Trace) -> None:
        """Puts a trace; it says nothing but its key."""
        item = {
            "pk": {"S": trace.group},
            "sk": {"S": sort_key(trace.at_ms, trace.payment_id)},
            "expires_at": {"N": str(trace.expires_at_s)},
        }
        self._client.put_item(TableName=self._table, Item=item)

    def neighbours(self, trace: Trace) -> Neighbours:
        """Reads one trace in each direction, however many there are."""
        own = sort_key(trace.at_ms, trace.payment_id)
        # A time alone sorts before all ids of its millisecond.
        first, after_last = (
            sort_key(trace.at_ms - WINDOW_MS, ""),
            sort_key(trace.at_ms + WINDOW_MS + 1, ""),
        )
        return Neighbours(
            earlier=self._next(trace, first, own, forward=False),
            later=self._next(trace, own, after_last, forward=True),
        )

    def _next(self, trace: Trace, low: str, high: str, *, forward: bool) -> Trace | None:
        answer = self._client.query(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND sk BETWEEN :low AND :high",
            ExpressionAttributeValues={
                ":pk": {"S": trace.group},
                ":low": {"S": low},
                ":high": {"S": high},
            },
            ConsistentRead=True,
            ScanIndexForward=forward,
            Limit=_READ,
        )
        found = (_trace(item) for item in answer["Items"])
        return next((other for other in found if other != trace), None)

    def claim(self, suspicion: Suspicion, event_id: str) -> bool:
        """Puts the report where there is none, or again where it is the event's and still open."""
        duplicate = suspicion.duplicate
        item = {
            **_report_key(duplicate),
            "original": {"S": suspicion.original.payment_id},
            "event": {"S": event_id},
            "reported": {"BOOL": False},
            "expires_at": {"N": str(duplicate.expires_at_s)},
        }
        return write_if(
            self._client.put_item,
            TableName=self._table,
            Item=item,
            ConditionExpression="attribute_not_exists(pk) OR (#event = :event AND reported = :no)",
            ExpressionAttributeNames={"#event": "event"},
            ExpressionAttributeValues={":event": {"S": event_id}, ":no": {"BOOL": False}},
        )

    def reported(self, suspicion: Suspicion) -> None:
        """Closes the report."""
        self._client.update_item(
            TableName=self._table,
            Key=_report_key(suspicion.duplicate),
            UpdateExpression="SET reported = :yes",
            ExpressionAttributeValues={":yes": {"BOOL": True}},
        )


def _report_key(duplicate: Trace) -> dict[str, Any]:
    return {"pk": {"S": f"DUPLICATE#{duplicate.payment_id}"}, "sk": {"S": "REPORT"}}


def _trace(item: Any) -> Trace:
    at_ms, _, payment_id = item["sk"]["S"].partition("#")
    return Trace(item["pk"]["S"], payment_id, int(at_ms))
