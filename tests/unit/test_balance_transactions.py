"""Balance transactions add up to what the journals change, whatever is posted."""

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain import accounts
from shared.domain.accounts import account_type
from shared.domain.balance_transactions import (
    BalanceTransaction,
    funds_changed,
    transactions,
)
from shared.domain.ids import payment_id_of
from shared.domain.ledger import Journal, Layer, reverse
from shared.domain.postings import TEMPLATES, Operation, amount_names, post
from shared.wire.ledger import balance_transaction

PROFILE = settings(derandomize=True, deadline=None, max_examples=200)
PAYMENT, CHARGE = "pi_0000000000000000000000aB", "ch_0000000000000000000000aB01"
REFUND = "re_0000000000000000000000aB0123456789"
OPERATION = Operation(
    account="acct_1",
    livemode=False,
    subject=PAYMENT,
    reference=CHARGE,
    currency="usd",
    occurred_at_ms=1_790_000_000_000,
    posted_at_ms=1_790_000_000_000,
    parties={"provider": "sandbox", "bank": "main", "connected": "acct_2"},
    target_currency="gbp",
)
OWN = {accounts.MERCHANT_PENDING.code, accounts.MERCHANT_AVAILABLE.code}
AMOUNTS = st.dictionaries(
    st.sampled_from(sorted({leg.amount for legs in TEMPLATES.values() for leg in legs})),
    st.integers(0, 99_999_999),
)
POSTED = st.lists(st.tuples(st.sampled_from(sorted(TEMPLATES)), AMOUNTS, st.booleans()))


def journal(kind: str, at_s: int, reference: str = CHARGE, **amounts: int) -> Journal:
    at_ms = OPERATION.posted_at_ms + 1000 * at_s
    operation = replace(OPERATION, reference=reference, occurred_at_ms=at_ms, posted_at_ms=at_ms)
    made = post(kind, operation, amounts)
    assert made is not None
    return made


def captured() -> tuple[Journal, Journal]:
    return (
        journal("capture", 0, amount=2000, held=2000),
        journal("fee", 0, platform_fee=88, tax=7, provider_fee=46),
    )


def owned(journals: list[Journal]) -> Counter[str]:
    """What journals change on the merchant's own accounts, by currency."""
    changes: Counter[str] = Counter()
    for item in journals:
        for posting in item.postings:
            if posting.layer is Layer.POSTED and account_type(posting.account).code in OWN:
                changes[posting.currency] -= posting.net_minor
    return changes


def nets(found: tuple[BalanceTransaction, ...]) -> Counter[str]:
    sums: Counter[str] = Counter()
    for transaction in found:
        sums[transaction.currency] += transaction.net_minor
    return sums


def nonzero(sums: Counter[str]) -> dict[str, int]:
    return {code: amount for code, amount in sums.items() if amount}


@PROFILE
@given(POSTED)
def test_transactions_of_any_journals_add_up_to_the_change_of_the_merchants_accounts(
    posted: list[tuple[str, dict[str, int], bool]],
) -> None:
    # given: anything that the templates can post, some of it taken back
    journals = []
    for number, (kind, amounts, is_reversed) in enumerate(posted):
        operation = replace(
            OPERATION, reference=f"ref_{number}", posted_at_ms=OPERATION.posted_at_ms + number
        )
        known = {name: amounts.get(name, 0) for name in amount_names(kind)}
        made = post(kind, operation, known)
        if made is not None:
            journals += [made, *([reverse(made, "wrong", 9)] if is_reversed else [])]
    # when
    found = transactions(journals)
    # then
    assert nonzero(nets(found)) == nonzero(owned(journals))
    assert len({transaction.id for transaction in found}) == len(found)
    assert {payment_id_of(transaction.id) for transaction in found} <= {PAYMENT}


def test_charge_is_its_capture_less_its_fees() -> None:
    # when
    (charge,) = transactions(captured())
    # then
    assert (charge.type, charge.amount_minor, charge.fee_minor, charge.net_minor) == (
        "charge",
        2000,
        95,
        1905,
    )
    assert [(fee.type, fee.amount_minor) for fee in charge.fees] == [("stripe_fee", 88), ("tax", 7)]
    assert (charge.source, charge.is_available) == (CHARGE, False)


def test_transactions_before_settlement_become_available_with_it() -> None:
    # given
    refund = journal("refund_request_pending", 5, REFUND, amount=300)
    settled = journal("settle", 60, amount=1605)
    # when
    found = transactions([*captured(), refund, settled])
    # then
    assert [(t.type, t.net_minor, t.is_available) for t in found] == [
        ("charge", 1905, True),
        ("refund", -300, True),
    ]
    assert {t.available_at_ms for t in found} == {settled.posted_at_ms}


def test_refund_after_settlement_is_available_when_it_is_made() -> None:
    # given
    settled = journal("settle", 60, amount=1905)
    refund = journal("refund_request", 90, REFUND, amount=300)
    failed = journal("refund_reject", 95, REFUND, amount=300)
    # when
    _, *found = transactions([*captured(), settled, refund, failed])
    # then
    assert [(t.type, t.amount_minor, t.source) for t in found] == [
        ("refund", -300, REFUND),
        ("refund_failure", 300, REFUND),
    ]
    assert [t.available_at_ms for t in found] == [refund.posted_at_ms, failed.posted_at_ms]
    assert all(t.is_available for t in found)


def test_payment_that_settled_to_nothing_is_available() -> None:
    # given: no settlement is posted where nothing is left to settle
    refund = journal("refund_request_pending", 5, REFUND, amount=1905)
    # then
    found = transactions([*captured(), refund], is_settled=True)
    assert all(transaction.is_available for transaction in found)


def test_holds_fees_and_settlement_are_no_transactions_of_their_own() -> None:
    capture, fee = captured()
    hold, settled = journal("hold", 0, amount=2000), journal("settle", 1, amount=1905)
    # when
    changed = [funds_changed(item.id, item.postings) for item in (hold, capture, fee, settled)]
    # then
    assert changed == [{}, {"usd": 2000}, {}, {}]


def test_reversal_is_rendered_as_an_adjustment_without_a_source() -> None:
    # given
    capture, fee = captured()
    # when
    _, adjustment = transactions([capture, fee, reverse(capture, "twice", 1_790_000_100_000)])
    rendered = balance_transaction(adjustment, "An order")
    # then
    assert (rendered["type"], rendered["reporting_category"]) == ("adjustment", "other_adjustment")
    assert (rendered["source"], rendered["net"]) == (None, -2000)
