"""The books behind a balance: accounts and their statements, journals, the trial balance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from functions.api_ledger.models import AsOf, ListAccounts, ListEntries, ListJournals
from functions.api_ledger.stores import Stores
from functions.api_ledger.windows import NEWEST, is_within, window
from shared.domain.balance_transactions import kind_of
from shared.domain.documents import Scope
from shared.domain.evidence import RecordKind
from shared.domain.ledger import Balance, Journal
from shared.domain.pages import BookPage, Entry, Listed
from shared.domain.payment import Payment
from shared.domain.reading import Balances, BookReader, Lines, Position, Window, before
from shared.edge.api import Api, Reply, Request
from shared.edge.fields import NoParams
from shared.edge.lists import cut, list_reply
from shared.edge.payments import find_payment, read_journals
from shared.wire import ledger as wire
from shared.wire.errors import no_such

ACCOUNT, ENTRY, JOURNAL = "ledger account", "ledger entry", "journal"
ACCOUNTS = "/v1/ledger/accounts"
JOURNALS = "/v1/ledger/journals"
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EntryRow:
    """A posting on a page. Args: index: of the posting in its journal."""

    entry: Entry
    index: int

    @property
    def id(self) -> str:
        """Names the posting."""
        return f"{self.entry.journal_id}/{self.index}"


@dataclass(frozen=True, slots=True)
class Books:
    """The operations on the books."""

    stores: Stores

    def register(self, api: Api) -> None:
        """Adds the operations to an API."""
        api.list(ACCOUNTS, ListAccounts)(self.list_accounts)
        api.get(f"{ACCOUNTS}/{{account}}", AsOf)(self.retrieve_account)
        api.list(f"{ACCOUNTS}/{{account}}/entries", ListEntries)(self.list_entries)
        api.get("/v1/ledger/trial_balance", AsOf)(self.trial_balance)
        api.list(JOURNALS, ListJournals)(self.list_journals)
        # The id of a journal is a path: its object, its kind, what caused it; and, of one that
        # takes another back, what that is.
        api.get(f"{JOURNALS}/{{subject}}/{{kind}}/{{reference}}", NoParams)(self.retrieve_journal)
        correction = f"{JOURNALS}/{{subject}}/{{kind}}/{{reference}}/{{correction}}"
        api.get(correction, NoParams)(self.retrieve_journal)

    def list_accounts(self, request: Request[ListAccounts]) -> Reply:
        """Lists the accounts of the books, by name."""
        balances = self._balances(request.scope, request.params.as_of)
        names, more = cut(list(balances.accounts), request.params, lambda name: name, noun=ACCOUNT)
        data = [_account(name, balances, request.scope) for name in names]
        return Reply(200, _list(ACCOUNTS, data, balances.as_of_ms, has_more=more))

    def retrieve_account(self, request: Request[AsOf]) -> Reply:
        """Retrieves an account, as it is or as it was."""
        balances = self._balances(request.scope, request.params.as_of)
        name = request.path["account"]
        if name not in balances.accounts:
            raise no_such(ACCOUNT, name)
        return Reply(200, _account(name, balances, request.scope))

    def trial_balance(self, request: Request[AsOf]) -> Reply:
        """Answers with debits and credits per account and currency, and their totals."""
        balances = self._balances(request.scope, request.params.as_of)
        data = [wire.account_balance(name, held) for name, held in balances.accounts.items()]
        body = _list("/v1/ledger/trial_balance", data, balances.as_of_ms, has_more=False)
        return Reply(200, {**body, "totals": wire.totals(balances.accounts)})

    def list_entries(self, request: Request[ListEntries]) -> Reply:
        """Lists an account's postings, newest first, each with the balance after it."""
        scope, account = request.scope, request.path["account"]
        book = self.stores.book(scope)
        wanted = window(
            request.params, lambda cursor: self._entry_position(cursor, book, scope), noun=ENTRY
        )
        balances = book.balances()
        if account not in balances.accounts:
            raise no_such(ACCOUNT, account)
        lines = book.lines(
            wanted,
            entry_rows,
            lambda row: row.entry.posting.account == account and is_within(row.entry.at_ms, wanted),
        )
        data = self._statement(book, lines, wanted)
        url = f"{ACCOUNTS}/{account}/entries"
        return Reply(200, _list(url, data, balances.as_of_ms, has_more=lines.has_more))

    def _statement(self, book: BookReader, lines: Lines[EntryRow], wanted: Window) -> list[Json]:
        journals = self._journals([row.entry.journal_id for _, row in lines.lines])
        # Lines out of the range may lie between those in it: then each is added up by itself.
        is_whole = wanted.from_ms is None and wanted.to_ms is None
        after: Balance | None = None
        data: list[Json] = []
        for position, row in lines.lines:
            held = after if after and is_whole else book.balance_at(row.entry, position)
            data.append(wire.entry(journals[row.entry.journal_id], row.index, held))
            after = before(held, row.entry.posting)
        return data

    def retrieve_journal(self, request: Request[NoParams]) -> Reply:
        """Retrieves a journal, strongly consistent."""
        journal_id = "/".join(request.path.values())
        journal = self.stores.journal(journal_id, request.scope)
        if journal is None:
            raise no_such(JOURNAL, journal_id)
        return Reply(200, wire.journal(journal))

    def list_journals(self, request: Request[ListJournals]) -> Reply:
        """Lists the journals of the books, newest first, in the order they were sealed in.

        Those of one payment are strongly consistent, and in the order they were posted in.
        """
        params, scope = request.params, request.scope
        if params.payment_intent is not None:
            return self._of_payment(request, params.payment_intent)
        book = self.stores.book(scope)
        wanted = window(
            params, lambda cursor: self._journal_position(cursor, book, scope), noun=JOURNAL
        )
        lines = book.lines(
            wanted,
            lambda page: page.records,
            lambda record: (
                record.kind is RecordKind.JOURNAL
                and params.kind in {None, kind_of(record.id)}
                and is_within(record.at_ms, wanted)
            ),
        )
        names = [record.id for _, record in lines.lines]
        journals = self._journals(names)
        data = [wire.journal(journals[name]) for name in names]
        as_of_ms = book.balances().as_of_ms
        return Reply(200, _list(JOURNALS, data, as_of_ms, has_more=lines.has_more))

    def _of_payment(self, request: Request[ListJournals], payment_id: str) -> Reply:
        params = request.params
        payment = find_payment(self.stores.payments, payment_id, request.scope)
        wanted = window(params, lambda _: NEWEST, noun=JOURNAL)
        found = [
            journal
            for journal in self._history(payment)
            if params.kind in {None, journal.kind} and is_within(journal.posted_at_ms, wanted)
        ]
        page, more = cut(found, params, lambda journal: journal.id, noun=JOURNAL)
        body = list_reply(JOURNALS, [wire.journal(item) for item in page], has_more=more)
        return Reply(200, body)

    def _history(self, payment: Payment | None) -> Sequence[Journal]:
        journals = self.stores.journals.of_subject(payment.id) if payment else ()
        return sorted(journals, key=lambda item: (item.posted_at_ms, item.id), reverse=True)

    def _journals(self, names: Sequence[str]) -> Mapping[str, Journal]:
        return {journal.id: journal for journal in read_journals(self.stores.journals, names)}

    def _journal_position(self, cursor: str, book: BookReader, scope: Scope) -> Position | None:
        journal = self.stores.journal(cursor, scope)
        if journal is None:
            return None

        def is_it(record: Listed) -> bool:
            return (record.kind, record.id) == (RecordKind.JOURNAL, cursor)

        found = book.find(journal.subject, journal.posted_at_ms, lambda page: page.records, is_it)
        return found or NEWEST

    def _entry_position(self, cursor: str, book: BookReader, scope: Scope) -> Position | None:
        journal = self.stores.journal(cursor.rpartition("/")[0], scope)
        if journal is None:
            return None
        return book.find(
            journal.subject, journal.posted_at_ms, entry_rows, lambda row: row.id == cursor
        )

    def _balances(self, scope: Scope, as_of: int | None) -> Balances:
        # The whole second counts: what was posted in it was posted by then.
        return self.stores.book(scope).balances(None if as_of is None else as_of * 1000 + 999)


def entry_rows(page: BookPage) -> list[EntryRow]:
    """Returns the postings of a page with their places in their journals."""
    rows: list[EntryRow] = []
    for entry in page.entries:
        is_next = bool(rows) and rows[-1].entry.journal_id == entry.journal_id
        rows.append(EntryRow(entry, rows[-1].index + 1 if is_next else 0))
    return rows


def _account(name: str, balances: Balances, scope: Scope) -> Json:
    held = balances.accounts[name]
    return wire.account(name, held, balances.as_of_ms, livemode=scope.livemode)


def _list(url: str, data: Sequence[Json], as_of_ms: int, *, has_more: bool) -> dict[str, Any]:
    return {**list_reply(url, data, has_more=has_more), "as_of": as_of_ms // 1000}
