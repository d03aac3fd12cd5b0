"""Reports are written as spreadsheets and hledger read them."""

import csv
import io
from collections.abc import Iterable

import pytest

from shared.domain.ledger import Balance, Journal, Layer, Posting, reverse, trial_balance
from shared.wire import reports

AT_MS = 1_790_000_000_000
RECEIVABLE, OWED = "1100:receivable:acquirer:sandbox:{}", "2000:merchant:acct_1:pending:{}"


def journal(number: int, currency: str, amount: int, layer: Layer = Layer.POSTED) -> Journal:
    return Journal(
        id=f"pi_{number}/capture/ch_{number}",
        account="acct_1",
        livemode=False,
        kind="capture",
        subject=f"pi_{number}",
        reference=f"ch_{number}",
        occurred_at_ms=AT_MS,
        posted_at_ms=AT_MS + number,
        postings=(
            Posting(RECEIVABLE.format(currency), currency, amount, 0, layer),
            Posting(OWED.format(currency), currency, 0, amount, layer),
        ),
    )


def rows(lines: Iterable[str]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO("".join(lines))))


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (0, "usd", "0.00"),
        (5, "usd", "0.05"),
        (-5, "usd", "-0.05"),
        (-1234567, "usd", "-12345.67"),
        (990, "jpy", "990"),
        (-990, "jpy", "-990"),
        (1, "kwd", "0.001"),
        (12_345, "kwd", "12.345"),
    ],
)
def test_amount_has_the_decimals_of_its_currency(amount: int, currency: str, text: str) -> None:
    assert reports.decimal(amount, currency) == text


def test_trial_balance_as_csv_names_kinds_and_adds_up_to_zero() -> None:
    # given
    balances = trial_balance([journal(1, "usd", 2000), journal(2, "usd", 500, Layer.PENDING)])
    # when
    asset, liability = rows(reports.trial_balance_csv(balances))
    # then
    assert (asset["account"], asset["kind"]) == ("1100:receivable:acquirer:sandbox:usd", "asset")
    assert (asset["debits"], asset["credits"], asset["balance"]) == ("20.00", "0.00", "20.00")
    assert (asset["pending_debits"], liability["pending_credits"]) == ("5.00", "5.00")
    assert (liability["kind"], liability["balance"]) == ("liability", "-20.00")


def test_general_ledger_as_csv_has_a_line_per_posting() -> None:
    # when
    found = rows(reports.postings_csv([journal(1, "usd", 2000), journal(2, "kwd", 1)]))
    # then
    assert [(row["journal"], row["debit"], row["credit"]) for row in found] == [
        ("pi_1/capture/ch_1", "20.00", "0.00"),
        ("pi_1/capture/ch_1", "0.00", "20.00"),
        ("pi_2/capture/ch_2", "0.001", "0.000"),
        ("pi_2/capture/ch_2", "0.000", "0.001"),
    ]
    assert found[0]["posted_at"] == "2026-09-21T14:13:20.001+00:00"


def test_statement_shows_balances_on_the_normal_side() -> None:
    # given
    item = journal(1, "usd", 2000)
    lines = [(item, posting, Balance().plus(posting)) for posting in item.postings]
    # then
    assert [row["balance"] for row in rows(reports.statement_csv(lines))] == ["20.00", "20.00"]


def test_hledger_journal_declares_what_it_uses_and_states_what_it_adds_up_to() -> None:
    # given
    journals = [
        journal(1, "usd", 2000),
        journal(2, "jpy", 990),
        journal(3, "usd", 7, Layer.PENDING),
    ]
    # when
    text = "".join(reports.hledger(journals, trial_balance(journals)))
    # then
    assert "2026-09-21 * (pi_1/capture/ch_1) capture\n" in text
    assert "    ; reference:ch_1\n" in text
    assert "    assets:1100:receivable:acquirer:sandbox:usd  20.00 USD\n" in text
    assert "    [assets:1100:receivable:acquirer:sandbox:usd]  0.07 USD\n" in text
    assert "    liabilities:2000:merchant:acct_1:pending:usd  0.00 USD = -20.07 USD\n" in text
    assert "account liabilities:2000:merchant:acct_1:pending:jpy\n" in text
    assert text.endswith("commodity 1000. JPY\ncommodity 1000.00 USD\n")


def test_reason_of_a_correction_stays_in_its_tag() -> None:
    # given: a reason that would end the tag, and the comment
    item = journal(1, "usd", 2000)
    correction = reverse(item, "wrong, entered\ntwice", AT_MS)
    # when
    text = "".join(reports.hledger([item, correction], None))
    # then
    assert "    ; reason:wrong entered twice\n" in text
    assert "    ; reverses:pi_1/capture/ch_1\n" in text
