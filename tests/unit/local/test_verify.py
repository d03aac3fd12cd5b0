"""Verification of an export: what was sealed passes, and every tampering is found at its row."""

import copy
import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils

from local import verify as cli
from shared.domain.accounts import control_account
from shared.domain.audit import Change
from shared.domain.canonical import canonical
from shared.domain.events import Event, EventType, SignedEvent
from shared.domain.evidence import (
    Block,
    Checkpoint,
    Head,
    Record,
    RecordKind,
    SignedCheckpoint,
    export_line,
    seal,
)
from shared.domain.export_rows import LINE_BYTES_MAX, Finding
from shared.domain.ledger import Journal, Layer, Posting
from shared.domain.records import change_record, event_record, journal_record
from shared.domain.signatures import Signature
from shared.domain.verification import Report, shard_file

BOOK, REGION, T0 = "acct_1/test", "us-east-1", 1_790_000_000_000
SHARDS = (7, 40)
BLOCK_RECORDS = 5
MANIFEST, CHECKPOINTS = "manifest.json", "checkpoints.jsonl"
SIGNATURE = Signature("2026-09-21", "ab" * 32)
PLATFORM = ec.derive_private_key(0x5EED, ec.SECP256R1())
ATTACKER = ec.derive_private_key(0xBAD, ec.SECP256R1())
Json = dict[str, Any]
Key = ec.EllipticCurvePrivateKey


def hashed(data: Json) -> Json:
    facts = {k: v for k, v in data.items() if k not in {"hash", "key_id", "mac"}}
    digest = sha256(canonical(facts)).hexdigest()
    return {**facts, "hash": digest, "key_id": SIGNATURE.key_id, "mac": SIGNATURE.mac}


def chained(history: list[Json]) -> list[Json]:
    """Gives each version of a history the hash of the one before, and its own."""
    made: list[Json] = []
    for data in history:
        made.append(hashed({**data, "previous_hash": made[-1]["hash"] if made else ""}))
    return made


def event_records(payment: str, count: int = 3) -> list[Record]:
    made: list[Record] = []
    previous_hash = ""
    for version in range(1, count + 1):
        event = Event(
            payment_id=payment,
            version=version,
            type=EventType.PAYMENT_UPDATED,
            occurred_at_ms=T0 + version,
            data={"amount_minor": 2_000, "name": "Zoë"},
            request={"id": "req_1", "idempotency_key": None, "actor": "platform"},
            previous_hash=previous_hash,
        )
        previous_hash = event.hash
        made.append(event_record(SignedEvent(event, SIGNATURE), BOOK))
    return made


def change_records(entity: str, count: int = 3) -> list[Record]:
    made: list[Record] = []
    previous_hash = ""
    for version in range(1, count + 1):
        change = Change(
            entity=entity,
            entity_type="customer",
            version=version,
            action="updated",
            actor="operator:ann",
            request_id=None,
            occurred_at_ms=T0 + version,
            book=BOOK,
            old={"email": None},
            new={"email": f"{version}@example.com"},
            metadata={},
            previous_hash=previous_hash,
        )
        previous_hash = change.hash
        signed = {"hash": change.hash, "key_id": SIGNATURE.key_id, "mac": SIGNATURE.mac}
        made.append(change_record({**change.facts(), **signed}, BOOK))
    return made


def journal_of(payment: str, kind: str = "capture", amount_minor: int = 2_000) -> Record:
    account = "2000:merchant:acct_1:pending:usd"
    journal = Journal(
        id=f"{payment}/{kind}/ch_1",
        account="acct_1",
        livemode=False,
        kind=kind,
        subject=payment,
        reference="ch_1",
        occurred_at_ms=T0,
        posted_at_ms=T0 + 9,
        postings=(
            Posting("1100:receivable:acquirer:sandbox:usd", "usd", amount_minor, 0),
            Posting(account, "usd", 0, amount_minor),
            Posting(account, "usd", amount_minor, 0, Layer.PENDING),
            Posting("1100:receivable:acquirer:sandbox:usd", "usd", 0, amount_minor, Layer.PENDING),
        ),
    )
    return journal_record(journal)


def history(prefix: str) -> list[Record]:
    """The records of a shard: payments, their journals and a customer, interleaved."""
    first, second = event_records(f"{prefix}_1"), event_records(f"{prefix}_2")
    customer = change_records(f"cus_{prefix}")
    return [
        first[0],
        second[0],
        customer[0],
        journal_of(f"{prefix}_1", "hold"),
        journal_of(f"{prefix}_1"),
        first[1],
        customer[1],
        journal_of(f"{prefix}_2"),
        second[1],
        first[2],
        second[2],
        journal_of(f"{prefix}_2", "fee", 88),
        customer[2],
    ]


