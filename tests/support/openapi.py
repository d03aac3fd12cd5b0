"""The published interface, made of what the functions register.

`python -m tests.support.openapi` writes it where api_default reads it.
"""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stripe._object_classes import OBJECT_CLASSES, get_object_class

from shared.domain.idempotency import KEY_LENGTH_MAX
from shared.edge.api import Route
from shared.edge.clients import ClientParams
from shared.edge.expand import EXPANDABLE, PATHS_MAX
from shared.edge.fields import (
    METADATA_KEY_LENGTH_MAX,
    METADATA_KEYS_MAX,
    METADATA_VALUE_LENGTH_MAX,
)
from shared.edge.params import Params
from shared.wire.objects import API_VERSION
from tests.support.examples import Example, Hour, the_hour
from tests.support.own_objects import OWN_CLASSES
from tests.support.parameters import nested_models, stripes_of, unsets
from tests.support.schemas import Schemas
from tests.support.shapes import OWN_LISTS

COMMAND = "python -m tests.support.openapi"
FILE = Path(__file__).parents[2] / "functions" / "api_default" / "openapi.json"
FORM = "application/x-www-form-urlencoded"

Json = dict[str, Any]

OWN_RETURNS: Mapping[str, str] = {
    "GET /v1/events/{id}/deliveries": "list of event_delivery",
    "GET /v1/ledger/accounts": "list of ledger.account",
    "GET /v1/ledger/accounts/{account}": "ledger.account",
    "GET /v1/ledger/accounts/{account}/entries": "list of ledger.entry",
    "GET /v1/ledger/audit_log": "list of ledger.audit_record",
    "GET /v1/ledger/checkpoints": "list of ledger.checkpoint",
    "GET /v1/ledger/checkpoints/{number}": "ledger.checkpoint",
    "GET /v1/ledger/journals": "list of ledger.journal",
    "GET /v1/ledger/journals/{subject}/{kind}/{reference}": "ledger.journal",
    "GET /v1/ledger/journals/{subject}/{kind}/{reference}/{correction}": "ledger.journal",
    "GET /v1/ledger/payment_intents/{id}": "payment_intent",
    "GET /v1/ledger/trial_balance": "list of ledger.account_balance",
    "GET /v1/test_helpers/network_transactions": "list of network_transaction",
    "POST /v1/events/{id}/retry": "event",
    "POST /v1/webhook_endpoints/{id}/roll_secret": "webhook_endpoint",
}
"""What the operations that Stripe does not have return."""

STATUSES: Mapping[int, str] = {
    400: "The request is refused: a parameter, or the state of an object, does not allow it.",
    401: "No valid API key was given.",
    402: "The card was declined, or cannot be used as it is.",
    403: "The API key may not do this.",
    404: "There is no such object.",
    409: "Another request with this idempotency key is at work; try again later.",
    413: "The body is too large.",
    429: "Too much was asked for, or the object is being changed; see Stripe-Should-Retry.",
    500: "Something went wrong on our side, or the outcome is not known yet.",
    503: "The platform cannot serve this now; nothing was changed.",
}
_OF_POST = frozenset({402, 409})

_DESCRIPTION = """\
The merchant API of Farthing: the resources and rules of Stripe's API, version {version}, so that \
its SDKs are Farthing's, and operations of Farthing's own on the books behind the payments \
(`/v1/ledger`).

Parameters are sent as a form (`a[b]=c`, `a[0]=b` or `a[]=b`); an empty value unsets. What is not \
listed here is refused by its name. Amounts are minor units of their currency, times are seconds \
since 1970. Lists are newest first; `expand` shows objects in place of their ids."""

_FOR_CLIENTS = (
    "May be asked with a publishable key, by the intent's `client_secret`; such a key may send {}. "
    "The answer then lacks what is the merchant's alone, such as metadata."
)

_IDEMPOTENCY_KEY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same request with the same key is carried out once, within 24 hours.",
    "schema": {"type": "string", "maxLength": KEY_LENGTH_MAX},
}
_DEEP: Json = {"style": "deepObject", "explode": True}
_REPEATED: Json = {"style": "form", "explode": True}
# Pydantic names a bound that is checked behind a validator by its own words.
_BOUNDS: Mapping[str, str] = {"ge": "minimum", "le": "maximum"}


@dataclass(frozen=True)
class Returned:
    """What an operation returns. Args: shape: "one", "list" or "search"."""

    model: type
    shape: str


