"""All of the API in one process: every operation that the functions register."""

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from functions.api_test_helpers import handler as api_test_helpers
from shared.adapters.memory_provider import MemoryProvider
from shared.domain.errors import RejectedError
from shared.domain.ports import Clock
from shared.domain.sandbox_network import TransactionPage, transaction_to_json
from shared.edge.api import Api, Route
from tests.support.world import Answer, World


@dataclass(frozen=True, slots=True)
class MemoryNetworkRecord:
    """Implements NetworkRecord on what the provider in memory did."""

    provider: MemoryProvider
    clock: Clock

    def transactions(
        self,
        account: str,
        payment_id: str | None = None,
        limit: int = 10,
        starting_after: str | None = None,
    ) -> TransactionPage:
        """Returns a page, newest first."""
        mine = [
            transaction
            for transaction in reversed(self.provider.effects())
            if transaction.merchant == account and payment_id in {None, transaction.payment_intent}
        ]
        ids = [transaction.id for transaction in mine]
        if starting_after is not None and starting_after not in ids:
            raise RejectedError("No such network transaction", param="starting_after")
        start = 0 if starting_after is None else ids.index(starting_after) + 1
        page = mine[start : start + limit]
        data = tuple(transaction_to_json(item, self.clock.now_ms()) for item in page)
        return TransactionPage(data, has_more=len(mine) > start + limit)


@dataclass(eq=False)
class Published(World):
    """The platform with all its APIs, each of which answers its own operations."""

    @functools.cached_property
    def families(self) -> tuple[Api, ...]:
        """The APIs, each once."""
        network = MemoryNetworkRecord(self.provider, self.clock)
        helpers = api_test_helpers.build(self._ports(), network, self.documents, lambda: self)
        return (*dict.fromkeys(make() for make in self._apis.values()), helpers)

    def routes(self) -> Iterator[Route]:
        """Yields every operation."""
        for api in self.families:
            yield from api.routes

    def respond(self, event: Mapping[str, Any]) -> Answer:
        """Answers an API Gateway event, by the function that has the operation."""
        method, path = event["requestContext"]["http"]["method"], event["rawPath"]
        found = (
            api
            for api in self.families
            for route in api.routes
            if route.method == method and route.pattern.fullmatch(path)
        )
        reply = next(found, self.families[0]).handle(event, None)
        text = reply["body"]
        return Answer(reply["statusCode"], json.loads(text), reply["headers"], text)
