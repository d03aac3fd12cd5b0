"""Resources that tests create under moto."""

from typing import Any

from local.invoke import TABLES_WITH_DUE_INDEX, add_due_index

REGION = "us-east-1"
PAYMENT_TABLES = (
    "payments",
    "objects",
    "ledger",
    "idempotency",
    "balances",
    "evidence",
    "verifications",
)


def create_table(dynamodb: Any, name: str, *, has_sort_key: bool = True) -> str:
    """Creates a table with string keys pk and, mostly, sk; returns its name."""
    keys = {"pk": "HASH", **({"sk": "RANGE"} if has_sort_key else {})}
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys.items()],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        BillingMode="PAY_PER_REQUEST",
    )
    return name


def create_payment_tables(dynamodb: Any) -> dict[str, str]:
    """Creates what a payment store in card-data scope writes to; returns the names by use."""
    keyed_alone = {"idempotency", "verifications"}
    names = {
        name: create_table(dynamodb, name, has_sort_key=name not in keyed_alone)
        for name in PAYMENT_TABLES
    }
    for name in TABLES_WITH_DUE_INDEX:
        add_due_index(dynamodb, names[name])
    return names


def create_vault_tables(dynamodb: Any) -> dict[str, str]:
    """Creates the tables of cards and of security codes; returns how a vault is told of them."""
    return {
        "table": create_table(dynamodb, "vault"),
        "verifications_table": create_table(dynamodb, "verifications", has_sort_key=False),
    }


def create_vault_keys(kms: Any) -> tuple[str, str]:
    """Creates the key that wraps data keys and the one that makes fingerprints."""
    data_key = kms.create_key()["KeyMetadata"]["Arn"]
    mac_key = kms.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
    return data_key, mac_key["KeyMetadata"]["Arn"]
