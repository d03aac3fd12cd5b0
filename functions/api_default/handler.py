"""The published interface, with its reference page; other paths are checked like all, then 404."""

import functools
from collections.abc import Mapping
from typing import Any

from functions.api_default import reference
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
    return reference.answer(event) or _api().handle(event, context)
