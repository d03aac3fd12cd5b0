"""The merchant API's test helpers: the sandbox card network's own record, and confirmation tokens.

The record says what the network did, as the network remembers it, so that anyone can hold the
platform's ledger against it.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from functions.api_test_helpers.confirmation_tokens import ConfirmationTokens
from functions.api_test_helpers.models import ListNetworkTransactions
from functions.api_test_helpers.modes import require_test_mode
from shared import bootstrap, bootstrap_api
from shared.domain.ports import DocumentStore
from shared.domain.sandbox_network import NetworkRecord
from shared.edge.api import Api, ApiPorts, Reply, Request
from shared.edge.lists import list_reply
from shared.edge.methods import SandboxCardsSource

_URL = "/v1/test_helpers/network_transactions"


@dataclass(frozen=True, slots=True)
class TestHelpers:
    """The operations that only test keys may use."""

    network: NetworkRecord

    def network_transactions(self, request: Request[ListNetworkTransactions]) -> Reply:
        """Lists what the network did for this account."""
        require_test_mode(request)
        params = request.params
        page = self.network.transactions(
            request.scope.account, params.payment_intent, params.limit, params.starting_after
        )
        data = [_rendered(transaction) for transaction in page.data]
        return Reply(200, list_reply(_URL, data, has_more=page.has_more))


def _rendered(transaction: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "id": transaction["id"],
        "object": "network_transaction",
        "amount": transaction["amount"],
        "charge": transaction["reference"],
        "created": transaction["created"],
        "currency": transaction["currency"],
        "idempotency_key": transaction["idempotency_key"],
        "livemode": False,
        "payment_intent": transaction["payment_intent"],
        "refund": transaction["refund"],
        "status": transaction["status"],
        "type": transaction["type"],
    }


def build(
    ports: ApiPorts,
    network: NetworkRecord,
    documents: DocumentStore,
    sandbox_cards: SandboxCardsSource,
) -> Api:
    """Composes the API of this family."""
    api = Api(ports)
    ConfirmationTokens(documents, sandbox_cards).register(api)
    api.get(_URL, ListNetworkTransactions)(TestHelpers(network).network_transactions)
    return api


@functools.cache
def _api() -> Api:
    ports, documents = bootstrap_api.ports(), bootstrap.audited_documents()
    return build(ports, bootstrap.provider(), documents, bootstrap.sandbox_cards)


bootstrap.start_signer()


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Answers an API Gateway event."""
    return _api().handle(event, context)
