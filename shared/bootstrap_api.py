"""Composes what the pipeline of every API function needs.

Apart from the other composition: the pipeline brings pydantic, which no step may load.
"""

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.config import Config

from shared import bootstrap
from shared.adapters.dynamodb_limits import DynamoBucketStore
from shared.edge.api import ApiPorts
from shared.edge.limits import RateLimiter
from shared.edge.load import Source

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient

# A request that tells of others waits for it, and is served without an answer.
LIMITS_TIMEOUT_S = 0.3


def ports(sources: Mapping[str, Source] | None = None) -> ApiPorts:
    """Composes the ports.

    Args: sources: of objects that are not documents, by id prefix, for expansion.
    """
    return ApiPorts.of(
        bootstrap.documents(),
        bootstrap.idempotency(),
        bootstrap.clock(),
        bootstrap.entropy(),
        bootstrap.settings().region,
        sources,
        _limiter(),
    )


def _limiter() -> RateLimiter:
    store = DynamoBucketStore(
        functools.cache(_limits_client), bootstrap.settings()["IDEMPOTENCY_TABLE"]
    )
    return RateLimiter(store, bootstrap.clock())


def _limits_client() -> "DynamoDBClient":
    """Returns a client that gives up early, made when the first chunk of requests is told of."""
    config = Config(
        connect_timeout=LIMITS_TIMEOUT_S,
        read_timeout=LIMITS_TIMEOUT_S,
        retries={"total_max_attempts": 1, "mode": "standard"},
    )
    found: DynamoDBClient = bootstrap.client("dynamodb", config)
    return found
