"""The published interface, fuzzed for a minute with a fixed seed; `make fuzz` takes ten."""

import copy
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import fuzzing
from tests.support.fuzzing import Findings, run
from tests.support.openapi import document

Json = dict[str, Any]

SEED = 20261122
EXAMPLES_MAX = 20


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Keeps the lines of ten thousand requests out of the report."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def published() -> Json:
    return document()


def only(published: Json, path: str) -> Json:
    """Returns the document with one operation, to be told a lie in."""
    changed = copy.deepcopy(published)
    changed["paths"] = {path: {"get": changed["paths"][path]["get"]}}
    return changed


def fuzz(published: Json) -> Findings:
    return run(SEED, examples_max=2, doc=published)


def test_every_operation_answers_as_published(published: Json) -> None:
    # when
    findings = run(SEED, examples_max=EXAMPLES_MAX, doc=published)
    # then
    print(f"seed {SEED}: {findings}")
    assert findings.failures == {}, f"seed {SEED}"
    assert max(findings.statuses) < 500
    assert findings.statuses.total() > 9_000
    assert findings.strangers > 20
    assert len(findings.served) > 55


def test_status_that_is_not_published_is_found(published: Json) -> None:
    # given
    lying = only(published, "/v1/customers")
    del lying["paths"]["/v1/customers"]["get"]["responses"]["400"]
    # when, then
    assert "status_code_conformance: GET /v1/customers" in fuzz(lying).failures


def test_answer_that_is_not_as_published_is_found(published: Json) -> None:
    # given
    lying = only(published, "/v1/balance")
    lying["components"]["schemas"]["Balance"]["properties"]["livemode"] = {"type": "string"}
    # when, then
    assert "response_schema_conformance: GET /v1/balance" in fuzz(lying).failures


def test_data_of_another_account_is_found(published: Json, monkeypatch: pytest.MonkeyPatch) -> None:
    # given: what is the merchant's own is taken for a stranger's
    monkeypatch.setattr(fuzzing, "MARK", "Ada Lovelace")
    # when, then
    findings = fuzz(only(published, "/v1/customers"))
    assert "another account's data: GET /v1/customers" in findings.failures
