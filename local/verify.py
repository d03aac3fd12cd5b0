"""Verifies an export of the ledger: `python -m local.verify EXPORT --public-key PEM`.

Trusts nobody: it reads the export and the public key alone, no network, nothing of the platform.
Get the key by another way than the export. Exit code 0: everything that a checkpoint signs is as
it was signed, and adds up. 1: the first bad row is named. 2: the input is unusable, and nothing was
verified.

An export alone cannot show that its newest checkpoints were dropped together with their blocks:
what is left looks like an export of an earlier day. Keep a signed checkpoint (a line of
checkpoints.jsonl) and pass it the next time with --known-checkpoint: the export must reach it.
"""

import argparse
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from shared.domain.accounts import control_account
from shared.domain.evidence import SHARDS, Head
from shared.domain.export_rows import LINE_BYTES_MAX, Finding
from shared.domain.verification import (
    CHECKPOINTS_FILE,
    MANIFEST_FILE,
    Link,
    Report,
    Rules,
    SignedHead,
    shard_file,
    verify,
)

OK, BAD, UNUSABLE = 0, 1, 2
FILES = frozenset({CHECKPOINTS_FILE, *map(shard_file, range(SHARDS))})
CACHE_KIB = 8 * 1024
LINKS_KEPT = 1_000
KEY_BYTES_MAX = 16 * 1024
YEAR_9999_MS = 253_370_764_800_000


class UnusableError(Exception):
    """Says why nothing can be verified."""


class SqliteWorkspace:
    """Keeps heads and links in a file that is sorted outside of memory.

    Args: directory: empty, for as long as the workspace is used.
    """

    def __init__(self, directory: Path) -> None:
        self._database = sqlite3.connect(directory / "workspace.sqlite", isolation_level=None)
        # Nobody else reads the file, and it does not outlive the process.
        for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{CACHE_KIB}"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute(
            "CREATE TABLE heads (shard, number, hash, last_sequence, checkpoint,"
            " PRIMARY KEY (shard, number)) WITHOUT ROWID"
        )
        # Rows are added at the end and sorted once: an index would be written all over.
        self._database.execute(
            "CREATE TABLE links (chain, version, hash, previous, shard, line, is_signed)"
        )
        self._database.execute("BEGIN")
        self._links: list[tuple[bytes | int, ...]] = []

    def keep_head(self, head: SignedHead) -> None:
        """Keeps a head."""
        named = head.head
        self._database.execute(
            "INSERT INTO heads VALUES (?, ?, ?, ?, ?)",
            (named.shard, named.number, named.hash, named.last_sequence, head.checkpoint),
        )

    def heads(self, shard: int) -> Iterator[SignedHead]:
        """Yields a shard's heads by block number."""
        query = "SELECT * FROM heads WHERE shard = ? ORDER BY number"
        for *named, checkpoint in self._database.execute(query, (shard,)):
            yield SignedHead(Head(*named), checkpoint)

    def keep_link(self, link: Link) -> None:
        """Keeps a link."""
        self._links.append(
            (
                link.chain,
                link.version,
                link.hash,
                link.previous,
                link.shard,
                link.line,
                link.is_signed,
            )
        )
        if len(self._links) == LINKS_KEPT:
            self._flush()

    def links(self) -> Iterator[Link]:
        """Yields all links by chain, version, shard and line."""
        self._flush()
        query = "SELECT * FROM links ORDER BY chain, version, shard, line"
        for row in self._database.execute(query):
            yield Link(*row)

    def close(self) -> None:
        """Gives the file back."""
        self._database.close()

    def _flush(self) -> None:
        self._database.executemany("INSERT INTO links VALUES (?, ?, ?, ?, ?, ?, ?)", self._links)
        self._links.clear()


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints what was verified, or the first bad row, and returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local.verify", description=__doc__)
    parser.add_argument("export", type=Path, help="directory of the export")
    parser.add_argument("--public-key", type=Path, required=True, help="PEM, ECDSA P-256")
    parser.add_argument("--known-checkpoint", type=Path, help="a signed checkpoint kept earlier")
    asked = parser.parse_args(arguments)
    started = time.perf_counter()
    try:
        key = read_key(asked.public_key)
        report = verify_directory(asked.export, key, asked.known_checkpoint)
    except UnusableError as error:
        print(f"nothing was verified: {error}", file=sys.stderr)
        return UNUSABLE
    except (OSError, sqlite3.Error) as error:
        print(f"verification could not go on: {error}", file=sys.stderr)
        return UNUSABLE
    if report.finding is not None:
        print(f"BAD: {report.finding}", file=sys.stderr)
        return BAD
    _print(report, key, time.perf_counter() - started)
    return OK


