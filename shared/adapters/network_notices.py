"""Notices of the sandbox card network, by a queue that holds them back until they are true."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from shared.domain.sandbox_network import Notice

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient


class SqsNotices:
    """Implements the network's Notices with SQS delay."""

    def __init__(self, sqs: "SQSClient", queue_url: str) -> None:
        self._sqs = sqs
        self._queue_url = queue_url

    def send(self, notice: Notice, delay_s: int) -> None:
        """Has a notice arrive after a delay; what fails is raised, before anything was done."""
        self._sqs.send_message(
            QueueUrl=self._queue_url, MessageBody=json.dumps(asdict(notice)), DelaySeconds=delay_s
        )
