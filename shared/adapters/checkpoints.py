"""Checkpoints: a key in KMS, objects under a lock in S3, and rows in the evidence table.

    bucket    checkpoints/<yyyy-mm>/<region>/<number>.json    a signed checkpoint, canonical JSON
    evidence  CHECKPOINT / <number>                           the same, in `body`

Numbers have twelve digits. An object is kept in compliance mode for seven years: until then nobody
can overwrite or delete it, its account's owner included.
"""

import json
from base64 import b64encode
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from shared.adapters.aws_calls import calling
from shared.adapters.dynamodb import dump, load, put_once
from shared.config import CHECKPOINT_RETENTION_DAYS
from shared.domain.canonical import canonical
from shared.domain.errors import InvariantError, TransientError
from shared.domain.evidence import SignedCheckpoint

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient
    from types_boto3_kms.client import KMSClient
    from types_boto3_s3.client import S3Client

CHECKPOINT = "CHECKPOINT"
ALGORITHM = "ECDSA_SHA_256"
# What S3 says of an object whose newest version is a mark that it was deleted.
_DELETED = "x-amz-delete-marker"
RETENTION = timedelta(days=CHECKPOINT_RETENTION_DAYS)


class KmsCheckpointKey:
    """Implements CheckpointKey; the private half never leaves KMS.

    Args: key_arn: of an ECC_NIST_P256 key that signs.
    """

    def __init__(self, kms: "KMSClient", key_arn: str) -> None:
        self._kms = kms
        self._key_arn = key_arn

    @property
    def key_id(self) -> str:
        """The key's ARN."""
        return self._key_arn

    def sign(self, digest: bytes) -> bytes:
        """Signs a digest; see CheckpointKey."""
        answer = calling(
            self._kms.sign,
            KeyId=self._key_arn,
            Message=digest,
            MessageType="DIGEST",
            SigningAlgorithm=ALGORITHM,
        )
        return bytes(answer["Signature"])

    def is_signed(self, digest: bytes, signature: bytes) -> bool:
        """Tells whether a signature is this key's; see CheckpointKey."""
        try:
            answer = calling(
                self._kms.verify,
                KeyId=self._key_arn,
                Message=digest,
                MessageType="DIGEST",
                Signature=signature,
                SigningAlgorithm=ALGORITHM,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "KMSInvalidSignatureException":
                raise
            return False
        return bool(answer["SignatureValid"])

    def public_key_pem(self) -> str:
        """Returns what outsiders verify with, as a PEM file holds it."""
        answer = calling(self._kms.get_public_key, KeyId=self._key_arn)
        text = b64encode(bytes(answer["PublicKey"])).decode()
        lines = [text[start : start + 64] for start in range(0, len(text), 64)]
        return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""])


class S3CheckpointArchive:
    """Implements CheckpointArchive."""

    def __init__(self, s3: "S3Client", bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def put(self, signed: SignedCheckpoint) -> bool:
        """Keeps a checkpoint once; see CheckpointArchive."""
        checkpoint = signed.checkpoint
        made_at = datetime.fromtimestamp(checkpoint.created_ms / 1000, UTC)
        try:
            calling(
                self._s3.put_object,
                Bucket=self._bucket,
                Key=_name(made_at, checkpoint.region, checkpoint.number),
                Body=canonical(signed.to_dict()),
                ContentType="application/json",
                IfNoneMatch="*",
                ObjectLockMode="COMPLIANCE",
                ObjectLockRetainUntilDate=made_at + RETENTION,
            )
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "ConditionalRequestConflict":
                raise TransientError("Another checkpoint is being written.") from error
            if code != "PreconditionFailed":
                raise
            return False
        return True

    def find(
        self, region: str, number: int, since_ms: int, until_ms: int
    ) -> SignedCheckpoint | None:
        """Reads a checkpoint; see CheckpointArchive."""
        for month in _months(since_ms, until_ms):
            found = self._read(_name(month, region, number))
            if found is not None:
                return found
        return None

    def _read(self, name: str) -> SignedCheckpoint | None:
        try:
            answer = calling(self._s3.get_object, Bucket=self._bucket, Key=name)
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchKey":
                raise
            # The lock keeps the object, and not somebody from hiding it, so that its number would
            # be signed and archived a second time.
            if _DELETED in error.response["ResponseMetadata"]["HTTPHeaders"]:
                raise InvariantError(f"{name} was archived and is marked as deleted") from error
            return None
        return SignedCheckpoint.of(json.loads(answer["Body"].read()))


class DynamoCheckpointLog:
    """Implements CheckpointLog.

    Args: table: the evidence table.
    """

    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def newest(self) -> SignedCheckpoint | None:
        """Reads the newest checkpoint; see CheckpointLog."""
        found = self._query(0, 1, is_forward=False)
        return found[0] if found else None

    def put(self, signed: SignedCheckpoint) -> bool:
        """Lists a checkpoint once; see CheckpointLog."""
        number = signed.checkpoint.number
        item = {"pk": {"S": CHECKPOINT}, "sk": {"S": _digits(number)}}
        return calling(
            put_once,
            client=self._dynamodb,
            table=self._table,
            item={**item, "body": dump(signed.to_dict())},
        )

    def page(self, after_number: int, limit: int) -> Sequence[SignedCheckpoint]:
        """Reads checkpoints in order; see CheckpointLog."""
        return self._query(after_number, limit, is_forward=True)

    def _query(
        self, after_number: int, limit: int, *, is_forward: bool
    ) -> Sequence[SignedCheckpoint]:
        answer: Any = calling(
            self._dynamodb.query,
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND sk > :after",
            ExpressionAttributeValues={
                ":pk": {"S": CHECKPOINT},
                ":after": {"S": _digits(after_number)},
            },
            ConsistentRead=True,
            ScanIndexForward=is_forward,
            Limit=limit,
        )
        return tuple(SignedCheckpoint.of(load(item, "body")) for item in answer["Items"])


def _digits(number: int) -> str:
    return f"{number:012d}"


def _name(made_at: datetime, region: str, number: int) -> str:
    return f"checkpoints/{made_at:%Y-%m}/{region}/{_digits(number)}.json"


def _months(since_ms: int, until_ms: int) -> Iterator[datetime]:
    """Yields a moment of each month between two times, theirs included; at least the last's."""
    last = datetime.fromtimestamp(until_ms / 1000, UTC).replace(day=1)
    month = min(datetime.fromtimestamp(since_ms / 1000, UTC).replace(day=1), last)
    while (month.year, month.month) < (last.year, last.month):
        yield month
        month = (month + timedelta(days=32)).replace(day=1)
    yield last
