"""What the stores and the key of checkpoints do; run on AWS's services and their memory twins."""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from moto import mock_aws

from shared.adapters.checkpoints import (
    DynamoCheckpointLog,
    KmsCheckpointKey,
    S3CheckpointArchive,
)
from shared.adapters.memory_checkpoints import (
    MemoryCheckpointArchive,
    MemoryCheckpointKey,
    MemoryCheckpointLog,
)
from shared.domain.checkpoints import CheckpointArchive, CheckpointLog
from shared.domain.errors import InvariantError
from shared.domain.evidence import Checkpoint, Head, SignedCheckpoint
from tests.support.aws import REGION, create_table

DIGEST = sha256(b"checkpoint").digest()
BUCKET = "checkpoints"
PREHASHED = Prehashed(hashes.SHA256())


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


JUNE_MS, JULY_MS = at("2025-06-30T23:59:59"), at("2025-07-01T00:00:01")


def signed(number: int, created_ms: int = JUNE_MS, region: str = REGION) -> SignedCheckpoint:
    checkpoint = Checkpoint(region, number, "", created_ms, (Head(7, number, "ab" * 32, 40),))
    return SignedCheckpoint(checkpoint, b64encode(b"signature").decode(), "key")


@dataclass
class Subject:
    key: MemoryCheckpointKey | KmsCheckpointKey
    archive: CheckpointArchive
    log: CheckpointLog
    # moto takes a digest for a message and hashes it again; AWS and the emulator do not.
    algorithm: hashes.HashAlgorithm | Prehashed = PREHASHED


def _aws() -> Subject:
    dynamodb = boto3.client("dynamodb", region_name=REGION)
    kms = boto3.client("kms", region_name=REGION)
    s3 = boto3.client("s3", region_name=REGION)
    s3.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
    made = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    return Subject(
        KmsCheckpointKey(kms, made["KeyMetadata"]["Arn"]),
        S3CheckpointArchive(s3, BUCKET),
        DynamoCheckpointLog(dynamodb, create_table(dynamodb, "evidence")),
        hashes.SHA256(),
    )


@pytest.fixture(params=["memory", "aws"])
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    if request.param == "memory":
        yield Subject(MemoryCheckpointKey(), MemoryCheckpointArchive(), MemoryCheckpointLog())
        return
    with mock_aws():
        yield _aws()


def verify_outside(subject: Subject, digest: bytes, signature: bytes) -> None:
    """Verifies as somebody does who has the public key only."""
    key = load_pem_public_key(subject.key.public_key_pem().encode())
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    key.verify(signature, digest, ec.ECDSA(subject.algorithm))


def test_key_signature_is_verified_with_the_public_half(subject: Subject) -> None:
    # when
    signature = subject.key.sign(DIGEST)
    # then
    verify_outside(subject, DIGEST, signature)
    assert subject.key.is_signed(DIGEST, signature)
    assert subject.key.key_id


def test_key_refuses_the_signature_of_another_digest(subject: Subject) -> None:
    signature = subject.key.sign(DIGEST)
    other = sha256(b"another").digest()
    # then
    assert not subject.key.is_signed(other, signature)
    with pytest.raises(InvalidSignature):
        verify_outside(subject, other, signature)


def test_archive_keeps_the_first_checkpoint_of_a_number(subject: Subject) -> None:
    # given
    first, second = signed(1), signed(1, JUNE_MS - 1)
    # when
    kept = subject.archive.put(first), subject.archive.put(second)
    # then
    assert kept == (True, False)
    assert subject.archive.find(REGION, 1, JUNE_MS, JUNE_MS) == first


def test_archive_finds_a_checkpoint_of_any_month_in_between(subject: Subject) -> None:
    # given
    subject.archive.put(signed(1))
    # then
    for since, until in ((JUNE_MS, JULY_MS), (at("2024-12-31"), at("2026-01-31")), (0, JUNE_MS)):
        assert subject.archive.find(REGION, 1, since, until) == signed(1)
    assert subject.archive.find(REGION, 1, JULY_MS, JULY_MS) is None
    assert subject.archive.find(REGION, 2, JUNE_MS, JULY_MS) is None
    assert subject.archive.find("eu-west-1", 1, JUNE_MS, JULY_MS) is None


def test_archive_asked_from_later_than_until_looks_in_the_last_month(subject: Subject) -> None:
    # given clocks that differ
    subject.archive.put(signed(1))
    # then
    assert subject.archive.find(REGION, 1, JULY_MS, JUNE_MS) == signed(1)


def test_log_without_checkpoints_has_no_newest(subject: Subject) -> None:
    assert subject.log.newest() is None
    assert tuple(subject.log.page(0, 10)) == ()


def test_log_keeps_the_first_of_a_number_and_knows_the_newest(subject: Subject) -> None:
    # when
    kept = [subject.log.put(signed(number)) for number in (2, 10, 9)]
    again = subject.log.put(signed(10, JULY_MS))
    # then
    assert kept == [True, True, True]
    assert again is False
    assert subject.log.newest() == signed(10)


def test_log_pages_go_on_after_a_number(subject: Subject) -> None:
    # given
    for number in range(1, 6):
        subject.log.put(signed(number))
    # then
    assert tuple(subject.log.page(0, 2)) == (signed(1), signed(2))
    assert tuple(subject.log.page(2, 10)) == (signed(3), signed(4), signed(5))
    assert tuple(subject.log.page(5, 10)) == ()


def test_archive_object_has_its_name_and_its_lock() -> None:
    with mock_aws():
        # given
        subject = _aws()
        # when
        subject.archive.put(signed(1))
        # then
        s3: Any = boto3.client("s3", region_name=REGION)
        (named,) = s3.list_objects_v2(Bucket=BUCKET)["Contents"]
        assert named["Key"] == "checkpoints/2025-06/us-east-1/000000000001.json"
        facts = s3.head_object(Bucket=BUCKET, Key=named["Key"])
        assert facts["ObjectLockMode"] == "COMPLIANCE"
        assert facts["ObjectLockRetainUntilDate"].date().isoformat() == "2032-06-30"
        assert facts["ContentType"] == "application/json"


def test_archive_is_not_fooled_by_an_object_that_was_hidden() -> None:
    # given: moto does not say what S3 says of it
    s3: Any = boto3.client("s3", region_name=REGION)
    with Stubber(s3) as stubber:
        stubber.add_client_error(
            "get_object",
            "NoSuchKey",
            http_status_code=404,
            response_meta={"HTTPHeaders": {"x-amz-delete-marker": "true"}},
        )
        # then
        with pytest.raises(InvariantError, match="was archived and is marked as deleted"):
            S3CheckpointArchive(s3, BUCKET).find(REGION, 1, JUNE_MS, JUNE_MS)
