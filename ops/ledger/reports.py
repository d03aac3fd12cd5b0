"""Reports on one merchant's books, read from the folded pages, written line by line."""

from collections.abc import Iterator

from ops.ledger.stage import Ledger
from ops.stages import OperatorError
from shared.domain.ledger import Balance, Journal, Posting
from shared.domain.pages import Entry
from shared.domain.reading import BookReader
from shared.wire import reports

CSV, HLEDGER = "csv", "hledger"
FORMATS = (CSV, HLEDGER)


def trial_balance(ledger: Ledger, book: str, form: str, as_of_ms: int | None) -> Iterator[str]:
    """Writes what every account of a book holds, or held."""
    found = BookReader(book, ledger.pages, ledger.stripes).balances(as_of_ms)
    if form == CSV:
        return reports.trial_balance_csv(found.accounts)
    return reports.hledger_balances(found.accounts, found.as_of_ms)


def general_ledger(ledger: Ledger, book: str, form: str, as_of_ms: int | None) -> Iterator[str]:
    """Writes all journals of a book in sealed order; for hledger, with what they add up to."""
    reader = BookReader(book, ledger.pages, ledger.stripes)
    journals = _journals(ledger, reader, as_of_ms)
    if form == CSV:
        return reports.postings_csv(journals)
    return reports.hledger(journals, reader.balances(as_of_ms).accounts)


def statement(
    ledger: Ledger, book: str, form: str, as_of_ms: int | None, account: str
) -> Iterator[str]:
    """Writes the postings of one account, each with the balance after it.

    Raises: OperatorError when the book has no such account.
    """
    reader = BookReader(book, ledger.pages, ledger.stripes)
    names = reader.balances(as_of_ms).accounts
    if account not in names:
        raise OperatorError(f"{book} has no account {account}; it has {', '.join(names) or 'none'}")
    if form == HLEDGER:
        journals = _journals(ledger, reader, as_of_ms)
        return reports.hledger(
            (journal for journal in journals if _posts_to(journal, account)), balances=None
        )
    return reports.statement_csv(_lines(ledger, reader, as_of_ms, account))


def _journals(ledger: Ledger, reader: BookReader, as_of_ms: int | None) -> Iterator[Journal]:
    for entries in _entries(reader, as_of_ms):
        names = list(dict.fromkeys(entry.journal_id for entry in entries))
        found = ledger.journals.get_many(names)
        yield from (_found(found.get(name), name) for name in names)


def _lines(
    ledger: Ledger, reader: BookReader, as_of_ms: int | None, account: str
) -> Iterator[tuple[Journal, Posting, Balance]]:
    after = Balance()
    for entries in _entries(reader, as_of_ms):
        mine = [entry for entry in entries if entry.posting.account == account]
        found = ledger.journals.get_many([entry.journal_id for entry in mine]) if mine else {}
        for entry in mine:
            after = after.plus(entry.posting)
            yield _found(found.get(entry.journal_id), entry.journal_id), entry.posting, after


def _entries(reader: BookReader, as_of_ms: int | None) -> Iterator[list[Entry]]:
    for page in reader.pages(as_of_ms):
        entries = [e for e in page.entries if as_of_ms is None or e.at_ms <= as_of_ms]
        if entries:
            yield entries


def _posts_to(journal: Journal, account: str) -> bool:
    return any(posting.account == account for posting in journal.postings)


def _found(journal: Journal | None, name: str) -> Journal:
    if journal is None:
        raise OperatorError(f"the journal {name} is folded and gone")
    return journal
