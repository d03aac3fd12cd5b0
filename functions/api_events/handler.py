"""The API of events and webhook endpoints."""

import functools
from collections.abc import Mapping
from typing import Any

from functions.api_events import events, webhook_endpoints
from shared import bootstrap, bootstrap_api
from shared.domain.ports import DocumentStore
from shared.domain.webhooks import DeliveryLog
from shared.edge.api import Api, ApiPorts


def build(ports: ApiPorts, documents: DocumentStore, deliveries: DeliveryLog) -> Api:
    """Composes the API of this family."""
    api = Api(ports)
    events.register(api, documents, deliveries)
    webhook_endpoints.register(api, documents)
    return api


@functools.cache
def _api() -> Api:
    return build(bootstrap_api.ports(), bootstrap.audited_documents(), bootstrap.delivery_log())


bootstrap.start_signer()


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Answers an API Gateway event."""
    return _api().handle(event, context)
