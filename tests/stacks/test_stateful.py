"""What must survive its stack."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.synthesis import Platform

TABLE = "AWS::DynamoDB::GlobalTable"
KEY = "AWS::KMS::Key"
BUCKET = "AWS::S3::Bucket"

# A change of one of these ids replaces the resource: a new, empty table under the old code.
STATEFUL_IDS = {
    "Data": {
        "Payments130453D3": TABLE,
        "ObjectsA92BA4F1": TABLE,
        "LedgerB7379752": TABLE,
        "IdempotencyC15CBC33": TABLE,
        "RecentPayments930B9615": TABLE,
        "Evidence4CC26D68": TABLE,
        "BalancesB107DCF2": TABLE,
        "EventKey567EB652": KEY,
        "CheckpointKey6ED5B60F": KEY,
        "Checkpoints620E2F20": BUCKET,
    },
    "Vault": {
        "Vault23237E5B": TABLE,
        "Verifications83EAA2F4": TABLE,
        "CardKey4097A2C3": KEY,
        "FingerprintKey750E39FE": KEY,
    },
}
# Security codes: what is deleted of them must be gone.
FORGOTTEN = "Verifications83EAA2F4"


@pytest.mark.parametrize("stack", STATEFUL_IDS)
def test_stateful_stack_logical_ids_never_change(platform: Platform, stack: str) -> None:
    resources = platform.stack(stack).body["Resources"]

    kept = {TABLE, KEY, BUCKET}
    found = {name: item["Type"] for name, item in resources.items() if item["Type"] in kept}

    assert found == STATEFUL_IDS[stack]


@pytest.mark.parametrize("stack", STATEFUL_IDS)
def test_stateful_stack_is_protected_and_retained(platform: Platform, stack: str) -> None:
    template = platform.stack(stack)

    assert template.is_protected
    for name in STATEFUL_IDS[stack].keys() - {FORGOTTEN}:
        resource = template.body["Resources"][name]
        assert resource["DeletionPolicy"] == "Retain", name
        assert resource["UpdateReplacePolicy"] == "Retain", name


def test_stateless_stacks_are_not_protected(platform: Platform) -> None:
    stateful = {
        platform.stack(name, region).name
        for name in STATEFUL_IDS
        for region in platform.stage.regions
    }

    protected = {name for name, template in platform.templates.items() if template.is_protected}

    assert protected == stateful


def test_table_of_the_books_can_be_restored_and_not_be_deleted(platform: Platform) -> None:
    for (stack, name), table in platform.of_type(TABLE).items():
        (replica,) = table["Properties"]["Replicas"]
        recovery = replica["PointInTimeRecoverySpecification"]
        is_kept = not stack.endswith(("SandboxNetwork", "Audit"))
        assert table["Properties"]["BillingMode"] == "PAY_PER_REQUEST"
        assert table["Properties"]["SSESpecification"] == {"SSEEnabled": True, "SSEType": "KMS"}
        assert recovery["PointInTimeRecoveryEnabled"] is (name != FORGOTTEN), name
        assert replica.get("DeletionProtectionEnabled", False) is is_kept, name


def test_table_of_security_codes_has_no_copy(platform: Platform) -> None:
    table = platform.stack("Vault").body["Resources"][FORGOTTEN]

    assert "StreamSpecification" not in table["Properties"]
    assert table["DeletionPolicy"] == table["UpdateReplacePolicy"] == "Delete"


def tables(platform: Platform) -> dict[str, Mapping[str, Any]]:
    found = {**platform.stack("Data").of_type(TABLE), **platform.stack("Vault").of_type(TABLE)}
    return {name[:-8]: table["Properties"] for name, table in found.items()}


def test_table_keys_streams_and_expiry_are_as_the_adapters_expect(production: Platform) -> None:
    facts = {
        name: (
            [key["AttributeName"] for key in table["KeySchema"]],
            table.get("StreamSpecification", {}).get("StreamViewType"),
            table.get("TimeToLiveSpecification", {}).get("AttributeName"),
        )
        for name, table in tables(production).items()
    }

    assert facts == {
        "Payments": (["pk", "sk"], "NEW_AND_OLD_IMAGES", None),
        "Objects": (["pk", "sk"], "NEW_AND_OLD_IMAGES", "expires_at"),
        "Ledger": (["pk", "sk"], "NEW_AND_OLD_IMAGES", None),
        "Idempotency": (["pk"], None, "expires_at"),
        "RecentPayments": (["pk", "sk"], None, "expires_at"),
        "Evidence": (["pk", "sk"], None, None),
        "Balances": (["pk", "sk"], None, None),
        "Vault": (["pk", "sk"], None, None),
        "Verifications": (["pk"], None, "expires_at"),
    }


def test_table_has_no_index_that_a_hot_merchant_could_throttle(platform: Platform) -> None:
    indexes = [
        (name[:-8], index)
        for (_, name), table in platform.of_type(TABLE).items()
        for index in table["Properties"].get("GlobalSecondaryIndexes", ())
    ]

    # Only what is open for a moment is in it, spread over shards, and nothing but its keys.
    tables = ["Objects", "Payments"]
    assert sorted(table for table, _ in indexes) == sorted(tables * len(platform.stage.regions))
    for _, index in indexes:
        assert index["IndexName"] == "due"
        assert [key["AttributeName"] for key in index["KeySchema"]] == ["due_shard", "due_at"]
        assert index["Projection"] == {"ProjectionType": "KEYS_ONLY"}


def test_vault_keys_are_a_rotating_one_and_an_hmac_one(production: Platform) -> None:
    keys = production.stack("Vault").of_type(KEY).values()

    facts = {
        (key["Properties"].get("KeySpec"), key["Properties"].get("EnableKeyRotation"))
        for key in keys
    }

    assert facts == {(None, True), ("HMAC_256", None)}


def test_ledger_keys_are_a_rotating_one_and_a_signing_one(production: Platform) -> None:
    keys = production.stack("Data").of_type(KEY)

    facts = {
        name[:-8]: [
            key["Properties"].get(fact) for fact in ("KeySpec", "KeyUsage", "EnableKeyRotation")
        ]
        for name, key in keys.items()
    }

    assert facts == {
        "EventKey": [None, None, True],
        "CheckpointKey": ["ECC_NIST_P256", "SIGN_VERIFY", None],
    }


def test_checkpoints_cannot_be_altered_for_seven_years(platform: Platform) -> None:
    (bucket,) = platform.stack("Data").of_type(BUCKET).values()
    facts = bucket["Properties"]

    assert facts["ObjectLockEnabled"] is True
    retention = facts["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
    assert retention == {"Mode": "COMPLIANCE", "Days": 2557}
    assert facts["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(facts["PublicAccessBlockConfiguration"].values()) == {True}


def test_checkpoints_are_refused_to_plain_http_and_hidden_by_nobody(
    production: Platform, dev: Platform
) -> None:
    for platform in (production, dev):
        (policy,) = platform.stack("Data").of_type("AWS::S3::BucketPolicy").values()
        plain, hiding = policy["Properties"]["PolicyDocument"]["Statement"]
        assert (plain["Effect"], plain["Action"]) == ("Deny", "s3:*")
        assert plain["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert (hiding["Effect"], hiding["Action"]) == ("Deny", "s3:DeleteObject")
        assert hiding["Principal"] == {"AWS": "*"}


def test_names_are_all_generated(platform: Platform) -> None:
    named = {
        "AWS::DynamoDB::GlobalTable": "TableName",
        "AWS::SQS::Queue": "QueueName",
        "AWS::Lambda::Function": "FunctionName",
        "AWS::IAM::Role": "RoleName",
        "AWS::SNS::Topic": "TopicName",
        "AWS::StepFunctions::StateMachine": "StateMachineName",
        "AWS::Logs::LogGroup": "LogGroupName",
        "AWS::SecretsManager::Secret": "Name",
        "AWS::S3::Bucket": "BucketName",
    }
    for kind, attribute in named.items():
        for where, resource in platform.of_type(kind).items():
            assert attribute not in resource.get("Properties", {}), where
