"""What the KMS vault stores, refuses and forgets."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from shared.adapters import vault_kms
from shared.adapters.memory import MemoryClock
from shared.adapters.vault_kms import KmsCardSealer, KmsVault
from shared.adapters.verification_queue import SqsVerificationDeletions
from shared.domain.cards import CardNumber
from shared.domain.errors import InvariantError, NotFoundError, TransientError
from shared.domain.vault import SealedCard
from tests.support.aws import create_vault_keys, create_vault_tables

VISA = CardNumber("4242424242424242", 12, 2040, "987")


class CountingKms:
    """Counts the calls made to a KMS client."""

    def __init__(self, kms: Any) -> None:
        self._kms = kms
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._kms, name)

        def counted(**arguments: Any) -> Any:
            self.calls.append(name)
            return method(**arguments)

        return counted


@dataclass
class Subject:
    sealer: KmsCardSealer
    vault: KmsVault
    kms: CountingKms
    dynamodb: Any
    sqs: Any
    queue_url: str
    clock: MemoryClock

    def seal(self, account: str = "acct_1", request: str = "r1") -> SealedCard:
        return self.sealer.seal(account, VISA, request)

    def item(self, table: str, sealed: SealedCard) -> dict[str, Any]:
        (item,) = (i for i in self.rows(table) if i["pk"]["S"] == sealed.vault_token)
        return item

    def rows(self, table: str) -> list[dict[str, Any]]:
        return list(self.dynamodb.scan(TableName=table)["Items"])

    def put(self, table: str, item: dict[str, Any]) -> None:
        self.dynamodb.put_item(TableName=table, Item=item)


@pytest.fixture
def subject(monkeypatch: pytest.MonkeyPatch) -> Iterator[Subject]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield _subject()


def _subject() -> Subject:
    dynamodb = boto3.client("dynamodb", region_name="us-east-1")
    kms = CountingKms(boto3.client("kms", region_name="us-east-1"))
    sqs = boto3.client("sqs", region_name="us-east-1")
    tables = create_vault_tables(dynamodb)
    data_key, mac_key = create_vault_keys(kms)
    queue_url = sqs.create_queue(QueueName="verifications")["QueueUrl"]
    clock = MemoryClock()
    sealer = KmsCardSealer(
        dynamodb=dynamodb,
        kms=kms,  # type: ignore[arg-type]
        data_key_id=data_key,
        fingerprint_key_id=mac_key,
        deletions=SqsVerificationDeletions(sqs=sqs, queue_url=queue_url),
        clock=clock,
        **tables,
    )
    vault = KmsVault(
        dynamodb=dynamodb,
        kms=kms,  # type: ignore[arg-type]
        data_key_id=data_key,
        clock=clock,
        has_sandbox_cards=False,
        **tables,
    )
    return Subject(sealer, vault, kms, dynamodb, sqs, queue_url, clock)


def test_vault_items_hold_no_number_and_no_code_in_the_clear(subject: Subject) -> None:
    sealed = subject.seal()
    assert VISA.number not in repr(subject.rows("vault"))
    assert "987" not in repr(subject.item("verifications", sealed)["ciphertext"])
    assert VISA.number not in repr(VISA)


def test_vault_code_is_kept_where_nothing_can_be_restored_only(subject: Subject) -> None:
    sealed = subject.seal()
    (card,) = subject.rows("vault")
    (code,) = subject.rows("verifications")
    assert card["sk"]["S"] == "CARD"
    assert set(code) == {"pk", "account", "wrapped_key", "nonce", "ciphertext", "expires_at"}
    assert code["pk"]["S"] == sealed.vault_token


@pytest.mark.parametrize("table", ["vault", "verifications"])
@pytest.mark.parametrize("attribute", ["ciphertext", "nonce", "wrapped_key"])
def test_vault_flipped_byte_is_refused(subject: Subject, table: str, attribute: str) -> None:
    # given
    sealed = subject.seal()
    item = subject.item(table, sealed)
    altered = bytearray(item[attribute]["B"])
    altered[-1] ^= 1
    # when
    subject.put(table, {**item, attribute: {"B": bytes(altered)}})
    # then
    with pytest.raises(InvariantError) as caught:
        subject.vault.open(sealed.vault_token, "acct_1")
    assert VISA.number not in str(caught.value)


def test_vault_item_moved_to_another_token_is_refused(subject: Subject) -> None:
    first, second = subject.seal(request="r1"), subject.seal(request="r2")
    moved = {**subject.item("vault", first), "pk": {"S": second.vault_token}}
    subject.put("vault", moved)
    with pytest.raises(InvariantError):
        subject.vault.open(second.vault_token, "acct_1")


def test_vault_item_given_to_another_account_is_refused(subject: Subject) -> None:
    sealed = subject.seal("acct_1")
    subject.put("vault", {**subject.item("vault", sealed), "account": {"S": "acct_2"}})
    with pytest.raises(InvariantError):
        subject.vault.open(sealed.vault_token, "acct_2")


def test_vault_code_swapped_with_the_card_is_refused(subject: Subject) -> None:
    sealed = subject.seal()
    card, code = subject.item("vault", sealed), subject.item("verifications", sealed)
    subject.put("vault", {**card, "nonce": code["nonce"], "ciphertext": code["ciphertext"]})
    with pytest.raises(InvariantError):
        subject.vault.open(sealed.vault_token, "acct_1")


def test_vault_without_sandbox_cards_knows_no_named_card(subject: Subject) -> None:
    with pytest.raises(NotFoundError):
        subject.vault.open("test:visa", "acct_1")


def test_vault_opens_a_card_with_one_read_and_one_unwrapping(subject: Subject) -> None:
    # given
    sealed = subject.seal()
    subject.kms.calls.clear()
    reads: list[dict[str, Any]] = []
    subject.dynamodb.meta.events.register(
        "provide-client-params.dynamodb.*", lambda params, **_: reads.append(params)
    )
    # when
    subject.vault.open(sealed.vault_token, "acct_1")
    subject.vault.open(sealed.vault_token, "acct_1")
    # then
    assert subject.kms.calls == ["decrypt"]
    assert len(reads) == 2
    for read in reads:
        assert set(read["RequestItems"]) == {"vault", "verifications"}
        assert all(table["ConsistentRead"] for table in read["RequestItems"].values())


def test_data_key_of_an_account_is_made_anew_after_five_minutes(subject: Subject) -> None:
    subject.seal(request="r1")
    subject.clock.advance(vault_kms.KEY_LIFETIME_MS - 1)
    subject.seal(request="r2")
    assert subject.kms.calls.count("generate_data_key") == 1
    subject.clock.advance(1)
    subject.seal(request="r3")
    assert subject.kms.calls.count("generate_data_key") == 2


def test_data_key_in_the_clear_is_forgotten_after_five_minutes(subject: Subject) -> None:
    sealed = subject.seal()
    subject.vault.open(sealed.vault_token, "acct_1")
    subject.clock.advance(vault_kms.KEY_LIFETIME_MS)
    subject.vault.open(sealed.vault_token, "acct_1")
    assert subject.kms.calls.count("decrypt") == 2


def test_data_key_that_is_used_up_is_replaced(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a key good for three messages, of which a card with its code needs two
    monkeypatch.setattr(vault_kms, "MESSAGES_PER_KEY_MAX", 3)
    # when
    sealed = [subject.seal(request=f"r{index}") for index in range(3)]
    # then six messages needed two keys, and each card still opens
    assert subject.kms.calls.count("generate_data_key") == 2
    for card in sealed:
        assert subject.vault.open(card.vault_token, "acct_1") == VISA


def test_data_keys_are_kept_for_the_latest_accounts_only(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject.sealer._keys, "_keys_max", 2)
    for account in ("acct_1", "acct_2", "acct_1", "acct_3"):
        subject.seal(account, request=account)
    assert len(subject.sealer._keys) == 2
    # then the least recently used account's key is gone, the others' are not
    subject.kms.calls.clear()
    subject.seal("acct_1", request="again")
    assert "generate_data_key" not in subject.kms.calls
    subject.seal("acct_2", request="again")
    assert "generate_data_key" in subject.kms.calls


def test_deletion_is_asked_for_with_ten_minutes_delay_before_the_code_is_stored(
    subject: Subject,
) -> None:
    # given a table that takes nothing any more
    subject.dynamodb.delete_table(TableName="vault")
    # when
    with pytest.raises(ClientError):
        subject.seal()
    # then the deletion is already on its way: held back, so nothing is received now
    counts = subject.sqs.get_queue_attributes(QueueUrl=subject.queue_url, AttributeNames=["All"])[
        "Attributes"
    ]
    assert counts["ApproximateNumberOfMessagesDelayed"] == "1"
    assert "Messages" not in subject.sqs.receive_message(QueueUrl=subject.queue_url)


def test_deletion_that_cannot_be_asked_for_keeps_the_code_out(subject: Subject) -> None:
    subject.sqs.delete_queue(QueueUrl=subject.queue_url)
    with pytest.raises(TransientError):
        subject.seal()
    assert (subject.rows("vault"), subject.rows("verifications")) == ([], [])


@pytest.mark.parametrize("missing", ["vault", "verifications"])
def test_card_and_code_are_stored_together_or_not_at_all(subject: Subject, missing: str) -> None:
    subject.dynamodb.delete_table(TableName=missing)
    with pytest.raises(ClientError):
        subject.seal()
    (left,) = {"vault", "verifications"} - {missing}
    assert subject.rows(left) == []


def test_vault_plaintext_has_the_documented_shape(subject: Subject) -> None:
    sealed = subject.seal()
    item = subject.item("vault", sealed)
    plaintext = subject.vault._plaintext(item, sealed.vault_token, "acct_1", "CARD")
    assert json.loads(plaintext) == {
        "number": VISA.number,
        "exp_month": 12,
        "exp_year": 2040,
    }
