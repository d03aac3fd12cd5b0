"""The sandbox network as its client finds it: over HTTP, or its twin in memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import boto3
from moto import mock_aws

from functions.sandbox_network.service import NetworkService
from functions.sandbox_network.store import NetworkStore
from shared.adapters.memory import MemoryClock
from shared.adapters.memory_provider import MemoryProvider
from shared.adapters.providers.sandbox import SandboxProvider
from shared.adapters.secrets import FixedSecret
from tests.support.aws import REGION, create_table
from tests.support.logs import recorded_logger
from tests.support.loopback import Received, Reply, serve
from tests.support.notices import KeptNotices


@contextmanager
def network(
    kind: Literal["memory", "http"], clock: MemoryClock
) -> Iterator[MemoryProvider | SandboxProvider]:
    """Gives a client of a network that nobody used yet."""
    if kind == "memory":
        yield MemoryProvider(clock)
        return
    with mock_aws():
        client = boto3.client("dynamodb", region_name=REGION)
        create_table(client, "network")
        secret = FixedSecret("a-secret")
        store = NetworkStore(client, "network")
        service = NetworkService(store, secret, KeptNotices(), clock, recorded_logger()[0])

        def answer(received: Received) -> Reply:
            response = service.handle(received.as_http_api_event(), None)
            return Reply(response["statusCode"], response["body"].encode(), response["headers"])

        with serve(answer) as url:
            yield SandboxProvider(url, secret)
