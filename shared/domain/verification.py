"""Verification: recomputes everything that an export claims, and names the first row that is bad.

It needs the export and the public key of the checkpoints, and memory for one row: what grows with
the export goes to a workspace and comes back sorted. It trusts nothing that it reads, so whatever
a row holds, the outcome is a finding and no exception.

What it cannot see, an export does not hold: docs/evidence.md says what is proven and what is not.
"""

import re
from base64 import b64decode
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Protocol

from shared.domain.canonical import canonical
from shared.domain.errors import InvariantError
from shared.domain.evidence import (
    SHARDS,
    Head,
    RecordKind,
    SignedCheckpoint,
    add_journal,
    header_hash,
    leaf_hash,
    merkle_root,
)
from shared.domain.export_rows import (
    BLOCK,
    CHANGE,
    CHECKPOINT,
    EVENT,
    HEAD,
    JOURNAL,
    LEAF,
    MANIFEST,
    POSTING,
    RECORD,
    SIGNATURE,
    SIGNED,
    BadRowError,
    Finding,
    Row,
    fields_of,
    read_rows,
    show,
)
from shared.domain.ledger import Layer, book_of, currency_of

MANIFEST_FILE, CHECKPOINTS_FILE = "manifest.json", "checkpoints.jsonl"
FORMAT = 1

_HASH = re.compile(r"[0-9a-f]{64}")
_RECORD_START, _RECORD_END = len(b'{"record":'), -len(b"}")


@dataclass(frozen=True, slots=True)
class Link:
    """A record in the history of its entity.

    Args: chain: the kind and the entity; a journal is a history of one. previous: hash of the
    version before, empty for the first. is_signed: whether a checkpoint covers its block.
    """

    chain: bytes
    version: int
    hash: bytes
    previous: bytes
    shard: int
    line: int
    is_signed: bool


@dataclass(frozen=True, slots=True)
class SignedHead:
    """A block that a checkpoint names, and the checkpoint's number."""

    head: Head
    checkpoint: int


class Workspace(Protocol):
    """Keeps what is too much for memory."""

    def keep_head(self, head: SignedHead) -> None:
        """Keeps a head."""

    def heads(self, shard: int) -> Iterator[SignedHead]:
        """Yields a shard's heads by block number."""

    def keep_link(self, link: Link) -> None:
        """Keeps a link."""

    def links(self) -> Iterator[Link]:
        """Yields all links by chain, version, shard and line."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What an export is held against.

    Args: is_signed: tells whether a signature (DER) is the platform's for a digest. control_of:
    names an account without its merchant. known: name and bytes of a signed checkpoint that the
    reader has kept from before: the export must reach it.
    """

    is_signed: Callable[[bytes, bytes], bool]
    control_of: Callable[[str], str]
    known: tuple[str, bytes] | None = None


@dataclass(slots=True)
class Report:
    """What was read, up to the finding where there is one.

    Args: records: by kind. unsigned_blocks: behind the newest checkpoint, which proves nothing of
    them. waiting: histories with a gap before a record that no checkpoint covers yet. posted_minor:
    debits and credits per mode and currency. newest: the last checkpoint.
    """

    records: dict[str, int] = field(default_factory=lambda: dict.fromkeys(RecordKind, 0))
    blocks: int = 0
    checkpoints: int = 0
    unsigned_blocks: int = 0
    waiting: int = 0
    posted_minor: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    newest: SignedCheckpoint | None = None
    finding: Finding | None = None


def verify(lines: Callable[[str], Iterable[bytes]], workspace: Workspace, rules: Rules) -> Report:
    """Reads an export from its first row to its last, or to the first that is bad.

    Args:
        lines: Yields a file's lines with their ends, none of a file that is not there; of a line
            longer than LINE_BYTES_MAX, at least a byte more than that.
        workspace: Empty.
        rules: What the export is held against.
    """
    report = Report()
    try:
        region = _manifest(read_rows(MANIFEST_FILE, lines(MANIFEST_FILE)))
        signed = _Checkpoints(region, workspace, rules, report)
        signed.read(read_rows(CHECKPOINTS_FILE, lines(CHECKPOINTS_FILE)))
        for shard in range(SHARDS):
            newest = signed.heads.get(shard)
            chain = _Shard(shard, newest.number if newest else 0, workspace, rules, report)
            chain.read(read_rows(chain.file, lines(chain.file)))
        _check_histories(workspace.links(), report)
    except BadRowError as error:
        report.finding = error.finding
    return report


