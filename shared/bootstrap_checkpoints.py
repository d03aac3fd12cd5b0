"""Composes what signs checkpoints, and what reads them."""

from shared import bootstrap
from shared.adapters.checkpoints import (
    DynamoCheckpointLog,
    KmsCheckpointKey,
    S3CheckpointArchive,
)
from shared.adapters.dynamodb_blocks import DynamoBlockStore
from shared.domain.checkpoints import CheckpointSigner


def key() -> KmsCheckpointKey:
    """Composes the key that signs checkpoints."""
    return KmsCheckpointKey(bootstrap.kms(), bootstrap.settings()["CHECKPOINT_KEY_ARN"])


def log() -> DynamoCheckpointLog:
    """Composes the list of checkpoints."""
    return DynamoCheckpointLog(bootstrap.dynamodb(), bootstrap.settings()["EVIDENCE_TABLE"])


def signer() -> CheckpointSigner:
    """Composes what signs how far the chains reach."""
    settings = bootstrap.settings()
    return CheckpointSigner(
        blocks=DynamoBlockStore(bootstrap.dynamodb(), settings["EVIDENCE_TABLE"]),
        key=key(),
        archive=S3CheckpointArchive(bootstrap.client("s3"), settings["CHECKPOINT_BUCKET"]),
        log=log(),
        clock=bootstrap.clock(),
        region=settings.region,
    )
