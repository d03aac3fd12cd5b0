"""The parameters that Farthing's operations take, read from their models, and held to Stripe's."""

import functools
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import ValidationError

from shared.edge.api import Route
from shared.edge.params import Params
from tests.support.operations import Kind, Operation, Parameter, anonymous, operations

_SCALARS: Mapping[str, type] = {"boolean": bool, "integer": int, "number": float, "string": str}
_FLAGS = {"false", "true"}

Json = dict[str, Any]


def stripes_of(route: Route) -> Operation | None:
    """Returns Stripe's operation of a route; None where the operation is Farthing's own."""
    return operations().get((route.method, anonymous(route.template)))


@functools.cache
def accepted(model: type[Params]) -> Mapping[str, Parameter]:
    """Returns the parameters of a model, by name."""
    schema = model.model_json_schema()
    nested = {found.__name__: found for found in _nested(model)}
    return {
        name: Parameter(
            _kind(part, nested, unsets=unsets(model, name)), name in schema.get("required", ())
        )
        for name, part in schema.get("properties", {}).items()
    }


def unsets(model: type[Params], name: str) -> bool:
    """Tells whether a model takes an empty string for one of its parameters."""
    try:
        model.model_validate({name: ""})
    except ValidationError as error:
        return all(detail["loc"][:1] != (name,) for detail in error.errors())
    return True


def nested_models(model: type[Params]) -> Mapping[str, type[Params]]:
    """Returns the hashes of a model, at any depth, by the names of their classes."""
    return {found.__name__: found for found in _nested(model)}


def _nested(model: type[Params]) -> Iterator[type[Params]]:
    for info in model.model_fields.values():
        for found in _models(info.annotation):
            yield found
            yield from _nested(found)


def _models(hint: Any) -> Iterator[type[Params]]:
    if isinstance(hint, type) and issubclass(hint, Params):
        yield hint
    for argument in get_args(hint):
        yield from _models(argument)


def _kind(schema: Json, nested: Mapping[str, type[Params]], *, unsets: bool = False) -> Kind:
    if "$ref" in schema:
        return Kind(fields=accepted(nested[schema["$ref"].rpartition("/")[2]]), unsets=unsets)
    if "anyOf" in schema:
        choices = [choice for choice in schema["anyOf"] if choice != {"type": "null"}]
        # Nothing here takes one type or another but for what an empty string unsets.
        (choice,) = choices
        return _kind(choice, nested, unsets=unsets)
    values = schema.get("enum") or ([schema["const"]] if "const" in schema else ())
    if values:
        return Kind(values=frozenset(values), unsets=unsets)
    if schema["type"] == "array":
        return Kind(items=_kind(schema["items"], nested), unsets=unsets)
    if schema["type"] == "object":
        return Kind(table=_kind(schema["additionalProperties"], nested), unsets=unsets)
    return Kind(scalars=frozenset({_SCALARS[schema["type"]]}), unsets=unsets)


def disagreements(
    ours: Mapping[str, Parameter], stripes: Mapping[str, Parameter], path: str = ""
) -> Iterator[tuple[str, str]]:
    """Yields the parameters that are not as Stripe has them, by path, with what is wrong."""
    for name, parameter in ours.items():
        here = f"{path}[{name}]" if path else name
        if name not in stripes:
            yield here, "Stripe has no such parameter"
            continue
        stripe = stripes[name]
        if stripe.required and not parameter.required:
            yield here, "Stripe requires it"
        yield from _differences(parameter.kind, stripe.kind, here)


def _differences(ours: Kind, stripes: Kind, path: str) -> Iterator[tuple[str, str]]:
    is_flag = ours.values <= _FLAGS and bool in stripes.scalars
    is_text = str in stripes.scalars and not stripes.values
    if ours.values - stripes.values and not is_flag and not is_text:
        yield path, f"Stripe does not list {sorted(ours.values - stripes.values)}"
    if ours.scalars - stripes.scalars:
        yield path, f"Stripe takes {_named(stripes)}, not {_named(ours)}"
    if stripes.unsets and not ours.unsets:
        yield path, "an empty string must unset it"
    if ours.fields is not None:
        if stripes.fields is None:
            yield path, "Stripe takes no hash"
        else:
            yield from disagreements(ours.fields, stripes.fields, path)
    for name in ("items", "table"):
        mine, theirs = getattr(ours, name), getattr(stripes, name)
        if mine is not None and theirs is None:
            yield path, f"Stripe takes {_named(stripes)}, not {_named(ours)}"
        elif mine is not None:
            yield from _differences(mine, theirs, path)


def lacking(
    ours: Mapping[str, Parameter], stripes: Mapping[str, Parameter], path: str = ""
) -> Iterator[str]:
    """Yields what Stripe takes and Farthing does not: parameters by path, and other values."""
    for name, stripe in stripes.items():
        here = f"{path}[{name}]" if path else name
        if name not in ours:
            yield here
            continue
        yield from _lacking_in(ours[name].kind, stripe.kind, here)


def _lacking_in(ours: Kind, stripes: Kind, path: str) -> Iterator[str]:
    if ours.values and stripes.values - ours.values:
        yield f"{path} other than {', '.join(sorted(ours.values & stripes.values))}"
    if ours.fields is not None and stripes.fields is not None:
        yield from lacking(ours.fields, stripes.fields, path)
    if ours.items is not None and stripes.items is not None:
        yield from _lacking_in(ours.items, stripes.items, f"{path}[]")


def _named(kind: Kind) -> str:
    names = {item.__name__ for item in kind.scalars}
    names |= {name for name in ("items", "fields", "table") if getattr(kind, name) is not None}
    return "/".join(sorted(names)) or "an enumeration"
