"""The vault: cards under AES-256-GCM, with data keys that KMS wraps for one account each.

The sealing half needs kms:GenerateDataKey and kms:GenerateMac, the opening half kms:Decrypt:
no function can do both. Items, under the vault token as partition key:

    vault table, CARD    wrapped_key, nonce, ciphertext of {"number", "exp_month", "exp_year"};
                         account
    verifications table  the same of the security code; expires_at (epoch seconds)

The vault table can be restored to any second of its last 35 days, the verifications table to none:
a security code that is deleted is gone.
"""

import hashlib
import hmac
import json
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from botocore.exceptions import BotoCoreError, ClientError
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.adapters.aws_calls import calling, translated
from shared.adapters.dynamodb import get_each
from shared.domain.cards import SANDBOX_TOKEN_PREFIX, CardNumber
from shared.domain.errors import InvariantError, TransientError
from shared.domain.ids import base62
from shared.domain.ports import Clock
from shared.domain.vault import (
    FINGERPRINT_LENGTH,
    VERIFICATION_RETENTION_S,
    SealedCard,
    VerificationDeletions,
    no_such_card,
    open_sandbox_card,
    vault_token_for,
)

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_kms import KMSClient

CARD = "CARD"
CVC = "CVC"

KEY_LIFETIME_MS = 5 * 60 * 1000
# Random 96-bit nonces stay safe up to 2**32 messages per key (NIST SP 800-38D, 8.3).
MESSAGES_PER_KEY_MAX = 2**20
SEALING_KEYS_MAX = 100
OPENING_KEYS_MAX = 1000
NONCE_BYTES = 12

# What KMS says of a wrapped key that was altered, or that was made for another account or key.
_NOT_OURS = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})

K = TypeVar("K")


@dataclass(slots=True, repr=False)
class _DataKey:
    """A data key in the clear; without repr on purpose."""

    cipher: AESGCM
    wrapped: bytes
    expires_ms: int
    messages: int = 0

    def __repr__(self) -> str:
        return "_DataKey(...)"


class _KeyCache(Generic[K]):
    """Keeps the most recently used data keys, each until it is too old or used up.

    Args: keys_max: how many. clock: ages them.
    """

    def __init__(self, keys_max: int, clock: Clock) -> None:
        self._keys: OrderedDict[K, _DataKey] = OrderedDict()
        self._keys_max = keys_max
        self._clock = clock

    def __len__(self) -> int:
        return len(self._keys)

    def get(self, name: K, make: Callable[[], tuple[bytes, bytes]]) -> _DataKey:
        """Returns the key of that name.

        Args: make: returns a new key, in the clear and wrapped.
        """
        now_ms = self._clock.now_ms()
        key = self._keys.get(name)
        if key is None or now_ms >= key.expires_ms or key.messages >= MESSAGES_PER_KEY_MAX:
            plaintext, wrapped = make()
            key = _DataKey(AESGCM(plaintext), wrapped, now_ms + KEY_LIFETIME_MS)
            self._keys[name] = key
        self._keys.move_to_end(name)
        while len(self._keys) > self._keys_max:
            self._keys.popitem(last=False)
        return key


def _context(account: str) -> dict[str, str]:
    return {"account": account, "purpose": "card"}


def _bound_to(vault_token: str, account: str, kind: str) -> bytes:
    """Names the one place where a ciphertext is valid."""
    return json.dumps(["farthing-vault-v1", vault_token, account, kind]).encode()


