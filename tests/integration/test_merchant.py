"""The operator's command, against stacks in moto."""

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from ops import merchant, stages
from shared.adapters.dynamodb_audit import DynamoChangeStore
from shared.adapters.memory import MemoryDatabase, MemoryDocumentStore
from shared.domain.changes import Context
from shared.domain.documents import Document
from shared.domain.errors import VersionConflictError
from shared.edge.auth import key_record_id
from tests.support.aws import create_table

REGIONS = ("us-east-1", "eu-west-1")
EVENT_KEY = "alias/events"
BY_ADA = Context(1, actor="operator:ada")


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The tables of the stage "dev"; moto has no CloudFormation here, so its answer is given."""
    environment = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    monkeypatch.setattr(os, "environ", {**os.environ, **environment})
    monkeypatch.setattr(stages, "stack_outputs", outputs)
    with mock_aws():
        for region in REGIONS:
            dynamodb = boto3.client("dynamodb", region_name=region)
            create_table(dynamodb, f"objects-{region}")
            create_table(dynamodb, "evidence")
            kms = boto3.client("kms", region_name=region)
            kms.create_alias(
                AliasName=EVENT_KEY, TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"]
            )
        yield


def outputs(stack: str, region: str) -> dict[str, str]:
    assert stack == f"Farthing-dev-{region}-Data"
    return {
        "ObjectsTable": f"objects-{region}",
        "IdempotencyTable": "idempotency",
        "EvidenceTable": "evidence",
        "EventKeyArn": EVENT_KEY,
    }


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["ops.merchant", "create", *arguments])
    merchant.main()


def stored(region: str, object_id: str) -> Document | None:
    return merchant.open_store("dev", region).get(object_id)


@pytest.mark.usefixtures("stage")
def test_create_merchant_exists_in_every_region_with_its_home(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # when
    run(monkeypatch, "--stage", "dev", "--home", "eu-west-1", "--country", "de")
    # then
    line = capsys.readouterr().out
    answer: dict[str, Any] = json.loads(line)
    assert line.count("\n") == 1
    assert set(answer) == {"account", "secret_key", "publishable_key"}
    for region in REGIONS:
        account = stored(region, answer["account"])
        assert account is not None
        assert (account.kind, account.data["home_region"]) == ("account", "eu-west-1")
        assert account.data["country"] == "DE"
        for key, kind in (
            (answer["secret_key"], "secret"),
            (answer["publishable_key"], "publishable"),
        ):
            record = stored(region, key_record_id(key))
            assert record is not None
            assert record.data["kind"] == kind
            assert record.data["home_region"] == "eu-west-1"
            assert key not in json.dumps(record.data)


@pytest.mark.usefixtures("stage")
def test_create_merchant_is_recorded_in_every_region_with_who_did_it_and_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # when
    run(monkeypatch, "--stage", "dev", "--operator", "ada@example.com", "--reason", "signed up")
    # then
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    keys = [answer[name] for name in ("secret_key", "publishable_key")]
    for region in REGIONS:
        changes = DynamoChangeStore(
            boto3.client("dynamodb", region_name=region), f"objects-{region}"
        )
        for entity in (answer["account"], *map(key_record_id, keys)):
            (record,) = changes.of_entity(entity, 10)
            assert record.change.action == "created"
            assert record.change.actor == "operator:ada@example.com"
            assert record.change.metadata == {"reason": "signed up"}
            assert stages.event_signer("dev", region).verify(record.hash, record.signature)
            assert not any(key in json.dumps(record.to_dict()) for key in keys)


@pytest.mark.usefixtures("stage")
def test_create_merchant_without_a_name_is_recorded_under_the_login(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # given
    monkeypatch.setattr("getpass.getuser", lambda: "grace")
    # when
    run(monkeypatch, "--stage", "dev")
    # then
    account = json.loads(capsys.readouterr().out)["account"]
    dynamodb = boto3.client("dynamodb", region_name=REGIONS[0])
    (record,) = DynamoChangeStore(dynamodb, f"objects-{REGIONS[0]}").of_entity(account, 10)
    assert (record.change.actor, record.change.metadata) == ("operator:grace", {})


@pytest.mark.usefixtures("stage")
def test_create_merchant_where_nobody_is_logged_in_asks_for_a_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nobody() -> str:
        raise OSError("no such user")

    monkeypatch.setattr("getpass.getuser", nobody)
    with pytest.raises(SystemExit, match="--operator"):
        run(monkeypatch, "--stage", "dev")


@pytest.mark.usefixtures("stage")
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--stage", "nowhere"), "no stage nowhere"),
        (("--stage", "dev", "--home", "ap-south-1"), "ap-south-1 is not a region of dev"),
        (("--stage", "dev", "--country", "Germany"), "not a two-letter country code"),
        (("--stage", "dev", "--operator", "ada lovelace"), "names no operator"),
        (("--stage", "dev", "--reason", " "), "a reason is some words"),
        (("--stage", "dev", "--reason", "x" * 501), "up to 500 characters"),
    ],
)
def test_create_with_wrong_arguments_says_what_to_change(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(SystemExit, match=reason):
        run(monkeypatch, *arguments)


@pytest.mark.usefixtures("stage")
def test_open_store_stack_of_another_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "stack_outputs", lambda *_: {"ObjectsTable": "objects"})
    with pytest.raises(stages.OperatorError, match="IdempotencyTable"):
        merchant.open_store("dev", "us-east-1")


def test_create_home_region_is_written_last() -> None:
    # given: the other region already holds the account
    other, home = MemoryDocumentStore(MemoryDatabase()), MemoryDocumentStore(MemoryDatabase())
    credentials = merchant.Credentials("acct_1", "sk_test_00000001", "pk_test_00000001")
    writes = merchant.documents(merchant.Merchant("us-east-1"), credentials, BY_ADA)
    other.commit(writes[:1])
    # when
    with pytest.raises(VersionConflictError):
        merchant.create([other, home], writes)
    # then: no key works anywhere
    assert home.get(key_record_id("sk_test_00000001")) is None


def test_documents_key_opens_the_account_in_test_mode() -> None:
    # given
    store = MemoryDocumentStore(MemoryDatabase())
    credentials = merchant.Credentials("acct_1", "sk_test_00000001", "pk_test_00000001")
    # when
    merchant.create(
        [store], merchant.documents(merchant.Merchant("us-east-1"), credentials, BY_ADA)
    )
    # then
    record = store.get(key_record_id("sk_test_00000001"))
    assert record is not None
    assert (record.account, record.livemode, record.data["revoked"]) == ("acct_1", False, False)
