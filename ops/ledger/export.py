"""Exports the evidence of a region as files that an outsider verifies: see docs/evidence.md."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ops.ledger.records import Records
from ops.ledger.stage import Ledger
from ops.stages import OperatorError
from shared.domain.checkpoints import FIRST_MS
from shared.domain.evidence import SHARDS, RecordKind, export_line
from shared.domain.ports import EventSigner
from shared.domain.signatures import Signature
from shared.domain.verification import CHECKPOINTS_FILE, FORMAT, MANIFEST_FILE, shard_file

CHECKPOINTS_READ = 100


def export(ledger: Ledger, stage: str, folder: Path, now_ms: int) -> dict[str, int]:
    """Writes an export; what is sealed while it runs may be in it or not.

    Args: folder: is made; must not hold an export already.
    Returns: how many blocks, records and checkpoints were written.
    Raises: OperatorError when there is one, or a sealed record or an archived checkpoint is gone.
    """
    _require_newest(ledger, now_ms)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise OperatorError(f"{folder} is not empty")
    manifest = {"format": FORMAT, "region": ledger.region, "stage": stage, "shards": SHARDS}
    (folder / MANIFEST_FILE).write_bytes(export_line(manifest))
    # Before the blocks: what these sign is there when the blocks are read.
    counts: Counter[str] = Counter()
    _write(folder / CHECKPOINTS_FILE, _checkpoints(ledger, counts))
    records = Records(ledger)
    for shard in range(SHARDS):
        if ledger.blocks.tail(shard) is not None:
            _write(folder / shard_file(shard), _shard(ledger, records, shard, counts))
    return {name: counts[name] for name in ("blocks", "records", "checkpoints")}


def check_macs(signer: EventSigner, folder: Path) -> dict[str, int]:
    """Checks the signatures of all events and changes of an export, with the platform's keys.

    Returns: how many there are.
    Raises: OperatorError naming the first that the platform did not make.
    """
    count = 0
    for path in sorted(folder.glob("shard-*.jsonl")):
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                record = json.loads(line).get("record")
                if record is None or record["kind"] == RecordKind.JOURNAL:
                    continue
                data = record["data"]
                if not signer.verify(data["hash"], Signature(data["key_id"], data["mac"])):
                    raise OperatorError(
                        f"{path.name} line {number}: {record['id']} is not signed by the platform"
                    )
                count += 1
    return {"signatures": count}


def _require_newest(ledger: Ledger, now_ms: int) -> None:
    """Checks that no later checkpoint is archived: what its rows held cannot be seen in an export.

    Raises: OperatorError when one is.
    """
    newest = ledger.checkpoints.newest()
    number = newest.checkpoint.number + 1 if newest else 1
    since_ms = newest.checkpoint.created_ms if newest else FIRST_MS
    archived = ledger.archive.find(ledger.region, number, since_ms, now_ms)
    # One that was signed meanwhile is listed by now.
    if archived is not None and not ledger.checkpoints.page(number - 1, 1):
        raise OperatorError(
            f"checkpoint {number} is archived and not in the table: unless it was signed this"
            " second, rows were taken away"
        )


def _checkpoints(ledger: Ledger, counts: Counter[str]) -> Iterator[bytes]:
    number = 0
    while page := ledger.checkpoints.page(number, CHECKPOINTS_READ):
        counts["checkpoints"] += len(page)
        for signed in page:
            yield export_line(signed.to_dict())
        number = page[-1].checkpoint.number


def _shard(ledger: Ledger, records: Records, shard: int, counts: Counter[str]) -> Iterator[bytes]:
    for block in ledger.blocks.blocks(shard):
        counts.update(blocks=1, records=len(block.leaves))
        yield export_line({"block": block.to_dict()})
        for record in records.of_block(block):
            yield export_line({"record": record.to_dict()})


def _write(path: Path, lines: Iterator[bytes]) -> None:
    with path.open("wb") as file:
        file.writelines(lines)
