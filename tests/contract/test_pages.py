"""What every store of pages does; run on DynamoDB and on its twin in memory."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from shared.adapters.dynamodb_pages import DynamoPageStore
from shared.adapters.memory_pages import MemoryPageStore
from shared.domain.accounts import control_account
from shared.domain.evidence import seal
from shared.domain.pages import BookPage, turn
from shared.domain.ports import PageStore
from shared.domain.records import journal_record
from tests.support.aws import REGION, create_table
from tests.support.sealing import KINDS, START_MS, event, journal

BOOK = "acct_1/test"


@pytest.fixture(params=["memory", "dynamodb"])
def store(request: pytest.FixtureRequest) -> Iterator[PageStore]:
    if request.param == "memory":
        yield MemoryPageStore()
        return
    with mock_aws():
        client: Any = boto3.client("dynamodb", region_name=REGION)
        yield DynamoPageStore(client, create_table(client, "balances"))


def page(number: int, newest_ms: int, book: str = BOOK, shard: int = 3) -> BookPage:
    journals = [journal("acct_1", f"pi_{number}", kind, newest_ms) for kind in KINDS]
    records = [*map(journal_record, journals), event(BOOK, f"pi_{number}", 1, newest_ms)]
    block = seal(None, records, START_MS, shard, control_account)
    first = turn(None, block, BOOK, {item.id: item for item in journals})
    return replace(first, number=number, book=book)


def test_page_put_is_read_back(store: PageStore) -> None:
    made = page(12, START_MS)

    assert store.put(made)
    assert store.last(BOOK, 3) == made
    assert list(store.pages(BOOK, 3)) == [made]


def test_page_put_twice_stays_as_it_is(store: PageStore) -> None:
    made = page(1, START_MS)
    assert store.put(made)

    assert not store.put(replace(made, entries=()))
    assert store.last(BOOK, 3) == made


def test_book_without_pages_has_no_last_one(store: PageStore) -> None:
    store.put(page(1, START_MS))

    assert store.last(BOOK, 4) is None
    assert store.last("acct_1/live", 3) is None
    assert list(store.pages("acct_2/test", 3)) == []


def test_pages_are_kept_per_book_and_shard(store: PageStore) -> None:
    pages = [
        page(1, START_MS),
        page(1, START_MS, shard=30),
        page(1, START_MS, "acct_1/live"),
        page(1, START_MS, "acct_2/test"),
    ]
    for made in pages:
        assert store.put(made)

    assert [store.last(made.book, made.shard) for made in pages] == pages


def test_pages_are_in_the_order_of_their_blocks(store: PageStore) -> None:
    # given: blocks nine to eleven have the same newest record
    places = [(START_MS - 1, 8), (START_MS, 9), (START_MS, 10), (START_MS, 11), (START_MS + 5, 99)]
    pages = [page(number, newest_ms) for newest_ms, number in places]
    for made in reversed(pages):
        store.put(made)
    # then
    assert [made.place for made in pages] == places
    assert list(store.pages(BOOK, 3)) == pages
    assert list(store.pages(BOOK, 3, newest_first=True)) == pages[::-1]
    assert list(store.pages(BOOK, 3, after=places[1])) == pages[2:]
    assert list(store.pages(BOOK, 3, before=places[3])) == pages[:3]
    assert list(store.pages(BOOK, 3, after=places[0], before=places[3])) == pages[1:3]
    backwards = store.pages(BOOK, 3, after=places[0], before=places[3], newest_first=True)
    assert list(backwards) == [pages[2], pages[1]]
    assert store.last(BOOK, 3) == pages[4]
    assert store.last(BOOK, 3, before=places[3]) == pages[2]
    assert store.last(BOOK, 3, before=(START_MS, 0)) == pages[0]
    assert store.last(BOOK, 3, before=places[0]) is None


def test_many_pages_are_read_to_the_end(store: PageStore) -> None:
    pages = [page(number, START_MS + number) for number in range(1, 48)]
    for made in pages:
        store.put(made)

    assert list(store.pages(BOOK, 3)) == pages
    assert list(store.pages(BOOK, 3, newest_first=True)) == pages[::-1]
