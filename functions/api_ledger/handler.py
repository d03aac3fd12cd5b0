"""The merchant API for balances and the books behind them."""

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from functions.api_ledger.models import ListJournals
from shared import bootstrap, bootstrap_api
from shared.domain.documents import Scope
from shared.domain.ledger import AccountBalance, Journal, trial_balance
from shared.domain.ports import LedgerStore
from shared.domain.postings import MERCHANT_AVAILABLE, MERCHANT_PENDING
from shared.edge.api import Api, ApiPorts, Reply, Request
from shared.edge.fields import NoParams
from shared.edge.lists import list_reply


@dataclass(frozen=True, slots=True)
class Ledger:
    """The operations on the books."""

    ledger: LedgerStore

    def balance(self, request: Request[NoParams]) -> Reply:
        """Answers with what is owed to the merchant, pending and available."""
        rows = trial_balance(self.ledger.journals(request.scope))
        scope = request.scope
        return Reply(
            200,
            {
                "object": "balance",
                "available": _funds(rows, MERCHANT_AVAILABLE, scope),
                "connect_reserved": [],
                "livemode": scope.livemode,
                "pending": _funds(rows, MERCHANT_PENDING, scope),
                "refund_and_dispute_prefunding": {"available": [], "pending": []},
            },
        )

    def trial_balance(self, request: Request[NoParams]) -> Reply:
        """Answers with debits and credits per account and currency, and their totals."""
        rows = trial_balance(self.ledger.journals(request.scope))
        data = [_account(row) for row in rows]
        currencies = sorted({row.currency for row in rows})
        body = list_reply("/v1/ledger/trial_balance", data, has_more=False)
        return Reply(200, {**body, "totals": [_totals(rows, code) for code in currencies]})

    def journals(self, request: Request[ListJournals]) -> Reply:
        """Lists the journals of a payment in the order they were posted."""
        journals = self.ledger.journals(request.scope, request.params.payment_intent)
        ordered = sorted(journals, key=lambda journal: (journal.occurred_at_ms, journal.id))
        data = [_journal(journal) for journal in ordered]
        return Reply(200, list_reply("/v1/ledger/journals", data, has_more=False))


def _funds(rows: Iterable[AccountBalance], template: str, scope: Scope) -> list[Mapping[str, Any]]:
    funds: list[Mapping[str, Any]] = []
    for row in rows:
        if row.account == template.format(account=scope.account, currency=row.currency):
            amount = -row.net_minor
            funds.append(
                {"amount": amount, "currency": row.currency, "source_types": {"card": amount}}
            )
    return funds or [{"amount": 0, "currency": "usd", "source_types": {"card": 0}}]


def _account(row: AccountBalance) -> Mapping[str, Any]:
    return {
        "object": "ledger.account_balance",
        "account": row.account,
        "currency": row.currency,
        "debits": row.debits_minor,
        "credits": row.credits_minor,
        "net": row.net_minor,
        "pending_debits": row.pending_debits_minor,
        "pending_credits": row.pending_credits_minor,
    }


def _totals(rows: Iterable[AccountBalance], currency: str) -> Mapping[str, Any]:
    def total(amount: Callable[[AccountBalance], int]) -> int:
        return sum(amount(row) for row in rows if row.currency == currency)

    return {
        "currency": currency,
        "debits": total(lambda row: row.debits_minor),
        "credits": total(lambda row: row.credits_minor),
        "net": total(lambda row: row.net_minor),
    }


def _journal(journal: Journal) -> Mapping[str, Any]:
    return {
        "id": journal.id,
        "object": "ledger.journal",
        "created": journal.occurred_at_ms // 1000,
        "kind": journal.kind,
        "livemode": journal.livemode,
        "payment_intent": journal.payment_id,
        "postings": [
            {
                "account": posting.account,
                "currency": posting.currency,
                "debit": posting.debit_minor,
                "credit": posting.credit_minor,
                "layer": str(posting.layer),
            }
            for posting in journal.postings
        ],
        "reference": journal.reference,
    }


def build(ports: ApiPorts, ledger: LedgerStore) -> Api:
    """Registers the operations."""
    api, operations = Api(ports), Ledger(ledger)
    api.get("/v1/balance", NoParams)(operations.balance)
    api.get("/v1/ledger/trial_balance", NoParams)(operations.trial_balance)
    api.get("/v1/ledger/journals", ListJournals)(operations.journals)
    return api


@functools.cache
def _api() -> Api:
    return build(bootstrap_api.ports(), bootstrap.ledger())


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Handles an HTTP request."""
    return _api().handle(event, context)
