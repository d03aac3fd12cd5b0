"""The shape that every answer of the API must have, read from the typed classes of Stripe's SDK.

An object has every field of its class, null where it is empty, with the right type and, where
the class lists them, one of the listed values; and no other field. What is left out rather than
null, and what Farthing adds, is listed here with its reason.
Source: the classes of the pinned `stripe` package, API version 2026-10-28.endive.
"""

import ast
import functools
import inspect
import sys
import types
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ForwardRef, Literal, Union, get_args, get_origin

from stripe._error_object import ErrorObject
from stripe._event import Event
from stripe._list_object import ListObject
from stripe._object_classes import OBJECT_CLASSES, get_object_class
from stripe._search_result_object import SearchResultObject
from stripe._stripe_object import StripeObject, UntypedStripeObject

from tests.support.own_objects import OWN_CLASSES

SPARSE: Mapping[str, str] = {
    "ErrorObject": "what does not apply is left out: the SDKs put null in its place",
    "PaymentIntent.LastPaymentError": "is an error object",
    "SetupAttempt.SetupError": "is an error object",
    "SetupIntent.LastSetupError": "is an error object",
    "PaymentIntent.PaymentMethodOptions": "has the options of the payment's own method types",
    "SetupIntent.PaymentMethodOptions": "has the options of the intent's own method types",
    "Balance.Available.SourceTypes": "kinds of source that hold nothing are left out",
    "Balance.Pending.SourceTypes": "kinds of source that hold nothing are left out",
}
"""Classes whose empty fields are left out, by name."""

LEFT_OUT: Mapping[tuple[str, str], str] = {
    ("Customer", "cash_balance"): "is included only when it is expanded",
    ("Customer", "invoice_credit_balance"): "is included only when it is expanded",
    ("Customer", "tax"): "is included only when it is expanded",
    ("Event.Data", "previous_attributes"): "tells of a change: what is new has none",
    ("WebhookEndpoint", "secret"): "is shown once, to whoever makes it",
}
"""Fields that may be left out, by class and name; so may all lists that an object may have, which
are included when they are expanded."""

EXTRA: Mapping[tuple[str, str], str] = {
    ("Event", "object_version"): "tells which of two events about an object is the newer",
}
"""Fields beyond those of the class."""

FOR_CLIENTS: Mapping[str, Collection[str]] = {
    "Card": {
        "address_city",
        "address_country",
        "address_line1",
        "address_line1_check",
        "address_line2",
        "address_state",
        "address_zip",
        "address_zip_check",
        "brand",
        "country",
        "cvc_check",
        "dynamic_last4",
        "exp_month",
        "exp_year",
        "funding",
        "id",
        "last4",
        "name",
        "networks",
        "object",
        "tokenization_method",
    },
    "PaymentIntent": {
        "allowed_payment_method_types",
        "amount",
        "amount_details",
        "automatic_payment_methods",
        "canceled_at",
        "cancellation_reason",
        "capture_method",
        "client_secret",
        "confirmation_method",
        "created",
        "currency",
        "description",
        "excluded_payment_method_types",
        "id",
        "last_payment_error",
        "livemode",
        "next_action",
        "object",
        "payment_method",
        "payment_method_configuration_details",
        "payment_method_types",
        "processing",
        "receipt_email",
        "setup_future_usage",
        "shipping",
        "source",
        "status",
    },
    "PaymentIntent.AmountDetails": {"tip"},
    "PaymentMethod": {
        "allow_redisplay",
        "billing_details",
        "card",
        "created",
        "customer",
        "id",
        "livemode",
        "object",
        "type",
    },
    "PaymentMethod.Card": {
        "brand",
        "checks",
        "country",
        "display_brand",
        "exp_month",
        "exp_year",
        "funding",
        "generated_from",
        "last4",
        "networks",
        "three_d_secure_usage",
        "wallet",
    },
    "SetupIntent": {
        "allowed_payment_method_types",
        "automatic_payment_methods",
        "cancellation_reason",
        "client_secret",
        "created",
        "description",
        "excluded_payment_method_types",
        "id",
        "last_setup_error",
        "livemode",
        "next_action",
        "object",
        "payment_method",
        "payment_method_configuration_details",
        "payment_method_types",
        "status",
        "usage",
    },
}
"""All that answers to publishable keys have of some classes, and must have, by name."""

