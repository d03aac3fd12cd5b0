"""The merchant API for balances and the books behind them."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from functions.api_ledger.models import ListJournals
from shared import bootstrap, bootstrap_api
from shared.domain.ledger import Journal
from shared.domain.ports import LedgerStore
from shared.edge.api import Api, ApiPorts, Reply, Request
from shared.edge.lists import list_reply


@dataclass(frozen=True, slots=True)
class Ledger:
    """The operations on the books."""

    ledger: LedgerStore

    def journals(self, request: Request[ListJournals]) -> Reply:
        """Lists the journals of a payment in the order they were posted."""
        found = self.ledger.of_subject(request.params.payment_intent)
        scope = request.scope
        journals = [j for j in found if (j.account, j.livemode) == (scope.account, scope.livemode)]
        ordered = sorted(journals, key=lambda journal: (journal.occurred_at_ms, journal.id))
        data = [_journal(journal) for journal in ordered]
        return Reply(200, list_reply("/v1/ledger/journals", data, has_more=False))


def _journal(journal: Journal) -> Mapping[str, Any]:
    return {
        "id": journal.id,
        "object": "ledger.journal",
        "created": journal.occurred_at_ms // 1000,
        "kind": journal.kind,
        "livemode": journal.livemode,
        "payment_intent": journal.subject,
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
    api.get("/v1/ledger/journals", ListJournals)(operations.journals)
    return api


@functools.cache
def _api() -> Api:
    return build(bootstrap_api.ports(), bootstrap.ledger())


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Handles an HTTP request."""
    return _api().handle(event, context)
