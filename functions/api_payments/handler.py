"""The merchant API for payment intents, charges and refunds."""

import functools
from collections.abc import Mapping
from typing import Any

from functions.api_payments.charges import Charges
from functions.api_payments.payment_intents import PaymentIntents
from functions.api_payments.refunds import Refunds
from functions.api_payments.sagas import SagaStarter
from shared import bootstrap, bootstrap_api
from shared.domain.ports import DocumentStore, PaymentStore, SagaRunner, SandboxCards
from shared.edge.api import Api, ApiPorts
from shared.edge.payments import sources


def build(
    ports: ApiPorts,
    payments: PaymentStore,
    documents: DocumentStore,
    runner: SagaRunner,
    sandbox_cards: SandboxCards,
) -> Api:
    """Registers the operations."""
    api = Api(ports)
    sagas = SagaStarter(runner, payments)
    PaymentIntents(payments, documents, sandbox_cards, sagas).register(api)
    Charges(payments, documents, sandbox_cards, sagas).register(api)
    Refunds(payments, documents, sagas).register(api)
    return api


@functools.cache
def _api() -> Api:
    payments, documents = bootstrap.payments(), bootstrap.documents()
    ports = bootstrap_api.ports(sources(payments, bootstrap.ledger()))
    return build(ports, payments, documents, bootstrap.sagas(), bootstrap.sandbox_cards())


bootstrap.start_signer()


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Handles an HTTP request."""
    return _api().handle(event, context)
