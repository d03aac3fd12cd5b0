"""Signs how far the ledger reaches: a consumer of the sealer's requests.

What a request says does not matter, only that there is one: what was sealed since the last
checkpoint is read from the chains. So a request too many, or two runs at once, sign nothing twice.
"""

import functools
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Logger

from shared import bootstrap_checkpoints
from shared.domain.checkpoints import CheckpointSigner, Signing
from shared.domain.errors import InvariantError
from shared.observability import logger as shared_logger

# Each round signs some blocks of every shard; what is left then waits for the request's return.
ROUNDS_MAX = 4


def sign(
    signer: CheckpointSigner, event: Mapping[str, Any], logger: Logger = shared_logger
) -> dict[str, Any]:
    """Signs what was sealed, in as many rounds as that takes.

    Returns: SQS partial batch response; while there is more to sign, the requests come again.
    Raises: InvariantError when the chains are not what was signed.
    """
    for _ in range(ROUNDS_MAX):
        signing = _round(signer, logger)
        if signing is None or not signing.is_behind:
            return {"batchItemFailures": []}
    logger.warning("more was sealed than is signed", rounds=ROUNDS_MAX)
    failures = [{"itemIdentifier": record["messageId"]} for record in event["Records"]]
    return {"batchItemFailures": failures}


def _round(signer: CheckpointSigner, logger: Logger) -> Signing | None:
    try:
        signing = signer.sign_next()
    except InvariantError as error:
        logger.error("the ledger is not what was signed", broken=True, detail=str(error))
        raise
    if signing is None:
        logger.info("nothing to sign")
        return None
    logger.info(
        "signed",
        checkpoint=signing.signed.checkpoint.number,
        shards=len(signing.signed.checkpoint.heads),
        blocks=signing.blocks,
        records=signing.records,
    )
    return signing


_signer = functools.cache(bootstrap_checkpoints.signer)


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Handles a batch of requests."""
    return sign(_signer(), event)