def document(hour: Hour | None = None) -> Json:
    """Makes the document."""
    hour = hour or the_hour()
    routes = sorted(hour.world.routes(), key=lambda route: (route.template, route.method))
    schemas = Schemas({returned(route).model for route in routes})
    paths: dict[str, Json] = {}
    for route in routes:
        example = hour.examples.get((route.method, route.template))
        operation = _operation(route, schemas, example)
        paths.setdefault(route.template, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Farthing",
            "version": API_VERSION,
            "description": _DESCRIPTION.format(version=API_VERSION),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "tags": [{"name": name} for name in sorted({_tag(route) for route in routes})],
        "paths": paths,
        "components": {
            "headers": _headers(),
            "parameters": {"IdempotencyKey": _IDEMPOTENCY_KEY},
            "responses": {
                str(status): _refusal(status, schemas, hour.refusals.get(status))
                for status in STATUSES
            },
            "schemas": dict(sorted(schemas.components.items())),
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A secret key. Payment methods and tokens are made with a "
                    "publishable one, too, and intents retrieved and confirmed with it and their "
                    "client secret.",
                }
            },
        },
    }


def returned(route: Route) -> Returned:
    """Tells what an operation returns."""
    stripes = stripes_of(route)
    told = stripes.returns if stripes else OWN_RETURNS[f"{route.method} {route.template}"]
    name = told.removeprefix("list of ").rpartition("[")[2].rstrip("]")
    shape = "list" if told.startswith(("list of ", "ListObject[")) else "one"
    shape = "search" if told.startswith("SearchResultObject[") else shape
    return Returned(_class_named(name), shape)


def _class_named(name: str) -> type:
    """Finds a class by its own name or by that of its objects."""
    if name in OWN_CLASSES:
        return OWN_CLASSES[name]
    kind = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    if kind not in OBJECT_CLASSES:
        raise LookupError(f"{name} is no class of objects: see OWN_RETURNS")
    return get_object_class("V1", kind)


def _operation(route: Route, schemas: Schemas, example: Example | None) -> Json:
    properties, required = _properties(route)
    sends_body = route.method == "POST"
    parameters: list[Json] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", route.template)
    ]
    if sends_body:
        parameters.append({"$ref": "#/components/parameters/IdempotencyKey"})
    else:
        parameters += [_query(name, part, required) for name, part in properties.items()]
    operation: Json = {
        "operationId": _operation_id(route),
        "summary": _summary(route),
        "tags": [_tag(route)],
        "parameters": parameters,
    }
    if issubclass(route.model, ClientParams):
        names = sorted({"client_secret", *route.model.FOR_CLIENTS})
        operation["description"] = _FOR_CLIENTS.format(", ".join(f"`{name}`" for name in names))
    if sends_body:
        operation["requestBody"] = _body(properties, required, example)
    operation["responses"] = {
        "200": _success(route, schemas, example),
        **{str(status): _response(status) for status in STATUSES if _may_answer(route, status)},
    }
    return operation


def _operation_id(route: Route) -> str:
    words = re.sub(r"[{}]", "", route.template.removeprefix("/v1/")).replace("/", "_")
    return f"{route.method.lower()}_{words}"


def _summary(route: Route) -> str:
    told = (route.operation.__doc__ or "").strip().partition("\n\n")[0]
    return " ".join(told.split()).removesuffix(".")


def _tag(route: Route) -> str:
    return route.template.split("/")[2]


def _may_answer(route: Route, status: int) -> bool:
    return route.method == "POST" or status not in _OF_POST


def _response(status: int) -> Json:
    return {"$ref": f"#/components/responses/{status}"}


def _success(route: Route, schemas: Schemas, example: Example | None) -> Json:
    what = returned(route)
    if what.shape == "one":
        schema = schemas.answer(what.model)
    else:
        is_search = what.shape == "search"
        own = (names for start, names in OWN_LISTS.items() if route.template.startswith(start))
        schema = schemas.page(what.model, is_search=is_search, own=sorted(set().union(*own)))
    content: Json = {"schema": schema}
    if example is not None:
        content["example"] = example.answered
    return {
        "description": "What was asked for.",
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in _headers()},
        "content": {"application/json": content},
    }


def _refusal(status: int, schemas: Schemas, example: Json | None) -> Json:
    content: Json = {"schema": schemas.error()}
    if example is not None:
        content["example"] = example
    return {
        "description": STATUSES[status],
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in _headers()},
        "content": {"application/json": content},
    }


def _headers() -> dict[str, Json]:
    text: Json = {"type": "string"}
    return {
        "Request-Id": {
            "description": "Names the request, for support and logs.",
            "required": True,
            "schema": {"type": "string", "pattern": "^req_"},
        },
        "Stripe-Version": {
            "description": "The API version that was asked for, or the platform's own.",
            "required": True,
            "schema": text,
        },
    }


