"""What every delivery log does; run on DynamoDB and on its twin in memory."""

from collections.abc import Iterator
from dataclasses import replace

import boto3
import pytest
from moto import mock_aws

from shared.adapters.dynamodb_deliveries import DynamoDeliveryLog, DynamoEndpointHealth
from shared.adapters.dynamodb_documents import DynamoDocumentStore
from shared.adapters.memory import MemoryDatabase, MemoryDocumentStore
from shared.adapters.memory_deliveries import MemoryDeliveryLog, MemoryEndpointHealth
from shared.domain.documents import Document, DocumentWrite
from shared.domain.ports import DocumentStore
from shared.domain.webhooks import (
    Attempt,
    Delivery,
    DeliveryLog,
    DeliveryRecord,
    EndpointHealth,
)
from tests.support.aws import REGION, create_table

EVENT = Document(
    "evt_1",
    "event",
    "acct_1",
    False,
    1,
    5,
    {"type": "x", "pending_webhooks": 2, "endpoints": ["we_1", "we_2"]},
)
ENDPOINT = Document("we_1", "webhook_endpoint", "acct_1", False, 1, 5, {})
FAILED = Attempt(1_000, 12, 500, "http_status")
FIRST = DeliveryRecord("evt_1", "we_1").after(Delivery("evt_1", "we_1"), FAILED, 9_000)

Stores = tuple[DeliveryLog, EndpointHealth, DocumentStore]


@pytest.fixture(params=["memory", "dynamodb"])
def stores(request: pytest.FixtureRequest) -> Iterator[Stores]:
    if request.param == "memory":
        database = MemoryDatabase()
        yield MemoryDeliveryLog(database), MemoryEndpointHealth(), MemoryDocumentStore(database)
        return
    with mock_aws():
        client = boto3.client("dynamodb", region_name=REGION)
        table = create_table(client, "objects")
        documents = DynamoDocumentStore(client, table, "idempotency")
        yield DynamoDeliveryLog(client, table), DynamoEndpointHealth(client, table), documents


@pytest.fixture
def log(stores: Stores) -> DeliveryLog:
    return stores[0]


@pytest.fixture
def health(stores: Stores) -> EndpointHealth:
    return stores[1]


def test_record_is_read_as_it_was_kept(log: DeliveryLog) -> None:
    assert log.find("evt_1", "we_1") is None
    assert log.keep(FIRST, 2_000_000_000)
    assert log.find("evt_1", "we_1") == FIRST
    assert log.find("evt_1", "we_2") is None


def test_records_of_an_event_come_in_the_order_of_their_endpoints(log: DeliveryLog) -> None:
    second = replace(FIRST, endpoint="we_2")
    for record in (second, FIRST, replace(FIRST, event="evt_2")):
        log.keep(record, None)
    assert list(log.of_event("evt_1")) == [FIRST, second]
    assert list(log.of_event("evt_3")) == []


def test_record_of_which_another_version_was_kept_is_refused(log: DeliveryLog) -> None:
    log.keep(FIRST, None)
    assert not log.keep(replace(FIRST, made=7), None)
    assert log.keep(FIRST.with_queued(2), None)
    assert not log.keep(FIRST.canceled(), None)
    assert log.find("evt_1", "we_1") == FIRST.with_queued(2)


def test_event_says_who_was_tried_and_who_is_still_to_be_told(stores: Stores) -> None:
    log, _, documents = stores
    documents.put_events([DocumentWrite(EVENT)])
    for _ in range(2):
        log.tried("evt_1", "we_1")
        log.delivered("evt_1", "we_2")
    found = documents.get("evt_1")
    assert found is not None
    assert (found.data["pending_webhooks"], found.data["tried"]) == (1, ["we_1", "we_2"])
    log.delivered("evt_expired", "we_1")
    assert documents.get("evt_expired") is None


def test_failing_since_the_first_failure_after_a_success(health: EndpointHealth) -> None:
    assert health.failing(ENDPOINT, 1_000, hung=False) == 1_000
    assert health.failing(ENDPOINT, 2_000, hung=False) == 1_000
    health.healthy(ENDPOINT, 3_000, after_failure=False)
    assert health.failing(ENDPOINT, 4_000, hung=False) == 4_000
    health.healthy(ENDPOINT, 4_001, after_failure=True)
    health.healthy(ENDPOINT, 4_002, after_failure=True)
    assert health.failing(ENDPOINT, 5_000, hung=False) == 5_000


def test_endpoint_that_was_changed_has_a_new_history(health: EndpointHealth) -> None:
    health.failing(ENDPOINT, 1_000, hung=False)
    assert health.failing(replace(ENDPOINT, version=2), 2_000, hung=False) == 2_000
    assert health.failing(replace(ENDPOINT, id="we_2"), 3_000, hung=False) == 3_000


def test_endpoint_hangs_until_it_answers_in_time(health: EndpointHealth) -> None:
    assert not health.hangs(ENDPOINT)
    health.failing(ENDPOINT, 1_000, hung=True)
    assert health.hangs(ENDPOINT)
    assert not health.hangs(replace(ENDPOINT, id="we_2"))
    assert not health.hangs(replace(ENDPOINT, version=2))
    health.failing(ENDPOINT, 2_000, hung=False)
    assert not health.hangs(ENDPOINT)
    assert health.failing(ENDPOINT, 3_000, hung=True) == 1_000
    health.healthy(ENDPOINT, 4_000, after_failure=True)
    assert not health.hangs(ENDPOINT)
    assert health.failing(ENDPOINT, 5_000, hung=False) == 5_000