class KmsCardSealer:
    """Seals cards; implements CardSealer.

    Args: table: of the cards. verifications_table: of their security codes. data_key_id: KMS key
    that wraps data keys. fingerprint_key_id: KMS HMAC key.
    """

    def __init__(
        self,
        *,
        dynamodb: "DynamoDBClient",
        kms: "KMSClient",
        table: str,
        verifications_table: str,
        data_key_id: str,
        fingerprint_key_id: str,
        deletions: VerificationDeletions,
        clock: Clock,
    ) -> None:
        self._dynamodb = dynamodb
        self._kms = kms
        self._table = table
        self._verifications_table = verifications_table
        self._data_key_id = data_key_id
        self._fingerprint_key_id = fingerprint_key_id
        self._deletions = deletions
        self._clock = clock
        self._keys: _KeyCache[str] = _KeyCache(SEALING_KEYS_MAX, clock)
        self._digest_key: bytes | None = None

    def seal(self, account: str, card: CardNumber, request: str) -> SealedCard:
        """Stores a card; see CardSealer."""
        fingerprint = self.fingerprint(account, card.number)
        vault_token = vault_token_for(account, card, request, fingerprint)
        items = {self._table: self._card_item(vault_token, account, card)}
        if card.cvc is not None:
            # Asked for before the code is stored: a crash in between leaves nothing behind.
            self._deletions.schedule(vault_token)
            code = self._verification_item(vault_token, account, card.cvc)
            items[self._verifications_table] = code
        self._put_once(items)
        return SealedCard(vault_token, fingerprint)

    def fingerprint(self, account: str, number: str) -> str:
        """Identifies a number within an account; see CardSealer."""
        return base62(self._mac(f"{account}|{number}".encode()), FINGERPRINT_LENGTH)

    def digest(self, text: str) -> str:
        """Identifies a text; see CardSealer."""
        if self._digest_key is None:
            self._digest_key = self._mac(b"digest-key-v1")
        return hmac.new(self._digest_key, text.encode(), hashlib.sha256).hexdigest()

    def _mac(self, message: bytes) -> bytes:
        answer = calling(
            self._kms.generate_mac,
            KeyId=self._fingerprint_key_id,
            Message=message,
            MacAlgorithm="HMAC_SHA_256",
        )
        return bytes(answer["Mac"])

    def _card_item(self, vault_token: str, account: str, card: CardNumber) -> dict[str, Any]:
        plaintext = {
            "number": card.number,
            "exp_month": card.exp_month,
            "exp_year": card.exp_year,
        }
        item = self._sealed_item(vault_token, account, CARD, json.dumps(plaintext))
        return {**item, "sk": {"S": CARD}}

    def _verification_item(self, vault_token: str, account: str, cvc: str) -> dict[str, Any]:
        expires_at = self._clock.now_ms() // 1000 + VERIFICATION_RETENTION_S
        item = self._sealed_item(vault_token, account, CVC, cvc)
        return {**item, "expires_at": {"N": str(expires_at)}}

    def _sealed_item(
        self, vault_token: str, account: str, kind: str, plaintext: str
    ) -> dict[str, Any]:
        key = self._keys.get(account, lambda: self._generate_data_key(account))
        key.messages += 1
        nonce = os.urandom(NONCE_BYTES)
        bound = _bound_to(vault_token, account, kind)
        return {
            "pk": {"S": vault_token},
            "account": {"S": account},
            "wrapped_key": {"B": key.wrapped},
            "nonce": {"B": nonce},
            "ciphertext": {"B": key.cipher.encrypt(nonce, plaintext.encode(), bound)},
        }

    def _generate_data_key(self, account: str) -> tuple[bytes, bytes]:
        answer = calling(
            self._kms.generate_data_key,
            KeyId=self._data_key_id,
            KeySpec="AES_256",
            EncryptionContext=_context(account),
        )
        return bytes(answer["Plaintext"]), bytes(answer["CiphertextBlob"])

    def _put_once(self, items: Mapping[str, dict[str, Any]]) -> None:
        """Puts card and code together unless the card was before: then the code may be used up.

        The card stays when its code goes, so that its condition refuses the code for good.
        """
        once = "attribute_not_exists(pk)"
        puts = [
            {"Put": {"TableName": table, "Item": item, "ConditionExpression": once}}
            for table, item in items.items()
        ]
        try:
            self._dynamodb.transact_write_items(TransactItems=puts)  # type: ignore[arg-type]
        except ClientError as error:
            reasons = {r.get("Code") for r in error.response.get("CancellationReasons", [])}
            if "ConditionalCheckFailed" in reasons:
                return
            if reasons - {"None"}:
                raise TransientError("The vault is busy. Please try again.") from error
            raise translated(error) from error
        except BotoCoreError as error:
            raise translated(error) from error


