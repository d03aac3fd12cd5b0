"""Queue consumer: deletes security codes whose ten minutes are over."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from shared import bootstrap_vault
from shared.domain.errors import TransientError
from shared.domain.vault import Verifications
from shared.observability import logger


def run(records: Sequence[Mapping[str, Any]], verifications: Verifications) -> dict[str, Any]:
    """Deletes the code that each record names.

    Returns: the records to try again, and after that to put aside, in the form of SQS's partial
    batch responses.
    """
    failed: dict[str, str] = {}
    for record in records:
        try:
            verifications.delete(_vault_token(record))
        except (TransientError, ValueError) as error:
            failed[record["messageId"]] = type(error).__name__
    log = logger.error if failed else logger.info
    log("verifications deleted", records=len(records), failed=failed)
    return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}


def _vault_token(record: Mapping[str, Any]) -> str:
    """Reads {"vault_token": text}.

    Raises: ValueError when the message is something else.
    """
    message = json.loads(record["body"])
    token = message.get("vault_token") if isinstance(message, dict) else None
    if not isinstance(token, str) or not token:
        raise ValueError("a message of the verification queue has another form")
    return token


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Handles an SQS event."""
    return run(event["Records"], bootstrap_vault.verifications())
