"""Every store of buckets keeps the same contract."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from shared.adapters.dynamodb_limits import DynamoBucketStore
from shared.adapters.memory_limits import MemoryBucketStore
from shared.domain.errors import TransientError
from shared.domain.ports import BucketStore
from tests.support.aws import REGION, create_table

NAME = "LIMIT#acct_1#test"
NOW_MS = 1_790_000_000_000
FULL_MS, CEILING_MS = NOW_MS - 1_000, NOW_MS + 10_000


@pytest.fixture(params=["memory", "dynamodb"])
def store(request: pytest.FixtureRequest) -> Iterator[BucketStore]:
    """A store without buckets."""
    if request.param == "memory":
        yield MemoryBucketStore()
        return
    with mock_aws():
        dynamodb = boto3.client("dynamodb", region_name=REGION)
        create_table(dynamodb, "idempotency", has_sort_key=False)
        yield DynamoBucketStore(lambda: dynamodb, "idempotency")


def take(store: BucketStore, cost_ms: int, *, later_ms: int = 0, name: str = NAME) -> int:
    return store.take(name, cost_ms, full_ms=FULL_MS + later_ms, ceiling_ms=CEILING_MS + later_ms)


def test_bucket_that_nobody_took_from_is_full(store: BucketStore) -> None:
    assert take(store, 50) == FULL_MS + 50


def test_bucket_adds_up_what_is_taken(store: BucketStore) -> None:
    take(store, 50)
    assert take(store, 400) == FULL_MS + 450
    assert take(store, 700) == NOW_MS + 150


def test_bucket_left_alone_is_full_again_and_no_more(store: BucketStore) -> None:
    take(store, 900)
    assert take(store, 50, later_ms=60_000) == FULL_MS + 60_050
    assert take(store, 50, later_ms=60_000) == FULL_MS + 60_100


def test_bucket_overdrawn_beyond_the_ceiling_is_left_as_it_is(store: BucketStore) -> None:
    # given
    take(store, 12_000)
    # when
    told = take(store, 500)
    # then
    assert told >= CEILING_MS
    assert take(store, 10, later_ms=2_000) == FULL_MS + 12_010


def test_buckets_are_apart(store: BucketStore) -> None:
    take(store, 900)
    assert take(store, 1, name=f"{NAME}#GET /v1/customers/{{id}}") == FULL_MS + 1


class _Recording:
    """A client that counts, and lets another writer in between."""

    def __init__(self, dynamodb: Any, between: Any = None) -> None:
        self._dynamodb = dynamodb
        self._between = between
        self.calls = 0

    def update_item(self, **arguments: Any) -> Any:
        self.calls += 1
        if self.calls == 2 and self._between is not None:
            self._between()
        return self._dynamodb.update_item(**arguments)


@pytest.fixture
def dynamodb() -> Iterator[Any]:
    """DynamoDB with the table of the buckets."""
    with mock_aws():
        found = boto3.client("dynamodb", region_name=REGION)
        create_table(found, "idempotency", has_sort_key=False)
        yield found


def test_dynamodb_bucket_in_use_costs_one_call(dynamodb: Any) -> None:
    # given
    recording = _Recording(dynamodb)
    store = DynamoBucketStore(lambda: recording, "idempotency")  # type: ignore[arg-type,return-value]
    take(store, 50)
    assert recording.calls == 2
    # when
    take(store, 50)
    # then
    assert recording.calls == 3


def test_dynamodb_bucket_that_another_sets_meanwhile_counts_both(dynamodb: Any) -> None:
    # given
    other = DynamoBucketStore(lambda: dynamodb, "idempotency")
    recording = _Recording(dynamodb, lambda: take(other, 100))
    store = DynamoBucketStore(lambda: recording, "idempotency")  # type: ignore[arg-type,return-value]
    # when, then
    assert take(store, 50) == FULL_MS + 150
    assert recording.calls == 3


def test_dynamodb_bucket_goes_by_itself(dynamodb: Any) -> None:
    # given
    take(DynamoBucketStore(lambda: dynamodb, "idempotency"), 50)
    # then: later than an hour's bucket takes to be full again
    item = dynamodb.get_item(TableName="idempotency", Key={"pk": {"S": NAME}})["Item"]
    assert int(item["expires_at"]["N"]) > NOW_MS // 1000 + 3_600


def test_dynamodb_store_that_refuses_says_that_it_did_not_answer() -> None:
    with mock_aws():
        dynamodb = boto3.client("dynamodb", region_name=REGION)
        store = DynamoBucketStore(lambda: dynamodb, "missing")
        with pytest.raises(TransientError):
            take(store, 50)
