"""Whatever is sent to the object APIs is answered below 500, in Stripe's shape, without an echo.

Once on in-memory stores, fast; once on DynamoDB, which refuses keys and expressions that memory
takes.
"""

import json
from collections.abc import Iterator
from urllib.parse import quote

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from functions.api_customers.handler import build as build_customers
from functions.api_default.handler import build as build_default
from functions.api_events.handler import build as build_events
from shared.adapters.dynamodb_documents import DynamoDocumentStore, DynamoIdempotencyStore
from shared.adapters.memory_deliveries import MemoryDeliveryLog
from shared.domain.cards import CardSummary
from shared.domain.documents import Document
from shared.domain.ports import DocumentStore, IdempotencyStore
from shared.edge.api import Api
from tests.support.api import (
    ACCOUNT,
    LIVE_KEY,
    OTHER_ACCOUNT,
    PUBLISHABLE_KEY,
    REGION,
    SECRET_KEY,
    Answer,
    Client,
    Platform,
    form,
    http_event,
)
from tests.support.aws import create_table
from tests.support.fuzz import (
    IDS,
    Tree,
    likely_requests,
    names,
    require_stripes_shape,
    trees,
)

CARD_NUMBERS = ("4242424242424242", "4242 4242 4242 4242", "5555-5555-5555-4444")
PATHS = (
    "/v1/customers",
    "/v1/customers/{}",
    "/v1/customers/{}/payment_methods",
    "/v1/customers/{}/payment_methods/pm_1",
    "/v1/payment_methods",
    "/v1/payment_methods/{}",
    "/v1/payment_methods/{}/attach",
    "/v1/payment_methods/{}/detach",
    "/v1/tokens/{}",
    "/v1/events",
    "/v1/events/{}",
    "/v1/webhook_endpoints",
    "/v1/webhook_endpoints/{}",
    "/{}",
)
bodies = st.one_of(trees.map(lambda tree: form(tree).encode(errors="replace")), st.binary())
headers = st.dictionaries(
    st.sampled_from(
        ("idempotency-key", "stripe-version", "stripe-account", "content-type", "cookie")
    ),
    st.one_of(st.sampled_from(("", "k", "application/x-www-form-urlencoded")), st.text()),
)
authorizations = st.one_of(
    st.sampled_from([f"Bearer {key}" for key in (SECRET_KEY, LIVE_KEY, PUBLISHABLE_KEY)]),
    st.text(),
)
paths = st.builds(str.format, st.sampled_from(PATHS), st.one_of(st.sampled_from(IDS), st.text()))
methods = st.sampled_from(("GET", "POST", "DELETE", "PATCH", ""))


GONE = {"id": "cus_2", "object": "customer", "deleted": True}


class NoSandboxCards:
    """Implements SandboxCards as a stage that has none."""

    def describe(self, alias: str, account: str) -> CardSummary | None:
        return None


def build(name: str, platform: Platform) -> Api:
    ports = platform.ports()
    if name == "default":
        return build_default(ports)
    if name == "events":
        deliveries = MemoryDeliveryLog(platform.database)
        return build_events(ports, platform.documents, deliveries)
    return build_customers(ports, platform.documents, NoSandboxCards)


