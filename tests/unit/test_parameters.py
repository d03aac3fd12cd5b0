"""What operations take, held to the typed dictionaries of Stripe's SDK."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from shared.edge.api import Route
from shared.edge.params import Tree, parse
from shared.wire.errors import RequestError
from shared.wire.event_types import EVENT_TYPES
from tests.support.operations import Kind, Parameter, operations
from tests.support.parameters import accepted, disagreements, lacking, stripes_of
from tests.support.published import Published

ROOT = Path(__file__).parents[2]
OWN_OPERATIONS = ("/v1/events/{id}/", "/v1/ledger/", "/v1/test_helpers/network_transactions")
ROLL_SECRET = "/v1/webhook_endpoints/{id}/roll_secret"
RENAMED = "API versions before 2026-10-28.endive call allowed_payment_method_types so"
UNTYPED = "Stripe takes a card's token there; the SDK types what needs no card in the clear"
DIGITS = "the text is digits"
CLIENT = "clients send it with a publishable key; the SDK types what servers send"
OWN: Mapping[tuple[str, str], str] = {
    ("POST /v1/payment_intents", "payment_method_types"): RENAMED,
    ("POST /v1/payment_intents", "payment_method_data[card]"): UNTYPED,
    ("POST /v1/payment_intents", "payment_method_data[type]"): UNTYPED,
    ("POST /v1/payment_intents/{id}", "payment_method_data[card]"): UNTYPED,
    ("POST /v1/payment_intents/{id}", "payment_method_data[type]"): UNTYPED,
    ("POST /v1/payment_intents/{id}/confirm", "client_secret"): CLIENT,
    ("POST /v1/payment_intents/{id}/confirm", "payment_method_data[card]"): UNTYPED,
    ("POST /v1/payment_intents/{id}/confirm", "payment_method_data[type]"): UNTYPED,
    ("POST /v1/test_helpers/confirmation_tokens", "payment_method_data[card]"): UNTYPED,
    ("POST /v1/test_helpers/confirmation_tokens", "payment_method_data[type]"): UNTYPED,
    ("POST /v1/payment_intents/{id}", "payment_method_types"): RENAMED,
    ("POST /v1/payment_intents/{id}/confirm", "payment_method_types"): RENAMED,
    ("POST /v1/setup_intents", "payment_method_data[card]"): UNTYPED,
    ("POST /v1/setup_intents", "payment_method_data[type]"): UNTYPED,
    ("POST /v1/setup_intents/{id}", "payment_method_data[card]"): UNTYPED,
    ("POST /v1/setup_intents/{id}", "payment_method_data[type]"): UNTYPED,
    ("POST /v1/setup_intents/{id}/confirm", "client_secret"): CLIENT,
    ("POST /v1/setup_intents/{id}/confirm", "payment_method_data[card]"): UNTYPED,
    ("POST /v1/setup_intents/{id}/confirm", "payment_method_data[type]"): UNTYPED,
    ("POST /v1/setup_intents", "payment_method_types"): RENAMED,
    ("POST /v1/setup_intents/{id}", "payment_method_types"): RENAMED,
    ("POST /v1/setup_intents/{id}/confirm", "payment_method_types"): RENAMED,
    ("POST /v1/tokens", "card[exp_month]"): DIGITS,
    ("POST /v1/tokens", "card[exp_year]"): DIGITS,
    ("POST /v1/tokens", "card[number]"): "the check of the card requires it, in the same words",
    ("POST /v1/webhook_endpoints", "api_version"): "versions come out; any of their form is taken",
    ("POST /v1/webhook_endpoints", "enabled_events"): "has a test of its own below",
    ("POST /v1/webhook_endpoints/{id}", "enabled_events"): "has a test of its own below",
}
"""What is not as Stripe has it, by operation and parameter, with the reason."""

ROUTES = tuple(Published().routes())
STRIPES = tuple(route for route in ROUTES if stripes_of(route) is not None)


def name_of(route: Route) -> str:
    return f"{route.method} {route.template}"


def stripes_parameters(route: Route) -> Mapping[str, Parameter]:
    operation = stripes_of(route)
    assert operation is not None
    return operation.parameters


def test_routes_are_those_of_all_functions() -> None:
    served = {route.model.__module__ for route in ROUTES}
    served |= {route.operation.__module__ for route in ROUTES}
    functions = {name.split(".")[1] for name in served if name.startswith("functions.")}
    there_are = {path.parent.name for path in (ROOT / "functions").glob("api_*/handler.py")}
    assert functions == (there_are | {"tokenize_card"}) - {"api_default"}


def test_operations_are_read_from_the_sdk() -> None:
    create = operations()["POST", "/v1/payment_intents"]
    assert create.returns == "PaymentIntent"
    assert create.parameters["amount"] == Parameter(Kind(scalars=frozenset({int})), required=True)
    assert create.parameters["capture_method"].kind.values == {
        "automatic",
        "automatic_async",
        "manual",
    }
    update = operations()["POST", "/v1/customers/{}"].parameters["shipping"].kind
    assert update.unsets
    assert update.fields is not None
    assert update.fields["address"].kind.fields is not None
    assert operations()["GET", "/v1/customers"].returns == "ListObject[Customer]"


@pytest.mark.parametrize("route", ROUTES, ids=name_of)
def test_operation_that_stripe_does_not_have_is_stated(route: Route) -> None:
    is_own = route.template.startswith(OWN_OPERATIONS) or route.template == ROLL_SECRET
    assert (stripes_of(route) is None) == is_own


@pytest.mark.parametrize("route", STRIPES, ids=name_of)
def test_parameters_are_stripes(route: Route) -> None:
    """Names, types, values, what is required, and what an empty string unsets."""
    found = {
        path: message
        for path, message in disagreements(accepted(route.model), stripes_parameters(route))
        if (name_of(route), path) not in OWN
    }
    assert not found


def test_own_parameters_are_still_there() -> None:
    names = {
        (name_of(route), path)
        for route in STRIPES
        for path, _ in disagreements(accepted(route.model), stripes_parameters(route))
    }
    assert set(OWN) <= names


def test_types_of_events_are_stripes() -> None:
    parameter = operations()["POST", "/v1/webhook_endpoints"].parameters["enabled_events"]
    assert parameter.kind.items is not None
    assert set(EVENT_TYPES) <= parameter.kind.items.values


@pytest.mark.parametrize("route", STRIPES, ids=name_of)
def test_parameter_that_is_not_taken_yet_is_refused_by_its_name(route: Route) -> None:
    taken = accepted(route.model)
    for path in lacking(taken, stripes_parameters(route)):
        if not path.replace("_", "").isalnum():
            continue
        with pytest.raises(RequestError) as refused:
            parse(route.model, {path: "1"})
        assert (refused.value.status, refused.value.code) == (400, "parameter_unknown")
        assert refused.value.param == path


@pytest.mark.parametrize("route", ROUTES, ids=name_of)
def test_value_that_an_enumeration_does_not_list_is_refused_by_its_name(route: Route) -> None:
    for param, tree in enumerations(accepted(route.model)):
        with pytest.raises(RequestError) as refused:
            parse(route.model, tree)
        assert refused.value.status == 400
        # What else is required and missing may be told first.
        assert refused.value.param == param or refused.value.code == "parameter_missing"


def enumerations(parameters: Mapping[str, Parameter], path: str = "") -> Iterator[tuple[str, Tree]]:
    """Yields parameters that list their values, each with a request that has another one."""
    for name, parameter in parameters.items():
        here = f"{path}[{name}]" if path else name
        kind = parameter.kind
        if kind.values:
            yield here, {name: "another"}
        if kind.items is not None and kind.items.values:
            yield f"{here}[0]", {name: {"0": "another"}}
        for inner, tree in enumerations(kind.fields or {}, here):
            yield inner, {name: tree}
