"""What a stage keeps of the ledger in a region, opened with the rights of who calls."""

from dataclasses import dataclass

import boto3

from ops.stages import CLIENT, data_outputs, event_signer
from shared.adapters.checkpoints import (
    DynamoCheckpointLog,
    KmsCheckpointKey,
    S3CheckpointArchive,
)
from shared.adapters.dynamodb_audit import DynamoChangeStore
from shared.adapters.dynamodb_available import DynamoAvailableStore
from shared.adapters.dynamodb_blocks import DynamoBlockStore, DynamoStripeStore
from shared.adapters.dynamodb_documents import DynamoDocumentStore
from shared.adapters.dynamodb_ledger import DynamoLedgerStore
from shared.adapters.dynamodb_pages import DynamoPageStore
from shared.adapters.dynamodb_payments import DynamoPaymentStore
from shared.adapters.dynamodb_walk import DynamoPaymentWalk
from shared.domain.checkpoints import CheckpointArchive, CheckpointLog
from shared.domain.ports import (
    AvailableStore,
    BlockStore,
    ChangeStore,
    DocumentStore,
    EventSigner,
    LedgerStore,
    PageStore,
    PaymentStore,
    PaymentWalk,
    SignedEvents,
    StripeStore,
)

TABLES = {
    "payments": "PaymentsTable",
    "objects": "ObjectsTable",
    "ledger": "LedgerTable",
    "idempotency": "IdempotencyTable",
    "balances": "BalancesTable",
    "evidence": "EvidenceTable",
}


@dataclass(frozen=True, slots=True)
class Ledger:
    """The stores behind the ledger of one region."""

    region: str
    payments: PaymentStore
    events: SignedEvents
    walk: PaymentWalk
    documents: DocumentStore
    changes: ChangeStore
    journals: LedgerStore
    available: AvailableStore
    blocks: BlockStore
    pages: PageStore
    stripes: StripeStore
    checkpoints: CheckpointLog
    archive: CheckpointArchive
    signer: EventSigner


def open_ledger(stage: str, region: str) -> Ledger:
    """Opens the ledger of a stage in a region, found by its data stack's outputs.

    Raises: OperatorError when it cannot be found.
    """
    *names, bucket = data_outputs(stage, region, (*TABLES.values(), "CheckpointBucket"))
    tables = dict(zip(TABLES, names, strict=True))
    client = boto3.client("dynamodb", region_name=region, config=CLIENT)
    signer = event_signer(stage, region)
    payments = DynamoPaymentStore(client, tables, signer)
    return Ledger(
        region=region,
        payments=payments,
        events=payments,
        # Where it is, is kept in memory: it walks once.
        walk=DynamoPaymentWalk(client, tables["payments"], places=""),
        documents=DynamoDocumentStore(client, tables["objects"], tables["idempotency"], signer),
        changes=DynamoChangeStore(client, tables["objects"], signer),
        journals=DynamoLedgerStore(client, tables["ledger"]),
        available=DynamoAvailableStore(client, tables["balances"]),
        blocks=DynamoBlockStore(client, tables["evidence"]),
        pages=DynamoPageStore(client, tables["balances"]),
        stripes=DynamoStripeStore(client, tables["evidence"]),
        checkpoints=DynamoCheckpointLog(client, tables["evidence"]),
        archive=S3CheckpointArchive(boto3.client("s3", region_name=region, config=CLIENT), bucket),
        signer=signer,
    )


def public_key(stage: str, region: str) -> str:
    """Returns the key that checkpoints are verified with, as a PEM file holds it.

    Raises: OperatorError when it cannot be found.
    """
    (key,) = data_outputs(stage, region, ("CheckpointKeyArn",))
    client = boto3.client("kms", region_name=region, config=CLIENT)
    return KmsCheckpointKey(client, key).public_key_pem()