def shard_file(shard: int) -> str:
    """Names the file of a shard."""
    return f"shard-{shard:02}.jsonl"


def _manifest(rows: Iterator[Row]) -> str:
    """Returns the region; the rest says only how to read the export."""
    row = next(rows, None)
    if row is None:
        raise BadRowError(Finding(MANIFEST_FILE, 0, "is missing or empty"))
    manifest = fields_of(row, row.value, MANIFEST, "a manifest")
    if (manifest["format"], manifest["shards"]) != (FORMAT, SHARDS):
        raise row.bad(f"is not of format {FORMAT} with {SHARDS} shards")
    for more in rows:
        raise more.bad("follows the manifest, which is one line")
    return str(manifest["region"])


class _Checkpoints:
    """Follows the chain of checkpoints, and keeps which blocks they sign."""

    def __init__(self, region: str, workspace: Workspace, rules: Rules, report: Report) -> None:
        self.heads: dict[int, Head] = {}
        self._region = region
        self._workspace = workspace
        self._rules = rules
        self._report = report
        self._previous_hash = ""

    def read(self, rows: Iterator[Row]) -> None:
        known = self._known()
        for row in rows:
            signed = _signed_checkpoint(row, self._rules)
            self._follow(row, signed)
            if (
                known is not None
                and signed.checkpoint.number == known.checkpoint.number
                and signed.checkpoint.digest != known.checkpoint.digest
            ):
                raise row.bad(f"is not the checkpoint {known.checkpoint.number} that you have kept")
        number = self._report.checkpoints
        if number == 0:
            raise BadRowError(
                Finding(CHECKPOINTS_FILE, 0, "holds no checkpoint: nothing is signed")
            )
        if known is not None and number < known.checkpoint.number:
            what = (
                f"is the last, though you have kept checkpoint {known.checkpoint.number}:"
                " the newest are missing"
            )
            raise BadRowError(Finding(CHECKPOINTS_FILE, number, what))

    def _known(self) -> SignedCheckpoint | None:
        if self._rules.known is None:
            return None
        name, raw = self._rules.known
        rows = [_signed_checkpoint(row, self._rules) for row in read_rows(name, [raw])]
        return rows[0]

    def _follow(self, row: Row, signed: SignedCheckpoint) -> None:
        checkpoint = signed.checkpoint
        if checkpoint.number != self._report.checkpoints + 1:
            raise row.bad(f"is checkpoint {checkpoint.number}, not {self._report.checkpoints + 1}")
        if checkpoint.previous_hash != self._previous_hash:
            raise row.bad("does not name the checkpoint before it")
        if checkpoint.region != self._region:
            raise row.bad(f"is of region {show(checkpoint.region)}, not of the manifest's")
        self._follow_heads(row, checkpoint.heads, checkpoint.number)
        self._previous_hash = checkpoint.digest.hex()
        self._report.checkpoints = checkpoint.number
        self._report.newest = signed

    def _follow_heads(self, row: Row, heads: tuple[Head, ...], number: int) -> None:
        shards = [head.shard for head in heads]
        if shards != sorted(set(shards)) or not set(shards) <= set(range(SHARDS)):
            raise row.bad("does not name each shard once, in order")
        if not self.heads.keys() <= set(shards):
            raise row.bad("leaves out a shard that an earlier checkpoint names")
        for head in heads:
            before = self.heads.get(head.shard)
            if head == before:
                continue
            if head.number <= (before.number if before else 0):
                raise row.bad(f"takes shard {head.shard} back, or to another block of its number")
            self._workspace.keep_head(SignedHead(head, number))
            self.heads[head.shard] = head


def _signed_checkpoint(row: Row, rules: Rules) -> SignedCheckpoint:
    value = fields_of(row, row.value, SIGNED, "a signed checkpoint")
    fields_of(row, value["checkpoint"], CHECKPOINT, "a checkpoint")
    for head in value["checkpoint"]["heads"]:
        fields_of(row, head, HEAD, "a head")
    signed = SignedCheckpoint.of(value)
    try:
        signature = b64decode(signed.signature_b64, validate=True)
    except ValueError:
        raise row.bad("has a signature that is not base64") from None
    if not rules.is_signed(signed.checkpoint.digest, signature):
        raise row.bad(f"is checkpoint {signed.checkpoint.number}, not signed by the public key")
    return signed


