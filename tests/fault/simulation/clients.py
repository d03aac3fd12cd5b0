"""Merchants' programs: what they ask for, and how they try again.

As Stripe's SDK does: the same idempotency key, twice more after a broken connection, a conflict or
a failure of the server. What is still open afterwards depends on the merchant's patience.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from shared.domain.idempotency import LEASE_MS
from tests.fault.simulation.world import SimulatedWorld
from tests.support.world import Answer, Merchant

SDK_RETRIES_MAX = 2
SDK_BACKOFF_MS = 500
PERSISTENT_TRIES_MAX = 8
# Long enough for the sweeper and most of the resolver's tries, and within the life of a key.
PATIENCE_MS = 6 * 60 * 60 * 1000
OPEN = frozenset({"processing", "pending"})


class Patience(StrEnum):
    """Who sends a request again, and when.

    PERSISTENT: after the lease, and again until there is an answer. PATIENT: hours later, when
    what happens by itself has happened. GONE: never; the platform is on its own.
    """

    PERSISTENT = "persistent"
    PATIENT = "patient"
    GONE = "gone"


@dataclass
class Order:
    """One request of a client, with every answer to it."""

    merchant: Merchant
    path: str
    params: Mapping[str, Any]
    key: str
    answers: list[Answer] = field(default_factory=list)

    @property
    def is_answered(self) -> bool:
        """Tells whether the client knows what became of it."""
        return bool(self.answers) and is_final(self.answers[-1])

    @property
    def result(self) -> tuple[int, str | None]:
        """The last answer: the HTTP status with the object's status or the error's code."""
        return outcome(self.answers[-1]) if self.answers else (0, None)

    @property
    def object_id(self) -> str | None:
        """The id of the object that was made or changed, where the client was told."""
        for answer in self.answers:
            if answer.status == 200:
                return str(answer.body["id"])
            if answer.status == 402:
                return str(answer.body["error"].get("payment_intent", {}).get("id"))
        return None


def outcome(answer: Answer) -> tuple[int, str | None]:
    """Returns the HTTP status with the object's status or the error's code."""
    if not answer.text:
        return answer.status, None
    if "error" in answer.body:
        return answer.status, answer.body["error"].get("code")
    return answer.status, answer.body["status"]


def is_final(answer: Answer) -> bool:
    """Tells whether an answer says what became of the request.

    A refund may well be answered with its being on its way: then every retry is answered so too.
    """
    if answer.status == 200:
        is_replayed = answer.headers.get("Idempotent-Replayed") == "true"
        return is_replayed or answer.body["status"] not in OPEN
    return answer.status in {400, 402, 404}


def is_retried(answer: Answer) -> bool:
    """Tells whether an SDK sends the request again by itself."""
    return answer.status in {0, 409} or answer.status >= 500


class Client:
    """Sends requests of one merchant, each under a key of its own."""

    def __init__(
        self, world: SimulatedWorld, merchant: Merchant, patience: Patience, name: str = "order"
    ) -> None:
        self.orders: list[Order] = []
        self.rivals: list[Order] = []
        self._world = world
        self._merchant = merchant
        self.patience = patience
        self._name = name

    def order(self, path: str, params: Mapping[str, Any]) -> Order:
        """Asks for something, again where it must."""
        key = f"{self._name}-{len(self.orders) + 1}"
        if path == "/v1/payment_intents":
            # So that payments that were made twice of one order are found.
            params = {**params, "metadata": {"order": key}}
        order = Order(self._merchant, path, params, key)
        self.orders.append(order)
        if self.patience is Patience.GONE:
            self._send(order)
            return order
        self._send_as_sdk(order)
        for _ in range(PERSISTENT_TRIES_MAX):
            if order.is_answered:
                break
            if self.patience is Patience.PATIENT:
                self._world.settle_down(PATIENCE_MS)
            self._world.wait(LEASE_MS + 1)
            self._send(order)
        return order

    def rival(self, path: str, params: Mapping[str, Any]) -> None:
        """Asks for something once, beside what is being done."""
        key = f"{self._name}-rival-{len(self.rivals) + 1}"
        order = Order(self._merchant, path, params, key)
        self.rivals.append(order)
        self._send(order)

    def _send_as_sdk(self, order: Order) -> None:
        for retry in range(SDK_RETRIES_MAX + 1):
            self._world.wait(SDK_BACKOFF_MS * retry)
            if not is_retried(self._send(order)):
                return

    def _send(self, order: Order) -> Answer:
        answer = self._world.call(
            "POST", order.path, order.params, merchant=order.merchant, key=order.key
        )
        order.answers.append(answer)
        return answer
