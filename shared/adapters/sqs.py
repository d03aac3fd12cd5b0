"""SQS: the queue of webhook deliveries, and dead letters of stream records."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from shared.domain.errors import TransientError
from shared.domain.webhooks import Delivery

if TYPE_CHECKING:
    from types_boto3_sqs.client import SQSClient
    from types_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

# SendMessageBatch takes no more entries in one call.
ENTRIES_MAX = 10
_BUSY = "The queue cannot be reached."


class SqsDeliveryQueue:
    """Implements DeliveryQueue."""

    def __init__(self, client: "SQSClient", queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def put(self, deliveries: Sequence[Delivery], delay_s: int = 0) -> None:
        """Queues all, or raises; what was queued before the error is queued twice then."""
        for start in range(0, len(deliveries), ENTRIES_MAX):
            chunk = deliveries[start : start + ENTRIES_MAX]
            entries: list[SendMessageBatchRequestEntryTypeDef] = [
                {
                    "Id": str(number),
                    "MessageBody": json.dumps(asdict(delivery)),
                    "DelaySeconds": delay_s,
                }
                for number, delivery in enumerate(chunk)
            ]
            try:
                answer = self._client.send_message_batch(QueueUrl=self._queue_url, Entries=entries)
            except (ClientError, BotoCoreError) as error:
                raise TransientError(_BUSY) from error
            if answer.get("Failed"):
                raise TransientError("The queue took only some of the deliveries.")

    def retry_later(self, receipt_handle: str, delay_s: int) -> None:
        """Hides a received message for a while."""
        try:
            self._client.change_message_visibility(
                QueueUrl=self._queue_url, ReceiptHandle=receipt_handle, VisibilityTimeout=delay_s
            )
        except (ClientError, BotoCoreError) as error:
            raise TransientError(_BUSY) from error


class SqsDeadLetters:
    """Keeps what cannot be processed, for an operator to look at."""

    def __init__(self, client: "SQSClient", queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def put(self, letter: Mapping[str, str | None]) -> None:
        """Keeps one letter; a failure to do so is raised, so that nothing is lost."""
        try:
            self._client.send_message(QueueUrl=self._queue_url, MessageBody=json.dumps(letter))
        except (ClientError, BotoCoreError) as error:
            raise TransientError(_BUSY) from error
