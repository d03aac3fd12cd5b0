"""Canonical JSON: the one way in which a value becomes the bytes that are hashed and signed."""

import json

_SCALARS = frozenset({str, int, bool, type(None)})
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def canonical(value: object) -> bytes:
    """Writes JSON with sorted keys, without spaces, in ASCII: equal values are equal bytes.

    Args:
        value: None, booleans, integers, strings, and lists, tuples and dicts of them; keys are
            strings.

    Raises:
        TypeError: The value holds something else. Floats are refused because languages print
            them differently, other keys because two of them could become one string.
    """
    _require_plain(value)
    return _encode(value).encode("ascii")


def _require_plain(value: object) -> None:
    # Each event is looked through on its payment's way, so scalars cost no call of their own.
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"canonical JSON has no key of type {type(key).__name__}")
        for item in value.values():
            if type(item) not in _SCALARS:
                _require_plain(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            if type(item) not in _SCALARS:
                _require_plain(item)
    elif not (value is None or isinstance(value, (str, int))):
        raise TypeError(f"canonical JSON has no {type(value).__name__}")