OWN_VALUES: Mapping[tuple[str, str], Collection[str]] = {
    # Stripe sends an e-mail instead.
    ("Event", "type"): {"webhook_endpoint.disabled"},
}
"""Values beyond those that the class lists."""

OWN_LISTS: Mapping[str, Collection[str]] = {
    # What is read from folded balances says up to when; a trial balance what it adds up to.
    "/v1/ledger/": {"as_of", "totals"},
}
"""Lists that Stripe does not have, by how their URL begins, with what else they may say."""

_SCALARS: Mapping[type, tuple[type, ...]] = {
    bool: (bool,),
    float: (int, float),
    int: (int,),
    str: (str,),
}
_DELETED = {"deleted", "id", "object"}

Report = Callable[[str, str], None]


def violations(
    answer: object, *, expanded: Collection[str] = (), publishable: bool = False
) -> list[str]:
    """Tells how an answer differs from what its class says; a line each.

    Args: answer: a decoded body. expanded: the paths that were asked to be expanded. publishable:
    the answer is to a publishable key.
    """
    found: list[str] = []
    if not isinstance(answer, dict):
        return ["the answer is no object"]
    check = _Check({_whole(path) for path in _prefixes(expanded)}, found, publishable)
    if "error" in answer:
        check.struct(ErrorObject, answer["error"], "error", "")
        found += [f"{name}: unknown field" for name in answer if name != "error"]
        return found
    check.object(answer, str(answer.get("object")), "")
    return found


def _prefixes(paths: Collection[str]) -> Iterator[str]:
    for path in paths:
        parts = path.split(".")
        yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def _whole(path: str) -> str:
    """Names a property as `_Check` does: a list's items go by the list's own name."""
    return path.removesuffix(".data") if path != "data" else path


