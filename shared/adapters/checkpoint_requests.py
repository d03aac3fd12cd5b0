"""Requests for checkpoints: one message per ten seconds in a first-in-first-out queue."""

import json
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from shared.domain.errors import TransientError
from shared.domain.ports import Clock

if TYPE_CHECKING:
    from types_boto3_sqs.client import SQSClient

# The queue holds a message back for as long, so it arrives when the window is over and stands for
# all who asked in it.
WINDOW_MS = 10_000


class SqsCheckpointRequests:
    """Asks through a queue that drops what is asked for twice."""

    def __init__(self, client: "SQSClient", queue_url: str, clock: Clock) -> None:
        self._client = client
        self._queue_url = queue_url
        self._clock = clock

    def ask(self) -> None:
        """Asks for a checkpoint soon; those who ask within one window get the same."""
        window = str(self._clock.now_ms() // WINDOW_MS)
        try:
            self._client.send_message(
                QueueUrl=self._queue_url,
                MessageBody=json.dumps({"window": window}),
                # A group of its own: a request that fails holds no later one back.
                MessageGroupId=window,
                MessageDeduplicationId=window,
            )
        except (ClientError, BotoCoreError) as error:
            raise TransientError("The queue cannot be reached.") from error
