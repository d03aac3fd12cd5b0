"""Composition of the vault: the one door to card data, for the functions in its scope only.

Each function reads the settings of the half it uses: sealing, opening or deleting.
"""

import functools
import importlib
from typing import TYPE_CHECKING

from shared import bootstrap
from shared.adapters.dynamodb_payments import DynamoPaymentStore
from shared.adapters.dynamodb_verifications import DynamoVerifications

if TYPE_CHECKING:
    from shared.adapters.vault_kms import KmsCardSealer, KmsVault

PRODUCTION = "production"


def is_production() -> bool:
    """Tells whether this stage holds real cards, and so knows no test cards by name."""
    return bootstrap.settings().stage == PRODUCTION


def start_vault() -> None:
    """Loads the cipher while a Lambda environment starts, when it has the most processor time."""
    if bootstrap.settings().is_lambda:
        importlib.import_module("shared.adapters.vault_kms")


@functools.cache
def sealer() -> "KmsCardSealer":
    """Composes the half that encrypts."""
    from shared.adapters.vault_kms import KmsCardSealer
    from shared.adapters.verification_queue import SqsVerificationDeletions

    settings = bootstrap.settings()
    sqs = bootstrap.client("sqs")
    return KmsCardSealer(
        dynamodb=bootstrap.dynamodb(),
        kms=bootstrap.kms(),
        table=settings["VAULT_TABLE"],
        verifications_table=settings["VERIFICATIONS_TABLE"],
        data_key_id=settings["VAULT_KEY_ARN"],
        fingerprint_key_id=settings["FINGERPRINT_KEY_ARN"],
        deletions=SqsVerificationDeletions(sqs=sqs, queue_url=settings["VERIFICATION_QUEUE_URL"]),
        clock=bootstrap.clock(),
    )


@functools.cache
def vault() -> "KmsVault":
    """Composes the half that decrypts."""
    from shared.adapters.vault_kms import KmsVault

    settings = bootstrap.settings()
    return KmsVault(
        dynamodb=bootstrap.dynamodb(),
        kms=bootstrap.kms(),
        table=settings["VAULT_TABLE"],
        verifications_table=settings["VERIFICATIONS_TABLE"],
        data_key_id=settings["VAULT_KEY_ARN"],
        clock=bootstrap.clock(),
        has_sandbox_cards=not is_production(),
    )


@functools.cache
def verifications() -> DynamoVerifications:
    """Composes what deletes security codes."""
    return DynamoVerifications(
        dynamodb=bootstrap.dynamodb(), table=bootstrap.settings()["VERIFICATIONS_TABLE"]
    )


@functools.cache
def payments() -> DynamoPaymentStore:
    """Composes the payment store whose transactions also delete a used security code."""
    verifications_table = bootstrap.settings()["VERIFICATIONS_TABLE"]
    tables = {**bootstrap.payment_tables(), "verifications": verifications_table}
    return DynamoPaymentStore(bootstrap.dynamodb(), tables, bootstrap.signer())