def read_key(path: Path) -> ec.EllipticCurvePublicKey:
    """Reads the public key of the checkpoints.

    Raises: UnusableError when the file holds no such key.
    """
    with path.open("rb") as file:
        pem = file.read(KEY_BYTES_MAX)
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise UnusableError(f"{path} holds no public key in PEM") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise UnusableError(f"{path} holds a key that is not of the curve P-256")
    return key


def verify_directory(
    export: Path, key: ec.EllipticCurvePublicKey, known: Path | None = None
) -> Report:
    """Verifies the export in a directory.

    Args:
        export: Holds manifest.json, checkpoints.jsonl and a file per shard.
        key: That the checkpoints are signed with.
        known: A signed checkpoint that was kept earlier.

    Raises:
        UnusableError: There is no export.
        OSError: A file cannot be read, or the temporary one not be written.
    """
    for name in (MANIFEST_FILE, CHECKPOINTS_FILE):
        if not (export / name).is_file():
            raise UnusableError(f"there is no {export / name}")
    unread = sorted({path.name for path in export.glob("*.jsonl")} - FILES)
    if unread:
        # Whoever reads all files of an export must not take these for verified.
        return Report(finding=Finding(unread[0], 0, "is no file of an export"))
    rules = Rules(signature_check(key), control_account, None if known is None else _known(known))
    with tempfile.TemporaryDirectory(prefix="verify-") as directory:
        workspace = SqliteWorkspace(Path(directory))
        try:
            return verify(lambda name: _lines(export / name), workspace, rules)
        finally:
            workspace.close()


def signature_check(key: ec.EllipticCurvePublicKey) -> Callable[[bytes, bytes], bool]:
    """Returns what tells whether a signature (DER) is the key's for a SHA-256 digest."""
    algorithm = ec.ECDSA(utils.Prehashed(hashes.SHA256()))

    def is_signed(digest: bytes, signature: bytes) -> bool:
        try:
            key.verify(signature, digest, algorithm)
        except InvalidSignature:
            return False
        return True

    return is_signed


def _known(path: Path) -> tuple[str, bytes]:
    with path.open("rb") as file:
        return str(path), file.read(LINE_BYTES_MAX + 1).strip() + b"\n"


def _lines(path: Path) -> Iterator[bytes]:
    """Yields bounded lines; a shard without blocks has no file."""
    if not path.exists():
        return
    with path.open("rb") as file:
        while line := file.readline(LINE_BYTES_MAX + 1):
            yield line


def _print(report: Report, key: ec.EllipticCurvePublicKey, seconds: float) -> None:
    """Prints what holds, and what it does not say."""
    fingerprint = hashes.Hash(hashes.SHA256())
    fingerprint.update(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    kinds = report.records
    total = sum(kinds.values())
    print(f"records      {total:,}: {', '.join(f'{n:,} {kind}s' for kind, n in kinds.items())}")
    print(f"blocks       {report.blocks:,}, not yet signed {report.unsigned_blocks:,}")
    print(f"checkpoints  {report.checkpoints:,}, signed by {fingerprint.finalize().hex()}")
    if report.newest is not None:
        newest = report.newest.checkpoint
        at = datetime.fromtimestamp(min(newest.created_ms, YEAR_9999_MS) / 1000, UTC)
        print(f"the newest   {at.isoformat(timespec='seconds')}, SHA-256 {newest.digest.hex()}")
    for name, (debits, credits) in sorted(report.posted_minor.items()):
        net = debits - credits
        print(f"trial balance {ascii(name)[1:-1]}: {debits} - {credits} = {net}")
    if report.waiting:
        print(f"{report.waiting:,} histories wait for records that no checkpoint covers yet")
    print(f"verified in {seconds:.1f} s. Keep the last line of {CHECKPOINTS_FILE} for next time")


if __name__ == "__main__":
    sys.exit(main())
