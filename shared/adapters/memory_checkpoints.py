"""In-memory twins of what checkpoints need."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from shared.domain.evidence import SignedCheckpoint

_ALGORITHM = ec.ECDSA(Prehashed(hashes.SHA256()))


class MemoryCheckpointKey:
    """Implements CheckpointKey with a key made for the occasion."""

    key_id = "memory"

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    def sign(self, digest: bytes) -> bytes:
        """Signs a digest."""
        return self._key.sign(digest, _ALGORITHM)

    def is_signed(self, digest: bytes, signature: bytes) -> bool:
        """Tells whether a signature is this key's."""
        try:
            self._key.public_key().verify(signature, digest, _ALGORITHM)
        except InvalidSignature:
            return False
        return True

    def public_key_pem(self) -> str:
        """Returns what outsiders verify with, as a PEM file holds it."""
        pem = self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return pem.decode()


class MemoryCheckpointArchive:
    """Implements CheckpointArchive."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, int], SignedCheckpoint] = {}

    def put(self, signed: SignedCheckpoint) -> bool:
        """Keeps a checkpoint once."""
        checkpoint = signed.checkpoint
        place = (_month(checkpoint.created_ms), checkpoint.region, checkpoint.number)
        return self._kept.setdefault(place, signed) is signed

    def find(
        self, region: str, number: int, since_ms: int, until_ms: int
    ) -> SignedCheckpoint | None:
        """Reads a checkpoint."""
        since, until = min(_month(since_ms), _month(until_ms)), _month(until_ms)
        for month, of, numbered in sorted(self._kept):
            if (of, numbered) == (region, number) and since <= month <= until:
                return self._kept[month, of, numbered]
        return None


class MemoryCheckpointLog:
    """Implements CheckpointLog."""

    def __init__(self, listed: Iterable[SignedCheckpoint] = ()) -> None:
        self._listed = {signed.checkpoint.number: signed for signed in listed}

    def newest(self) -> SignedCheckpoint | None:
        """Reads the checkpoint with the highest number."""
        return self._listed[max(self._listed)] if self._listed else None

    def put(self, signed: SignedCheckpoint) -> bool:
        """Lists a checkpoint once."""
        return self._listed.setdefault(signed.checkpoint.number, signed) is signed

    def page(self, after_number: int, limit: int) -> Sequence[SignedCheckpoint]:
        """Reads checkpoints after that number in order."""
        numbers = sorted(number for number in self._listed if number > after_number)
        return tuple(self._listed[number] for number in numbers[:limit])


def _month(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m}"
