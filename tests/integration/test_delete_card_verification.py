"""The deletion of security codes: delayed, repeated, poisoned."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.delete_card_verification import handler as delete_card_verification
from shared import bootstrap, bootstrap_vault
from shared.adapters.memory import MemoryClock
from shared.adapters.memory_vault import MemoryVault
from shared.domain.cards import CardNumber
from shared.domain.errors import TransientError
from tests.support.aws import REGION, create_vault_tables

VISA = CardNumber("4242424242424242", 12, 2040, "987")
EVENTS = Path(__file__).parents[2] / "events"


def _record(message_id: str, body: object) -> dict[str, Any]:
    return {"messageId": message_id, "body": json.dumps(body)}


def test_delete_card_verification_due_code_is_gone_and_the_card_stays() -> None:
    vault = MemoryVault(MemoryClock())
    sealed = vault.seal("acct_1", VISA, "r1")
    record = _record("m1", {"vault_token": sealed.vault_token})
    # when, as queues do, twice
    for _ in range(2):
        answer = delete_card_verification.run([record], vault)
        assert answer == {"batchItemFailures": []}
    # then
    opened = vault.open(sealed.vault_token, "acct_1")
    assert (opened.number, opened.cvc) == (VISA.number, None)


@pytest.mark.parametrize(
    "body", ["text", [], {}, {"vault_token": ""}, {"vault_token": 7}, {"token": "vlt_1"}]
)
def test_delete_card_verification_poisoned_record_fails_alone(body: object) -> None:
    vault = MemoryVault(MemoryClock())
    sealed = vault.seal("acct_1", VISA, "r1")
    good = _record("good", {"vault_token": sealed.vault_token})
    answer = delete_card_verification.run([_record("bad", body), good], vault)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "bad"}]}
    assert vault.open(sealed.vault_token, "acct_1").cvc is None


def test_delete_card_verification_unreadable_record_fails_alone() -> None:
    answer = delete_card_verification.run(
        [{"messageId": "m1", "body": "{"}], MemoryVault(MemoryClock())
    )
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m1"}]}


class BusyVerifications:
    """Refuses one token, as a throttled table does."""

    def delete(self, vault_token: str) -> None:
        if vault_token == "vlt_busy":
            raise TransientError("The vault is busy. Please try again.")


def test_delete_card_verification_throttled_record_is_tried_again() -> None:
    records = [_record("m1", {"vault_token": "vlt_busy"}), _record("m2", {"vault_token": "vlt_1"})]
    answer = delete_card_verification.run(records, BusyVerifications())
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m1"}]}


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("VERIFICATIONS_TABLE", "verifications")
    with mock_aws():
        _forget_composition()
        client = boto3.client("dynamodb", region_name=REGION)
        create_vault_tables(client)
        yield client
    _forget_composition()


def _forget_composition() -> None:
    for module in (bootstrap, bootstrap_vault):
        for member in vars(module).values():
            if hasattr(member, "cache_clear"):
                member.cache_clear()


def test_delete_card_verification_sample_event_deletes_the_code_only(dynamodb: Any) -> None:
    # given
    event = json.loads((EVENTS / "delete_card_verification.json").read_text())
    token = json.loads(event["Records"][0]["body"])["vault_token"]
    card = {"pk": {"S": token}, "sk": {"S": "CARD"}}
    dynamodb.put_item(TableName="vault", Item=card)
    for name in (token, "vlt_other"):
        dynamodb.put_item(TableName="verifications", Item={"pk": {"S": name}})
    # when
    answer = delete_card_verification.handler(event, None)
    # then
    assert answer == {"batchItemFailures": []}
    assert dynamodb.scan(TableName="vault")["Items"] == [card]
    assert dynamodb.scan(TableName="verifications")["Items"] == [{"pk": {"S": "vlt_other"}}]
