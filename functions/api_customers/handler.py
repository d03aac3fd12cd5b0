"""The API of customers, of payment methods and which of them are offered, and of tokens."""

import functools
from collections.abc import Mapping
from typing import Any

from functions.api_customers import (
    balance_transactions,
    configurations,
    customers,
    domains,
    payment_methods,
)
from shared import bootstrap, bootstrap_api
from shared.domain.ports import DocumentStore
from shared.edge.api import Api, ApiPorts
from shared.edge.methods import SandboxCardsSource


def build(ports: ApiPorts, documents: DocumentStore, sandbox_cards: SandboxCardsSource) -> Api:
    """Composes the API of this family."""
    api = Api(ports)
    customers.register(api, documents, sandbox_cards)
    balance_transactions.register(api, documents)
    payment_methods.register(api, documents, sandbox_cards)
    configurations.register(api, documents)
    domains.register(api, documents)
    return api


@functools.cache
def _api() -> Api:
    return build(bootstrap_api.ports(), bootstrap.audited_documents(), bootstrap.sandbox_cards)


bootstrap.start_signer()


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Answers an API Gateway event."""
    return _api().handle(event, context)