class _Shard:
    """Follows the chain of blocks of one shard, and adds up what they state."""

    def __init__(
        self, shard: int, signed_to: int, workspace: Workspace, rules: Rules, report: Report
    ) -> None:
        self.file = shard_file(shard)
        self._shard = shard
        self._signed_to = signed_to
        self._workspace = workspace
        self._rules = rules
        self._report = report
        self._heads = workspace.heads(shard)
        self._due = next(self._heads, None)
        self._line = 0
        self._number = 0
        self._hash = ""
        self._sequence = 0
        self._newest_ms = 0
        self._totals: dict[str, list[int]] = {}

    def read(self, rows: Iterator[Row]) -> None:
        for row in rows:
            block = self._block(row)
            self._check_head(row)
            self._line = row.line
            for leaf in block["leaves"]:
                record = next(rows, None)
                if record is None:
                    raise self._ends(f"is the last, within block {self._number}")
                self._record(record, leaf)
                self._line = record.line
            if canonical(block["totals"]) != canonical(self._totals):
                raise row.bad("states totals that its journals do not add up to")
        if self._due is not None:
            number, checkpoint = self._due.head.number, self._due.checkpoint
            raise self._ends(
                f"is the last, of block {self._number}, though checkpoint {checkpoint} signs"
                f" block {number}"
            )

    def _ends(self, what: str) -> BadRowError:
        return BadRowError(Finding(self.file, self._line, f"{what}: rows are missing"))

    def _check_head(self, row: Row) -> None:
        due = self._due
        if due is None or due.head.number != self._number:
            return
        if due.head != Head(self._shard, self._number, self._hash, self._sequence):
            raise row.bad(f"is not the block {self._number} that checkpoint {due.checkpoint} signs")
        self._due = next(self._heads, None)

    def _block(self, row: Row) -> dict[str, Any]:
        """Checks all of a block but its records and totals, and goes on to it."""
        wrapped = fields_of(row, row.value, {"block": dict}, "a block's row")
        block = fields_of(row, wrapped["block"], BLOCK, "a block")
        leaves = [fields_of(row, leaf, LEAF, "a leaf") for leaf in block["leaves"]]
        if not leaves:
            raise row.bad("is a block without records")
        if not all(_HASH.fullmatch(leaf["hash"]) for leaf in leaves):
            raise row.bad("has a leaf without a hash")
        newest_ms = max(self._newest_ms, *(leaf["at_ms"] for leaf in leaves))
        expected = {
            "shard": self._shard,
            "number": self._number + 1,
            "previous_hash": self._hash,
            "first_sequence": self._sequence + 1,
            "last_sequence": self._sequence + len(leaves),
            "root": merkle_root(leaf["hash"] for leaf in leaves),
            "newest_ms": newest_ms,
        }
        for name, value in expected.items():
            if block[name] != value:
                raise row.bad(f"has {name} {show(block[name])}, not {show(value)}")
        self._number += 1
        self._sequence += len(leaves)
        self._newest_ms = newest_ms
        self._hash = header_hash({name: block[name] for name in BLOCK if name != "leaves"})
        self._report.blocks += 1
        self._report.unsigned_blocks += self._number > self._signed_to
        return block

    def _record(self, row: Row, leaf: Mapping[str, Any]) -> None:
        record = fields_of(row, row.value, {"record": dict}, "a record's row")["record"]
        if leaf_hash(row.raw[_RECORD_START:_RECORD_END]) != leaf["hash"]:
            raise row.bad(f"is not the {show(leaf['id'])} that block {self._number} seals here")
        fields_of(row, record, RECORD, "a record")
        if any(record[name] != leaf[name] for name in ("kind", "id", "at_ms", "book")):
            raise row.bad("is named otherwise by its block")
        check = {
            RecordKind.EVENT: self._event,
            RecordKind.JOURNAL: self._journal,
            RecordKind.CHANGE: self._change,
        }.get(record["kind"])
        if check is None:
            raise row.bad(f"is of no kind that there is: {show(record['kind'])}")
        check(row, record)
        self._report.records[record["kind"]] += 1

    def _event(self, row: Row, record: Mapping[str, Any]) -> None:
        event = fields_of(row, record["data"], EVENT, "an event")
        if record["subject"] != event["payment_id"]:
            raise row.bad(f"is an event of {show(event['payment_id'])} kept under another")
        self._version(row, record, event["payment_id"], event)

    def _change(self, row: Row, record: Mapping[str, Any]) -> None:
        change = fields_of(row, record["data"], CHANGE, "a change", is_exact=False)
        if (record["subject"], record["book"]) != (change["entity"], change["book"]):
            raise row.bad(f"is a change of {show(change['entity'])} kept under another")
        self._version(row, record, change["entity"], change)

    def _version(
        self, row: Row, record: Mapping[str, Any], entity: str, data: Mapping[str, Any]
    ) -> None:
        version = data["version"]
        if version < 1 or record["id"] != f"{entity}/{version}":
            raise row.bad(f"is version {version} of {show(entity)} under another id")
        facts = {name: value for name, value in data.items() if name not in SIGNATURE}
        if sha256(canonical(facts)).hexdigest() != data["hash"]:
            raise row.bad(f"has a hash that is not that of {show(record['id'])}")
        previous = data["previous_hash"]
        if previous and not _HASH.fullmatch(previous):
            raise row.bad("has a previous_hash that is no hash")
        self._link(row, f"{record['kind']} {entity}", version, data["hash"], previous)

    def _journal(self, row: Row, record: Mapping[str, Any]) -> None:
        journal = fields_of(row, record["data"], JOURNAL, "a journal", is_exact=False)
        book = book_of(journal["account"], livemode=journal["livemode"])
        stated = (journal["id"], book, journal["subject"], journal["posted_at_ms"])
        if stated != (record["id"], record["book"], record["subject"], record["at_ms"]):
            raise row.bad(f"is a journal kept under another name than its own, {show(stated)}")
        mode = book.rpartition("/")[2]
        for (currency, layer), (debits, credits) in _balanced(row, journal["postings"]).items():
            if layer == Layer.POSTED:
                posted = self._report.posted_minor[f"{mode} {currency}"]
                posted[0] += debits
                posted[1] += credits
        try:
            add_journal(self._totals, book, journal, self._rules.control_of)
        except (InvariantError, ValueError):
            raise row.bad("posts to an account that the chart does not have") from None
        self._link(row, f"journal {journal['id']}", 1, "", "")

    def _link(self, row: Row, chain: str, version: int, hash_: str, previous: str) -> None:
        is_signed = self._number <= self._signed_to
        self._workspace.keep_link(
            Link(
                chain=chain.encode("utf-8", "surrogatepass"),
                version=version,
                hash=bytes.fromhex(hash_),
                previous=bytes.fromhex(previous),
                shard=self._shard,
                line=row.line,
                is_signed=is_signed,
            )
        )