@dataclass(frozen=True)
class _Check:
    """A walk through an answer.

    Args: expanded: where objects may stand in for ids. publishable: see `violations`.
    """

    expanded: Collection[str]
    found: list[str]
    publishable: bool

    def object(self, value: Any, path: str, place: str) -> None:
        """Checks an object that says itself what it is.

        Args: path: for messages. place: where it is, as expansions name it.
        """
        name = value.get("object") if isinstance(value, dict) else None
        if not isinstance(name, str):
            self._tell(path, "is no object")
        elif name in OBJECT_CLASSES:
            self.struct(get_object_class("V1", name), value, path, place)
        elif name in OWN_CLASSES:
            self.struct(OWN_CLASSES[name], value, path, place)
        else:
            self._tell(path, f"unknown kind of object {name!r}")

    def struct(self, model: type, value: Any, path: str, place: str) -> None:
        """Checks an object of a class."""
        if not isinstance(value, dict):
            self._tell(path, f"{value!r} is no object")
            return
        if model in (ListObject, SearchResultObject):
            self._page(model, value, path, place)
            return
        fields = fields_of(model)
        if self.publishable and model.__qualname__ in FOR_CLIENTS:
            fields = {name: fields[name] for name in FOR_CLIENTS[model.__qualname__]}
        if value.get("deleted") is True and "deleted" in fields:
            self._names(model, value.keys(), _DELETED, _DELETED, path)
            return
        required = {name for name in fields if _is_required(model, name, value)}
        self._names(model, value.keys(), fields.keys() - _others(model, value), required, path)
        if model is Event.Data and "object" in value:
            # The class takes any object; what is told of is one that the API serves.
            self.object(value["object"], f"{path}.object", "")
        for name in fields.keys() & value.keys():
            key = (model.__qualname__, name)
            if value[name] in OWN_VALUES.get(key, ()):
                continue
            if value[name] is None and model.__qualname__ in SPARSE:
                self._tell(f"{path}.{name}", "is null, not left out")
                continue
            self.hint(fields[name], value[name], f"{path}.{name}", f"{place}.{name}".lstrip("."))

    def _page(self, model: type, value: Mapping[str, Any], path: str, place: str) -> None:
        fields = {"data", "has_more", "object", "url"}
        if model is SearchResultObject:
            # The last page has no next one, though the class does not say so.
            fields |= {"next_page"}
            if not isinstance(value.get("next_page"), str | None):
                self._tell(f"{path}.next_page", f"{value['next_page']!r} is no str")
        url = str(value.get("url"))
        own = (names for start, names in OWN_LISTS.items() if url.startswith(start))
        self._names(model, value.keys(), fields.union(*own), fields, path)
        for name, kind in (("has_more", bool), ("url", str)):
            if name in value and not isinstance(value[name], kind):
                self._tell(f"{path}.{name}", f"{value[name]!r} is no {kind.__name__}")
        items = value.get("data")
        for index, item in enumerate(items if isinstance(items, list) else ()):
            self.object(item, f"{path}.data[{index}]", place or "data")
        if not isinstance(items, list):
            self._tell(f"{path}.data", f"{items!r} is no list")

    def _names(
        self, model: type, names: Any, known: Any, required: Collection[str], path: str
    ) -> None:
        allowed = {name for name in names if (model.__qualname__, name) in EXTRA}
        for name in sorted(required - names):
            self._tell(f"{path}.{name}", "missing")
        for name in sorted(names - known - allowed):
            self._tell(f"{path}.{name}", "unknown field")

    def hint(self, hint: Any, value: Any, path: str, place: str) -> None:
        """Checks a value against what an annotation says, resolved."""
        if isinstance(hint, Choice):
            self._choice(hint, value, path, place)
        elif isinstance(hint, Array):
            if not isinstance(value, list):
                self._tell(path, f"{value!r} is no list")
                return
            for index, item in enumerate(value):
                self.hint(hint.item, item, f"{path}[{index}]", place)
        elif isinstance(hint, Table):
            if not isinstance(value, dict):
                self._tell(path, f"{value!r} is no object")
                return
            for name, item in value.items():
                self.hint(hint.item, item, f"{path}.{name}", f"{place}.{name}")
        elif isinstance(hint, OneOf):
            if not any(value is item or value == item for item in hint.values):
                self._tell(path, f"unknown value {value!r}")
        elif isinstance(hint, type) and issubclass(hint, StripeObject):
            self.struct(hint, value, path, place)
        elif hint is not Any and not _is_a(hint, value):
            self._tell(path, f"{value!r} is no {hint.__name__}")

    def _choice(self, choice: "Choice", value: Any, path: str, place: str) -> None:
        if value is None:
            if not choice.nullable:
                self._tell(path, "is null")
            return
        classes = [option for option in choice.options if is_class(option)]
        others = [option for option in choice.options if not is_class(option)]
        if not isinstance(value, dict) or not classes:
            # An enumeration that SDKs do not enforce is written as its values or any text.
            listed = [option for option in others if isinstance(option, OneOf)]
            self.hint((listed or others or classes)[0], value, path, place)
            return
        if others and place not in self.expanded:
            self._tell(path, "is expanded, which nobody asked for")
        named = {kind_of(option): option for option in classes}
        model = named.get(value.get("object"), named.get(None))
        if model is None:
            self._tell(path, f"is a {value.get('object')!r}, not any of {sorted(map(str, named))}")
            return
        self.struct(model, value, path, place)

    def _tell(self, path: str, message: str) -> None:
        self.found.append(f"{path}: {message}")


@dataclass(frozen=True)
class Choice:
    options: tuple[Any, ...]
    nullable: bool


@dataclass(frozen=True)
class Array:
    item: Any


@dataclass(frozen=True)
class Table:
    item: Any


@dataclass(frozen=True)
class OneOf:
    values: tuple[Any, ...]


