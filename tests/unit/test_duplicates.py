"""Which payments look alike."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.detect_duplicates.handler import run
from shared.adapters.memory import MemoryDatabase, MemoryPaymentStore
from shared.adapters.memory_recent import MemoryRecentPayments
from shared.domain.changes import Draft
from shared.domain.duplicates import (
    RETENTION_S,
    WINDOW_MS,
    Neighbours,
    Suspicion,
    Trace,
    suspicions,
    traces,
)
from tests.support.duplicates import HELD, NOON_MS, PAID, Sale, expected_duplicates, resemble
from tests.support.logs import recorded_logger
from tests.support.payments import ACTION_REQUIRED, CANCELED, DECLINED, OUTCOME_UNKNOWN

FIRST = Sale("1", customer="cus_1")
ONE, TWO, THREE = (Trace("alike_1", name, NOON_MS) for name in ("pi_1", "pi_2", "pi_3"))


@pytest.mark.parametrize("outcome", [HELD, PAID])
def test_traces_payment_that_moved_or_holds_money_has_one_by_card_and_one_by_customer(
    outcome: tuple[Draft, ...],
) -> None:
    # when
    found = traces(FIRST.payment(*outcome))
    # then
    assert len({trace.group for trace in found}) == 2
    assert {(trace.payment_id, trace.at_ms) for trace in found} == {(FIRST.id, NOON_MS)}


def test_traces_payment_without_customer_has_one_by_card() -> None:
    assert len(traces(Sale("1").payment())) == 1


@pytest.mark.parametrize(
    "outcome",
    [(OUTCOME_UNKNOWN,), (DECLINED,), (ACTION_REQUIRED,), (*HELD, CANCELED)],
)
def test_traces_payment_that_moved_nothing_has_none(outcome: tuple[Draft, ...]) -> None:
    assert traces(FIRST.payment(*outcome)) == ()


def test_traces_held_and_captured_payment_has_the_same() -> None:
    assert traces(FIRST.payment(*HELD)) == traces(FIRST.payment(*PAID))


def test_traces_tell_nothing_of_card_or_customer() -> None:
    for trace in traces(FIRST.payment()):
        assert FIRST.card not in trace.group
        assert "cus_1" not in trace.group


@pytest.mark.parametrize(
    "other",
    [
        {"account": "acct_2"},
        {"livemode": False},
        {"amount_minor": 1501},
        {"currency": "eur"},
        {"card": "fp_2", "customer": "cus_2"},
        {"card": "cus_1", "customer": "fp_1"},
    ],
)
def test_traces_of_payments_that_differ_share_no_group(other: dict[str, Any]) -> None:
    # given
    second = replace(FIRST, name="2", **other)
    # then
    groups = [{trace.group for trace in traces(sale.payment())} for sale in (FIRST, second)]
    assert not groups[0] & groups[1]


@pytest.mark.parametrize("other", [{"card": "fp_2"}, {"customer": "cus_2"}, {"customer": None}])
def test_traces_of_payments_by_one_card_or_customer_share_a_group(other: dict[str, Any]) -> None:
    # given
    second = replace(FIRST, name="2", **other)
    # then
    groups = [{trace.group for trace in traces(sale.payment())} for sale in (FIRST, second)]
    assert len(groups[0] & groups[1]) == 1


def test_trace_outlives_every_message_about_its_payment() -> None:
    # given: captured on the last day of its hold, then four days in a queue, fourteen set aside
    assert RETENTION_S > (7 + 4 + 14) * 24 * 60 * 60
    # then
    assert ONE.expires_at_s == NOON_MS // 1000 + RETENTION_S


@pytest.mark.parametrize(
    ("neighbours", "expected"),
    [
        (Neighbours(None, None), ()),
        (Neighbours(ONE, None), (Suspicion(ONE, TWO),)),
        (Neighbours(None, THREE), (Suspicion(TWO, THREE),)),
        (Neighbours(ONE, THREE), (Suspicion(ONE, TWO), Suspicion(TWO, THREE))),
    ],
)
def test_suspicions_the_later_of_two_is_the_duplicate(
    neighbours: Neighbours, expected: tuple[Suspicion, ...]
) -> None:
    assert suspicions(TWO, neighbours) == expected


def a_sale(name: int) -> st.SearchStrategy[Sale]:
    return st.builds(
        Sale,
        name=st.just(str(name)),
        after_ms=st.sampled_from([0, 1, WINDOW_MS - 1, WINDOW_MS, WINDOW_MS + 1, 3 * WINDOW_MS]),
        account=st.sampled_from(["acct_1", "acct_1", "acct_2"]),
        livemode=st.sampled_from([True, True, False]),
        amount_minor=st.sampled_from([1500, 1500, 1501]),
        currency=st.sampled_from(["usd", "usd", "eur"]),
        card=st.sampled_from(["fp_1", "fp_2", "fp_3"]),
        customer=st.sampled_from([None, "cus_1", "cus_2"]),
    )


@st.composite
def sold_and_told(draw: st.DrawFn) -> tuple[list[Sale], list[tuple[Sale, str]]]:
    """Sales, and announcements of them in any order, some again and again."""
    sales = [draw(a_sale(name)) for name in range(draw(st.integers(1, 7)))]
    told = [(sale, "evt_1") for sale in sales]
    events = st.tuples(st.sampled_from(sales), st.sampled_from(["evt_1", "evt_2"]))
    return sales, draw(st.permutations(told + draw(st.lists(events, max_size=6))))


@settings(max_examples=300, deadline=None)
@given(sold_and_told())
def test_every_duplicate_is_reported_once_in_whatever_order_it_is_heard_of(
    drawn: tuple[list[Sale], list[tuple[Sale, str]]],
) -> None:
    # given
    sales, told = drawn
    by_id = {sale.id: sale for sale in sales}
    database = MemoryDatabase()
    database.payments.update({sale.id: sale.payment() for sale in sales})
    recent, (logger, stream) = MemoryRecentPayments(), recorded_logger()
    # when
    for sale, event in told:
        batch = {"Records": [sale.message(event)]}
        answer = run(batch, MemoryPaymentStore(database), recent, logger)
        assert answer == {"batchItemFailures": []}
    # then
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    reports = [line for line in lines if "suspected_duplicate" in line]
    assert sorted(report["payment"] for report in reports) == expected_duplicates(sales)
    for report in reports:
        assert resemble(by_id[report["payment"]], by_id[report["original"]])
