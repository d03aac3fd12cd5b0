"""Parameters: from form encoding to a tree, and from the tree to a checked model."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.wire.errors import ECHO_LENGTH_MAX, RequestError

PARAMETERS_MAX = 1_000
DEPTH_MAX = 8

Tree = dict[str, Any]
M = TypeVar("M", bound=BaseModel)

_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_PART = re.compile(r"\[([^\[\]]*)\]")
_BAD_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class Params(BaseModel):
    """Is the base of every operation's parameters: what is not declared is refused."""

    # A model is built when it is first used: a cold start needs one of them, not all.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    def sent(self) -> dict[str, Any]:
        """Returns the parameters that were sent, nested ones as dicts; None means unset it."""
        return self.model_dump(exclude_unset=True)


def decode(query: str, body: bytes) -> Tree:
    """Decodes query string and form body to nested dicts of strings.

    `a[b]=`, `a[0]=` and `a[]=` all become dicts; a model that wants a list takes the values in
    the order of their indexes, because a metadata key may be a number too.

    Raises: RequestError when the encoding is malformed or a limit is passed.
    """
    try:
        raw_query = query.encode()
    except UnicodeEncodeError as error:
        raise _malformed("it is not valid UTF-8") from error
    if raw_query.count(b"&") + body.count(b"&") >= PARAMETERS_MAX:
        raise RequestError(f"Too many parameters: at most {PARAMETERS_MAX} are accepted.")
    tree: Tree = {}
    for raw in (raw_query, body):
        for key, value in _pairs(raw):
            _insert(tree, _path(key), value)
    return tree


def canonical(tree: Tree) -> str:
    """Writes the same text for the same parameters, whatever their order was."""
    return json.dumps(tree, sort_keys=True, separators=(",", ":"))


def leaves(tree: Tree, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yields every value with the keys that lead to it."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def bracketed(path: Sequence[object]) -> str:
    """Writes a path in Stripe's form, such as `card[exp_month]`, cut to a bearable length."""
    head, *rest = [str(part) for part in path]
    return (head + "".join(f"[{part}]" for part in rest))[:ECHO_LENGTH_MAX]


def parse(model: type[M], tree: Tree) -> M:
    """Checks parameters.

    Raises: RequestError naming the parameter at fault, unknown ones first.
    """
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        raise _refusal(error) from error


def _pairs(raw: bytes) -> Iterator[tuple[str, str]]:
    for pair in raw.split(b"&"):
        if pair:
            key, _, value = pair.partition(b"=")
            yield _text(key), _text(value)


def _text(raw: bytes) -> str:
    if _BAD_PERCENT.search(raw):
        raise _malformed("a percent sign is not followed by two hexadecimal digits")
    try:
        text = unquote_to_bytes(raw.replace(b"+", b" ")).decode()
    except UnicodeDecodeError as error:
        raise _malformed("it is not valid UTF-8") from error
    if "\0" in text:
        raise _malformed("it holds a NUL character")
    return text


def _path(key: str) -> list[str]:
    match = _KEY.fullmatch(key)
    if match is None:
        raise _malformed("a parameter name is not of the form name[key][key]")
    path = [match[1], *_PART.findall(match[2])]
    if len(path) > DEPTH_MAX:
        raise _malformed(f"parameters are nested deeper than {DEPTH_MAX} levels")
    return path


def _insert(tree: Tree, path: list[str], value: str) -> None:
    node = tree
    for part, following in pairwise(path):
        child = node.setdefault(part or _open_index(node, following), {})
        if not isinstance(child, dict):
            raise _malformed(f"{bracketed(path)} is both a value and a hash")
        node = child
    last = path[-1] or _free_index(node)
    if isinstance(node.get(last), dict):
        raise _malformed(f"{bracketed(path)} is both a value and a hash")
    node[last] = value


def _open_index(node: Tree, following: str) -> str:
    """Finds the element that `a[][following]` belongs to: a key that repeats begins a new one."""
    last = next(reversed(node), None)
    if last is None or not isinstance(node[last], dict) or following in node[last]:
        return _free_index(node)
    return last


def _free_index(node: Tree) -> str:
    index = len(node)
    while str(index) in node:
        index += 1
    return str(index)


def _malformed(reason: str) -> RequestError:
    return RequestError(f"Invalid request: the parameters could not be read, {reason}.")


def _refusal(error: ValidationError) -> RequestError:
    details = error.errors(include_url=False)
    unknown = [bracketed(d["loc"]) for d in details if d["type"] == "extra_forbidden"]
    if unknown:
        noun = "parameter" if len(unknown) == 1 else "parameters"
        shown = ", ".join(unknown[:10])
        return RequestError(
            f"Received unknown {noun}: {shown}", code="parameter_unknown", param=unknown[0]
        )
    first = details[0]
    context: Mapping[str, Any] = first.get("ctx", {})
    param = context.get("param") or (bracketed(first["loc"]) if first["loc"] else None)
    message, code = _explain(first["type"], first["input"], context, param or "")
    return RequestError(message, code=code, param=param)


def _explain(
    kind: str, value: object, context: Mapping[str, Any], param: str
) -> tuple[str, str | None]:
    """Words a failed check as Stripe does; returns message and error code."""
    if value == "" and kind not in {"stripe", "missing"}:
        return _EMPTY.format(param=param), "parameter_invalid_empty"
    words, code = _WORDS.get(kind, ("Invalid value", None))
    expected = _listed(str(context.get("expected")))
    facts = {**context, "param": param, "name": _short_name(param), "expected": expected}
    return words.format(**facts), context.get("code", code)


def _listed(expected: str) -> str:
    """Writes pydantic's "'a', 'b' or 'c'" as Stripe does: "a, b, or c"."""
    listed = expected.replace("'", "")
    return listed.replace(" or ", ", or ") if "," in listed else listed


def _short_name(param: str) -> str:
    """Returns the last key of a path, with its index where it is of a list."""
    names = param.replace("]", "").split("[")
    return f"{names[-2]}[{names[-1]}]" if names[-1].isdigit() and len(names) > 1 else names[-1]


_EMPTY = (
    "You passed an empty string for '{param}'. We assume empty values are an attempt to unset a"
    " parameter; however '{param}' cannot be unset. You should remove '{param}' from your request"
    " or supply a non-empty value."
)
# By pydantic's type of error: the message, with the facts of the error's context, and the code.
_WORDS: Mapping[str, tuple[str, str | None]] = {
    "stripe": ("{message}", None),
    "missing": ("Missing required param: {param}.", "parameter_missing"),
    "greater_than_equal": (
        "This value must be greater than or equal to {ge}.",
        "parameter_invalid_integer",
    ),
    "less_than_equal": (
        "This value must be less than or equal to {le}.",
        "parameter_invalid_integer",
    ),
    "literal_error": ("Invalid {name}: must be one of {expected}", None),
    "enum": ("Invalid {name}: must be one of {expected}", None),
    "string_too_long": ("Invalid string: must be at most {max_length} characters", None),
    "too_long": ("Invalid array: must have at most {max_length} items", None),
    "string_type": ("Invalid string", None),
    "string_pattern_mismatch": ("Invalid string", None),
    "int_type": ("Invalid integer", "parameter_invalid_integer"),
    "list_type": ("Invalid array", None),
    "dict_type": ("Invalid hash", None),
    "model_type": ("Invalid object", None),
}
