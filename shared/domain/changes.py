"""Changes of a payment: what one transaction writes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.domain.documents import DocumentWrite, ListEntry
from shared.domain.errors import InvariantError
from shared.domain.events import PLATFORM, Event, EventType
from shared.domain.idempotency import Claim
from shared.domain.ledger import Journal
from shared.domain.payment import Payment, apply
from shared.domain.postings import journals_of

Draft = tuple[EventType, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class PaymentChange:
    """The snapshot after some new events, with the journals and rows that belong to them.

    Args: before_version: version the change builds on, 0 for a new payment. journals: what the
    events post. listed: rows that
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
    """When a change happens, on whose request, and by whom.

    Args: actor: "key:<id of an API key>", "operator:<name>" or PLATFORM.
    """

    now_ms: int
    request_id: str | None = None
    idempotency_key: str | None = None
    actor: str = PLATFORM


def change(
    before: Payment | None, drafts: Sequence[Draft], context: Context, payment_id: str | None = None
) -> PaymentChange:
    """Makes the change of some drafts: they are numbered and applied, and post what they post.

    Args: before: the payment; None for a new one, which `payment_id` names. drafts: at least one.
    """
    steps = _steps(before, before.id if before else payment_id, drafts, context)
    return PaymentChange(
        before_version=before.version if before else 0,
        payment=steps[-1].after,
        events=tuple(step.event for step in steps),
        journals=tuple(
            journal for step in steps for journal in journals_of(step.before, step.event)
        ),
    )


def replay(events: Iterable[Event]) -> tuple[Payment, tuple[Journal, ...]]:
    """Returns the state that a payment's events add up to, and all that they posted.

    Raises: InvariantError when there is none, or they do not follow one another.
    """
    payment: Payment | None = None
    journals: list[Journal] = []
    for event in events:
        journals += journals_of(payment, event)
        payment = apply(payment, event)
    if payment is None:
        raise InvariantError("a payment has at least one event")
    return payment, tuple(journals)


@dataclass(frozen=True, slots=True)
class _Step:
    before: Payment | None
    event: Event
    after: Payment


def _steps(
    before: Payment | None, payment_id: str | None, drafts: Sequence[Draft], context: Context
) -> list[_Step]:
    if payment_id is None or not drafts:
        raise InvariantError("a change needs a payment and at least one event")
    request = {
        "id": context.request_id,
        "idempotency_key": context.idempotency_key,
        "actor": context.actor,
    }
    payment, steps = before, []
    for event_type, data in drafts:
        event = Event(
            payment_id,
            payment.version + 1 if payment else 1,
            event_type,
            context.now_ms,
            data,
            request,
            payment.event_hash if payment else "",
        )
        after = apply(payment, event)
        steps.append(_Step(payment, event, after))
        payment = after
    return steps
