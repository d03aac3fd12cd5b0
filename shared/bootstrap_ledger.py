"""Composes what seals the ledger and what reads its books."""

from shared import bootstrap
from shared.adapters.checkpoint_requests import SqsCheckpointRequests
from shared.adapters.dynamodb_audit import DynamoChangeStore
from shared.adapters.dynamodb_available import DynamoAvailableStore
from shared.adapters.dynamodb_blocks import DynamoBlockStore, DynamoStripeStore
from shared.adapters.dynamodb_pages import DynamoPageStore
from shared.adapters.sqs import SqsDeadLetters


def blocks() -> DynamoBlockStore:
    """Composes the chains of blocks."""
    return DynamoBlockStore(bootstrap.dynamodb(), bootstrap.settings()["EVIDENCE_TABLE"])


def stripes() -> DynamoStripeStore:
    """Composes what says how far books are spread."""
    return DynamoStripeStore(bootstrap.dynamodb(), bootstrap.settings()["EVIDENCE_TABLE"])


def pages() -> DynamoPageStore:
    """Composes the pages of books."""
    return DynamoPageStore(bootstrap.dynamodb(), bootstrap.settings()["BALANCES_TABLE"])


def available() -> DynamoAvailableStore:
    """Composes the available balances."""
    return DynamoAvailableStore(bootstrap.dynamodb(), bootstrap.settings()["BALANCES_TABLE"])


def changes() -> DynamoChangeStore:
    """Composes the audit records, for those who read them."""
    return DynamoChangeStore(bootstrap.dynamodb(), bootstrap.settings()["OBJECTS_TABLE"])


def checkpoint_requests() -> SqsCheckpointRequests:
    """Composes the queue of requests for checkpoints."""
    url = bootstrap.settings()["CHECKPOINT_QUEUE_URL"]
    return SqsCheckpointRequests(bootstrap.client("sqs"), url, bootstrap.clock())


def seal_dead_letters() -> SqsDeadLetters:
    """Composes the queue of records that cannot be sealed."""
    url = bootstrap.settings()["SEAL_DEAD_LETTERS_URL"]
    return SqsDeadLetters(bootstrap.client("sqs"), url)
