"""The answer to paths that no other function serves: checked like all, then 404."""

import functools
from collections.abc import Mapping
from typing import Any

from shared import bootstrap_api
from shared.edge.api import Api, ApiPorts


def build(ports: ApiPorts) -> Api:
    """Composes an API without operations."""
    return Api(ports)


@functools.cache
def _api() -> Api:
    return build(bootstrap_api.ports())


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Answers an API Gateway event."""
    return _api().handle(event, context)
