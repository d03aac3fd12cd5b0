"""The comparison queue's consumer over DynamoDB."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.detect_duplicates import handler as detect_duplicates
from shared import bootstrap, bootstrap_events
from shared.adapters.dynamodb_recent import DynamoRecentPayments
from shared.adapters.memory_recent import MemoryRecentPayments
from shared.domain.changes import PaymentChange
from shared.domain.duplicates import WINDOW_MS, RecentPayments, Trace, traces
from tests.support.aws import PAYMENT_TABLES, REGION, create_payment_tables, create_table
from tests.support.composition import forget_composition
from tests.support.duplicates import HELD, PAID, Sale
from tests.support.logs import recorded_logger
from tests.support.payments import DECLINED

SAMPLE = Path(__file__).parents[2] / "events" / "detect_duplicates.json"
FIRST, SECOND = Sale("1"), Sale("2", after_ms=60_000)
TAKEN: dict[str, Any] = {"batchItemFailures": []}


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("FARTHING_STAGE", "test")
    for name in (*PAYMENT_TABLES, "recent_payments"):
        monkeypatch.setenv(f"{name.upper()}_TABLE", name)
    with mock_aws():
        forget_composition()
        key = boto3.client("kms", region_name=REGION).create_key()["KeyMetadata"]
        monkeypatch.setenv("EVENT_KEY_ARN", key["Arn"])
        client = boto3.client("dynamodb", region_name=REGION)
        create_payment_tables(client)
        create_table(client, "recent_payments")
        yield client
    forget_composition()


def store(*changes: PaymentChange) -> None:
    for change in changes:
        bootstrap.payments().commit(change)


class Consumer:
    """The function, and what it logged."""

    def __init__(self, recent: RecentPayments | None = None) -> None:
        self.logger, self.stream = recorded_logger()
        self.recent = recent or bootstrap_events.recent_payments()

    def take(self, *records: dict[str, Any]) -> dict[str, Any]:
        batch = {"Records": list(records)}
        return detect_duplicates.run(batch, bootstrap.payments(), self.recent, self.logger)

    def reports(self) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        return [line for line in lines if "suspected_duplicate" in line]


@pytest.mark.usefixtures("dynamodb")
def test_second_payment_alike_is_reported_with_the_first() -> None:
    # given
    store(FIRST.change(*PAID), SECOND.change(*HELD))
    consumer = Consumer()
    # when
    assert consumer.take(FIRST.message(), SECOND.message()) == TAKEN
    # then
    (report,) = consumer.reports()
    facts = ("suspected_duplicate", "account", "livemode", "payment", "original", "level")
    expected = [True, "acct_1", True, SECOND.id, FIRST.id, "WARNING"]
    assert [report[name] for name in facts] == expected


@pytest.mark.usefixtures("dynamodb")
def test_report_tells_nothing_of_the_card() -> None:
    # given
    sales = [Sale(name, card="fpOfTheCard", customer="cus_ofBoth") for name in ("1", "2")]
    store(*(sale.change(*PAID) for sale in sales))
    consumer = Consumer()
    # when
    consumer.take(*(sale.message() for sale in sales))
    # then
    assert len(consumer.reports()) == 1
    for secret in ("fpOfTheCard", "cus_ofBoth", "4242"):
        assert secret not in consumer.stream.getvalue()


@pytest.mark.usefixtures("dynamodb")
def test_pair_heard_of_again_in_any_way_is_not_reported_again() -> None:
    # given
    store(FIRST.change(*PAID), SECOND.change(*PAID))
    consumer = Consumer()
    consumer.take(SECOND.message(), FIRST.message())
    # when: redelivered, sent twice by the bus, and announced when captured
    consumer.take(SECOND.message(), FIRST.message())
    consumer.take(SECOND.message(message_id="m2"), FIRST.message(message_id="m2"))
    consumer.take(SECOND.message("evt_2"), FIRST.message("evt_2"))
    # then
    assert [report["payment"] for report in consumer.reports()] == [SECOND.id]


@pytest.mark.usefixtures("dynamodb")
def test_payment_outside_the_window_or_declined_is_not_reported() -> None:
    # given
    late = Sale("3", after_ms=WINDOW_MS + 1)
    declined = Sale("4")
    store(FIRST.change(*PAID), late.change(*PAID), declined.change(DECLINED))
    consumer = Consumer()
    # when
    answer = consumer.take(FIRST.message(), late.message(), declined.message())
    # then
    assert answer == TAKEN
    assert consumer.reports() == []


@pytest.mark.usefixtures("dynamodb")
def test_message_of_an_unknown_payment_is_received_again_and_alone() -> None:
    # given
    store(FIRST.change(*PAID), SECOND.change(*PAID))
    consumer = Consumer()
    # when
    answer = consumer.take(
        FIRST.message(), Sale("3").message(message_id="m3"), SECOND.message(message_id="m4")
    )
    # then
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m3"}]}
    assert len(consumer.reports()) == 1


class Busy(MemoryRecentPayments):
    """Refuses traces, as a throttled table does."""

    def remember(self, trace: Trace) -> None:
        raise TimeoutError(trace.payment_id)


@pytest.mark.usefixtures("dynamodb")
def test_message_that_the_table_refuses_is_received_again() -> None:
    # given
    store(FIRST.change(*PAID))
    # then
    answer = Consumer(Busy()).take(FIRST.message())
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m1"}]}


def test_claim_whose_answer_was_lost_is_still_this_events(dynamodb: Any) -> None:
    # given: a client that repeats a put whose answer it did not read, as botocore does
    class Repeating:
        def __getattr__(self, name: str) -> Any:
            return getattr(dynamodb, name)

        def put_item(self, **arguments: Any) -> Any:
            dynamodb.put_item(**arguments)
            return dynamodb.put_item(**arguments)

    store(FIRST.change(*PAID), SECOND.change(*PAID))
    repeating: Any = Repeating()
    consumer = Consumer(DynamoRecentPayments(repeating, "recent_payments"))
    # when
    consumer.take(FIRST.message(), SECOND.message())
    # then
    assert len(consumer.reports()) == 1


def test_sample_event_is_compared(dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # given: the sample's payment, and one like it a minute earlier
    event = json.loads(SAMPLE.read_text())
    logger, stream = recorded_logger()
    monkeypatch.setattr(detect_duplicates, "shared_logger", logger)
    payment_id = json.loads(event["Records"][0]["body"])["detail"]["object"]
    sample = Sale(payment_id.removeprefix("pi_"), after_ms=60_000)
    store(FIRST.change(*PAID), sample.change(*PAID))
    bootstrap_events.recent_payments().remember(_trace_of(FIRST))
    # when
    answer = detect_duplicates.handler(event, None)
    # then
    assert answer == TAKEN
    assert payment_id in stream.getvalue()
    rows = dynamodb.scan(TableName="recent_payments")["Items"]
    (report,) = [row for row in rows if row["sk"]["S"] == "REPORT"]
    assert report["pk"] == {"S": f"DUPLICATE#{payment_id}"}
    assert report["reported"] == {"BOOL": True}


def _trace_of(sale: Sale) -> Trace:
    (trace,) = traces(sale.payment())
    return trace