def _is_a(kind: type, value: object) -> bool:
    # JSON's true is no number, though Python's is.
    is_flag = isinstance(value, bool)
    return isinstance(value, _SCALARS[kind]) and (kind is bool) == is_flag


def is_class(option: Any) -> bool:
    return isinstance(option, type) and issubclass(option, StripeObject)


def kind_of(model: type) -> str | None:
    name: str | None = getattr(model, "OBJECT_NAME", None)
    return name


def _is_required(model: type, name: str, value: Mapping[str, Any]) -> bool:
    if name == "deleted" or (model.__qualname__, name) in LEFT_OUT:
        return False
    hint = fields_of(model)[name]
    is_nullable = isinstance(hint, Choice) and hint.nullable
    if is_nullable and (model.__qualname__ in SPARSE or hint.options == (ListObject,)):
        return False
    return name not in _others(model, value)


def _others(model: type, value: Mapping[str, Any]) -> frozenset[str]:
    """Returns the fields that belong to another type than the object's own.

    An object with a type has one more field, of the type's name: `card` where the type is card.
    """
    return variants_of(model) - {str(value.get("type"))}


@functools.cache
def variants_of(model: type) -> frozenset[str]:
    """Returns the fields of a class of which an object has the one that its type names."""
    fields = fields_of(model)
    listed = _listed(fields.get("type"))
    objects = {
        name
        for name, hint in fields.items()
        if isinstance(hint, Choice)
        and hint.nullable
        and all(is_class(option) or isinstance(option, Table) for option in hint.options)
    }
    if "type" not in fields or model is ErrorObject:
        return frozenset()
    return frozenset(objects & listed if listed else objects)


def expandables(model: type, prefix: str = "") -> Iterator[str]:
    """Tells which properties of a class hold an id or the object it names.

    Of the types of payment methods, those of cards only.
    """
    for name, hint in fields_of(model).items():
        options = hint.options if isinstance(hint, Choice) else (hint,)
        classes = [option for option in options if is_class(option)]
        is_other = name in variants_of(model) and name != "card"
        if str in options and classes:
            yield prefix + name
        elif len(classes) == 1 and not is_other and not kind_of(classes[0]):
            yield from expandables(classes[0], f"{prefix}{name}.")


def _listed(hint: Any) -> frozenset[str]:
    if isinstance(hint, OneOf):
        return frozenset(hint.values)
    if isinstance(hint, Choice):
        return frozenset().union(*(_listed(option) for option in hint.options))
    return frozenset()


@functools.cache
def fields_of(model: type) -> Mapping[str, Any]:
    """Returns the fields of a class and what each holds."""
    return {
        name: _resolved(hint, model.__module__)
        for name, hint in inspect.get_annotations(model).items()
        if not name.startswith("_") and not name.isupper()
    }


def _resolved(hint: Any, module: str) -> Any:
    if isinstance(hint, str | ForwardRef):
        name = hint if isinstance(hint, str) else hint.__forward_arg__
        return _named(name, module)
    origin: Any = get_origin(hint)
    args = get_args(hint)
    if origin in (Union, types.UnionType):
        options = tuple(_resolved(arg, module) for arg in args if arg is not type(None))
        return Choice(options, nullable=type(None) in args)
    if origin is Literal:
        return OneOf(args)
    if origin is list:
        return Array(_resolved(args[0], module))
    if origin in (dict, UntypedStripeObject) or hint is UntypedStripeObject:
        return Table(_resolved(args[-1], module) if args else Any)
    # A list object's items tell themselves what they are.
    return origin or hint


def _named(name: str, module: str) -> Any:
    first, *rest = name.split(".")
    found: Any = vars(sys.modules[module]).get(first)
    if found is None:
        source, original = _imports(module)[first]
        __import__(source)
        found = getattr(sys.modules[source], original)
    return functools.reduce(getattr, rest, found)


@functools.cache
def _imports(module: str) -> Mapping[str, tuple[str, str]]:
    """Returns what a module imports for the type checker's eyes only, by the name it uses."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {
        alias.asname or alias.name: (str(node.module), alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
