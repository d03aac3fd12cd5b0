"""Journals balance by construction; the templates move what their names say."""

import json
from collections import defaultdict
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain import accounts
from shared.domain.accounts import CHART, account_type, control_account
from shared.domain.errors import InvariantError
from shared.domain.ledger import Journal, Layer, Posting, currency_of, reverse, trial_balance
from shared.domain.postings import TEMPLATES, Operation, amount_names, post

PROFILE = settings(derandomize=True, deadline=None, max_examples=200)
OPERATION = Operation(
    account="acct_1",
    livemode=False,
    subject="pi_1",
    reference="ch_1",
    currency="usd",
    occurred_at_ms=1_790_000_000_000,
    posted_at_ms=1_790_000_000_001,
    parties={"provider": "sandbox", "bank": "main", "connected": "acct_2"},
    target_currency="gbp",
)
AMOUNT_NAMES = sorted({leg.amount for legs in TEMPLATES.values() for leg in legs})
KINDS = st.sampled_from(sorted(TEMPLATES))
AMOUNTS = st.fixed_dictionaries({name: st.integers(0, 99_999_999) for name in AMOUNT_NAMES})
CURRENCIES = st.sampled_from(["usd", "eur", "jpy"])


def legs(*pairs: tuple[int, int], currency: str = "usd") -> tuple[Posting, ...]:
    return tuple(Posting(f"{n}", currency, *pair) for n, pair in enumerate(pairs))


def journal(postings: tuple[Posting, ...]) -> Journal:
    return Journal("pi_1/x/ch_1", "acct_1", False, "x", "pi_1", "ch_1", 1, 2, postings)


def amounts_of(kind: str, amounts: dict[str, int]) -> dict[str, int]:
    return {name: amounts[name] for name in amount_names(kind)}


@PROFILE
@given(KINDS, AMOUNTS, CURRENCIES)
def test_template_with_any_amounts_makes_a_balanced_journal(
    kind: str, amounts: dict[str, int], currency: str
) -> None:
    # when
    made = post(kind, replace(OPERATION, currency=currency), amounts_of(kind, amounts))
    # then
    wanted = [leg for leg in TEMPLATES[kind] if amounts[leg.amount]]
    if made is None:
        assert wanted == []
        return
    sums: dict[tuple[str, Layer], int] = defaultdict(int)
    for posting in made.postings:
        assert posting.currency in {currency, "gbp"}
        assert posting.account.endswith(f":{posting.currency}")
        assert account_type(posting.account).code == int(posting.account[:4])
        sums[posting.currency, posting.layer] += posting.net_minor
    assert set(sums.values()) == {0}
    assert len(made.postings) == 2 * len(wanted)
    assert made.id == f"pi_1/{kind}/ch_1"
    assert Journal.of(json.loads(json.dumps(made.to_dict()))) == made


@PROFILE
@given(KINDS, AMOUNTS)
def test_journal_reversed_leaves_nothing(kind: str, amounts: dict[str, int]) -> None:
    # given
    made = post(kind, OPERATION, amounts_of(kind, amounts))
    if made is None:
        return
    # when
    correction = reverse(made, "posted by mistake", 1_790_000_009_000)
    # then
    rows = trial_balance([made, correction])
    assert all(row.net_minor == row.pending_net_minor == 0 for row in rows.values())
    assert (correction.id, correction.reverses) == (f"{made.id}/reversal", made.id)
    assert correction.reason == "posted by mistake"
    assert not any(posting.is_guarded for posting in correction.postings)


def test_reversal_needs_a_reason_and_is_not_reversed() -> None:
    # given
    made = post("hold", OPERATION, {"amount": 5})
    assert made is not None
    # then
    with pytest.raises(InvariantError):
        reverse(made, " ", 1)
    with pytest.raises(InvariantError):
        reverse(reverse(made, "wrong", 1), "wrong again", 2)


@pytest.mark.parametrize("amounts", [{"amuont": 5}, {"amount": -1}])
def test_template_posts_no_amount_that_it_does_not_know(amounts: dict[str, int]) -> None:
    with pytest.raises(InvariantError):
        post("hold", OPERATION, amounts)


def test_template_in_two_currencies_needs_both() -> None:
    with pytest.raises(InvariantError):
        post("fx_convert", replace(OPERATION, target_currency=None), {"amount": 5, "converted": 4})


def test_templates_debit_and_credit_accounts_of_the_chart() -> None:
    legs = [leg for template in TEMPLATES.values() for leg in template]
    used = {account.code for leg in legs for account in (leg.debit, leg.credit)}
    # then: what is left are balances that reports reclassify, and connected funds of other means
    assert set(CHART) - used == {accounts.MERCHANT_RECEIVABLE.code}
    # and: what is taken under a floor has one
    assert all(leg.debit.is_guarded for leg in legs if leg.is_guarded)


@pytest.mark.parametrize(
    ("account", "control"),
    [
        ("2010:merchant:acct_1:available:usd", "2010:merchant:*:available:usd"),
        ("2110:connected:acct_2:available:eur", "2110:connected:*:available:eur"),
        ("1100:receivable:acquirer:sandbox:jpy", "1100:receivable:acquirer:sandbox:jpy"),
    ],
)
def test_control_account_totals_all_holders(account: str, control: str) -> None:
    assert control_account(account) == control


@pytest.mark.parametrize("name", ["", "9999:x:usd", "2010:merchant:a:b:available:usd", "x:usd"])
def test_account_outside_of_the_chart_is_refused(name: str) -> None:
    with pytest.raises(InvariantError):
        account_type(name)


@PROFILE
@given(st.lists(st.tuples(KINDS, AMOUNTS, CURRENCIES), max_size=20))
def test_trial_balance_of_any_journals_is_zero_per_currency(
    drawn: list[tuple[str, dict[str, int], str]],
) -> None:
    # given
    journals = [
        made
        for kind, amounts, currency in drawn
        if (made := post(kind, replace(OPERATION, currency=currency), amounts_of(kind, amounts)))
    ]
    # when
    rows = trial_balance(journals)
    # then
    for currency in {currency_of(account) for account in rows}:
        mine = [row for account, row in rows.items() if currency_of(account) == currency]
        assert sum(row.debits_minor for row in mine) == sum(row.credits_minor for row in mine)
        assert sum(row.pending_net_minor for row in mine) == 0
    assert list(rows) == sorted({leg.account for made in journals for leg in made.postings})


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
        ("payout", "payout_fail"),
        ("dispute_open", "dispute_won"),
    ]
    for kinds in pairs:
        # when
        rows = trial_balance(
            made for kind in kinds if (made := post(kind, OPERATION, amounts_of(kind, amounts)))
        ).values()
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
    rows = trial_balance([hold, capture])
    # then
    receivable = rows["1100:receivable:acquirer:sandbox:usd"]
    merchant = rows["2000:merchant:acct_1:pending:usd"]
    assert (receivable.net_minor, merchant.net_minor) == (600, -600)
    for row in rows.values():
        assert row.pending_debits_minor == row.pending_credits_minor
