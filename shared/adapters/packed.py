"""Packed JSON: what is long and alike from line to line takes a fifth of its size in a table."""

import json
import zlib
from collections.abc import Mapping
from typing import Any

from shared.domain.canonical import canonical


def pack(value: object) -> dict[str, bytes]:
    """Writes JSON without floats into a binary attribute."""
    return {"B": zlib.compress(canonical(value))}


def unpack(item: Mapping[str, Any], name: str) -> Any:
    """Reads a packed attribute."""
    return json.loads(zlib.decompress(item[name]["B"]))
