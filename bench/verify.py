"""How fast an export is verified, and what that takes as exports grow.

Exports of 10,000, 100,000 and 1,000,000 records (five events and three journals per payment, blocks
of 100, checkpoints signed with a key of its own) are made from a seed; each is verified by
`python -m local.verify`'s own code in a fresh process. The gate is that time grows as the records
do, and memory does not.
"""

import subprocess
import sys
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from local.build import ROOT
from shared.domain.accounts import control_account
from shared.domain.canonical import canonical
from shared.domain.evidence import (
    SHARDS,
    Block,
    Checkpoint,
    Head,
    Record,
    RecordKind,
    SignedCheckpoint,
    export_line,
    seal,
)
from shared.domain.verification import CHECKPOINTS_FILE, MANIFEST_FILE, shard_file

SEED = 4
SIZES = (10_000, 100_000, 1_000_000)
BLOCK_RECORDS = 100
EVENTS_PER_PAYMENT = 5
# What a record of the largest export may cost more than one of the smallest. Memory is filled by
# SQLite's cache and by one buffer of its sort, of 8 MiB each, and then stays.
SLOWER_MAX, PEAK_MIB_MAX = 1.5, 64
RATE_MIN = 5_000
T0_MS = 1_790_000_000_000
REGION = "us-east-1"
MINUTES_MAX = 30
# The peak of this process alone: getrusage would count the memory of whoever started it.
PROBE = """
import sys, time
from pathlib import Path
from local.verify import read_key, verify_directory
key = read_key(Path(sys.argv[2]))
started = time.perf_counter()
report = verify_directory(Path(sys.argv[1]), key)
seconds = time.perf_counter() - started
assert report.finding is None, report.finding
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(sum(report.records.values()), seconds, status["VmHWM"].split()[0])
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What verifying one export took."""

    records: int
    seconds: float
    peak_kib: int

    @property
    def rate(self) -> float:
        """Records per second."""
        return self.records / self.seconds


def main() -> bool:
    """Prints a row per size; tells whether time is linear and memory constant."""
    print(f"{'records':>9} {'MB':>6} {'seconds':>8} {'records/s':>10} {'peak MiB':>9}")
    costs = []
    for records in SIZES:
        with tempfile.TemporaryDirectory(prefix="bench-verify-") as directory:
            export = Path(directory)
            write_export(export, records)
            size = sum(path.stat().st_size for path in export.iterdir())
            cost = _measure(export)
        costs.append(cost)
        print(
            f"{cost.records:9,} {size / 1e6:6.0f} {cost.seconds:8.2f} {cost.rate:10,.0f}"
            f" {cost.peak_kib / 1024:9.1f}",
            flush=True,
        )
    first, last = costs[0], costs[-1]
    slower, peak_mib = first.rate / last.rate, last.peak_kib / 1024
    print(
        f"a record of the largest costs {slower:.2f} times one of the smallest (at most"
        f" {SLOWER_MAX}); peak {peak_mib:.0f} MiB (at most {PEAK_MIB_MAX})"
    )
    return slower <= SLOWER_MAX and peak_mib <= PEAK_MIB_MAX and last.rate >= RATE_MIN


