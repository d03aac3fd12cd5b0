"""The handlers of the object APIs on their sample events, over DynamoDB."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.api_customers import handler as api_customers
from functions.api_default import handler as api_default
from functions.api_events import handler as api_events
from shared import bootstrap
from shared.adapters.dynamodb_documents import DynamoDocumentStore
from shared.domain.documents import Document
from shared.edge import api
from shared.edge.auth import key_record_id
from tests.support.aws import REGION, create_table
from tests.support.documents import audited
from tests.support.logs import recorded_logger

EVENTS = Path(__file__).parents[2] / "events"
SECRET = "sk_test_SampleKeyOfTheDemoMerchant"
SLOW = "sk_test_KeyOfAMerchantWithLimits"


@pytest.fixture
def documents(monkeypatch: pytest.MonkeyPatch) -> Iterator[DynamoDocumentStore]:
    """Gives the handlers the settings their stacks would, and a merchant's key."""
    settings = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "FARTHING_STAGE": "local",
        "OBJECTS_TABLE": "objects",
        "IDEMPOTENCY_TABLE": "idempotency",
        "EVIDENCE_TABLE": "evidence",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        dynamodb = boto3.client("dynamodb", region_name=REGION)
        create_table(dynamodb, "objects")
        create_table(dynamodb, "idempotency", has_sort_key=False)
        create_table(dynamodb, "evidence")
        key = boto3.client("kms", region_name=REGION).create_key()["KeyMetadata"]["Arn"]
        monkeypatch.setenv("EVENT_KEY_ARN", key)
        _forget_composition()
        yield _with_key(bootstrap.audited_documents())
        _forget_composition()


def _forget_composition() -> None:
    modules: tuple[ModuleType, ...] = (bootstrap, api_customers, api_default, api_events)
    for module in modules:
        for member in vars(module).values():
            if hasattr(member, "cache_clear"):
                member.cache_clear()


def _with_key(documents: DynamoDocumentStore) -> DynamoDocumentStore:
    _put_key(documents, SECRET)
    return documents


def _put_key(documents: DynamoDocumentStore, secret: str, **facts: Any) -> None:
    data = {
        "account": "acct_1",
        "livemode": False,
        "kind": "secret",
        "home_region": REGION,
        "expires_at_s": None,
        "revoked": False,
        **facts,
    }
    key = Document(
        key_record_id(secret),
        "api_key",
        "acct_1",
        livemode=False,
        version=1,
        created_ms=1,
        data=data,
    )
    documents.commit([audited(key)])


def invoke(handler: Callable[[dict[str, Any], object], dict[str, Any]], name: str) -> Any:
    return handler(json.loads((EVENTS / f"{name}.json").read_text()), None)


def test_api_customers_sample_event_creates_a_customer(documents: DynamoDocumentStore) -> None:
    answer = invoke(api_customers.handler, "api_customers")
    assert answer["statusCode"] == 200
    stored = documents.get(json.loads(answer["body"])["id"])
    assert stored is not None
    assert stored.data["metadata"] == {"order": "1001"}


def test_api_customers_sample_event_again_is_replayed(documents: DynamoDocumentStore) -> None:
    first = invoke(api_customers.handler, "api_customers")
    second = invoke(api_customers.handler, "api_customers")
    assert second["body"] == first["body"]
    assert second["headers"]["Idempotent-Replayed"] == "true"


def test_api_customers_lists_what_it_created(documents: DynamoDocumentStore) -> None:
    created = json.loads(invoke(api_customers.handler, "api_customers")["body"])
    event = json.loads((EVENTS / "api_customers.json").read_text())
    event["requestContext"]["http"]["method"] = "GET"
    event |= {"body": None, "rawQueryString": "email=jenny%40example.com"}
    listed = json.loads(api_customers.handler(event, None)["body"])
    assert listed["data"] == [created]


def test_api_events_sample_event_creates_an_endpoint(documents: DynamoDocumentStore) -> None:
    answer = invoke(api_events.handler, "api_events")
    assert answer["statusCode"] == 200
    body = json.loads(answer["body"])
    assert body["enabled_events"] == ["payment_intent.succeeded", "charge.refunded"]
    stored = documents.get(body["id"])
    assert stored is not None
    assert stored.data["secret"] == body["secret"]


@pytest.mark.usefixtures("documents")
def test_api_default_sample_event_is_404() -> None:
    answer = invoke(api_default.handler, "api_default")
    assert answer["statusCode"] == 404
    message = "Unrecognized request URL (GET: /v1/subscriptions)."
    assert json.loads(answer["body"])["error"]["message"] == message


def test_api_default_over_the_accounts_limit_is_429_in_every_environment(
    documents: DynamoDocumentStore,
) -> None:
    # given: one request a second, told of by fives
    _put_key(documents, SLOW, limits={"requests_per_s": 1})
    event = json.loads((EVENTS / "api_default.json").read_text())
    event["headers"] = {**event["headers"], "authorization": f"Bearer {SLOW}"}
    # when
    statuses = [api_default.handler(event, None)["statusCode"] for _ in range(6)]
    # then
    assert statuses == [404] * 5 + [429]
    _forget_composition()
    elsewhere = [api_default.handler(event, None)["statusCode"] for _ in range(6)]
    assert elsewhere == statuses


def test_api_default_names_the_key_in_its_log_and_shows_nothing_of_it(
    documents: DynamoDocumentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    log, stream = recorded_logger()
    monkeypatch.setattr(api, "logger", log)
    _put_key(documents, SLOW)
    event = json.loads((EVENTS / "api_default.json").read_text())
    event["headers"] = {**event["headers"], "authorization": f"Bearer {SLOW}"}
    # when
    api_default.handler(event, None)
    # then
    line = json.loads(stream.getvalue())
    assert line["key"] == f"key:{key_record_id(SLOW).removeprefix('KEY#')[:16]}"
    assert SLOW not in stream.getvalue()
