"""`python -m ops.ledger` as an operator types it, against tables and keys in moto."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.seal_ledger.records import record_of
from local import verify
from ops import stages
from ops.ledger import __main__ as command
from ops.ledger.stage import TABLES
from shared.adapters.checkpoints import (
    DynamoCheckpointLog,
    KmsCheckpointKey,
    S3CheckpointArchive,
)
from shared.adapters.dynamodb_audit import DynamoChangeStore
from shared.adapters.dynamodb_available import DynamoAvailableStore
from shared.adapters.dynamodb_blocks import DynamoBlockStore, DynamoStripeStore
from shared.adapters.dynamodb_documents import DynamoDocumentStore, DynamoIdempotencyStore
from shared.adapters.dynamodb_ledger import DynamoLedgerStore
from shared.adapters.dynamodb_pages import DynamoPageStore
from shared.adapters.dynamodb_payments import DynamoPaymentStore
from shared.adapters.memory_checkpoints import MemoryCheckpointKey
from shared.domain.evidence import Record
from tests.support.aws import create_payment_tables
from tests.support.hledger import hledger
from tests.support.world import REGION, Merchant, World

EVENT_KEY = "alias/events"
BUCKET = "checkpoints"
STAGE = ("--stage", "dev", "--region", REGION)


class TabledWorld(World):
    """A platform on tables, sealed from what is in them."""

    def open_stores(self) -> None:
        """Opens stores on tables of their own."""
        self.client: Any = boto3.client("dynamodb", region_name=REGION)
        self.tables = create_payment_tables(self.client)
        kms: Any = boto3.client("kms", region_name=REGION)
        wrapping = kms.create_key()["KeyMetadata"]["KeyId"]
        kms.create_alias(AliasName=EVENT_KEY, TargetKeyId=wrapping)
        signing = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
        self.signing_key = KmsCheckpointKey(kms, signing["KeyMetadata"]["Arn"])
        signer = stages.event_signer("dev", REGION)
        objects, keys = self.tables["objects"], self.tables["idempotency"]
        self.documents = DynamoDocumentStore(self.client, objects, keys, signer)
        self.idempotency = DynamoIdempotencyStore(self.client, keys, objects, self.clock)
        self.payments = DynamoPaymentStore(self.client, self.tables, signer)
        self.ledger = DynamoLedgerStore(self.client, self.tables["ledger"])

    def open_books(self) -> None:
        """Opens the books on the same tables."""
        evidence, balances = self.tables["evidence"], self.tables["balances"]
        opened: dict[str, Any] = {
            "blocks": DynamoBlockStore(self.client, evidence),
            "pages": DynamoPageStore(self.client, balances),
            "stripes": DynamoStripeStore(self.client, evidence),
            "available": DynamoAvailableStore(self.client, balances),
            "checkpoints": DynamoCheckpointLog(self.client, evidence),
            "events": self.payments,
        }
        for name, store in opened.items():
            setattr(self, name, store)
        self.changes = DynamoChangeStore(self.client, self.tables["objects"])
        s3 = boto3.client("s3", region_name=REGION)
        s3.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
        self.archive = S3CheckpointArchive(s3, BUCKET)
        # Not KMS: moto takes a digest for a message and hashes it again.
        self.checkpoint_key = MemoryCheckpointKey()

    def written(self) -> list[Record]:
        """Returns what the tables hold, as if their streams had just told it."""
        images = [
            image
            for name in ("payments", "ledger", "objects")
            for page in self.client.get_paginator("scan").paginate(TableName=self.tables[name])
            for image in page["Items"]
        ]
        told = ({"eventName": "INSERT", "dynamodb": {"NewImage": image}} for image in images)
        return [record for item in told if (record := record_of(item)) is not None]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[TabledWorld]:
    """A platform with a few sealed payments; moto has no CloudFormation: its answer is given."""
    environment = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    monkeypatch.setattr(os, "environ", {**os.environ, **environment})
    found = {output: table for table, output in TABLES.items()}
    found["EventKeyArn"] = EVENT_KEY
    found["CheckpointBucket"] = BUCKET
    monkeypatch.setattr(stages, "stack_outputs", lambda _stack, _region: found)
    with mock_aws():
        world = TabledWorld()
        found["CheckpointKeyArn"] = world.signing_key.key_id
        sell(world, world.merchant())
        world.seal()
        yield world


def sell(world: TabledWorld, merchant: Merchant) -> None:
    for currency in ("usd", "jpy"):
        paid = world.pay(merchant, currency=currency).body["id"]
        world.settle(paid)
        order = {"payment_intent": paid, "amount": 100}
        assert world.call("POST", "/v1/refunds", order, merchant=merchant).status == 200
        world.pay(merchant, currency=currency, capture_method="manual")


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str]:
    """Runs the command line; returns its exit code and what it prints."""
    monkeypatch.setattr(sys, "argv", ["ops.ledger", *arguments])
    capsys.readouterr()
    with pytest.raises(SystemExit) as done:
        command.main()
    code = done.value.code
    # A text is what sys.exit prints on standard error, with 1.
    return (code, capsys.readouterr().out) if isinstance(code, int) else (1, str(code))


@pytest.fixture
def operate(
    world: TabledWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Any:
    def call(*arguments: str) -> tuple[int, str]:
        return run(monkeypatch, capsys, *arguments)

    return call


BOOK = ("--account", "acct_one", "--mode", "test")
BY = ("--operator", "jo", "--reason", "a test")


def test_evidence_is_exported_verified_and_signed(
    operate: Any, world: TabledWorld, tmp_path: Path
) -> None:
    # when
    folder, key = str(tmp_path / "export"), tmp_path / "key.pem"
    code, answer = operate("export", *STAGE, "--out", folder)
    # then
    assert (code, json.loads(answer)["checkpoints"]) == (0, 1)
    key.write_text(world.checkpoint_key.public_key_pem())
    assert verify.main([folder, "--public-key", str(key)]) == verify.OK
    code, answer = operate("check-macs", *STAGE, folder)
    assert (code, json.loads(answer)["signatures"] > 0) == (0, True)
    assert operate("public-key", *STAGE) == (0, world.signing_key.public_key_pem())


def test_projections_are_rebuilt_and_compared(operate: Any, world: TabledWorld) -> None:
    # given
    assert operate("rebuild", *STAGE) == (0, "")
    payment = world.client.scan(TableName="ledger")["Items"][0]["pk"]["S"]
    assert operate("rebuild", *STAGE, "--payment", payment) == (0, "")
    # when
    page = next(
        item
        for item in world.client.scan(TableName="balances")["Items"]
        if not item["pk"]["S"].startswith("AVAILABLE")
    )
    world.client.delete_item(TableName="balances", Key={name: page[name] for name in ("pk", "sk")})
    # then
    code, answer = operate("rebuild", *STAGE)
    assert (code, "has no page of it" in answer) == (1, True)


@pytest.mark.parametrize("report", ["trial-balance", "general-ledger", "statement"])
def test_reports_are_printed(operate: Any, tmp_path: Path, report: str) -> None:
    # given
    name = ("--account-name", "2010:merchant:acct_one:available:usd")
    # when
    code, text = operate("report", report, *STAGE, *BOOK, *name, "--format", "hledger")
    # then
    assert code == 0
    path = tmp_path / "report.journal"
    path.write_text(text)
    checked = hledger(path, "check", "--strict")
    assert (checked.returncode, checked.stderr) == (0, "")
    code, text = operate("report", report, *STAGE, *BOOK, *name, "--as-of", "2030-01-01")
    assert (code, text.count("\n") > 1) == (0, True)


def test_operators_act_on_record(operate: Any, world: TabledWorld) -> None:
    # given
    journal = next(
        item["sk"]["S"]
        for item in world.client.scan(TableName="ledger")["Items"]
        if "/fee/" in item["sk"]["S"]
    )
    account = "2010:merchant:acct_one:available:usd"
    # when
    done = [
        operate("reverse", *STAGE, *BY, journal),
        operate("floor", *STAGE, *BOOK, *BY, account, "-5000"),
        operate("stripes", *STAGE, *BOOK, *BY, "8"),
    ]
    # then
    assert [code for code, _ in done] == [0, 0, 0], done
    for entity in (journal, f"acct_one/test/{account}", "acct_one/test"):
        (record,) = world.changes.of_entity(entity, 10)
        assert (record.change.actor, record.change.metadata) == (
            "operator:jo",
            {"reason": "a test"},
        )
    world.seal()
    assert operate("rebuild", *STAGE) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("report", "statement", *STAGE, *BOOK), "--account-name"),
        (("reverse", *STAGE, "--operator", "jo", "pi_1/fee/ch_1"), "--reason"),
        (("reverse", *STAGE, *BY, "pi_1/fee/ch_1"), "no journal"),
        (("public-key", "--stage", "dev", "--region", "xx-east-9"), "not a region"),
    ],
)
def test_operator_is_told_what_to_change(
    operate: Any, arguments: tuple[str, ...], words: str
) -> None:
    code, answer = operate(*arguments)
    assert code == 1
    assert words in answer


LONG = "x" * 3_000


@pytest.mark.parametrize(
    ("path", "params", "status"),
    [
        (f"/v1/ledger/journals/{LONG}/fee/ch_1", {}, 404),
        (f"/v1/ledger/journals/pi_1/fee/{LONG}", {}, 404),
        ("/v1/ledger/journals", {"starting_after": "/fee/ch_1"}, 400),
        ("/v1/ledger/journals", {"ending_before": "pi_1"}, 400),
        ("/v1/ledger/journals", {"payment_intent": "pi_/../"}, 200),
        ("/v1/ledger/journals", {"kind": "\N{BANK}"}, 200),
        ("/v1/ledger/accounts/x/entries", {"starting_after": "/"}, 400),
        (f"/v1/ledger/accounts/{LONG}", {}, 404),
        (f"/v1/ledger/checkpoints/{LONG}", {}, 404),
        ("/v1/ledger/checkpoints", {"ending_before": "-1"}, 400),
        (f"/v1/ledger/payment_intents/{LONG}", {}, 404),
        (f"/v1/balance_transactions/txn_{LONG}", {}, 404),
        ("/v1/balance_transactions", {"source": "\N{BANK}" * 60}, 200),
        ("/v1/balance_transactions", {"created[gte]": "1", "limit": "100"}, 200),
        ("/v1/ledger/trial_balance", {"as_of": "9999999000"}, 200),
        ("/v1/ledger/trial_balance", {"as_of": "0"}, 200),
    ],
)
def test_nothing_that_is_asked_for_breaks_the_tables(
    world: TabledWorld, path: str, params: dict[str, str], status: int
) -> None:
    merchant = world.merchant("two")
    assert world.call("GET", path, params, merchant=merchant).status == status


def test_lists_are_read_from_the_tables(world: TabledWorld) -> None:
    # given
    merchant = Merchant("acct_one", "sk_test_one00000000", "pk_test_one00000000")

    def read(path: str, **params: str) -> Any:
        answer = world.call("GET", path, params, merchant=merchant)
        assert answer.status == 200, answer.text
        return answer.body

    # then
    for path in (
        "/v1/balance_transactions",
        "/v1/ledger/journals",
        "/v1/ledger/accounts/2000:merchant:acct_one:pending:usd/entries",
        "/v1/ledger/audit_log",
    ):
        first = read(path, limit="2")["data"]
        second = read(path, limit="2", starting_after=first[-1]["id"])["data"]
        assert read(path, limit="4")["data"] == [*first, *second]
        assert read(path, limit="2", ending_before=second[0]["id"])["data"] == first
    totals = read("/v1/ledger/trial_balance")["totals"]
    assert [(total["currency"], total["net"]) for total in totals] == [("jpy", 0), ("usd", 0)]
    assert read("/v1/ledger/checkpoints/1")["number"] == 1
