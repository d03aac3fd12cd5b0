"""Composes what the pipeline of every API function needs.

Apart from the other composition: the pipeline brings pydantic, which no step may load.
"""

from collections.abc import Mapping

from shared import bootstrap
from shared.edge.api import ApiPorts
from shared.edge.load import Source


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
    )
