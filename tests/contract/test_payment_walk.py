"""What every walk through the payments does; run on DynamoDB and on its twin in memory."""

from collections.abc import Iterator
from dataclasses import dataclass

import boto3
import pytest
from moto import mock_aws

from shared.adapters.dynamodb_payments import DynamoPaymentStore
from shared.adapters.dynamodb_walk import DynamoPaymentWalk
from shared.adapters.memory import MemoryClock, MemoryDatabase, MemoryPaymentStore
from shared.adapters.memory_signer import MemorySigner
from shared.adapters.memory_walk import MemoryPaymentWalk
from shared.domain.changes import Context, PaymentChange
from shared.domain.ports import PaymentStore, PaymentWalk
from tests.support.aws import REGION, create_payment_tables, create_table
from tests.support.payments import AUTHORIZED, CAPTURED, CONFIRMED, CREATED, advance

PAGES_MAX = 100


@dataclass
class Books:
    payments: PaymentStore
    walk: PaymentWalk

    def make(self, name: str) -> str:
        """Makes a payment with some events."""
        payment_id = f"pi_{name:0>24}"
        drafts = (CREATED, CONFIRMED, AUTHORIZED, CAPTURED)
        payment, events = advance(None, payment_id, drafts, Context(1_790_000_000_000))
        self.payments.commit(PaymentChange(0, payment, events))
        return payment_id

    def pages(self, place: str | None = None) -> list[list[str]]:
        """Walks to the end."""
        pages = []
        for _ in range(PAGES_MAX):
            payments, place = self.walk.page(place)
            pages.append(list(payments))
            if place is None:
                return pages
        raise AssertionError("the walk does not end")


@pytest.fixture(params=["memory", "dynamodb"])
def books(request: pytest.FixtureRequest) -> Iterator[Books]:
    if request.param == "memory":
        database = MemoryDatabase()
        yield Books(MemoryPaymentStore(database), MemoryPaymentWalk(database, page_payments=2))
        return
    with mock_aws():
        client = boto3.client("dynamodb", region_name=REGION)
        tables = create_payment_tables(client)
        places = create_table(client, "places")
        # Seven items are one payment and a part of the next one, which has five.
        walk = DynamoPaymentWalk(client, tables["payments"], places, page_items=7)
        yield Books(DynamoPaymentStore(client, tables, MemorySigner(MemoryClock())), walk)


def test_walk_of_nothing_is_at_its_end_at_once(books: Books) -> None:
    assert books.walk.place() is None
    assert books.pages() == [[]]


def test_walk_meets_every_payment_once_in_several_pages(books: Books) -> None:
    # given
    made = [books.make(str(number)) for number in range(9)]
    # when
    pages = books.pages()
    # then
    assert len(pages) > 3
    assert sorted(name for page in pages for name in page) == made


def test_walk_goes_on_from_the_place_that_was_kept(books: Books) -> None:
    # given
    made = [books.make(str(number)) for number in range(9)]
    first, place = books.walk.page(None)
    # when
    books.walk.keep(place)
    # then
    assert place is not None
    assert books.walk.place() == place
    assert sorted([*first, *(name for page in books.pages(place) for name in page)]) == made


def test_walk_that_is_over_begins_anew_and_meets_the_new(books: Books) -> None:
    # given
    old = books.make("1")
    _, place = books.walk.page(None)
    books.walk.keep("pi_2/STATE")
    # when
    books.walk.keep(None)
    new = books.make("2")
    # then
    assert place is None
    assert books.walk.place() is None
    assert sorted(name for page in books.pages() for name in page) == [old, new]
