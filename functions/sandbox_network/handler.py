"""Is a card network that moves no money; deployed outside production only."""

import functools
from collections.abc import Mapping
from typing import Any

from functions.sandbox_network.service import NetworkService
from functions.sandbox_network.store import NetworkStore
from shared.bootstrap_network import network_parts
from shared.config import Settings
from shared.observability import logger


@functools.cache
def _service() -> NetworkService:
    parts = network_parts(Settings())
    return NetworkService(
        NetworkStore(parts.dynamodb, parts.table),
        parts.secret,
        parts.notices,
        parts.clock,
        logger,
    )


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Answers one request of the network's HTTP API."""
    return _service().handle(event, context)
