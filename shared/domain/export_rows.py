"""Rows of an export, read strictly: one way to read a line, and nothing in it taken for granted."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared.domain.canonical import canonical

LINE_BYTES_MAX = 4 * 1024 * 1024
# What every language's JSON reads exactly.
NUMBER_MAX = 2**53 - 1
SHOWN_MAX = 80

Shape = Mapping[str, type]
MANIFEST: Shape = {"format": int, "region": str, "stage": str, "shards": int}
SIGNED: Shape = {"checkpoint": dict, "signature_b64": str, "key_id": str}
CHECKPOINT: Shape = {
    "region": str,
    "number": int,
    "previous_hash": str,
    "created_ms": int,
    "heads": list,
}
HEAD: Shape = {"shard": int, "number": int, "hash": str, "last_sequence": int}
BLOCK: Shape = {
    "shard": int,
    "number": int,
    "previous_hash": str,
    "first_sequence": int,
    "last_sequence": int,
    "root": str,
    "newest_ms": int,
    "sealed_at_ms": int,
    "totals": dict,
    "leaves": list,
}
LEAF: Shape = {"kind": str, "id": str, "hash": str, "at_ms": int, "book": str}
RECORD: Shape = {
    "kind": str,
    "id": str,
    "book": str,
    "at_ms": int,
    "subject": str,
    "data": dict,
}
SIGNATURE: Shape = {"hash": str, "key_id": str, "mac": str}
EVENT: Shape = {
    "payment_id": str,
    "version": int,
    "type": str,
    "occurred_at_ms": int,
    "data": dict,
    "request": dict,
    "previous_hash": str,
    **SIGNATURE,
}
CHANGE: Shape = {
    "entity": str,
    "entity_type": str,
    "version": int,
    "action": str,
    "actor": str,
    "occurred_at_ms": int,
    "book": str,
    "previous_hash": str,
    **SIGNATURE,
}
JOURNAL: Shape = {
    "id": str,
    "account": str,
    "livemode": bool,
    "kind": str,
    "subject": str,
    "posted_at_ms": int,
    "postings": list,
}
POSTING: Shape = {
    "account": str,
    "currency": str,
    "debit_minor": int,
    "credit_minor": int,
    "layer": str,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, and at which row; line 0 is the file as a whole."""

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        place = f"{self.file} line {self.line}" if self.line else self.file
        return f"{place}: {self.what}"


class BadRowError(Exception):
    """Ends a verification at its finding."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding


@dataclass(frozen=True, slots=True)
class Row:
    """A line, without its end, and the JSON value in it."""

    file: str
    line: int
    raw: bytes
    value: Any

    def bad(self, what: str) -> BadRowError:
        """Returns the error that names this row."""
        return BadRowError(Finding(self.file, self.line, what))


def read_rows(file: str, lines: Iterable[bytes]) -> Iterator[Row]:
    """Yields lines that are canonical JSON; that leaves one way to read each.

    Raises: BadRowError at the first that is not.
    """
    for number, raw in enumerate(lines, 1):
        if len(raw) > LINE_BYTES_MAX:
            raise BadRowError(Finding(file, number, f"is longer than {LINE_BYTES_MAX} bytes"))
        if not raw.endswith(b"\n"):
            raise BadRowError(Finding(file, number, "has no end: the file is cut within it"))
        try:
            row = Row(file, number, raw[:-1], _decode(raw[:-1].decode("ascii")))
            is_canonical = canonical(row.value) == row.raw
        except (ValueError, RecursionError) as error:
            what = f"is not canonical JSON: {str(error)[:SHOWN_MAX]}"
            raise BadRowError(Finding(file, number, what)) from None
        if not is_canonical:
            raise row.bad("is not canonical JSON")
        yield row


def _not_exact(text: str) -> None:
    raise ValueError(f"{show(text)} is not an integer")


_decode = json.JSONDecoder(parse_float=_not_exact, parse_constant=_not_exact).decode


def fields_of(
    row: Row, value: Any, shape: Shape, name: str, *, is_exact: bool = True
) -> dict[str, Any]:
    """Returns the value, an object with these fields of these types.

    Args:
        row: That it is in.
        value: Any JSON.
        shape: Types by field.
        name: What it ought to be, with its article.
        is_exact: Whether other fields are refused.

    Raises:
        BadRowError: It is not of the shape, or a number is out of range.
    """
    if type(value) is not dict:
        raise row.bad(f"is not {name}")
    if is_exact and len(value) > len(shape):
        raise row.bad(f"is not {name}: it has {show(min(value.keys() - shape.keys()))}")
    for key, kind in shape.items():
        # A boolean is an integer to isinstance, and no number to anybody else.
        if type(value.get(key)) is not kind:
            raise row.bad(f"is not {name}: it has no {key} of type {kind.__name__}")
        if kind is int and not -NUMBER_MAX <= value[key] <= NUMBER_MAX:
            raise row.bad(f"is not {name}: its {key} is out of range")
    return value


def show(value: object) -> str:
    """Writes what an export says in a form that no terminal is misled by."""
    text = ascii(value)
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}..."
