"""The merchant API of setup intents: cards saved without a charge; and of their mandates."""

import functools
from collections.abc import Mapping
from typing import Any

from functions.api_setup_intents.methods import Methods
from functions.api_setup_intents.setup_attempts import register as register_attempts
from functions.api_setup_intents.setup_intents import SetupIntents
from functions.api_setup_intents.verification import Verification
from shared import bootstrap, bootstrap_api
from shared.domain.ports import DocumentStore, SagaRunner
from shared.edge.api import Api, ApiPorts
from shared.edge.methods import SandboxCardsSource


def build(
    ports: ApiPorts,
    documents: DocumentStore,
    runner: SagaRunner,
    sandbox_cards: SandboxCardsSource,
) -> Api:
    """Registers the operations."""
    api = Api(ports)
    verification = Verification(runner, documents)
    SetupIntents(documents, Methods(documents, sandbox_cards), verification).register(api)
    register_attempts(api, documents)
    return api


@functools.cache
def _api() -> Api:
    return build(
        bootstrap_api.ports(),
        bootstrap.audited_documents(),
        bootstrap.sagas(),
        bootstrap.sandbox_cards,
    )


bootstrap.start_signer()


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Handles an HTTP request."""
    return _api().handle(event, context)