def _query(name: str, part: Json, required: list[str]) -> Json:
    parameter: Json = {"name": name, "in": "query", "schema": part}
    if name in required:
        parameter["required"] = True
    if _is_nested(part):
        parameter |= _DEEP
    return parameter


def _body(properties: dict[str, Json], required: list[str], example: Example | None) -> Json:
    schema: Json = {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    if required:
        schema["required"] = required
    nested = {name: _DEEP for name, part in properties.items() if _is_nested(part)}
    lists = {name: _REPEATED for name in properties if name.endswith("[]")}
    content: Json = {"schema": schema, "encoding": dict(sorted({**nested, **lists}.items()))}
    if example is not None and example.sent:
        content["example"] = {
            f"{name}[]" if isinstance(value, list) else name: value
            for name, value in example.sent.items()
        }
    return {"content": {FORM: content}, **({"required": True} if required else {})}


def _is_nested(part: Json) -> bool:
    return any(choice.get("type") == "object" for choice in part.get("anyOf", [part]))


def _properties(route: Route) -> tuple[dict[str, Json], list[str]]:
    """Returns the schemas of an operation's parameters, and the names of the required ones."""
    model = route.model
    schema = model.model_json_schema()
    properties = dict(_parameters(model, schema, {model.__name__: model, **nested_models(model)}))
    if route.returns is not None:
        properties["expand"] = _expand(route.returns, "data." if route.is_list else "")
    named = dict(_named(properties))
    required = [
        f"{name}[]" if f"{name}[]" in named else name for name in schema.get("required", [])
    ]
    return dict(sorted(named.items())), required


def _expand(kind: str, prefix: str) -> Json:
    paths = [f"{prefix}{name}" for name in EXPANDABLE[kind]]
    return {
        "type": "array",
        "items": {"anyOf": [{"enum": paths}, {"type": "string", "minLength": 1}]},
        "maxItems": PATHS_MAX,
        "description": "Properties to show as objects in place of their ids, four levels deep at"
        " most.",
    }


def _named(properties: dict[str, Json]) -> Iterator[tuple[str, Json]]:
    """Names lists as forms write them: `name[]`, repeated; an empty one unsets by its own name."""
    for name, part in properties.items():
        lists = [choice for choice in part.get("anyOf", [part]) if choice.get("type") == "array"]
        if lists:
            yield f"{name}[]", lists[0]
        if lists != [part]:
            yield name, {"const": ""} if lists else part


def _parameters(
    model: type[Params], schema: Json, models: Mapping[str, type[Params]]
) -> Iterator[tuple[str, Json]]:
    for name, part in schema.get("properties", {}).items():
        written = _metadata() if name == "metadata" else _written(part, models)
        yield name, _unsetting(written) if unsets(model, name) else written


def _metadata() -> Json:
    """The keys and values of metadata are checked by a validator, whose bounds these are."""
    return {
        "type": "object",
        "additionalProperties": {"type": "string", "maxLength": METADATA_VALUE_LENGTH_MAX},
        "maxProperties": METADATA_KEYS_MAX,
        "propertyNames": {"maxLength": METADATA_KEY_LENGTH_MAX},
    }


def _written(part: Json, models: Mapping[str, type[Params]]) -> Json:
    """Writes a parameter's schema as it is sent: without null, which a form cannot say."""
    choices = [choice for choice in part.get("anyOf", ()) if choice != {"type": "null"}]
    if choices:
        (choice,) = choices
        return _written(choice, models)
    if "$ref" in part:
        model = models[part["$ref"].rpartition("/")[2]]
        schema = model.model_json_schema()
        found = dict(_parameters(model, schema, models))
        written = {"type": "object", "properties": found, "additionalProperties": False}
        return {**written, **({"required": needed} if (needed := schema.get("required")) else {})}
    kept = {
        _BOUNDS.get(name, name): value
        for name, value in part.items()
        if name not in {"default", "title"}
    }
    if "items" in kept:
        kept["items"] = _written(kept["items"], models)
    return kept


def _unsetting(part: Json) -> Json:
    if part.get("type") == "string" and "enum" not in part and "pattern" not in part:
        return {name: value for name, value in part.items() if name != "minLength"}
    return {"anyOf": [part, {"const": ""}]}


def written(published: Json) -> str:
    """Writes the document as it is kept."""
    return json.dumps(published, indent=1) + "\n"


def main() -> None:
    """Writes the document."""
    # Its examples are real answers, each of which is a line of the log.
    logging.disable(logging.CRITICAL)
    FILE.write_text(written(document()))


if __name__ == "__main__":
    main()
