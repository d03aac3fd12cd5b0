"""Amounts of money: proportions; currencies against the standard's own list."""

import iso4217
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.currencies import EXPONENTS
from shared.domain.fees import PLATFORM_RATES, RateCard
from shared.domain.money import is_currency, proportion

PROFILE = settings(derandomize=True, deadline=None, max_examples=200)

# Units of account, funds, precious metals, testing and "no currency": no card is charged in them.
NOT_CHARGED = {
    *("xau", "xag", "xpd", "xpt", "xba", "xbb", "xbc", "xbd", "xdr", "xsu", "xua", "xts", "xxx"),
    *("bov", "che", "chw", "clf", "cou", "mxv", "usn", "uyi", "uyw"),
}


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