class KmsVault:
    """Opens cards; implements the port Vault.

    Args: table: of the cards. verifications_table: of their security codes. has_sandbox_cards:
    whether vault tokens of named test cards mean anything here.
    """

    def __init__(
        self,
        *,
        dynamodb: "DynamoDBClient",
        kms: "KMSClient",
        table: str,
        verifications_table: str,
        data_key_id: str,
        clock: Clock,
        has_sandbox_cards: bool,
    ) -> None:
        self._dynamodb = dynamodb
        self._kms = kms
        self._table = table
        self._verifications_table = verifications_table
        self._data_key_id = data_key_id
        self._clock = clock
        self._has_sandbox_cards = has_sandbox_cards
        self._keys: _KeyCache[tuple[str, bytes]] = _KeyCache(OPENING_KEYS_MAX, clock)

    def open(self, vault_token: str, account: str) -> CardNumber:
        """Decrypts a card, with its security code while that is held and not used.

        Raises: NotFoundError when the account has no such card; InvariantError when the stored
        item is not what was sealed; TransientError when the vault does not answer.
        """
        if self._has_sandbox_cards and vault_token.startswith(SANDBOX_TOKEN_PREFIX):
            return open_sandbox_card(vault_token)
        items = self._items(vault_token)
        item = items.get(self._table)
        if item is None or item["account"]["S"] != account:
            raise no_such_card()
        card = json.loads(self._plaintext(item, vault_token, account, CARD))
        cvc = self._cvc(items.get(self._verifications_table), vault_token, account)
        return CardNumber(cvc=cvc, **card)

    def _items(self, vault_token: str) -> dict[str, Mapping[str, Any]]:
        """Reads card and code in one call; by table."""
        pk = {"S": vault_token}
        keys = {self._table: {"pk": pk, "sk": {"S": CARD}}, self._verifications_table: {"pk": pk}}
        return calling(get_each, client=self._dynamodb, keys=keys)

    def _cvc(self, item: Mapping[str, Any] | None, vault_token: str, account: str) -> str | None:
        if item is None or self._clock.now_ms() >= int(item["expires_at"]["N"]) * 1000:
            return None
        return self._plaintext(item, vault_token, account, CVC)

    def _plaintext(self, item: Mapping[str, Any], vault_token: str, account: str, kind: str) -> str:
        wrapped = bytes(item["wrapped_key"]["B"])
        name = (account, hashlib.sha256(wrapped).digest())
        key = self._keys.get(name, lambda: self._unwrap(wrapped, account))
        bound = _bound_to(vault_token, account, kind)
        try:
            opened = key.cipher.decrypt(
                bytes(item["nonce"]["B"]), bytes(item["ciphertext"]["B"]), bound
            )
        except (InvalidTag, ValueError):
            raise _tampered(vault_token, kind) from None
        return opened.decode()

    def _unwrap(self, wrapped: bytes, account: str) -> tuple[bytes, bytes]:
        try:
            answer = calling(
                self._kms.decrypt,
                KeyId=self._data_key_id,
                CiphertextBlob=wrapped,
                EncryptionContext=_context(account),
            )
        except ClientError as error:
            if error.response["Error"]["Code"] not in _NOT_OURS:
                raise
            raise InvariantError("a wrapped data key is not this account's") from error
        return bytes(answer["Plaintext"]), wrapped


def _tampered(vault_token: str, kind: str) -> InvariantError:
    return InvariantError(f"the {kind} item of {vault_token} is not what was sealed")
