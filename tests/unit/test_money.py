"""Amounts of money: sums, proportions, splits; currencies against the standard's own list."""

from collections.abc import Sequence

import iso4217
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.currencies import EXPONENTS
from shared.domain.errors import InvariantError, RejectedError
from shared.domain.fees import PLATFORM_RATES, RateCard
from shared.domain.money import Money, allocate, is_currency, proportion

PROFILE = settings(derandomize=True, deadline=None, max_examples=200)
AMOUNTS = st.integers(-(10**12), 10**12)
WEIGHTS = st.lists(st.integers(0, 10**6), min_size=1, max_size=100).filter(lambda w: sum(w) > 0)

# Units of account, funds, precious metals, testing and "no currency": no card is charged in them.
NOT_CHARGED = {
    *("xau", "xag", "xpd", "xpt", "xba", "xbb", "xbc", "xbd", "xdr", "xsu", "xua", "xts", "xxx"),
    *("bov", "che", "chw", "clf", "cou", "mxv", "usn", "uyi", "uyw"),
}


@PROFILE
@given(AMOUNTS, WEIGHTS)
def test_allocate_loses_no_minor_unit_and_is_fair(amount: int, weights: Sequence[int]) -> None:
    # when
    shares = allocate(Money(amount, "usd"), weights)
    # then
    assert len(shares) == len(weights)
    assert sum(share.amount_minor for share in shares) == amount
    assert {share.currency for share in shares} == {"usd"}
    total = sum(weights)
    for share, weight in zip(shares, weights, strict=True):
        # each is its exact share, rounded one way or the other
        assert abs(share.amount_minor * total - amount * weight) < total
        assert share.amount_minor * amount >= 0
        if weight == 0:
            assert share.amount_minor == 0


@PROFILE
@given(AMOUNTS, WEIGHTS)
def test_allocate_of_a_negative_amount_mirrors_the_positive(
    amount: int, weights: Sequence[int]
) -> None:
    # when
    shares, mirrored = (allocate(Money(n, "usd"), weights) for n in (amount, -amount))
    # then
    assert [-share for share in shares] == mirrored


@PROFILE
@given(AMOUNTS, WEIGHTS, st.integers(0, 99), st.integers(0, 99))
def test_allocate_gives_the_larger_weight_no_less(
    amount: int, weights: Sequence[int], one: int, other: int
) -> None:
    # given
    first, second = one % len(weights), other % len(weights)
    # when
    shares = [abs(share.amount_minor) for share in allocate(Money(amount, "usd"), weights)]
    # then
    if weights[first] > weights[second]:
        assert shares[first] >= shares[second]


def test_allocate_gives_the_remainder_to_the_largest_fractions_earlier_first() -> None:
    # when
    shares = allocate(Money(100, "usd"), [1, 1, 1])
    uneven = allocate(Money(10, "usd"), [1, 2, 4])
    # then
    assert [share.amount_minor for share in shares] == [34, 33, 33]
    assert [share.amount_minor for share in uneven] == [1, 3, 6]


@pytest.mark.parametrize("weights", [[], [0], [0, 0], [1, -1], [-1], [1] * 101])
def test_allocate_without_usable_weights_is_refused(weights: list[int]) -> None:
    with pytest.raises(RejectedError):
        allocate(Money(1, "usd"), weights)


@PROFILE
@given(AMOUNTS, AMOUNTS)
def test_money_adds_subtracts_and_negates(one: int, other: int) -> None:
    # given
    left, right = Money(one, "eur"), Money(other, "eur")
    # then
    assert (left + right).amount_minor == one + other
    assert left - right == left + (-right)


def test_money_of_two_currencies_does_not_add() -> None:
    with pytest.raises(InvariantError):
        Money(1, "eur") + Money(1, "usd")
    with pytest.raises(InvariantError):
        Money(1, "eur") - Money(1, "usd")


@PROFILE
@given(st.integers(0, 10**12), st.integers(0, 10_000))
def test_proportion_rounds_half_up(amount: int, rate_bps: int) -> None:
    # when
    part = proportion(amount, rate_bps)
    # then
    assert 2 * 10_000 * part <= 2 * amount * rate_bps + 10_000
    assert 2 * 10_000 * part > 2 * amount * rate_bps - 10_000


def test_fee_is_a_proportion_and_a_fixed_part_by_currency() -> None:
    assert PLATFORM_RATES.fee_minor(2000, "usd") == 88
    assert PLATFORM_RATES.fee_minor(2000, "jpy") == 58
    assert PLATFORM_RATES.fee_minor(1, "usd") == 30
    assert RateCard(0).fee_minor(99_999_999, "usd") == 0


def test_currencies_are_the_active_ones_of_iso_4217() -> None:
    # given
    listed = {currency.code.lower(): currency.exponent for currency in iso4217.Currency}
    # then
    assert {code: listed[code] for code in EXPONENTS} == dict(EXPONENTS)
    assert set(listed) - set(EXPONENTS) <= NOT_CHARGED


@pytest.mark.parametrize("code", ["USD", "us", "usdd", "", "xau", "xts", "xxx"])
def test_is_currency_of_another_code_is_false(code: str) -> None:
    assert not is_currency(code)