def sign(checkpoint: Checkpoint, key: Key) -> Json:
    algorithm = ec.ECDSA(utils.Prehashed(hashes.SHA256()))
    signature = b64encode(key.sign(checkpoint.digest, algorithm)).decode()
    made: Json = json.loads(canonical(SignedCheckpoint(checkpoint, signature, "key-1").to_dict()))
    return made


@dataclass
class Export:
    """The rows of an export by file, as JSON: what an attacker edits."""

    rows: dict[str, list[Any]]

    def write(self, directory: Path) -> Path:
        directory.mkdir(exist_ok=True)
        for name, rows in self.rows.items():
            (directory / name).write_bytes(b"".join(map(export_line, rows)))
        return directory

    def of_kind(self, kind: str) -> list[tuple[str, int]]:
        """Places of the rows of a kind: file and index."""
        return [
            (name, index)
            for name, rows in self.rows.items()
            for index, row in enumerate(rows)
            if kind_of(name, row) == kind
        ]

    def copy(self) -> "Export":
        return copy.deepcopy(self)


def kind_of(file: str, row: Json) -> str:
    if file == MANIFEST:
        return "manifest"
    if "checkpoint" in row:
        return "checkpoint"
    return "block" if "block" in row else str(row["record"]["kind"])


def seal_shard(shard: int, records: list[Record]) -> tuple[list[Json], list[Block]]:
    rows: list[Json] = []
    blocks: list[Block] = []
    for start in range(0, len(records), BLOCK_RECORDS):
        part = records[start : start + BLOCK_RECORDS]
        previous = blocks[-1] if blocks else None
        blocks.append(seal(previous, part, T0 + 100 * start, shard, control_account))
        rows.append({"block": blocks[-1].to_dict()})
        rows.extend({"record": record.to_dict()} for record in part)
    return json.loads(canonical(rows)), blocks


def sign_shards(blocks: dict[int, list[Block]], key: Key, left_out: int = 0) -> list[Json]:
    """Signs a checkpoint after each block of every shard; the newest blocks may be left out."""
    signed: list[Json] = []
    previous_hash = ""
    for number in range(1, max(map(len, blocks.values())) + 1 - left_out):
        heads = tuple(
            Head.of_block(chain[min(number, len(chain)) - 1]) for _, chain in sorted(blocks.items())
        )
        checkpoint = Checkpoint(REGION, number, previous_hash, T0 + number * 10_000, heads)
        signed.append(sign(checkpoint, key))
        previous_hash = checkpoint.digest.hex()
    return signed


def export_of(records: dict[int, list[Record]], key: Key = PLATFORM, left_out: int = 0) -> Export:
    sealed = {shard: seal_shard(shard, part) for shard, part in records.items()}
    manifest = {"format": 1, "region": REGION, "stage": "dev", "shards": 64}
    signed = sign_shards({shard: blocks for shard, (_, blocks) in sealed.items()}, key, left_out)
    files = {shard_file(shard): rows for shard, (rows, _) in sealed.items()}
    return Export({MANIFEST: [manifest], CHECKPOINTS: signed, **files})


def records_of(export: Export) -> dict[int, list[Record]]:
    return {
        shard: [
            Record.of(row["record"]) for row in export.rows[shard_file(shard)] if "record" in row
        ]
        for shard in SHARDS
    }


@cache
def _whole() -> Export:
    return export_of({shard: history(f"p{shard}") for shard in SHARDS})


def whole() -> Export:
    return _whole().copy()


def check(directory: Path, known: Path | None = None) -> Report:
    return cli.verify_directory(directory, PLATFORM.public_key(), known)


def found(export: Export, directory: Path, known: Path | None = None) -> Finding:
    finding = check(export.write(directory), known).finding
    assert finding is not None
    return finding


