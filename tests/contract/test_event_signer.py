"""What every signer of events does; run on the KMS signer and on its twin in memory."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import boto3
import pytest
from moto import mock_aws

from shared.adapters.event_keys import KmsEventSigner
from shared.adapters.memory import MemoryClock
from shared.adapters.memory_signer import MemorySigner
from shared.domain.ports import EventSigner
from shared.domain.signatures import DAY_MS, Signature
from tests.support.aws import REGION, create_table

HASH = hashlib.sha256(b"event").hexdigest()
OTHER_HASH = hashlib.sha256(b"another event").hexdigest()
NOON_MS = 1_751_284_800_000
TODAY, TOMORROW = "2025-06-30", "2025-07-01"


@dataclass
class Subject:
    """Signers of one platform, as environments make them."""

    make: Callable[[], EventSigner]
    clock: MemoryClock


def _kms(clock: MemoryClock) -> Subject:
    dynamodb = boto3.client("dynamodb", region_name=REGION)
    kms = boto3.client("kms", region_name=REGION)
    table = create_table(dynamodb, "evidence")
    key_id = kms.create_key()["KeyMetadata"]["Arn"]

    def make() -> EventSigner:
        return KmsEventSigner(
            dynamodb=dynamodb,
            kms=lambda: kms,
            table=table,
            key_id=key_id,
            stage="test",
            region=REGION,
            clock=clock,
        )

    return Subject(make, clock)


@pytest.fixture(params=["memory", "kms"])
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    clock = MemoryClock(NOON_MS)
    if request.param == "memory":
        yield Subject(lambda: MemorySigner(clock), clock)
        return
    with mock_aws():
        yield _kms(clock)


def test_signature_names_the_day_and_is_verified(subject: Subject) -> None:
    signer = subject.make()
    # when
    signature = signer.sign(HASH)
    # then
    assert signature.key_id == TODAY
    assert len(bytes.fromhex(signature.mac)) == 32
    assert signer.verify(HASH, signature)


def test_signature_of_another_environment_is_the_same(subject: Subject) -> None:
    # given
    signature = subject.make().sign(HASH)
    other = subject.make()
    # then
    assert other.sign(HASH) == signature
    assert other.verify(HASH, signature)


def test_signature_of_another_hash_is_refused(subject: Subject) -> None:
    signer = subject.make()
    # then
    assert not signer.verify(OTHER_HASH, signer.sign(HASH))


@pytest.mark.parametrize("mac", ["", "00" * 32, "no hex", "\u00e9" * 64])
def test_signature_that_was_altered_is_refused(subject: Subject, mac: str) -> None:
    signer = subject.make()
    key_id = signer.sign(HASH).key_id
    # then
    assert not signer.verify(HASH, Signature(key_id, mac))


def test_signature_of_each_day_has_a_key_of_its_own(subject: Subject) -> None:
    # given
    signer = subject.make()
    before = signer.sign(HASH)
    # when
    subject.clock.advance(DAY_MS)
    after = signer.sign(HASH)
    # then
    assert after.key_id == TOMORROW
    assert after.mac != before.mac
    assert not signer.verify(HASH, Signature(TODAY, after.mac))


def test_signature_of_a_day_gone_by_is_verified(subject: Subject) -> None:
    # given
    signature = subject.make().sign(HASH)
    # when
    subject.clock.advance(40 * DAY_MS)
    # then
    assert subject.make().verify(HASH, signature)


@pytest.mark.parametrize("key_id", ["1999-12-31", "20250630", "today", ""])
def test_signature_of_a_day_without_signatures_is_refused(subject: Subject, key_id: str) -> None:
    signer = subject.make()
    mac = signer.sign(HASH).mac
    # then
    assert not signer.verify(HASH, Signature(key_id, mac))
