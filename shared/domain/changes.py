"""Changes of a payment: what one transaction writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.domain.documents import DocumentWrite, ListEntry
from shared.domain.errors import InvariantError
from shared.domain.events import Event, EventType
from shared.domain.idempotency import Claim
from shared.domain.ledger import Journal
from shared.domain.payment import Payment, apply

Draft = tuple[EventType, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class PaymentChange:
    """The snapshot after some new events, with the journals and rows that belong to them.

    Args: before_version: version the change builds on, 0 for a new payment. listed: rows that
    make new objects findable. unlisted: rows to remove. documents: new documents, such as a
    test payment method. claim: on the request's idempotency key. verification_used: vault token
    whose card verification value must be deleted with this change.
    """

    before_version: int
    payment: Payment
    events: tuple[Event, ...]
    journals: tuple[Journal, ...] = ()
    listed: tuple[ListEntry, ...] = ()
    unlisted: tuple[ListEntry, ...] = ()
    documents: tuple[DocumentWrite, ...] = ()
    claim: Claim | None = None
    verification_used: str | None = None

    def __post_init__(self) -> None:
        versions = [event.version for event in self.events]
        expected = list(range(self.before_version + 1, self.payment.version + 1))
        if not versions or versions != expected:
            raise InvariantError(f"{self.payment.id}: events {versions}, expected {expected}")


@dataclass(frozen=True, slots=True)
class Context:
    """When a change happens and on whose request."""

    now_ms: int
    request_id: str | None = None
    idempotency_key: str | None = None


def advance(
    before: Payment | None, payment_id: str, drafts: Sequence[Draft], context: Context
) -> tuple[Payment, tuple[Event, ...]]:
    """Numbers drafts as the next events and applies them.

    Args: before: None for a new payment. drafts: at least one (type, data).
    Returns: the state after them, and the events.
    """
    payment, events = before, []
    request = {"id": context.request_id, "idempotency_key": context.idempotency_key}
    for event_type, data in drafts:
        version = payment.version + 1 if payment else 1
        event = Event(payment_id, version, event_type, context.now_ms, data, request)
        payment = apply(payment, event)
        events.append(event)
    if payment is None:
        raise InvariantError("a change needs at least one event")
    return payment, tuple(events)
