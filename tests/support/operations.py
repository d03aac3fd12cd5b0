"""Stripe's operations: what each takes and returns, read from the pinned SDK's services.

Source: the `stripe` package's services and the typed dictionaries of their parameters, API version
2026-10-28.endive.
"""

import ast
import functools
import importlib
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ForwardRef, Literal, Union, get_args, get_origin, get_type_hints

import stripe
from stripe._request_options import RequestOptions
from stripe._stripe_context import StripeContext
from stripe._stripe_object import UntypedStripeObject
from typing_extensions import is_typeddict

_FOLDER = Path(stripe.__file__).parent
_PLACEHOLDER = re.compile(r"\{\w+\}")
# Every operation of an SDK takes it, and every one of ours.
_EVERYWHERE = {"expand"}


@dataclass(frozen=True)
class Kind:
    """What a parameter may hold.

    Args: scalars: of Python's types. values: those of an enumeration. is_open: other text, too.
    unsets: an empty string unsets it. items: of a list. fields: of a hash. table: of a hash whose
    keys are the merchant's own, what its values hold.
    """

    scalars: frozenset[type] = frozenset()
    values: frozenset[str] = frozenset()
    is_open: bool = False
    unsets: bool = False
    items: "Kind | None" = None
    fields: "Mapping[str, Parameter] | None" = None
    table: "Kind | None" = None


@dataclass(frozen=True)
class Parameter:
    """A parameter of an operation, or of a hash in one."""

    kind: Kind
    required: bool


@dataclass(frozen=True)
class Operation:
    """An operation of Stripe's API.

    Args: returns: the class that is answered, as the SDK annotates it, such as
    "ListObject[Customer]". module: of the service that has it. parameters_class: the name of the
    typed dictionary, None where nothing is taken.
    """

    method: str
    path: str
    returns: str
    module: str
    parameters_class: str | None = field(default=None)

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """The parameters, by name, without those that all operations take."""
        if self.parameters_class is None:
            return {}
        return _parameters(_imported(self.module, self.parameters_class))


def anonymous(template: str) -> str:
    """Writes a path without the names of its placeholders, which differ."""
    return _PLACEHOLDER.sub("{}", template)


@functools.cache
def operations() -> Mapping[tuple[str, str], Operation]:
    """Returns Stripe's operations, by method and anonymous path."""
    found = {}
    for file in sorted(_FOLDER.rglob("_*_service.py")):
        parts = ("stripe", *file.relative_to(_FOLDER).with_suffix("").parts)
        for operation in _operations_of(ast.parse(file.read_text()), ".".join(parts)):
            found[operation.method, operation.path] = operation
    return found


def _operations_of(tree: ast.Module, module: str) -> Iterator[Operation]:
    methods = (
        node
        for scope in tree.body
        if isinstance(scope, ast.ClassDef)
        for node in scope.body
        if isinstance(node, ast.FunctionDef)
    )
    for method in methods:
        for call in ast.walk(method):
            if isinstance(call, ast.Call) and _is_request(call):
                verb, path = (_text(argument) for argument in call.args[:2])
                yield Operation(
                    method=verb.upper(),
                    path=anonymous(path),
                    returns=ast.literal_eval(method.returns) if method.returns else "",
                    module=module,
                    parameters_class=_parameters_class(method),
                )


def _is_request(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr in {
        "_request",
        "_request_stream",
    }


def _text(node: ast.expr) -> str:
    """Reads a literal, or one that is formatted."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        node = node.func.value
    return str(ast.literal_eval(node))


def _parameters_class(method: ast.FunctionDef) -> str | None:
    """Reads "X" from `params: "X"` or `params: Optional["X"]`."""
    for argument in method.args.args:
        if argument.arg == "params" and argument.annotation is not None:
            names = [n.value for n in ast.walk(argument.annotation) if isinstance(n, ast.Constant)]
            return str(names[0])
    return None


def _imported(module: str, name: str) -> type:
    """Imports what a service imports for the type checker's eyes only."""
    tree = ast.parse((_FOLDER.parent / Path(*module.split("."))).with_suffix(".py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and any(alias.name == name for alias in node.names):
            found: type = getattr(importlib.import_module(str(node.module)), name)
            return found
    raise LookupError(f"{module} does not import {name}")


@functools.cache
def _parameters(model: Any) -> Mapping[str, Parameter]:
    # What is inherited from RequestOptions names what its own module imports.
    names = {"Mapping": Mapping, "StripeContext": StripeContext}
    hints = get_type_hints(model, localns=names)
    others = RequestOptions.__annotations__.keys() | _EVERYWHERE
    return {
        name: Parameter(kind_of(hint), name in model.__required_keys__)
        for name, hint in hints.items()
        if name not in others
    }


def kind_of(hint: Any) -> Kind:
    """Reads an annotation."""
    origin, args = get_origin(hint), get_args(hint)
    if isinstance(hint, ForwardRef):
        raise TypeError(f"{hint} is not resolved")
    if origin in (Union, types.UnionType):
        return functools.reduce(_either, map(kind_of, args))
    if origin is Literal:
        texts = frozenset(str(value) for value in args)
        return Kind(values=texts - {""}, unsets="" in texts)
    if origin is list:
        return Kind(items=kind_of(args[0]))
    if origin in (dict, UntypedStripeObject):
        return Kind(table=kind_of(args[-1]))
    if is_typeddict(hint):
        return Kind(fields=_parameters(hint))
    return Kind(scalars=frozenset({hint}), is_open=hint is str)


def _either(one: Kind, other: Kind) -> Kind:
    return Kind(
        scalars=one.scalars | other.scalars,
        values=one.values | other.values,
        is_open=one.is_open or other.is_open,
        unsets=one.unsets or other.unsets,
        items=one.items or other.items,
        fields=one.fields or other.fields,
        table=one.table or other.table,
    )
