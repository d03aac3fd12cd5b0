"""Strategies for fuzzing an API function: what merchants and their mistakes might send."""

import functools
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from shared.edge.api import Api
from tests.support.api import Answer

KNOWN_IDS = {
    "charges": "ch_1",
    "customers": "cus_1",
    "events": "evt_1",
    "payment_intents": "pi_1",
    "payment_methods": "pm_1",
    "refunds": "re_1",
    "tokens": "tok_1",
    "webhook_endpoints": "we_1",
}
IDS = ("cus_1", "pm_1", "tok_1", "evt_1", "we_1", "cus_x", "KEY#x", "%00", "é", "..", "", "[]")
NAMES = (
    "address",
    "allow_redisplay",
    "api_version",
    "balance",
    "billing_details",
    "card",
    "city",
    "created",
    "customer",
    "default_payment_method",
    "description",
    "disabled",
    "email",
    "enabled_events",
    "ending_before",
    "exp_month",
    "exp_year",
    "expand",
    "gt",
    "invoice_settings",
    "limit",
    "line1",
    "lte",
    "metadata",
    "name",
    "payment_method",
    "phone",
    "preferred_locales",
    "shipping",
    "starting_after",
    "tax_exempt",
    "type",
    "types",
    "url",
    "0",
    "1",
    "9" * 5_000,
)

values = st.one_of(
    st.sampled_from((*IDS, "1", "-1", "0", "100", "9" * 18, "9" * 19, "true", "card", "*")),
    st.sampled_from(("https://example.com", "charge.*", "customer", "data.customer", "a@b.c")),
    st.text(max_size=20),
)
names = st.one_of(st.sampled_from(NAMES), st.text(max_size=5))

Tree = dict[str, Any]

branches: st.SearchStrategy[Any] = st.recursive(
    values, lambda inner: st.dictionaries(names, inner, max_size=4), max_leaves=12
)
trees: st.SearchStrategy[Tree] = st.dictionaries(names, branches, max_size=4)


def require_stripes_shape(answer: Answer, *extra_facts: str) -> None:
    """Asserts that an answer is below 500 and in Stripe's shape.

    Args: extra_facts: keys that the family's error objects may have besides the common ones.
    """
    assert answer.status < 500, answer.text
    assert answer.headers["Request-Id"].startswith("req_")
    for value in answer.headers.values():
        assert value.isascii()
        assert value.isprintable()
    if answer.status >= 400:
        error = answer.error
        assert error["type"] in {"invalid_request_error", "idempotency_error", "card_error"}
        assert error["message"]
        assert set(error) <= {"type", "message", "code", "param", "decline_code", *extra_facts}
    else:
        assert answer.status == 200
        assert "object" in answer.body


def likely_trees(  # noqa: PLR0911 one return for each type of a schema
    schema: Tree, definitions: Tree
) -> st.SearchStrategy[Any]:
    """Draws parameters that have the names, and mostly the types, that a model wants."""
    if "$ref" in schema:
        return likely_trees(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in schema:
        return st.one_of([likely_trees(choice, definitions) for choice in schema["anyOf"]])
    choices = schema.get("enum") or ([schema["const"]] if "const" in schema else None)
    if choices:
        return mostly(st.sampled_from(choices))
    match schema.get("type"):
        case "integer":
            return mostly(st.integers(0, 20).map(str))
        case "boolean":
            return mostly(st.sampled_from(("true", "false")))
        case "array":
            items = st.lists(likely_trees(schema["items"], definitions), max_size=3)
            return mostly(items.map(indexed))
        case "object" if "properties" in schema:
            return known_fields(schema, definitions)
        case "object":
            return mostly(st.dictionaries(st.text(min_size=1, max_size=9), values, max_size=3))
    return values


def mostly(likely: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draws what is likely, seven times of eight."""
    return st.integers(0, 7).flatmap(lambda drawn: values if drawn == 0 else likely)


def indexed(items: list[Any]) -> Tree:
    """Writes a list as the form decoder does."""
    return {str(index): item for index, item in enumerate(items)}


def known_fields(schema: Tree, definitions: Tree) -> st.SearchStrategy[Tree]:
    """Draws a few of a model's fields, and the required ones."""
    parts = {name: likely_trees(part, definitions) for name, part in schema["properties"].items()}
    required = schema.get("required", [])
    if not parts:
        return st.just({})
    chosen = st.lists(st.sampled_from(sorted(parts)), max_size=3, unique=True)
    return chosen.flatmap(
        lambda drawn: st.fixed_dictionaries({name: parts[name] for name in {*drawn, *required}})
    )


def path_of(template: str) -> st.SearchStrategy[str]:
    """Draws a path: each placeholder is mostly an id of the collection before it."""
    parts = [
        mostly(st.just(KNOWN_IDS.get(before, "xx_1"))) if part.startswith("{") else st.just(part)
        for before, part in pairwise(["", *template.split("/")])
    ]
    return st.tuples(*parts).map("/".join)


@functools.cache
def likely_requests(api: Api) -> st.SearchStrategy[tuple[str, str, Tree]]:
    """Draws a method, a path and parameters of one of the API's operations."""
    requests = []
    for route in api.routes:
        schema = route.model.model_json_schema()
        trees_of_route = likely_trees(schema, schema.get("$defs", {}))
        path = path_of(route.template)
        requests.append(st.tuples(st.just(route.method), path, trees_of_route))
    return st.one_of(requests)
