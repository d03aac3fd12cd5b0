"""The merchant API's look at the sandbox card network's own record.

It says what the network did, as the network remembers it, so that anyone can hold the platform's
ledger against it.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from functions.api_test_helpers.models import ListNetworkTransactions
from shared import bootstrap, bootstrap_api
from shared.domain.sandbox_network import NetworkRecord
from shared.edge.api import Api, ApiPorts, Reply, Request
from shared.edge.lists import list_reply
from shared.wire.errors import RequestError

_URL = "/v1/test_helpers/network_transactions"


@dataclass(frozen=True, slots=True)
class TestHelpers:
    """The operations that only test keys may use."""

    network: NetworkRecord

    def network_transactions(self, request: Request[ListNetworkTransactions]) -> Reply:
        """Lists what the network did for this account."""
        if request.scope.livemode:
            raise RequestError(
                "Test helpers can only be used with a test mode key.",
                status=403,
                code="testmode_only",
            )
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


def build(ports: ApiPorts, network: NetworkRecord) -> Api:
    """Composes the API of this family."""
    api = Api(ports)
    api.get(_URL, ListNetworkTransactions)(TestHelpers(network).network_transactions)
    return api


@functools.cache
def _api() -> Api:
    return build(bootstrap_api.ports(), bootstrap.provider())


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Answers an API Gateway event."""
    return _api().handle(event, context)
