"""The answer to paths that no other function serves: checked like all, then 404."""

import functools
from collections.abc import Mapping
from typing import Any

from shared import bootstrap
from shared.edge.api import Api, ApiPorts


def build(ports: ApiPorts) -> Api:
    """Composes an API without operations."""
    return Api(ports)


@functools.cache
def _api() -> Api:
    documents, clock = bootstrap.documents(), bootstrap.clock()
    region = bootstrap.settings().region
    return build(
        ApiPorts.of(documents, bootstrap.idempotency(), clock, bootstrap.entropy(), region)
    )


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Answers an API Gateway event."""
    return _api().handle(event, context)
