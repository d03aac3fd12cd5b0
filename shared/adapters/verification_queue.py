"""Deletions of security codes, asked of a queue that holds them back until they are due."""

import json
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from shared.domain.errors import TransientError
from shared.domain.vault import VERIFICATION_RETENTION_S

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient


class SqsVerificationDeletions:
    """Implements VerificationDeletions with SQS delay."""

    def __init__(self, *, sqs: "SQSClient", queue_url: str) -> None:
        self._sqs = sqs
        self._queue_url = queue_url

    def schedule(self, vault_token: str) -> None:
        """Has a security code deleted in time; see VerificationDeletions."""
        body = json.dumps({"vault_token": vault_token})
        try:
            self._sqs.send_message(
                QueueUrl=self._queue_url, MessageBody=body, DelaySeconds=VERIFICATION_RETENTION_S
            )
        except (ClientError, BotoCoreError) as error:
            raise TransientError("The vault is busy. Please try again.") from error
