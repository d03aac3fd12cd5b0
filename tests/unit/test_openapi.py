"""The published interface: valid, current, and true of the examples in it."""

import json
import re
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.support.examples import Hour, the_hour
from tests.support.openapi import COMMAND, FILE, FORM, STATUSES, document, written

Json = dict[str, Any]

SECRET = re.compile(r"\b(?:sk|pk|rk)_(?:test|live)_\w+|whsec_(?!example)\w+|_secret_(?!example)\w+")
CARD_NUMBER = "4242424242424242"


@pytest.fixture(scope="module")
def hour() -> Hour:
    return the_hour()


@pytest.fixture(scope="module")
def published(hour: Hour) -> Json:
    return document(hour)


def operations(published: Json) -> list[tuple[str, Json]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in published["paths"].items()
        for method, operation in methods.items()
    ]


def test_document_is_openapi_3_1(published: Json) -> None:
    assert published["openapi"] == "3.1.0"
    assert [error.message for error in OpenAPIV31SpecValidator(published).iter_errors()] == []


def test_document_that_is_served_is_current(published: Json) -> None:
    is_current = FILE.read_text() == written(published)
    assert is_current, f"functions/api_default/openapi.json is old; run: {COMMAND}"


def test_document_has_every_operation_once(hour: Hour, published: Json) -> None:
    routes = {f"{route.method} {route.template}" for route in hour.world.routes()}
    assert {name for name, _ in operations(published)} == routes
    ids = [operation["operationId"] for _, operation in operations(published)]
    assert len(set(ids)) == len(ids)
    assert all(operation["summary"] for _, operation in operations(published))


def test_examples_are_as_their_schemas_say(published: Json) -> None:
    seen = 0
    for name, operation in operations(published):
        contents = [
            operation["responses"]["200"]["content"]["application/json"],
            *operation.get("requestBody", {}).get("content", {}).values(),
        ]
        for content in contents:
            if "example" in content:
                schema = {**content["schema"], "components": published["components"]}
                errors = Draft202012Validator(schema).iter_errors(content["example"])
                assert [f"{name}: {error.message}" for error in errors] == []
                seen += 1
    assert seen > 80


def test_most_operations_show_a_real_answer(published: Json) -> None:
    answers = [
        operation["responses"]["200"]["content"]["application/json"]
        for _, operation in operations(published)
    ]
    assert sum("example" in answer for answer in answers) > 0.6 * len(answers)
    refusals = published["components"]["responses"]
    assert refusals.keys() == {str(status) for status in STATUSES}
    for status in ("400", "402", "404"):
        assert refusals[status]["content"]["application/json"]["example"]["error"]["message"]


def test_document_shows_no_secret(published: Json) -> None:
    text = json.dumps(published)
    assert SECRET.findall(text) == []
    for _, operation in operations(published):
        answer = operation["responses"]["200"]["content"]["application/json"]
        assert CARD_NUMBER not in json.dumps(answer.get("example"))


def test_parameters_say_how_they_are_sent(published: Json) -> None:
    create = published["paths"]["/v1/payment_intents"]["post"]["requestBody"]["content"][FORM]
    assert create["schema"]["additionalProperties"] is False
    assert create["schema"]["required"] == ["amount", "currency"]
    assert create["encoding"]["shipping"] == {"style": "deepObject", "explode": True}
    assert create["encoding"]["allowed_payment_method_types[]"]["style"] == "form"
    query = published["paths"]["/v1/customers"]["get"]["parameters"]
    found = {parameter["name"]: parameter for parameter in query}
    assert found["created"]["style"] == "deepObject"
    assert found["limit"]["schema"] == {"minimum": 1, "maximum": 100, "type": "integer"}
    update = published["paths"]["/v1/customers/{id}"]["post"]["requestBody"]["content"][FORM]
    assert {"const": ""} in update["schema"]["properties"]["tax_exempt"]["anyOf"]