def write_key(path: Path, key: Any) -> Path:
    path.write_bytes(
        key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return path


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    return write_key(tmp_path / "key.pem", PLATFORM.public_key())


def test_export_as_it_was_sealed_passes(
    tmp_path: Path, pem: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = whole().write(tmp_path / "export")

    code = cli.main([str(directory), "--public-key", str(pem)])

    printed = capsys.readouterr()
    assert (code, printed.err) == (0, "")
    assert "records      26: 12 events, 8 journals, 6 changes" in printed.out
    assert "blocks       6, not yet signed 0" in printed.out
    assert "checkpoints  3, signed by " in printed.out
    assert "trial balance test usd: 12176 - 12176 = 0" in printed.out


def test_blocks_behind_the_newest_checkpoint_are_counted_as_not_signed(tmp_path: Path) -> None:
    records = {shard: history(f"p{shard}") for shard in SHARDS}

    report = check(export_of(records, left_out=1).write(tmp_path / "export"))

    assert report.finding is None
    assert (report.blocks, report.unsigned_blocks, report.checkpoints) == (6, 2, 2)


# Tampering with rows as they lie there: every kind of row, every way.
KINDS = ("event", "journal", "change", "block", "checkpoint")


def edit(export: Export, file: str, index: int) -> None:
    row = export.rows[file][index]
    if "record" in row:
        row["record"]["data"]["occurred_at_ms"] += 1
    elif "block" in row:
        row["block"]["sealed_at_ms"] += 1
    else:
        row["checkpoint"]["created_ms"] += 1


def delete(export: Export, file: str, index: int) -> None:
    del export.rows[file][index]


def insert(export: Export, file: str, index: int) -> None:
    forged = copy.deepcopy(export.rows[file][index])
    export.rows[file].insert(index + 1, forged)
    edit(export, file, index + 1)


def repeat(export: Export, file: str, index: int) -> None:
    export.rows[file].insert(index + 1, export.rows[file][index])


def swap(export: Export, file: str, index: int) -> None:
    """Exchanges the row with the next of its kind."""
    rows = export.rows[file]
    others = [i for name, i in export.of_kind(kind_of(file, rows[index])) if name == file]
    other = next((i for i in others if i > index), others[0])
    rows[index], rows[other] = rows[other], rows[index]


def truncate(export: Export, file: str, index: int) -> None:
    del export.rows[file][index:]


TAMPERINGS = (edit, delete, insert, repeat, swap, truncate)
Tampering = Callable[[Export, str, int], None]


@pytest.mark.parametrize("tamper", TAMPERINGS, ids=lambda one: one.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_every_row_that_is_tampered_with_is_found(
    kind: str, tamper: Tampering, tmp_path: Path
) -> None:
    places = whole().of_kind(kind)
    assert places
    for file, index in places:
        export = whole()
        tamper(export, file, index)
        if kind == "checkpoint" and export.rows[CHECKPOINTS] == whole().rows[CHECKPOINTS][:index]:
            continue  # only a kept checkpoint tells that the newest are gone: below
        finding = found(export, tmp_path / "export")
        # An edited block is told by what names it: the next block, or a checkpoint.
        assert finding.file == file, (file, index, finding)
        nearest = {edit: (1,), delete: (0, 1), insert: (2,), repeat: (2,), truncate: (0,)}
        if kind not in {"block", "checkpoint"} and tamper in nearest:
            assert finding.line - index in nearest[tamper], (file, index, finding)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"format": 2}], "is not of format 1"),
        ([{"shards": 65}], "is not of format 1"),
        ([{"region": "eu-west-1"}], "is of region 'us-east-1', not of the manifest's"),
        ([{"region": None}], "has no region of type str"),
        ([{"more": 1}], "it has 'more'"),
        ([{}, {}], "follows the manifest"),
        ([], "is missing or empty"),
    ],
)
def test_manifest_that_is_tampered_with_is_found(
    rows: list[Json], said: str, tmp_path: Path
) -> None:
    export = whole()
    export.rows[MANIFEST] = [{**export.rows[MANIFEST][0], **row} for row in rows]

    assert said in found(export, tmp_path / "export").what


def test_shard_file_that_is_gone_is_found(tmp_path: Path) -> None:
    directory = whole().write(tmp_path / "export")
    (directory / shard_file(40)).unlink()

    assert check(directory).finding == Finding(
        "shard-40.jsonl",
        0,
        "is the last, of block 0, though checkpoint 1 signs block 1: rows are missing",
    )


@pytest.mark.parametrize("name", ["shard-64.jsonl", "shard-007.jsonl", "shard-7.jsonl"])
def test_file_that_nobody_verifies_is_found(name: str, tmp_path: Path) -> None:
    # given
    directory = whole().write(tmp_path / "export")
    (directory / name).write_bytes((directory / shard_file(7)).read_bytes())
    # then
    assert check(directory).finding == Finding(name, 0, "is no file of an export")


def test_rows_moved_to_another_shard_are_found(tmp_path: Path) -> None:
    export = whole()
    export.rows[shard_file(41)] = export.rows.pop(shard_file(40))

    assert found(export, tmp_path / "export").file == "shard-40.jsonl"


