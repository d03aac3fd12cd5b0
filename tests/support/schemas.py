"""JSON schemas of what the API answers, made of the typed classes that answers are held to."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from stripe._error_object import ErrorObject
from stripe._event import Event
from stripe._list_object import ListObject

from tests.support.shapes import (
    LEFT_OUT,
    OWN_VALUES,
    SPARSE,
    Array,
    Choice,
    OneOf,
    Table,
    fields_of,
    is_class,
    kind_of,
    variants_of,
)

Json = dict[str, Any]

_SCALARS = {bool: "boolean", float: "number", int: "integer", str: "string"}
_EXTRA_TYPES = {("Event", "object_version"): {"type": "integer"}}
# Of the kinds of payment methods that Stripe has, those that are served.
_METHODS = frozenset({"card"})


@dataclass
class Schemas:
    """Collects the schemas that operations refer to.

    Args: served: the classes that operations return: an id of another object is never expanded.
    """

    served: Collection[type]
    components: dict[str, Json] = field(default_factory=dict)

    def reference(self, model: type) -> Json:
        """Refers to an object's schema, after adding it where it is new."""
        name = model.__name__
        if name not in self.components:
            # A schema may refer to itself.
            self.components[name] = {}
            self.components[name] = self._struct(model)
        return _reference(name)

    def answer(self, model: type) -> Json:
        """Refers to what is told of an object: itself, or that it was deleted."""
        if "deleted" not in fields_of(model):
            return self.reference(model)
        name = f"Deleted{model.__name__}"
        self.components[name] = _deleted(kind_of(model))
        return {"anyOf": [self.reference(model), _reference(name)]}

    def page(self, model: type, *, is_search: bool, own: Collection[str] = ()) -> Json:
        """Describes a page of objects. Args: own: what it says besides."""
        properties: Json = {
            "data": {"type": "array", "items": self.reference(model)},
            "has_more": {"type": "boolean"},
            "object": {"const": "search_result" if is_search else "list"},
            "url": {"type": "string"},
        }
        required = [*properties]
        if is_search:
            properties["next_page"] = {"type": ["string", "null"]}
            required.append("next_page")
        for name in own:
            properties[name] = {"type": "integer"} if name == "as_of" else {"type": "array"}
        return {"type": "object", "properties": properties, "required": sorted(required)}

    def error(self) -> Json:
        """Refers to the error body."""
        self.components["Error"] = {
            "type": "object",
            "properties": {"error": self._struct(ErrorObject)},
            "required": ["error"],
        }
        return _reference("Error")

    def _struct(self, model: type) -> Json:
        variants = variants_of(model)
        hidden: Collection[str] = variants - _METHODS if variants & _METHODS else ()
        if model.__name__ == "PaymentMethodOptions":
            hidden = fields_of(model).keys() - _METHODS
        title = model.__qualname__
        properties: dict[str, Json] = {}
        required: list[str] = []
        for name, hint in fields_of(model).items():
            is_unserved = name not in variants and self._is_unserved(hint)
            if name in hidden or name == "deleted" or is_unserved:
                continue
            key = (title, name)
            properties[name] = _without_null(self._hint(hint), key)
            properties[name] = _with_own_values(properties[name], key)
            if _is_always_there(model, name, hint, variants):
                required.append(name)
        extra = {name: kind for (owner, name), kind in _EXTRA_TYPES.items() if owner == title}
        properties |= extra
        if model is Event.Data:
            properties["object"] = {
                "type": "object",
                "properties": {"object": {"type": "string"}},
                "required": ["object"],
            }
        schema: Json = {"type": "object", "properties": dict(sorted(properties.items()))}
        return {**schema, "required": sorted(required)} if required else schema

    def _is_unserved(self, hint: Any) -> bool:
        """Tells of what only expansions show: lists and objects of kinds that are not served."""
        if not isinstance(hint, Choice) or not hint.nullable:
            return False
        return hint.options == (ListObject,) or all(
            is_class(option) and kind_of(option) and option not in self.served
            for option in hint.options
        )

    def _hint(self, hint: Any) -> Json:
        if isinstance(hint, Choice):
            return self._choice(hint)
        if isinstance(hint, Array):
            return {"type": "array", "items": self._hint(hint.item)}
        if isinstance(hint, Table):
            return {"type": "object", "additionalProperties": self._hint(hint.item)}
        if isinstance(hint, OneOf):
            return _one_of(hint.values)
        if is_class(hint) and hint is not ListObject:
            return self.reference(hint) if kind_of(hint) else self._struct(hint)
        return {} if hint is Any else {"type": _SCALARS.get(hint, "object")}

    def _choice(self, choice: Choice) -> Json:
        classes = [option for option in choice.options if is_class(option)]
        others = [option for option in choice.options if not is_class(option)]
        listed = [option for option in others if isinstance(option, OneOf)]
        schemas = [self._hint(option) for option in (listed or others)[:1]]
        for model in classes:
            if not others or model in self.served:
                schemas.append(self.answer(model) if others else self._hint(model))
        if choice.nullable:
            schemas.append({"type": "null"})
        return _any_of(schemas)


def _reference(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _deleted(kind: str | None) -> Json:
    properties: Json = {
        "deleted": {"const": True},
        "id": {"type": "string"},
        "object": {"const": kind},
    }
    return {"type": "object", "properties": properties, "required": [*properties]}


def _one_of(values: Collection[Any]) -> Json:
    if len(values) == 1:
        return {"const": next(iter(values))}
    kinds = {_SCALARS[type(value)] for value in values}
    return {"enum": list(values), **({"type": kinds.pop()} if len(kinds) == 1 else {})}


def _any_of(schemas: list[Json]) -> Json:
    flat = [part for schema in schemas for part in schema.get("anyOf", [schema])]
    simple = [part["type"] for part in flat if part.keys() == {"type"}]
    if len(simple) == len(flat):
        return {"type": simple[0] if len(simple) == 1 else simple}
    return flat[0] if len(flat) == 1 else {"anyOf": flat}


def _without_null(schema: Json, key: tuple[str, str]) -> Json:
    """Says of a sparse object's property that it is left out rather than null."""
    if key[0] not in SPARSE:
        return schema
    if isinstance(schema.get("type"), list):
        return {"type": next(kind for kind in schema["type"] if kind != "null")}
    if "anyOf" in schema:
        return _any_of([part for part in schema["anyOf"] if part != {"type": "null"}])
    return schema


def _with_own_values(schema: Json, key: tuple[str, str]) -> Json:
    own = sorted(OWN_VALUES.get(key, ()))
    return {**schema, "enum": [*schema["enum"], *own]} if own else schema


def _is_always_there(model: type, name: str, hint: Any, variants: Collection[str]) -> bool:
    if name in variants or (model.__qualname__, name) in LEFT_OUT:
        return False
    is_nullable = isinstance(hint, Choice) and hint.nullable
    return not (is_nullable and model.__qualname__ in SPARSE)
