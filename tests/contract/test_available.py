"""What every store of available balances does; on DynamoDB and on its twin in memory."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import boto3
import pytest
from moto import mock_aws

from shared.adapters.dynamodb_available import DynamoAvailableStore
from shared.adapters.dynamodb_payments import DynamoPaymentStore
from shared.adapters.memory import (
    MemoryAvailableStore,
    MemoryClock,
    MemoryDatabase,
    MemoryPaymentStore,
)
from shared.adapters.memory_signer import MemorySigner
from shared.domain.available import FLOOR_MINOR, Available
from shared.domain.changes import PaymentChange, change
from shared.domain.errors import InsufficientFundsError, VersionConflictError
from shared.domain.payment import Payment
from shared.domain.ports import AvailableStore, PaymentStore
from tests.support.aws import REGION, create_payment_tables
from tests.support.payments import (
    AUTHORIZED,
    CAPTURED,
    CHARGE_ID,
    CONFIRMED,
    CONTEXT,
    CREATED,
    PAYMENT_ID,
    REFUND_REQUESTED,
    SETTLED,
)

BOOK, ACCOUNT = "acct_1/test", "2010:merchant:acct_1:available:usd"
CAPTURED_AS_IS = (
    CAPTURED[0],
    {**CAPTURED[1], "charge_id": CHARGE_ID, "occurred_at_ms": None},
)
REFUND_MINOR = int(REFUND_REQUESTED[1]["amount_minor"])


@dataclass
class Stores:
    payments: PaymentStore
    available: AvailableStore

    def held(self) -> Available:
        """Returns the one available balance that there is."""
        (found,) = self.available.of_book(BOOK)
        return found

    def settled(self) -> Payment:
        """Stores a payment whose refund is taken from what is available."""
        made = change(
            None,
            [CREATED, CONFIRMED, AUTHORIZED, CAPTURED_AS_IS, SETTLED],
            CONTEXT,
            PAYMENT_ID,
        )
        self.payments.commit(made)
        return made.payment


@pytest.fixture(params=["memory", "dynamodb"])
def stores(request: pytest.FixtureRequest) -> Iterator[Stores]:
    if request.param == "memory":
        database = MemoryDatabase()
        yield Stores(MemoryPaymentStore(database), MemoryAvailableStore(database))
        return
    with mock_aws():
        client = boto3.client("dynamodb", region_name=REGION)
        tables = create_payment_tables(client)
        yield Stores(
            DynamoPaymentStore(client, tables, MemorySigner(MemoryClock())),
            DynamoAvailableStore(client, tables["balances"]),
        )


def refund(payment: Payment, number: int = 0) -> PaymentChange:
    data = {**REFUND_REQUESTED[1], "refund_id": f"re_{PAYMENT_ID[3:]}012345678{number}"}
    return change(payment, [(REFUND_REQUESTED[0], data)], CONTEXT)


def test_book_without_a_guarded_account_has_no_available_balance(stores: Stores) -> None:
    assert stores.available.of_book(BOOK) == ()


def test_blocks_are_added_once_and_in_their_order(stores: Stores) -> None:
    # when
    added = [
        stores.available.add(BOOK, ACCOUNT, 700, shard=3, number=1),
        stores.available.add(BOOK, ACCOUNT, 700, shard=3, number=1),
        stores.available.add(BOOK, ACCOUNT, -200, shard=3, number=4),
        stores.available.add(BOOK, ACCOUNT, 999, shard=3, number=2),
        stores.available.add(BOOK, ACCOUNT, 50, shard=63, number=1),
    ]
    # then
    assert added == [True, False, True, False, True]
    assert stores.held() == Available(BOOK, ACCOUNT, 550, 550 - FLOOR_MINOR)
    assert stores.held().floor_minor == FLOOR_MINOR


def test_refund_of_a_settled_payment_takes_from_what_is_available(stores: Stores) -> None:
    # given
    payment = stores.settled()
    stores.available.add(BOOK, ACCOUNT, 1426, shard=1, number=1)
    # when
    stores.payments.commit(refund(payment))
    # then
    assert stores.held().available_minor == 1426 - REFUND_MINOR


def test_refund_before_anything_is_available_goes_below_zero_as_far_as_the_floor(
    stores: Stores,
) -> None:
    # given
    payment = stores.settled()
    # when
    stores.payments.commit(refund(payment))
    # then
    assert stores.held() == Available(BOOK, ACCOUNT, -REFUND_MINOR, -FLOOR_MINOR - REFUND_MINOR)


@pytest.mark.parametrize(("short", "is_taken"), [(0, True), (1, False)])
def test_refund_below_the_floor_is_refused_and_changes_nothing(
    stores: Stores, short: int, *, is_taken: bool
) -> None:
    # given
    payment = stores.settled()
    stores.available.add(BOOK, ACCOUNT, REFUND_MINOR - short, shard=1, number=1)
    stores.available.set_floor(BOOK, ACCOUNT, 0)
    before = stores.held()
    # when
    if is_taken:
        stores.payments.commit(refund(payment))
    else:
        with pytest.raises(InsufficientFundsError) as error:
            stores.payments.commit(refund(payment))
        assert (error.value.code, error.value.is_answer) == ("balance_insufficient", True)
    # then
    assert stores.held().available_minor == before.available_minor - REFUND_MINOR * is_taken
    stored = stores.payments.load(payment.id)
    assert stored is not None
    assert len(stored.refunds) == is_taken


def test_floor_set_leaves_what_is_held(stores: Stores) -> None:
    # given
    stores.available.set_floor(BOOK, ACCOUNT, -500)
    stores.available.add(BOOK, ACCOUNT, 120, shard=1, number=1)
    # when
    stores.available.set_floor(BOOK, ACCOUNT, 100)
    # then
    assert stores.held() == Available(BOOK, ACCOUNT, 120, 20)


def test_refund_that_another_writer_was_faster_than_takes_nothing(stores: Stores) -> None:
    # given
    payment = stores.settled()
    stores.payments.commit(refund(payment))
    # when
    with pytest.raises(VersionConflictError):
        stores.payments.commit(refund(payment, number=1))
    # then
    assert stores.held().available_minor == -REFUND_MINOR


def test_refund_of_a_pending_payment_takes_nothing_from_what_is_available(stores: Stores) -> None:
    # given
    made = change(None, [CREATED, CONFIRMED, AUTHORIZED, CAPTURED_AS_IS], CONTEXT, PAYMENT_ID)
    stores.payments.commit(made)
    # when
    stores.payments.commit(replace(refund(made.payment)))
    # then
    assert stores.available.of_book(BOOK) == ()
