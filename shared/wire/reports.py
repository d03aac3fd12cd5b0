"""Reports on the books, as CSV for spreadsheets and as a journal that hledger reads.

Both are written line by line. hledger's file is strict: every account and commodity is declared,
every date ordered. A hold is expected money: it is written as balanced virtual postings, in
brackets, which `hledger --real` leaves out. `hledger check --strict` proves each transaction, and
the balances stated at the end, to the unit.
Source: hledger 1.25, "hledger journal format".
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from shared.domain.accounts import AccountKind, account_type
from shared.domain.currencies import EXPONENTS
from shared.domain.ledger import Balance, Journal, Layer, Posting, currency_of

# hledger knows what an account is by these names.
_ROOTS: Mapping[AccountKind, str] = {
    AccountKind.ASSET: "assets",
    AccountKind.LIABILITY: "liabilities",
    AccountKind.INCOME: "income",
    AccountKind.EXPENSE: "expenses",
}
TRIAL_BALANCE_COLUMNS = (
    "account",
    "kind",
    "currency",
    "debits",
    "credits",
    "balance",
    "pending_debits",
    "pending_credits",
)
POSTING_COLUMNS = (
    "posted_at",
    "occurred_at",
    "journal",
    "kind",
    "reference",
    "account",
    "currency",
    "layer",
    "debit",
    "credit",
)
STATEMENT_COLUMNS = (*POSTING_COLUMNS, "balance", "pending_balance")


def decimal(amount_minor: int, currency: str) -> str:
    """Writes an amount with as many decimals as its currency has."""
    exponent = EXPONENTS[currency]
    sign = "-" if amount_minor < 0 else ""
    whole, part = divmod(abs(amount_minor), 10**exponent)
    return f"{sign}{whole}.{part:0{exponent}d}" if exponent else f"{sign}{whole}"


def trial_balance_csv(balances: Mapping[str, Balance]) -> Iterator[str]:
    """Writes a line per account; the balance is debits less credits, and adds up to zero."""
    yield _csv(TRIAL_BALANCE_COLUMNS)
    for account, balance in sorted(balances.items()):
        code = currency_of(account)
        amounts = (
            balance.debits_minor,
            balance.credits_minor,
            balance.net_minor,
            balance.pending_debits_minor,
            balance.pending_credits_minor,
        )
        row = account_type(account)
        yield _csv((account, str(row.kind), code, *(decimal(amount, code) for amount in amounts)))


def postings_csv(journals: Iterable[Journal]) -> Iterator[str]:
    """Writes a line per posting, in the order of the journals."""
    yield _csv(POSTING_COLUMNS)
    for journal in journals:
        for posting in journal.postings:
            yield _csv(_posting(journal, posting))


def statement_csv(lines: Iterable[tuple[Journal, Posting, Balance]]) -> Iterator[str]:
    """Writes a line per posting of one account, with the balance after it.

    A balance is on the account's normal side: what grows it is positive.
    """
    yield _csv(STATEMENT_COLUMNS)
    for journal, posting, after in lines:
        code = posting.currency
        sign = 1 if account_type(posting.account).is_debit_normal else -1
        balances = (sign * after.net_minor, sign * after.pending_net_minor)
        yield _csv((*_posting(journal, posting), *(decimal(b, code) for b in balances)))


def hledger(journals: Iterable[Journal], balances: Mapping[str, Balance] | None) -> Iterator[str]:
    """Writes journals, in order, as hledger's transactions.

    Args: balances: what the accounts hold after the last journal, stated for hledger to check;
    None where the journals are not all there are.
    """
    yield "decimal-mark .\n"
    named: set[str] = set()
    newest_ms = 0
    for journal in journals:
        newest_ms = max(newest_ms, journal.posted_at_ms)
        named.update(posting.account for posting in journal.postings)
        yield from _transaction(journal)
    if balances:
        named.update(balances)
        yield f"\n{_date(newest_ms)} * closing balances\n"
        for account, balance in sorted(balances.items()):
            amount = balance.net_minor + balance.pending_net_minor
            yield _line(account, 0, f" = {_money(amount, currency_of(account))}")
    yield from _declarations(named)


def hledger_balances(balances: Mapping[str, Balance], as_of_ms: int) -> Iterator[str]:
    """Writes a trial balance as one transaction, which balances like any."""
    yield "decimal-mark .\n"
    if balances:
        yield f"\n{_date(as_of_ms)} * trial balance\n"
    for account, balance in sorted(balances.items()):
        yield _line(account, balance.net_minor)
        if balance.pending_net_minor:
            yield _line(f"[{account}]", balance.pending_net_minor)
    yield from _declarations(set(balances))


def _csv(values: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def _posting(journal: Journal, posting: Posting) -> tuple[str, ...]:
    code = posting.currency
    return (
        _time(journal.posted_at_ms),
        _time(journal.occurred_at_ms),
        journal.id,
        journal.kind,
        journal.reference,
        posting.account,
        code,
        str(posting.layer),
        decimal(posting.debit_minor, code),
        decimal(posting.credit_minor, code),
    )


def _transaction(journal: Journal) -> Iterator[str]:
    yield f"\n{_date(journal.posted_at_ms)} * ({journal.id}) {journal.kind}\n"
    tags = {
        "kind": journal.kind,
        "reference": journal.reference,
        "posted": _time(journal.posted_at_ms),
        "occurred": _time(journal.occurred_at_ms),
        "reverses": journal.reverses,
        # A comma would end the tag, and a line break the comment.
        "reason": " ".join((journal.reason or "").replace(",", " ").split()),
    }
    for name, value in tags.items():
        if value:
            yield f"    ; {name}:{value}\n"
    for posting in journal.postings:
        is_posted = posting.layer is Layer.POSTED
        yield _line(posting.account if is_posted else f"[{posting.account}]", posting.net_minor)


def _line(account: str, amount_minor: int, assertion: str = "") -> str:
    """Writes a posting; brackets mark a virtual one."""
    is_virtual = account.startswith("[")
    plain = account.strip("[]")
    name = f"[{_account(plain)}]" if is_virtual else _account(plain)
    return f"    {name}  {_money(amount_minor, currency_of(plain))}{assertion}\n"


def _account(account: str) -> str:
    return f"{_ROOTS[account_type(account).kind]}:{account}"


def _money(amount_minor: int, currency: str) -> str:
    return f"{decimal(amount_minor, currency)} {currency.upper()}"


def _declarations(named: set[str]) -> Iterator[str]:
    yield "\n"
    for account in sorted(named):
        yield f"account {_account(account)}\n"
    for code in sorted({currency_of(account) for account in named}):
        sample = decimal(1000 * 10 ** EXPONENTS[code], code)
        # The mark says that there are no decimals.
        yield f"commodity {sample if '.' in sample else f'{sample}.'} {code.upper()}\n"


def _date(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
