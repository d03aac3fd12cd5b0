"""What every memory of recent payments does; run on DynamoDB and on its twin in memory."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from shared.adapters.dynamodb_recent import DynamoRecentPayments
from shared.adapters.memory_recent import MemoryRecentPayments
from shared.domain.duplicates import (
    RETENTION_S,
    WINDOW_MS,
    Neighbours,
    RecentPayments,
    Suspicion,
    Trace,
)
from tests.support.aws import REGION, create_table

NOON_MS = 1_790_000_000_000
NOBODY = Neighbours(None, None)


def trace(name: str, after_ms: int = 0, group: str = "alike_1") -> Trace:
    return Trace(group, f"pi_{name}", NOON_MS + after_ms)


@pytest.fixture(params=["memory", "dynamodb"])
def recent(request: pytest.FixtureRequest) -> Iterator[RecentPayments]:
    if request.param == "memory":
        yield MemoryRecentPayments()
        return
    with mock_aws():
        client = boto3.client("dynamodb", region_name=REGION)
        yield DynamoRecentPayments(client, create_table(client, "recent_payments"))


def test_neighbours_lone_trace_has_none(recent: RecentPayments) -> None:
    # when
    recent.remember(trace("1"))
    recent.remember(trace("1"))
    # then
    assert recent.neighbours(trace("1")) == NOBODY


def test_neighbours_unknown_trace_has_those_it_would_have(recent: RecentPayments) -> None:
    # given
    for name, after_ms in (("1", 0), ("2", 5), ("4", 20), ("5", 30)):
        recent.remember(trace(name, after_ms))
    # then
    assert recent.neighbours(trace("3", 10)) == Neighbours(trace("2", 5), trace("4", 20))


def test_neighbours_are_the_nearest_of_many(recent: RecentPayments) -> None:
    # given
    for place in range(60):
        recent.remember(trace(f"{place:02d}", place))
    # then
    found = recent.neighbours(trace("30", 30))
    assert found == Neighbours(trace("29", 29), trace("31", 31))


def test_neighbours_of_one_millisecond_are_ordered_by_payment(recent: RecentPayments) -> None:
    # given
    for name in ("c", "A", "b"):
        recent.remember(trace(name))
    # then
    assert recent.neighbours(trace("A")) == Neighbours(None, trace("b"))
    assert recent.neighbours(trace("b")) == Neighbours(trace("A"), trace("c"))
    assert recent.neighbours(trace("c")) == Neighbours(trace("b"), None)


@pytest.mark.parametrize("name", ["0", "z"])
def test_neighbours_are_within_the_window_to_the_millisecond(
    recent: RecentPayments, name: str
) -> None:
    # given
    middle = trace("M")
    recent.remember(middle)
    recent.remember(trace(name, -WINDOW_MS - 1))
    recent.remember(trace(name, WINDOW_MS + 1))
    assert recent.neighbours(middle) == NOBODY
    # when
    first, last = trace(name, -WINDOW_MS), trace(name, WINDOW_MS)
    recent.remember(first)
    recent.remember(last)
    # then
    assert recent.neighbours(middle) == Neighbours(first, last)


def test_neighbours_of_another_group_are_none(recent: RecentPayments) -> None:
    # given
    recent.remember(trace("1"))
    recent.remember(trace("2", group="alike_2"))
    # then
    assert recent.neighbours(trace("1")) == NOBODY


def test_claim_first_event_has_the_report_until_it_is_made(recent: RecentPayments) -> None:
    # given
    suspicion = Suspicion(trace("1"), trace("2", 5))
    assert recent.claim(suspicion, "evt_1")
    assert not recent.claim(suspicion, "evt_2")
    # when: it died and is asked again, then it reports
    assert recent.claim(suspicion, "evt_1")
    recent.reported(suspicion)
    # then
    assert not recent.claim(suspicion, "evt_1")
    assert not recent.claim(suspicion, "evt_2")


def test_claim_is_of_the_duplicate_whatever_it_is_like(recent: RecentPayments) -> None:
    # given: the same duplicate found by its card and by its customer
    by_card = Suspicion(trace("1"), trace("3", 5))
    by_customer = Suspicion(trace("2", group="alike_2"), trace("3", 5, group="alike_2"))
    assert recent.claim(by_card, "evt_1")
    # then
    assert not recent.claim(by_customer, "evt_2")
    assert recent.claim(Suspicion(trace("3", 5), trace("4", 9)), "evt_2")


def test_neighbours_in_dynamodb_are_read_consistently_two_rows_at_a_time() -> None:
    with mock_aws():
        # given
        client = boto3.client("dynamodb", region_name=REGION)
        recent = DynamoRecentPayments(client, create_table(client, "recent_payments"))
        queries: list[Any] = []
        client.meta.events.register(
            "provide-client-params.dynamodb.Query", lambda params, **_: queries.append(params)
        )
        # when
        recent.neighbours(trace("1"))
    # then
    assert [query["ConsistentRead"] for query in queries] == [True, True]
    assert [query["Limit"] for query in queries] == [2, 2]


def test_rows_in_dynamodb_expire_and_hold_no_more_than_they_must() -> None:
    with mock_aws():
        # given
        client = boto3.client("dynamodb", region_name=REGION)
        recent = DynamoRecentPayments(client, create_table(client, "recent_payments"))
        # when
        recent.remember(trace("1"))
        recent.claim(Suspicion(trace("1"), trace("2", 5)), "evt_1")
        rows = client.scan(TableName="recent_payments")["Items"]
    # then
    expires_at = {"N": str(NOON_MS // 1000 + RETENTION_S)}
    assert [row["expires_at"] for row in rows] == [expires_at] * 2
    assert sorted(sorted(row) for row in rows) == [
        ["event", "expires_at", "original", "pk", "reported", "sk"],
        ["expires_at", "pk", "sk"],
    ]
