"""The merchant API for balances and the books behind them."""

import functools
from collections.abc import Mapping
from typing import Any

from functions.api_ledger.audit import AuditLog
from functions.api_ledger.books import Books
from functions.api_ledger.checkpoints import Checkpoints
from functions.api_ledger.funds import Funds
from functions.api_ledger.history import History
from functions.api_ledger.stores import Stores
from shared import bootstrap, bootstrap_api, bootstrap_checkpoints, bootstrap_ledger
from shared.edge.api import Api, ApiPorts
from shared.edge.payments import sources


def build(ports: ApiPorts, stores: Stores) -> Api:
    """Registers the operations."""
    api = Api(ports)
    Funds(stores).register(api)
    Books(stores).register(api)
    Checkpoints(stores.checkpoints).register(api)
    History(stores.payments).register(api)
    AuditLog(stores).register(api)
    return api


@functools.cache
def _api() -> Api:
    payments = bootstrap.payments()
    stores = Stores(
        payments=payments,
        events=payments,
        changes=bootstrap_ledger.changes(),
        journals=bootstrap.ledger(),
        available=bootstrap_ledger.available(),
        pages=bootstrap_ledger.pages(),
        stripes=bootstrap_ledger.stripes(),
        checkpoints=bootstrap_checkpoints.log(),
    )
    return build(bootstrap_api.ports(sources(stores.payments, stores.journals)), stores)


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Handles an HTTP request."""
    return _api().handle(event, context)
