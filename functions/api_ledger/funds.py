"""A merchant's balance, and the transactions that made it: Stripe's objects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from functions.api_ledger.models import ListBalanceTransactions
from functions.api_ledger.stores import Stores, book_name
from functions.api_ledger.windows import NEWEST, is_within, window
from shared.domain import accounts
from shared.domain.accounts import account_type
from shared.domain.balance_transactions import (
    TYPES,
    BalanceTransaction,
    funds_changed,
    siblings,
    type_of,
)
from shared.domain.documents import Scope
from shared.domain.ledger import Posting, currency_of
from shared.domain.pages import BookPage
from shared.domain.payment import Payment
from shared.domain.reading import Position
from shared.edge.api import Api, Reply, Request
from shared.edge.fields import NoParams
from shared.edge.lists import cut, list_reply
from shared.edge.payments import (
    find_owner,
    find_transactions,
    made_transactions,
    read_journals,
    render_transaction,
)
from shared.wire import ledger as wire
from shared.wire.errors import RequestError, missing_reference, no_such

NOUN = "balance transaction"
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """A transaction as the pages tell it. Args: at_ms: when it was posted."""

    journal_id: str
    currency: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Funds:
    """The operations on a merchant's funds."""

    stores: Stores

    def register(self, api: Api) -> None:
        """Adds the operations to an API."""
        api.get("/v1/balance", NoParams)(self.balance)
        kind = "balance_transaction"
        path = "/v1/balance_transactions"
        api.list(path, ListBalanceTransactions, returns=kind)(self.list_transactions)
        api.get(f"{path}/{{id}}", NoParams, returns=kind)(self.retrieve)

    def balance(self, request: Request[NoParams]) -> Reply:
        """Answers with what is owed to the merchant.

        What is available is strongly consistent; what is pending is folded, a moment behind.
        """
        scope = request.scope
        folded = self.stores.book(scope).balances().accounts
        pending = {
            currency_of(account): -held.net_minor
            for account, held in folded.items()
            if account_type(account) is accounts.MERCHANT_PENDING
        }
        available = {
            currency_of(item.account): item.available_minor
            for item in self.stores.available.of_book(book_name(scope))
            if account_type(item.account) is accounts.MERCHANT_AVAILABLE
        }
        currencies = sorted(pending.keys() | available.keys()) or ["usd"]
        body = wire.balance(
            {code: available.get(code, 0) for code in currencies},
            {code: pending.get(code, 0) for code in currencies},
            livemode=scope.livemode,
        )
        return Reply(200, body)

    def retrieve(self, request: Request[NoParams]) -> Reply:
        """Retrieves a balance transaction, strongly consistent."""
        transaction_id = request.path["id"]
        found = self._find(transaction_id, request.scope)
        if found is None:
            raise no_such(NOUN, transaction_id)
        return Reply(200, render_transaction(*found))

    def list_transactions(self, request: Request[ListBalanceTransactions]) -> Reply:
        """Lists balance transactions, newest first; those of one source strongly consistent."""
        params = request.params
        if params.type is not None and params.type not in TYPES:
            raise RequestError(f"Invalid type: {params.type}", param="type")
        if params.payout is not None:
            # There are no payouts to have paid anything out.
            raise missing_reference("payout", params.payout, "payout")
        of_source = params.source is not None
        data, more = self._of_source(request) if of_source else self._of_book(request)
        return Reply(200, list_reply("/v1/balance_transactions", data, has_more=more))

    def _of_source(self, request: Request[ListBalanceTransactions]) -> tuple[list[Json], bool]:
        params, scope = request.params, request.scope
        payment = find_owner(self.stores.payments, params.source or "", scope)
        if payment is None:
            return [], False
        history = self.stores.journals.of_subject(payment.id)
        made = made_transactions({payment.id: payment}, history)
        bounds = window(params, lambda _: NEWEST, noun=NOUN)
        wanted = [
            transaction
            for transaction in reversed(made)
            if transaction.source == params.source
            and params.currency in {None, transaction.currency}
            and params.type in {None, transaction.type}
            and is_within(transaction.created_ms, bounds)
        ]
        page, has_more = cut(wanted, params, lambda transaction: transaction.id, noun=NOUN)
        return [render_transaction(transaction, payment) for transaction in page], has_more

    def _of_book(self, request: Request[ListBalanceTransactions]) -> tuple[list[Json], bool]:
        params, scope = request.params, request.scope
        wanted = window(params, lambda cursor: self._position(cursor, scope), noun=NOUN)
        lines = self.stores.book(scope).lines(
            wanted,
            rows,
            lambda row: (
                params.currency in {None, row.currency}
                and params.type in {None, type_of(row.journal_id)}
                and is_within(row.at_ms, wanted)
            ),
        )
        return self._rendered([row for _, row in lines.lines]), lines.has_more

    def _rendered(self, found: Sequence[Row]) -> list[Json]:
        subjects = {row.journal_id: row.journal_id.partition("/")[0] for row in found}
        payments = self.stores.payments.load_many(list(dict.fromkeys(subjects.values())))
        names = [
            name
            for journal_id, subject in subjects.items()
            for name in siblings(journal_id, payments.get(subject))
        ]
        made = made_transactions(payments, read_journals(self.stores.journals, names))
        by_row = {(item.journal_id, item.currency): item for item in made}
        wanted = (by_row[row.journal_id, row.currency] for row in found)
        return [render_transaction(item, payments.get(item.subject)) for item in wanted]

    def _position(self, transaction_id: str, scope: Scope) -> Position | None:
        """Finds where in the list a transaction is; one that is not sealed yet is the newest."""
        found = self._find(transaction_id, scope)
        if found is None:
            return None
        made, _ = found
        place = self.stores.book(scope).find(
            made.subject,
            made.created_ms,
            rows,
            lambda row: (row.journal_id, row.currency) == (made.journal_id, made.currency),
        )
        return place or NEWEST

    def _find(self, transaction_id: str, scope: Scope) -> tuple[BalanceTransaction, Payment] | None:
        stores = self.stores
        found = find_transactions(stores.payments, stores.journals, [transaction_id], scope)
        return found.get(transaction_id)


def rows(page: BookPage) -> list[Row]:
    """Returns the transactions of a page in the order in which they were sealed."""
    postings: dict[str, list[Posting]] = {}
    times: dict[str, int] = {}
    for entry in page.entries:
        postings.setdefault(entry.journal_id, []).append(entry.posting)
        times[entry.journal_id] = entry.at_ms
    return [
        Row(journal_id, currency, times[journal_id])
        for journal_id, posted in postings.items()
        for currency in funds_changed(journal_id, posted)
    ]
