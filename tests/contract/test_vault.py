"""What every vault does; run on the KMS vault and on its twin in memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from moto import mock_aws

from shared.adapters.dynamodb_verifications import DynamoVerifications
from shared.adapters.memory import MemoryClock
from shared.adapters.memory_vault import MemoryVault
from shared.adapters.vault_kms import KmsCardSealer, KmsVault
from shared.domain.cards import CardNumber
from shared.domain.errors import NotFoundError
from shared.domain.ports import Vault
from shared.domain.vault import CardSealer, Verifications
from tests.support.aws import create_vault_keys, create_vault_tables

VISA = CardNumber("4242424242424242", 12, 2040, "987")


@dataclass
class Subject:
    sealer: CardSealer
    vault: Vault
    verifications: Verifications
    scheduled: list[str]
    clock: MemoryClock


class Deletions:
    def __init__(self) -> None:
        self.scheduled: list[str] = []

    def schedule(self, vault_token: str) -> None:
        self.scheduled.append(vault_token)


def _memory(clock: MemoryClock) -> Subject:
    vault = MemoryVault(clock)
    return Subject(vault, vault, vault, vault.scheduled, clock)


def _kms(clock: MemoryClock) -> Subject:
    dynamodb = boto3.client("dynamodb", region_name="us-east-1")
    kms = boto3.client("kms", region_name="us-east-1")
    data_key, mac_key = create_vault_keys(kms)
    deletions = Deletions()
    common: dict[str, Any] = {"dynamodb": dynamodb, **create_vault_tables(dynamodb)}
    sealer = KmsCardSealer(
        kms=kms,
        data_key_id=data_key,
        fingerprint_key_id=mac_key,
        deletions=deletions,
        clock=clock,
        **common,
    )
    vault = KmsVault(kms=kms, data_key_id=data_key, clock=clock, has_sandbox_cards=True, **common)
    verifications = DynamoVerifications(dynamodb=dynamodb, table=common["verifications_table"])
    return Subject(sealer, vault, verifications, deletions.scheduled, clock)


@pytest.fixture(params=["memory", "kms"])
def subject(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Subject]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    if request.param == "memory":
        yield _memory(MemoryClock())
        return
    with mock_aws():
        yield _kms(MemoryClock())


def test_vault_sealed_card_opens_to_itself(subject: Subject) -> None:
    sealed = subject.sealer.seal("acct_1", VISA, "r1")
    assert subject.vault.open(sealed.vault_token, "acct_1") == VISA


def test_vault_card_without_code_schedules_nothing(subject: Subject) -> None:
    card = CardNumber(VISA.number, 12, 2040, None)
    sealed = subject.sealer.seal("acct_1", card, "r1")
    assert subject.vault.open(sealed.vault_token, "acct_1").cvc is None
    assert subject.scheduled == []


def test_vault_same_request_again_names_the_same_card(subject: Subject) -> None:
    first = subject.sealer.seal("acct_1", VISA, "r1")
    assert subject.sealer.seal("acct_1", VISA, "r1") == first


def test_vault_other_request_account_or_expiry_names_another_card(subject: Subject) -> None:
    later = CardNumber(VISA.number, 11, 2040, "987")
    sealed = [
        subject.sealer.seal("acct_1", VISA, "r1"),
        subject.sealer.seal("acct_1", VISA, "r2"),
        subject.sealer.seal("acct_2", VISA, "r1"),
        subject.sealer.seal("acct_1", later, "r1"),
    ]
    assert len({card.vault_token for card in sealed}) == 4


def test_vault_foreign_account_finds_no_card(subject: Subject) -> None:
    sealed = subject.sealer.seal("acct_1", VISA, "r1")
    with pytest.raises(NotFoundError) as caught:
        subject.vault.open(sealed.vault_token, "acct_2")
    assert VISA.number not in str(caught.value)


def test_vault_unknown_token_finds_no_card(subject: Subject) -> None:
    with pytest.raises(NotFoundError):
        subject.vault.open("vlt_unknown", "acct_1")


def test_vault_code_is_absent_from_its_expiry_on(subject: Subject) -> None:
    sealed = subject.sealer.seal("acct_1", VISA, "r1")
    # one millisecond before the ten minutes are over
    subject.clock.advance(599_999)
    assert subject.vault.open(sealed.vault_token, "acct_1").cvc == "987"
    subject.clock.advance(1)
    assert subject.vault.open(sealed.vault_token, "acct_1").cvc is None
    assert subject.vault.open(sealed.vault_token, "acct_1").number == VISA.number


def test_vault_deleted_code_does_not_come_back_by_a_repeated_request(subject: Subject) -> None:
    sealed = subject.sealer.seal("acct_1", VISA, "r1")
    subject.verifications.delete(sealed.vault_token)
    subject.sealer.seal("acct_1", VISA, "r1")
    assert subject.vault.open(sealed.vault_token, "acct_1").cvc is None


def test_vault_deletion_is_scheduled_for_each_code_and_may_repeat(subject: Subject) -> None:
    sealed = subject.sealer.seal("acct_1", VISA, "r1")
    assert subject.scheduled == [sealed.vault_token]
    subject.verifications.delete(sealed.vault_token)
    subject.verifications.delete(sealed.vault_token)
    subject.verifications.delete("vlt_unknown")


def test_vault_fingerprint_is_one_per_number_and_account(subject: Subject) -> None:
    sealed = subject.sealer.seal("acct_1", VISA, "r1")
    other_card = CardNumber(VISA.number, 1, 2039, None)
    assert sealed.fingerprint == subject.sealer.seal("acct_1", other_card, "r2").fingerprint
    assert sealed.fingerprint == subject.sealer.fingerprint("acct_1", VISA.number)
    assert sealed.fingerprint != subject.sealer.fingerprint("acct_2", VISA.number)
    assert sealed.fingerprint != subject.sealer.fingerprint("acct_1", "5555555555554444")
    assert len(sealed.fingerprint) == 16


def test_vault_digest_is_one_per_text(subject: Subject) -> None:
    assert subject.sealer.digest("a") == subject.sealer.digest("a")
    assert subject.sealer.digest("a") != subject.sealer.digest("b")


def test_vault_named_test_card_opens_without_storage(subject: Subject) -> None:
    opened = subject.vault.open("test:visa", "acct_any")
    assert opened.number == VISA.number