class DynamoPlatform(Platform):
    """The platform on DynamoDB tables."""

    def stores(self) -> tuple[DocumentStore, IdempotencyStore]:
        """Makes stores on tables of their own."""
        dynamodb = boto3.client(
            "dynamodb",
            region_name=REGION,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        objects = create_table(dynamodb, "objects")
        keys = create_table(dynamodb, "idempotency", has_sort_key=False)
        store = DynamoDocumentStore(dynamodb, objects, keys, self.database.signer)
        return store, DynamoIdempotencyStore(dynamodb, keys, objects, self.clock)


def fill(client: Client) -> Client:
    for name in (ACCOUNT, OTHER_ACCOUNT):
        data = {"home_region": REGION, "country": "US", "default_currency": "usd"}
        client.platform.put(Document(name, "account", name, False, 1, 0, data))
    client.platform.put_object("customer", "cus_1", {"name": "A"})
    client.platform.put_payment_method("pm_1")
    client.platform.put_object(
        "event", "evt_1", {"type": "charge.failed", "data": {"object": GONE}}
    )
    return client


@pytest.fixture(scope="module", params=["customers", "events", "default"])
def client(request: pytest.FixtureRequest) -> Client:
    return fill(Client(lambda platform: build(request.param, platform)))


@pytest.fixture(scope="module", params=["customers", "events"])
def dynamo_client(request: pytest.FixtureRequest) -> Iterator[Client]:
    with mock_aws():
        yield fill(Client(lambda platform: build(request.param, platform), DynamoPlatform()))


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(method=methods, path=paths, query=trees, body=bodies, headers=headers, key=authorizations)
def test_api_any_request_is_answered_below_500(
    client: Client,
    method: str,
    path: str,
    query: Tree,
    body: bytes,
    headers: dict[str, str],
    key: str,
) -> None:
    sent = http_event(
        method, path, query=form(query), body=body, headers={**headers, "authorization": key}
    )
    response = client.api.handle(json.loads(json.dumps(sent)), None)
    require_stripes_shape(Answer(response["statusCode"], response["headers"], response["body"]))


def send_likely(client: Client, data: st.DataObject) -> None:
    method, path, tree = data.draw(likely_requests(client.api))
    if method == "POST":
        key = data.draw(st.sampled_from((None, "k1", "k2")))
        answer = client.post(path, tree, idempotency_key=key)
    else:
        answer = client.send(method, path, query=form(tree))
    require_stripes_shape(answer)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_api_any_values_are_answered_below_500(client: Client, data: st.DataObject) -> None:
    if client.api.routes:
        send_likely(client, data)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_api_any_values_are_answered_below_500_on_dynamodb(
    dynamo_client: Client, data: st.DataObject
) -> None:
    send_likely(dynamo_client, data)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v1/customers/" + "c" * 3_000, ""),
        ("/v1/customers/KEY%23", ""),
        ("/v1/customers/é", ""),
        ("/v1/payment_methods/" + "p" * 2_048, ""),
        ("/v1/customers", "created[gt]=999999999999999999"),
        ("/v1/customers", "created[gte]=-999999999999999999&created[lt]=-5"),
        ("/v1/customers", "created[gt]=9&created[lt]=5"),
        ("/v1/customers", "starting_after=" + "é" * 255),
        ("/v1/customers", "email=" + "é" * 500),
        ("/v1/payment_methods", "customer=" + "é" * 255),
    ],
)
@pytest.mark.parametrize("dynamo_client", ["customers"], indirect=True)
def test_api_extreme_request_is_answered_below_500_on_dynamodb(
    dynamo_client: Client, path: str, query: str
) -> None:
    require_stripes_shape(dynamo_client.send("GET", path, query=quote(query, safe="=&[]")))


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    path=paths,
    name=names,
    number=st.sampled_from(CARD_NUMBERS),
    place=st.sampled_from(("value", "key", "path", "header", "query", "text")),
)
def test_api_card_number_anywhere_is_refused_and_not_repeated(
    client: Client, path: str, name: str, number: str, place: str
) -> None:
    bodies_by_place: dict[str, Tree] = {
        "value": {"metadata": {name: number}},
        "key": {"metadata": {number: "a"}},
        "text": {"description": f"pay with {number} please"},
    }
    answer = client.send(
        "POST",
        f"{path}/{number}" if place == "path" else path,
        query=form({name or "a": number}) if place == "query" else "",
        body=form(bodies_by_place.get(place, {})).encode(),
        headers={"idempotency-key": number} if place == "header" else {},
    )
    assert answer.status == 400
    assert number not in f"{answer.headers}{answer.text}"