def _balanced(row: Row, postings: list[Any]) -> Mapping[tuple[str, str], list[int]]:
    """Returns debits and credits by currency and layer; they are equal."""
    sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for value in postings:
        posting = fields_of(row, value, POSTING, "a posting", is_exact=False)
        sides = posting["debit_minor"], posting["credit_minor"]
        if min(sides) != 0 or max(sides) == 0 or posting["layer"] not in set(Layer):
            raise row.bad("has a posting that is not one positive debit or credit of a layer")
        if currency_of(posting["account"]) != posting["currency"]:
            raise row.bad(f"posts {show(posting['currency'])} to {show(posting['account'])}")
        total = sums[posting["currency"], posting["layer"]]
        total[0] += sides[0]
        total[1] += sides[1]
    if not sums:
        raise row.bad("is a journal without postings")
    for (currency, layer), (debits, credits) in sums.items():
        if debits != credits:
            what = f"{show(currency)}, {layer}: debits {debits}, credits {credits}"
            raise row.bad(f"does not balance in {what}")
    return sums


def _check_histories(links: Iterable[Link], report: Report) -> None:
    """Checks that each history has every version once, and that each names the one before.

    Histories may be spread over shards, so they are followed at the end; the first bad row of all
    is the finding.
    """
    worst: tuple[int, int, str] | None = None
    last: Link | None = None
    for link in links:
        if last is None or link.chain != last.chain:
            last = Link(link.chain, 0, b"", b"", link.shard, 0, is_signed=True)
        what = None
        name = show(link.chain.decode("utf-8", "surrogatepass"))
        if link.version == last.version:
            what = f"is {name} version {link.version} a second time, after {_place(last)}"
        elif link.version > last.version + 1:
            if link.is_signed:
                what = f"is {name} version {link.version}, and {last.version + 1} is missing"
            else:
                report.waiting += 1
        elif link.previous != last.hash:
            what = f"is {name} version {link.version}, which does not follow from the one before"
        if what is not None and (worst is None or (link.shard, link.line) < worst[:2]):
            worst = (link.shard, link.line, what)
        last = link
    if worst is not None:
        raise BadRowError(Finding(shard_file(worst[0]), *worst[1:]))


def _place(link: Link) -> str:
    return f"{shard_file(link.shard)} line {link.line}"