# The smallest change of each value of each row.
def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict):
        for key, part in value.items():
            yield from paths(part, (*path, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from paths(part, (*path, index))


def altered(value: Any) -> Iterator[Any]:
    """Values next to one: of its type, and of each other."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, -value - 1, 2**70)
    elif isinstance(value, str):
        yield from (value + "0", value[:-1] + "\ud800")
    others: tuple[Any, ...] = (None, True, 7, "x", [], {}, [[]])
    for other in others:
        if other != value or type(other) is not type(value):
            yield other


# Labels for people: nothing that is proven depends on them.
LABELS = {("stage",), ("key_id",)}


def test_every_value_of_every_row_is_held(tmp_path: Path) -> None:
    # given an export with a row of each kind
    export = export_of({7: [event_records("pi_1")[0], journal_of("pi_1"), *change_records("c")]})
    directory = export.write(tmp_path / "export")
    tried = 0
    for kind in ("manifest", *KINDS):
        file, index = export.of_kind(kind)[0]
        for path in paths(export.rows[file][index]):
            if path in LABELS:
                continue
            at: Any = export.rows[file][index]
            for key in path:
                at = at[key]
            for other in altered(at):
                changed = copy.deepcopy(export.rows[file])
                holder: Any = changed
                for key in (index, *path)[:-1]:
                    holder = holder[key]
                holder[(index, *path)[-1]] = other
                # when
                (directory / file).write_bytes(b"".join(map(export_line, changed)))
                # then
                assert check(directory).finding is not None, (kind, path, other)
                tried += 1
        export.write(directory)
    assert check(directory).finding is None
    assert tried > 1_000


# An attacker who knows the format: hashes, roots and chains are all made anew.
def clever_edit(records: list[Record], index: int) -> list[Record]:
    record = records[index]
    data = copy.deepcopy(dict(record.data))
    if record.kind is RecordKind.JOURNAL:
        for posting in data["postings"]:
            for side in ("debit_minor", "credit_minor"):
                posting[side] *= 10
    elif record.kind is RecordKind.EVENT:
        data["data"]["amount_minor"] = 1
    else:
        data["actor"] = "operator:eve"
    return rechained([*records[:index], replace(record, data=data), *records[index + 1 :]])


def clever_delete(records: list[Record], index: int) -> list[Record]:
    return renumbered([*records[:index], *records[index + 1 :]])


def clever_insert(records: list[Record], index: int) -> list[Record]:
    if records[index].kind is RecordKind.JOURNAL:
        return [*records[:index], journal_of("pi_forged"), *records[index:]]
    return renumbered([*records[: index + 1], *records[index:]])


def clever_swap(records: list[Record], index: int) -> list[Record]:
    other = (index + 1) % len(records)
    swapped = list(records)
    swapped[index], swapped[other] = swapped[other], swapped[index]
    return swapped


def renumbered(records: list[Record]) -> list[Record]:
    counts: dict[tuple[RecordKind, str], int] = {}
    numbered = []
    for record in records:
        if record.kind is RecordKind.JOURNAL:
            numbered.append(record)
            continue
        entity = record.kind, record.subject
        version = counts[entity] = counts.get(entity, 0) + 1
        data = {**record.data, "version": version}
        numbered.append(replace(record, id=f"{record.subject}/{version}", data=data))
    return rechained(numbered)


def rechained(records: list[Record]) -> list[Record]:
    entities = {(r.kind, r.subject) for r in records if r.kind is not RecordKind.JOURNAL}
    made = list(records)
    for entity in entities:
        places = [i for i, r in enumerate(records) if (r.kind, r.subject) == entity]
        for place, data in zip(
            places, chained([dict(records[i].data) for i in places]), strict=True
        ):
            made[place] = replace(records[place], data=data)
    return made


CLEVER = (clever_edit, clever_delete, clever_insert, clever_swap)
Forgery = Callable[[list[Record], int], list[Record]]


def forged(forge: Forgery, kind: str, key: Key) -> Export:
    """A whole export after a forgery of the first shard, signed with a key."""
    records = records_of(whole())
    index = next(i for i, record in enumerate(records[7]) if record.kind == kind)
    return export_of({**records, 7: forge(records[7], index)}, key)


@pytest.mark.parametrize("forge", CLEVER, ids=lambda one: one.__name__)
@pytest.mark.parametrize("kind", list(RecordKind))
def test_forgery_with_all_hashes_made_anew_is_found_by_the_signed_checkpoint(
    kind: RecordKind, forge: Forgery, tmp_path: Path
) -> None:
    export = forged(forge, kind, PLATFORM)
    # The forgery is perfect but for the signatures: the platform's own would pass.
    assert check(export.copy().write(tmp_path / "perfect")).finding is None
    export.rows[CHECKPOINTS] = whole().rows[CHECKPOINTS]

    assert found(export, tmp_path / "export") == Finding(
        "shard-07.jsonl", 1, "is not the block 1 that checkpoint 1 signs"
    )


@pytest.mark.parametrize("forge", CLEVER, ids=lambda one: one.__name__)
@pytest.mark.parametrize("kind", list(RecordKind))
def test_forgery_signed_with_another_key_is_found_by_the_public_key(
    kind: RecordKind, forge: Forgery, tmp_path: Path
) -> None:
    assert found(forged(forge, kind, ATTACKER), tmp_path / "export") == Finding(
        CHECKPOINTS, 1, "is checkpoint 1, not signed by the public key"
    )


def test_checkpoint_signed_again_without_the_key_is_found(tmp_path: Path) -> None:
    # given an attacker who hides the newest block of each shard behind a newest checkpoint
    export = whole()
    second = SignedCheckpoint.of(export.rows[CHECKPOINTS][1]).checkpoint
    again = replace(second, number=3, previous_hash=second.digest.hex())
    export.rows[CHECKPOINTS][2] = sign(again, ATTACKER)
    # when, then
    assert found(export, tmp_path / "export").line == 3


def test_signature_of_another_checkpoint_is_found(tmp_path: Path) -> None:
    export = whole()
    signed = export.rows[CHECKPOINTS]
    signed[2]["signature_b64"] = signed[1]["signature_b64"]

    assert "not signed by the public key" in found(export, tmp_path / "export").what


def test_signature_that_is_no_base64_is_found(tmp_path: Path) -> None:
    export = whole()
    export.rows[CHECKPOINTS][0]["signature_b64"] = "ë"

    assert "not base64" in found(export, tmp_path / "export").what


# The newest rows: an export alone cannot tell it from one made earlier.
def without_newest(export: Export) -> Export:
    export.rows[CHECKPOINTS].pop()
    for shard in SHARDS:
        rows = export.rows[shard_file(shard)]
        del rows[max(i for i, row in enumerate(rows) if "block" in row) :]
    return export


def keep(export: Export, number: int, path: Path) -> Path:
    path.write_bytes(export_line(export.rows[CHECKPOINTS][number - 1]))
    return path


def test_newest_checkpoint_dropped_with_its_blocks_is_found_by_a_kept_one(tmp_path: Path) -> None:
    kept = keep(whole(), 3, tmp_path / "kept.json")
    export = without_newest(whole())
    # The export alone is one of an earlier day.
    assert check(export.write(tmp_path / "export")).finding is None

    assert found(export, tmp_path / "export", kept) == Finding(
        CHECKPOINTS, 2, "is the last, though you have kept checkpoint 3: the newest are missing"
    )


def test_newest_checkpoint_dropped_without_its_blocks_leaves_them_unsigned(tmp_path: Path) -> None:
    export = whole()
    export.rows[CHECKPOINTS].pop()

    assert check(export.write(tmp_path / "export")).unsigned_blocks == 2


def test_history_signed_anew_with_the_platforms_own_key_is_found_by_a_kept_one(
    tmp_path: Path,
) -> None:
    kept = keep(whole(), 2, tmp_path / "kept.json")
    export = forged(clever_edit, "event", PLATFORM)

    assert found(export, tmp_path / "export", kept) == Finding(
        CHECKPOINTS, 2, "is not the checkpoint 2 that you have kept"
    )


def test_export_that_goes_on_from_a_kept_checkpoint_passes(tmp_path: Path) -> None:
    kept = keep(whole(), 1, tmp_path / "kept.json")
    kept.write_bytes(kept.read_bytes().strip())

    assert check(whole().write(tmp_path / "export"), kept).finding is None


@pytest.mark.parametrize("raw", [b"", b"{}", b"nonsense", b"[1]\n[2]\n"])
def test_kept_checkpoint_that_is_none_is_named(raw: bytes, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    kept.write_bytes(raw)

    assert found(whole(), tmp_path / "export", kept).file == str(kept)


# What the platform itself must never have sealed, signed with its own key.
EVENTS = event_records("pi_1")
JOURNAL = journal_of("pi_1")
FEE = "4000:platform_fee:usd"


def posting(debit: int, credit: int, account: str = FEE, **changes: Any) -> Json:
    made = {"account": account, "currency": "usd", "layer": "posted"}
    return {**made, "debit_minor": debit, "credit_minor": credit, **changes}


def journal_with(*postings: Json, **changes: Any) -> Record:
    data = {**JOURNAL.data, "postings": list(postings) or JOURNAL.data["postings"], **changes}
    return replace(JOURNAL, data=data)


def event_with(**changes: Any) -> Record:
    return replace(EVENTS[0], data=hashed({**EVENTS[0].data, **changes}))


FORKED = hashed({**EVENTS[2].data, "previous_hash": "ab" * 32})
SEALED_WRONGLY: dict[str, tuple[list[Record], int, str]] = {
    "journal twice": (
        [JOURNAL, EVENTS[0], JOURNAL],
        4,
        "is 'journal pi_1/capture/ch_1' version 1 a second time, after shard-07.jsonl line 2",
    ),
    "event twice": (
        [EVENTS[0], EVENTS[1], EVENTS[1]],
        4,
        "is 'event pi_1' version 2 a second time, after shard-07.jsonl line 3",
    ),
    "event missing": ([EVENTS[0], EVENTS[2]], 3, "is 'event pi_1' version 3, and 2 is missing"),
    "first event missing": ([EVENTS[1]], 2, "is 'event pi_1' version 2, and 1 is missing"),
    "forked history": (
        [*EVENTS[:2], replace(EVENTS[2], data=FORKED)],
        4,
        "is 'event pi_1' version 3, which does not follow from the one before",
    ),
    "first of two bad rows": (
        [EVENTS[1], change_records("cus_1")[2]],
        2,
        "is 'event pi_1' version 2, and 1 is missing",
    ),
    "version zero": ([event_with(version=0)], 2, "is version 0 of 'pi_1' under another id"),
    "version that no database counts to": (
        [replace(event_with(version=2**70), id=f"pi_1/{2**70}")],
        2,
        "is not an event: its version is out of range",
    ),
    "another id": ([replace(EVENTS[0], id="pi_1/2")], 2, "is version 1 of 'pi_1' under another id"),
    "another subject": (
        [replace(EVENTS[0], subject="pi_2")],
        2,
        "is an event of 'pi_1' kept under another",
    ),
    "change of another entity": (
        [replace(change_records("cus_1")[0], subject="cus_2")],
        2,
        "is a change of 'cus_1' kept under another",
    ),
    "change in other books": (
        [replace(change_records("cus_1")[0], book="acct_2/test")],
        2,
        "is a change of 'cus_1' kept under another",
    ),
    "hash of other facts": (
        [replace(EVENTS[0], data={**EVENTS[0].data, "hash": "00" * 32})],
        2,
        "has a hash that is not that of 'pi_1/1'",
    ),
    "previous_hash of no form": (
        [event_with(previous_hash="none")],
        2,
        "has a previous_hash that is no hash",
    ),
    "journal out of balance": (
        [journal_with(posting(100, 0), posting(0, 99))],
        2,
        "does not balance in 'usd', posted: debits 100, credits 99",
    ),
    "journal out of balance in a layer": (
        [journal_with(posting(100, 0), posting(0, 100, layer="pending"))],
        2,
        "does not balance in 'usd', posted: debits 100, credits 0",
    ),
    "journal out of balance in a currency": (
        [journal_with(posting(100, 0), posting(0, 100, "4000:platform_fee:eur", currency="eur"))],
        2,
        "does not balance in 'usd', posted: debits 100, credits 0",
    ),
    "posting of two sides": (
        [journal_with(posting(100, 100))],
        2,
        "has a posting that is not one positive debit or credit of a layer",
    ),
    "posting below zero": (
        [journal_with(posting(-100, 0), posting(0, -100))],
        2,
        "has a posting that is not one positive debit or credit of a layer",
    ),
    "posting of no layer": (
        [journal_with(posting(100, 0, layer="memo"), posting(0, 100, layer="memo"))],
        2,
        "has a posting that is not one positive debit or credit of a layer",
    ),
    "posting in another currency": (
        [journal_with(posting(100, 0, currency="eur"), posting(0, 100, currency="eur"))],
        2,
        f"posts 'eur' to '{FEE}'",
    ),
    "account of no chart": (
        [journal_with(posting(100, 0, "9999:mine:usd"), posting(0, 100))],
        2,
        "posts to an account that the chart does not have",
    ),
    "journal of nothing": (
        [journal_with(posting(1, 1), postings=[])],
        2,
        "is a journal without postings",
    ),
    "journal in other books": (
        [journal_with(livemode=True)],
        2,
        "is a journal kept under another name than its own, ('pi_1/capture/ch_1',"
        " 'acct_1/live', 'pi_1', 1790000000009)",
    ),
}


def own_control(account: str) -> str:
    return account if account.startswith("9999:") else control_account(account)


def sealed_by_platform(records: list[Record], **changes: Any) -> Export:
    """An export of one block, signed as the platform does, whatever is in it."""
    block = replace(seal(None, records, T0, 7, own_control), **changes)
    rows = [{"block": block.to_dict()}, *({"record": record.to_dict()} for record in records)]
    manifest = {"format": 1, "region": REGION, "stage": "dev", "shards": 64}
    return Export(
        {
            MANIFEST: [manifest],
            CHECKPOINTS: sign_shards({7: [block]}, PLATFORM),
            shard_file(7): json.loads(canonical(rows)),
        }
    )


@pytest.mark.parametrize("case", SEALED_WRONGLY)
def test_record_that_should_not_have_been_sealed_is_found_though_it_is_signed(
    case: str, tmp_path: Path
) -> None:
    records, line, what = SEALED_WRONGLY[case]

    assert found(sealed_by_platform(records), tmp_path / "export") == Finding(
        "shard-07.jsonl", line, what
    )


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"shard": 8}, "has shard 8, not 7"),
        ({"number": 2}, "has number 2, not 1"),
        ({"previous_hash": "ab"}, "has previous_hash 'ab', not ''"),
        ({"first_sequence": 2}, "has first_sequence 2, not 1"),
        ({"root": "ab"}, "has root 'ab', not "),
        ({"newest_ms": T0 + 10}, f"has newest_ms {T0 + 10}, not {T0 + 9}"),
        ({"totals": {}}, "states totals that its journals do not add up to"),
        ({"leaves": ()}, "is a block without records"),
    ],
)
def test_block_that_states_what_is_not_so_is_found_though_it_is_signed(
    stated: Json, said: str, tmp_path: Path
) -> None:
    finding = found(sealed_by_platform([EVENTS[0], JOURNAL], **stated), tmp_path / "export")

    assert (finding.file, finding.line) == ("shard-07.jsonl", 1)
    assert said in finding.what


def test_record_of_an_unknown_kind_is_found_though_it_is_signed(tmp_path: Path) -> None:
    export = sealed_by_platform([replace(EVENTS[0], kind=cast(RecordKind, "rumor"))])

    assert found(export, tmp_path / "export") == Finding(
        "shard-07.jsonl", 2, "is of no kind that there is: 'rumor'"
    )


def test_newest_time_of_a_shard_never_goes_back(tmp_path: Path) -> None:
    late = replace(JOURNAL, at_ms=1, data={**JOURNAL.data, "posted_at_ms": 1})

    report = check(export_of({7: [*event_records("pi_1", 5), late]}).write(tmp_path / "export"))

    assert (report.finding, report.blocks) == (None, 2)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"number": 4}, "is checkpoint 4, not 3"),
        ({"previous_hash": "ab"}, "does not name the checkpoint before it"),
        ({"region": "eu-west-1"}, "is of region 'eu-west-1', not of the manifest's"),
        ({"heads": ()}, "leaves out a shard that an earlier checkpoint names"),
        ({"heads": (Head(7, 1, "ab", 5), Head(40, 3, "ab", 13))}, "takes shard 7 back"),
        ({"heads": (Head(40, 2, "ab", 10), Head(7, 2, "ab", 10))}, "each shard once, in order"),
        ({"heads": (Head(7, 2, "ab", 10), Head(7, 2, "ab", 10))}, "each shard once, in order"),
        ({"heads": (Head(7, 2, "ab", 10), Head(64, 1, "ab", 10))}, "each shard once, in order"),
    ],
)
def test_checkpoint_that_does_not_follow_is_found_though_it_is_signed(
    changes: Json, said: str, tmp_path: Path
) -> None:
    export = whole()
    last = SignedCheckpoint.of(export.rows[CHECKPOINTS][2]).checkpoint
    export.rows[CHECKPOINTS][2] = sign(replace(last, **changes), PLATFORM)

    finding = found(export, tmp_path / "export")

    assert (finding.file, finding.line) == (CHECKPOINTS, 3)
    assert said in finding.what


def test_history_over_two_shards_and_out_of_order_passes(tmp_path: Path) -> None:
    events = event_records("pi_1", 12)

    report = check(export_of({7: events[::-2], 40: events[::2]}).write(tmp_path / "export"))

    assert (report.finding, report.records["event"]) == (None, 12)


def test_gap_before_a_record_that_is_not_signed_yet_is_waited_for(tmp_path: Path) -> None:
    # given an event whose predecessor is still on its way, sealed since the newest checkpoint
    records = [*event_records("pi_2", BLOCK_RECORDS), EVENTS[1]]
    export = export_of({7: records}, left_out=1)
    # when
    report = check(export.write(tmp_path / "export"))
    # then
    assert (report.finding, report.waiting, report.unsigned_blocks) == (None, 1, 1)


# What is no export at all.
CORRUPT: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"block\n", "is not canonical JSON: Expecting value"),
    "empty line": (b"\n", "is not canonical JSON: Expecting value"),
    "invalid UTF-8": (b'{"block":"\xff\xfe"}\n', "is not canonical JSON: 'ascii' codec"),
    "UTF-8 that is not escaped": ('{"block":"é"}\n'.encode(), "is not canonical JSON: 'ascii'"),
    "UTF-16": ('{"block":1}\n'.encode("utf-16"), "is not canonical JSON"),
    "spaces": (b'{"block": 1}\n', "is not canonical JSON"),
    "key twice": (b'{"block":1,"block":2}\n', "is not canonical JSON"),
    "float": (b'{"block":1.5}\n', "'1.5' is not an integer"),
    "not a number": (b'{"block":NaN}\n', "'NaN' is not an integer"),
    "endless integer": (b"9" * 10_000 + b"\n", "is not canonical JSON: Exceeds the limit"),
    "endless depth": (b"[" * 100_000 + b"\n", "is not canonical JSON"),
    "depth that is parsed": (b"[" * 950 + b"]" * 950 + b"\n", "is not"),
    "huge line": (b'"' + b"x" * LINE_BYTES_MAX + b'"\n', f"longer than {LINE_BYTES_MAX} bytes"),
    "cut line": (b'{"block":{"shard":7', "has no end: the file is cut within it"),
    "zero bytes": (b"\0" * 100, "has no end"),
}


@pytest.mark.parametrize("file", [MANIFEST, CHECKPOINTS, shard_file(7), shard_file(63)])
@pytest.mark.parametrize("case", CORRUPT)
def test_line_that_cannot_be_read_is_named(
    case: str,
    file: str,
    tmp_path: Path,
    pem: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    raw, said = CORRUPT[case]
    directory = whole().write(tmp_path / "export")
    (directory / file).write_bytes(raw)

    code = cli.main([str(directory), "--public-key", str(pem)])

    printed = capsys.readouterr()
    assert (code, printed.out) == (1, "")
    assert printed.err.startswith(f"BAD: {file} line 1: ")
    assert said in printed.err
    assert printed.err.isascii()
    assert len(printed.err) < 250


def test_export_that_says_something_to_the_terminal_is_quoted(
    tmp_path: Path, pem: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export = whole()
    export.rows[MANIFEST][0]["\x1b[2Jall is well" + "!" * 1_000] = 1

    cli.main([str(export.write(tmp_path / "export")), "--public-key", str(pem)])

    printed = capsys.readouterr().err
    assert "'\\x1b[2Jall is well" in printed
    assert len(printed) < 250


def test_export_without_anything_signed_is_bad(tmp_path: Path) -> None:
    export = Export({MANIFEST: whole().rows[MANIFEST], CHECKPOINTS: []})

    assert found(export, tmp_path / "export") == Finding(
        CHECKPOINTS, 0, "holds no checkpoint: nothing is signed"
    )


@pytest.mark.parametrize("missing", [MANIFEST, CHECKPOINTS, ""])
def test_export_without_its_files_is_unusable(
    missing: str, tmp_path: Path, pem: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = whole().write(tmp_path / "export")
    if missing:
        (directory / missing).unlink()
    else:
        directory = tmp_path / "nowhere"

    code = cli.main([str(directory), "--public-key", str(pem)])

    assert code == 2
    assert capsys.readouterr().err == (
        f"nothing was verified: there is no {directory / (missing or MANIFEST)}\n"
    )


@pytest.mark.parametrize("option", ["--public-key", "--known-checkpoint"])
def test_file_of_an_option_that_is_not_there_is_unusable(
    option: str, tmp_path: Path, pem: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = whole().write(tmp_path / "export")
    options = {"--public-key": str(pem), option: str(tmp_path / "nothing")}

    code = cli.main([str(directory), *(part for pair in options.items() for part in pair)])

    assert code == 2
    assert "No such file" in capsys.readouterr().err


def test_file_that_holds_no_p256_key_is_unusable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = whole().write(tmp_path / "export")
    curve = write_key(tmp_path / "p384", ec.generate_private_key(ec.SECP384R1()).public_key())
    other = write_key(tmp_path / "rsa", rsa.generate_private_key(65_537, 2_048).public_key())
    nothing = tmp_path / "empty"
    nothing.write_bytes(b"")

    for path, said in (
        (curve, "is not of the curve P-256"),
        (other, "is not of the curve P-256"),
        (nothing, "holds no public key in PEM"),
    ):
        assert cli.main([str(directory), "--public-key", str(path)]) == 2
        assert said in capsys.readouterr().err
