"""Webhooks as a merchant's server receives them."""

import json
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import stripe

from tests.e2e.conftest import Platform
from tests.support.live import WAIT_S_MAX, eventually
from tests.support.loopback import Received, Reply, serve
from tests.support.shapes import violations

pytestmark = pytest.mark.e2e

PATH = "/webhooks"
REFUSED = Reply(500)


@dataclass
class Endpoint:
    """A merchant's server and what it received; the first `failures` requests get a 500."""

    failures: int = 0
    received: "queue.Queue[Received]" = field(default_factory=queue.Queue)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, request: Received) -> Reply:
        """Answers a delivery."""
        with self._lock:
            self.received.put(request)
            self.failures -= 1
            return REFUSED if self.failures >= 0 else Reply()

    @contextmanager
    def served(self) -> Iterator[str]:
        """Serves until the block ends; gives the URL."""
        with serve(self.answer) as base:
            yield f"{base}{PATH}"

    def next(self) -> Received:
        """Waits for the next delivery."""
        return self.received.get(timeout=WAIT_S_MAX)


def verified(request: Received, secret: str) -> stripe.Event:
    """Reads a delivery as the documentation tells merchants to; it tells of a whole object."""
    event: stripe.Event = stripe.Webhook.construct_event(
        request.body, request.headers["stripe-signature"], secret
    )
    assert violations(json.loads(request.body)) == []
    return event


def pay(client: stripe.StripeClient) -> stripe.PaymentIntent:
    return client.v1.payment_intents.create(
        {"amount": 2_000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
    )


@contextmanager
def subscribed(
    client: stripe.StripeClient, url: str, *event_types: str
) -> Iterator[stripe.WebhookEndpoint]:
    """Has the platform tell a URL of events until the block ends."""
    wanted: Any = {"url": url, "enabled_events": list(event_types)}
    endpoint = client.v1.webhook_endpoints.create(wanted)
    try:
        yield endpoint
    finally:
        client.v1.webhook_endpoints.delete(endpoint.id)


@pytest.fixture
def lone(platform: Platform) -> stripe.StripeClient:
    """A merchant of the test's own: what others do would be told to its endpoints as well."""
    return platform.client(platform.merchant())


def all_told(client: stripe.StripeClient, event_id: str) -> Callable[[], int | None]:
    return lambda: client.v1.events.retrieve(event_id).pending_webhooks


def test_delivery_is_signed_and_tells_the_stored_event(lone: stripe.StripeClient) -> None:
    # given
    server = Endpoint()
    with (
        server.served() as url,
        subscribed(lone, url, "payment_intent.succeeded", "refund.created") as endpoint,
    ):
        # when
        payment = pay(lone)
        delivery = server.next()
        refund = lone.v1.refunds.create({"payment_intent": payment.id})
        second = verified(server.next(), str(endpoint.secret))
    # then
    event = verified(delivery, str(endpoint.secret))
    assert (delivery.method, delivery.target) == ("POST", PATH)
    assert delivery.headers["content-type"].startswith("application/json")
    assert (event.type, event.data.object["id"]) == ("payment_intent.succeeded", payment.id)
    stored = lone.v1.events.retrieve(event.id)
    assert stored.data.object.to_dict() == event.data.object.to_dict()
    assert (second.type, second.data.object["id"]) == ("refund.created", refund.id)
    with pytest.raises(stripe.SignatureVerificationError):
        verified(delivery, "whsec_of_somebody_else")
    assert server.received.empty()
    assert eventually(all_told(lone, event.id), lambda pending: pending == 0) == 0


def test_failing_endpoint_is_told_again_until_it_succeeds(lone: stripe.StripeClient) -> None:
    # given
    server = Endpoint(failures=1)
    with (
        server.served() as url,
        subscribed(lone, url, "payment_intent.succeeded") as endpoint,
    ):
        # when
        payment = pay(lone)
        tries = [verified(server.next(), str(endpoint.secret)) for _ in range(2)]
        # then
        assert {event.data.object["id"] for event in tries} == {payment.id}
        assert tries[0].id == tries[1].id
        assert eventually(all_told(lone, tries[0].id), lambda pending: pending == 0) == 0
        assert server.received.empty()


def test_dead_endpoint_does_not_stop_the_other(lone: stripe.StripeClient) -> None:
    # given: a port that nobody listens on
    with socket.create_server(("127.0.0.1", 0)) as closed:
        dead_url = f"http://127.0.0.1:{closed.getsockname()[1]}{PATH}"
    server = Endpoint()
    with (
        server.served() as url,
        subscribed(lone, dead_url, "*"),
        subscribed(lone, url, "payment_intent.succeeded") as endpoint,
    ):
        # when
        payments = [pay(lone).id for _ in range(3)]
        told = [verified(server.next(), str(endpoint.secret)) for _ in payments]
        # then
        assert {event.data.object["id"] for event in told} == set(payments)
        for event in told:
            assert lone.v1.events.retrieve(event.id).pending_webhooks >= 1


def test_disabled_endpoint_is_told_nothing(lone: stripe.StripeClient) -> None:
    # given
    silent, server = Endpoint(), Endpoint()
    with (
        silent.served() as silent_url,
        server.served() as url,
        subscribed(lone, silent_url, "*") as disabled,
        subscribed(lone, url, "payment_intent.succeeded") as endpoint,
    ):
        lone.v1.webhook_endpoints.update(disabled.id, {"disabled": True})
        # when
        payment = pay(lone)
        told = verified(server.next(), str(endpoint.secret))
        # then
        assert told.data.object["id"] == payment.id
        assert eventually(all_told(lone, told.id), lambda pending: pending == 0) == 0
        assert silent.received.empty()


def test_endpoint_of_another_merchant_is_told_nothing(platform: Platform) -> None:
    # given
    mine, other = platform.client(platform.merchant()), platform.client(platform.merchant())
    server, foreign = Endpoint(), Endpoint()
    with (
        server.served() as url,
        foreign.served() as foreign_url,
        subscribed(mine, url, "payment_intent.succeeded") as endpoint,
        subscribed(other, foreign_url, "*"),
    ):
        # when
        payment = pay(mine)
        told = verified(server.next(), str(endpoint.secret))
        # then
        assert told.data.object["id"] == payment.id
        assert eventually(all_told(mine, told.id), lambda pending: pending == 0) == 0
        assert foreign.received.empty()
