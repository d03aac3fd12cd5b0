"""The signer of events: HMAC under a key of the day, which KMS wraps.

Each day and region has one data key, wrapped in the item DAYKEY / <day> of the evidence table.
Whoever needs it first makes it; a second one who did loses, and uses the first one's. Events are
signed with a subkey of it, HKDF-SHA256 over stage, region, day and use, held in memory: a signature
costs microseconds, and KMS is asked once a day by each environment.
"""

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from shared.adapters.aws_calls import calling
from shared.adapters.dynamodb import put_once
from shared.domain.canonical import canonical
from shared.domain.errors import InvariantError
from shared.domain.ports import Clock
from shared.domain.signatures import DAY_MS, Signature, day_of

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_kms import KMSClient

DAYKEY = "DAYKEY"
KEYS_MAX = 40
# Every environment of a region needs the new key after midnight; each changes to it at a time of
# its own in the first ten minutes, or all would ask KMS at once.
CHANGE_MS = 10 * 60 * 1000

# What KMS says of a wrapped key that was altered, or that was made for another day or key.
_NOT_OURS = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})


@dataclass(frozen=True, slots=True)
class _Signing:
    """The key that signs now, and until when it does."""

    day: str
    key: bytes = field(repr=False)
    until_ms: int


class KmsEventSigner:
    """Implements EventSigner.

    Args: kms: makes the client at the first use: not every function that knows the signer signs.
    table: the evidence table. key_id: KMS key that wraps day keys. change_ms: how long after
    midnight the key of the day before still signs here, below CHANGE_MS.
    """

    def __init__(
        self,
        *,
        dynamodb: "DynamoDBClient",
        kms: Callable[[], "KMSClient"],
        table: str,
        key_id: str,
        stage: str,
        region: str,
        clock: Clock,
        change_ms: int = 0,
    ) -> None:
        self._dynamodb = dynamodb
        self._kms = kms
        self._table = table
        self._key_id = key_id
        self._place = {"stage": stage, "region": region}
        self._clock = clock
        self._change_ms = change_ms
        self._signing: _Signing | None = None
        self._keys: OrderedDict[str, bytes] = OrderedDict()

    def sign(self, event_hash: str) -> Signature:
        """Signs a hash; see EventSigner."""
        signing = self._current()
        return Signature(signing.day, _mac(signing.key, event_hash))

    def verify(self, event_hash: str, signature: Signature) -> bool:
        """Tells whether a signature is the platform's; see EventSigner.

        Raises: InvariantError when the day's key is not what KMS wrapped.
        """
        key = self._held(signature.key_id) if _is_day(signature.key_id) else None
        if key is None:
            return False
        return hmac.compare_digest(_mac(key, event_hash).encode(), signature.mac.encode())

    def prepare(self) -> None:
        """Fetches the key of the day, so that the first signature need not wait for it."""
        self._current()

    def _current(self) -> _Signing:
        now_ms = self._clock.now_ms()
        signing = self._signing
        if signing is None or now_ms >= signing.until_ms:
            signing = self._signing = self._start_day(now_ms)
        return signing

    def _start_day(self, now_ms: int) -> _Signing:
        day = day_of(now_ms)
        key = self._held(day)
        if key is None:
            key = self._make(day)
        midnight_ms = now_ms - now_ms % DAY_MS + DAY_MS
        return _Signing(day, key, midnight_ms + self._change_ms)

    def _held(self, day: str) -> bytes | None:
        """Returns the subkey of a day, None for a day without signatures."""
        key = self._keys.get(day)
        if key is None:
            wrapped = self._read(day)
            if wrapped is None:
                return None
            key = self._subkey(day, self._unwrap(day, wrapped))
        return self._keep(day, key)

    def _keep(self, day: str, key: bytes) -> bytes:
        self._keys[day] = key
        self._keys.move_to_end(day)
        if len(self._keys) > KEYS_MAX:
            self._keys.popitem(last=False)
        return key

    def _read(self, day: str) -> bytes | None:
        answer = calling(
            self._dynamodb.get_item, TableName=self._table, Key=_key(day), ConsistentRead=True
        )
        item = answer.get("Item")
        return None if item is None else bytes(item["wrapped_key"]["B"])

    def _make(self, day: str) -> bytes:
        """Makes the key of a day, or finds the one that somebody else made meanwhile."""
        answer = calling(
            self._kms().generate_data_key,
            KeyId=self._key_id,
            KeySpec="AES_256",
            EncryptionContext=self._context(day),
        )
        is_first = calling(
            put_once,
            client=self._dynamodb,
            table=self._table,
            item={**_key(day), "wrapped_key": {"B": bytes(answer["CiphertextBlob"])}},
        )
        if is_first:
            return self._keep(day, self._subkey(day, bytes(answer["Plaintext"])))
        key = self._held(day)
        if key is None:
            raise InvariantError(f"the key of {day} was refused and is not there")
        return key

    def _unwrap(self, day: str, wrapped: bytes) -> bytes:
        try:
            answer = calling(
                self._kms().decrypt,
                KeyId=self._key_id,
                CiphertextBlob=wrapped,
                EncryptionContext=self._context(day),
            )
        except ClientError as error:
            if error.response["Error"]["Code"] not in _NOT_OURS:
                raise
            raise InvariantError(f"the key of {day} is not what was wrapped") from error
        return bytes(answer["Plaintext"])

    def _context(self, day: str) -> dict[str, str]:
        return {"purpose": "event", "day": day, **self._place}

    def _subkey(self, day: str, data_key: bytes) -> bytes:
        info = canonical({"use": "event-mac", "day": day, **self._place})
        return hkdf_sha256(data_key, info)


def hkdf_sha256(key: bytes, info: bytes) -> bytes:
    """Derives 32 bytes from a key, without salt (RFC 5869).

    Of the standard library: importing HKDF from `cryptography` would add to the cold start of every
    function that signs; a test compares the two.
    """
    extracted = hmac.digest(bytes(hashlib.sha256().digest_size), key, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def _mac(key: bytes, event_hash: str) -> str:
    return hmac.digest(key, bytes.fromhex(event_hash), "sha256").hex()


def _key(day: str) -> dict[str, dict[str, str]]:
    return {"pk": {"S": DAYKEY}, "sk": {"S": day}}


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
