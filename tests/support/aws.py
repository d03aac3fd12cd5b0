"""Resources that tests create under moto."""

from typing import Any

REGION = "us-east-1"


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


def create_vault_keys(kms: Any) -> tuple[str, str]:
    """Creates the key that wraps data keys and the one that makes fingerprints."""
    data_key = kms.create_key()["KeyMetadata"]["Arn"]
    mac_key = kms.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
    return data_key, mac_key["KeyMetadata"]["Arn"]