def write_export(directory: Path, records: int) -> None:
    """Writes an export of that many records, and the key its checkpoints are signed with."""
    key = ec.derive_private_key(SEED, ec.SECP256R1())
    manifest = {"format": 1, "region": REGION, "stage": "bench", "shards": SHARDS}
    (directory / MANIFEST_FILE).write_bytes(export_line(manifest))
    (directory / "key.pem").write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    heads = [
        _write_shard(directory, shard, records // SHARDS + (shard < records % SHARDS))
        for shard in range(SHARDS)
    ]
    with (directory / CHECKPOINTS_FILE).open("wb") as file:
        for signed in _checkpoints(heads, key):
            file.write(export_line(signed.to_dict()))


def _write_shard(directory: Path, shard: int, count: int) -> list[Head]:
    source = _records(shard)
    block: Block | None = None
    heads: list[Head] = []
    with (directory / shard_file(shard)).open("wb") as file:
        for start in range(0, count, BLOCK_RECORDS):
            records = [next(source) for _ in range(min(BLOCK_RECORDS, count - start))]
            block = seal(block, records, T0_MS + start, shard, control_account)
            heads.append(Head.of_block(block))
            file.write(export_line({"block": block.to_dict()}))
            file.writelines(export_line({"record": record.to_dict()}) for record in records)
    return heads


def _checkpoints(
    heads: list[list[Head]], key: ec.EllipticCurvePrivateKey
) -> Iterator[SignedCheckpoint]:
    """Yields a checkpoint after each round of blocks."""
    previous_hash = ""
    for number in range(1, max(map(len, heads)) + 1):
        named = tuple(shard[min(number, len(shard)) - 1] for shard in heads)
        checkpoint = Checkpoint(REGION, number, previous_hash, T0_MS + number * 10_000, named)
        previous_hash = checkpoint.digest.hex()
        signature = key.sign(checkpoint.digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        yield SignedCheckpoint(checkpoint, b64encode(signature).decode(), "bench")


def _records(shard: int) -> Iterator[Record]:
    """Yields payments without end: their events, each followed by its journal if it has one."""
    draw = Random(f"{SEED}/{shard}")  # noqa: S311 - amounts and names, no secrets
    number = 0
    while True:
        number += 1
        account = f"acct_{draw.getrandbits(64):016x}"
        payment = f"pi_{draw.getrandbits(120):030x}"
        amount_minor = draw.randint(50, 100_000)
        at_ms = T0_MS + number
        previous_hash = ""
        for version in range(1, EVENTS_PER_PAYMENT + 1):
            data = _event(payment, version, at_ms, amount_minor, previous_hash)
            previous_hash = data["hash"]
            name = f"{payment}/{version}"
            yield Record(RecordKind.EVENT, name, f"{account}/test", at_ms, payment, data)
            if version in _JOURNALS:
                kind, other = _JOURNALS[version]
                yield _journal(account, payment, kind, other, at_ms, amount_minor)


_PENDING = "2000:merchant:{account}:pending:usd"
# By the version of the event that they are written with: kind, and the account that is debited.
_JOURNALS = {
    3: ("capture", "1100:receivable:acquirer:sandbox:usd"),
    4: ("adjustment", "2900:suspense:usd"),
    5: ("settle", "2010:merchant:{account}:available:usd"),
}


def _event(
    payment: str, version: int, at_ms: int, amount_minor: int, previous_hash: str
) -> dict[str, Any]:
    facts = {
        "payment_id": payment,
        "version": version,
        "type": "PaymentUpdated.v1",
        "occurred_at_ms": at_ms,
        "data": {
            "charge": {
                "id": f"ch_{payment[3:]}",
                "amount_minor": amount_minor,
                "currency": "usd",
                "provider": "sandbox",
                "status": "succeeded",
                "card": {"brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2034},
            },
            "metadata": {"order": payment[-8:]},
        },
        "request": {
            "id": f"req_{payment[3:19]}",
            "idempotency_key": None,
            "actor": f"key:{payment[3:19]}",
        },
        "previous_hash": previous_hash,
    }
    digest = sha256(canonical(facts)).hexdigest()
    return {**facts, "hash": digest, "key_id": "2026-09-21", "mac": digest}


def _journal(
    account: str, payment: str, kind: str, debited: str, at_ms: int, amount_minor: int
) -> Record:
    sides = ((debited, amount_minor, 0), (_PENDING, 0, amount_minor))
    reference = f"ch_{payment[3:]}"
    data: dict[str, Any] = {
        "id": f"{payment}/{kind}/{reference}",
        "account": account,
        "livemode": False,
        "kind": kind,
        "subject": payment,
        "reference": reference,
        "occurred_at_ms": at_ms,
        "posted_at_ms": at_ms,
        "postings": [
            {
                "account": name.format(account=account),
                "currency": "usd",
                "debit_minor": debit,
                "credit_minor": credit,
                "layer": "posted",
                "is_guarded": False,
            }
            for name, debit, credit in sides
        ],
        "reason": None,
        "reverses": None,
        "metadata": {},
    }
    return Record(RecordKind.JOURNAL, data["id"], f"{account}/test", at_ms, payment, data)


def _measure(export: Path) -> Cost:
    command = [sys.executable, "-c", PROBE, str(export), str(export / "key.pem")]
    output = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=MINUTES_MAX * 60
    )
    records, seconds, peak_kib = output.stdout.split()
    return Cost(int(records), float(seconds), int(peak_kib))
