"""Journals balance by construction; the templates move what their names say."""

from collections import defaultdict
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.errors import InvariantError
from shared.domain.ledger import Journal, Layer, Posting, trial_balance
from shared.domain.postings import TEMPLATES, Operation, post

PROFILE = settings(derandomize=True, deadline=None, max_examples=200)
OPERATION = Operation("acct_1", False, "pi_1", "ch_1", "sandbox", "usd", 1_790_000_000_000)
AMOUNT_NAMES = sorted({leg.amount for legs in TEMPLATES.values() for leg in legs})
KINDS = st.sampled_from(sorted(TEMPLATES))
AMOUNTS = st.fixed_dictionaries({name: st.integers(0, 99_999_999) for name in AMOUNT_NAMES})
CURRENCIES = st.sampled_from(["usd", "eur", "jpy"])


def legs(*pairs: tuple[int, int], currency: str = "usd") -> tuple[Posting, ...]:
    return tuple(Posting(f"{n}", currency, *pair) for n, pair in enumerate(pairs))


def journal(postings: tuple[Posting, ...]) -> Journal:
    return Journal("pi_1/x/ch_1", "acct_1", False, "x", "pi_1", "ch_1", 1, postings)


@PROFILE
@given(KINDS, AMOUNTS, CURRENCIES)
def test_template_with_any_amounts_makes_a_balanced_journal(
    kind: str, amounts: dict[str, int], currency: str
) -> None:
    # when
    made = post(kind, replace(OPERATION, currency=currency), amounts)
    # then
    wanted = [leg for leg in TEMPLATES[kind] if amounts[leg.amount]]
    if made is None:
        assert wanted == []
        return
    sums: dict[Layer, int] = defaultdict(int)
    for posting in made.postings:
        assert posting.currency == currency
        assert posting.account.endswith(f":{currency}")
        sums[posting.layer] += posting.debit_minor - posting.credit_minor
    assert set(sums.values()) == {0}
    assert len(made.postings) == 2 * len(wanted)
    assert made.id == f"pi_1/{kind}/ch_1"


@PROFILE
@given(st.lists(st.tuples(KINDS, AMOUNTS, CURRENCIES), max_size=20))
def test_trial_balance_of_any_journals_is_zero_per_currency(
    drawn: list[tuple[str, dict[str, int], str]],
) -> None:
    # given
    journals = [
        made
        for kind, amounts, currency in drawn
        if (made := post(kind, replace(OPERATION, currency=currency), amounts))
    ]
    # when
    rows = trial_balance(journals)
    # then
    for currency in {row.currency for row in rows}:
        mine = [row for row in rows if row.currency == currency]
        assert sum(row.debits_minor for row in mine) == sum(row.credits_minor for row in mine)
        assert sum(row.pending_debits_minor - row.pending_credits_minor for row in mine) == 0
    assert [(row.account, row.currency) for row in rows] == sorted(
        {(leg.account, leg.currency) for made in journals for leg in made.postings}
    )


@pytest.mark.parametrize(
    "pairs", [((5, 0),), ((5, 0), (0, 4)), ((5, 0), (5, 0)), ((0, 1), (0, 1), (3, 0))]
)
def test_journal_that_does_not_balance_cannot_be_made(pairs: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(InvariantError):
        journal(legs(*pairs))


def test_journal_balances_each_currency_and_layer_by_itself() -> None:
    # given
    mixed = legs((5, 0)) + legs((0, 5), currency="eur")
    layered = (Posting("1", "usd", 5, 0, Layer.PENDING), Posting("2", "usd", 0, 5))
    # then
    for postings in (mixed, layered, ()):
        with pytest.raises(InvariantError):
            journal(postings)
    assert journal(legs((5, 0), (0, 5)) + legs((7, 0), (0, 7), currency="eur")).postings


@pytest.mark.parametrize(("debit", "credit"), [(0, 0), (1, 1), (-1, 0), (0, -1), (-1, 1), (2, 1)])
def test_posting_is_one_positive_side(debit: int, credit: int) -> None:
    with pytest.raises(InvariantError):
        Posting("1", "usd", debit, credit)


def test_operations_that_end_each_other_leave_nothing() -> None:
    # given
    amounts = dict.fromkeys(AMOUNT_NAMES, 1234)
    pairs = [
        ("hold", "release"),
        ("refund_request", "refund_reject"),
        ("refund_request_pending", "refund_reject_pending"),
        ("settle", "settle_negative"),
    ]
    for kinds in pairs:
        # when
        rows = trial_balance(made for kind in kinds if (made := post(kind, OPERATION, amounts)))
        # then
        assert all(row.net_minor == 0 for row in rows), kinds
        assert all(row.pending_debits_minor == row.pending_credits_minor for row in rows), kinds


def test_capture_ends_the_whole_hold_and_takes_what_was_captured() -> None:
    # given
    hold = post("hold", OPERATION, {"amount": 1000})
    capture = post("capture", OPERATION, {"amount": 600, "held": 1000})
    assert hold is not None
    assert capture is not None
    # when
    rows = {row.account: row for row in trial_balance([hold, capture])}
    # then
    receivable = rows["1100:receivable:acquirer:sandbox:usd"]
    merchant = rows["2000:merchant:acct_1:pending:usd"]
    assert (receivable.net_minor, merchant.net_minor) == (600, -600)
    for row in rows.values():
        assert row.pending_debits_minor == row.pending_credits_minor
