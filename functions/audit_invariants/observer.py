"""Looks at one payment from everywhere: its tables, its event objects, the network's own record."""

from collections.abc import Sequence

from shared.domain.announced import History
from shared.domain.documents import LIMIT_MAX, Document
from shared.domain.errors import InvariantError, ProviderUnavailableError, UnknownOutcomeError
from shared.domain.events import Event
from shared.domain.invariants import (
    EventObject,
    EventObjects,
    JournalFacts,
    Movement,
    Observation,
    PaymentFacts,
    Record,
)
from shared.domain.payment import Payment
from shared.domain.ports import Clock, DocumentStore, LedgerStore, PaymentStore
from shared.domain.sandbox_network import NetworkRecord
from shared.wire.events import RETENTION_S

# What changed since then may still be on its way: to the network, to the relay.
QUIET_MS = 10 * 60 * 1000
# A payment has at most some 250: 100 refunds, and three for each of 50 attempts.
_NETWORK_PAGES_MAX = 4
_HOUR_MS = 60 * 60 * 1000


class Observer:
    """Reads what there is of a payment; changes nothing. One observer serves one run.

    Args: network: None where the network keeps no record that can be read.
    """

    def __init__(
        self,
        payments: PaymentStore,
        ledger: LedgerStore,
        documents: DocumentStore,
        network: NetworkRecord | None,
        clock: Clock,
    ) -> None:
        self._payments = payments
        self._ledger = ledger
        self._documents = documents
        self._network = network
        self._clock = clock

    def observe(self, payment_id: str) -> Observation | None:
        """Returns what was seen, or None of a payment that changed lately, or meanwhile.

        Raises: InvariantError, LookupError, TypeError, ValueError when something of it cannot be
        read.
        """
        payment, now_ms = self._payments.load(payment_id), self._clock.now_ms()
        if payment is None:
            return None
        events = self._payments.events(payment_id)
        if events and events[-1].occurred_at_ms > now_ms - QUIET_MS:
            return None
        journals = self._ledger.of_subject(payment_id)
        seen = Observation(
            payment=PaymentFacts.of(payment),
            now_ms=now_ms,
            record=Record(payment, events),
            journals=tuple(JournalFacts.of(journal) for journal in journals),
            network=self._movements(payment),
            event_objects=self._event_objects(events, now_ms),
        )
        again = self._payments.load(payment_id)
        return seen if again == payment else None

    def _movements(self, payment: Payment) -> tuple[Movement, ...] | None:
        if self._network is None:
            return None
        found: list[Movement] = []
        after: str | None = None
        for _ in range(_NETWORK_PAGES_MAX):
            try:
                page = self._network.transactions(payment.account, payment.id, LIMIT_MAX, after)
            except (ProviderUnavailableError, UnknownOutcomeError):
                # Waiting for it at every payment would take the time of the whole run.
                self._network = None
                return None
            found += [Movement.of(one, one["reference"]) for one in page.data]
            if not page.has_more:
                return tuple(found)
            after = page.data[-1]["id"]
        return None

    def _event_objects(self, events: Sequence[Event], now_ms: int) -> EventObjects | None:
        try:
            ids = History(events).event_ids()
        except InvariantError:
            # What they lead to cannot be said; that they do not add up is a violation by itself.
            return None
        found: list[Document] = []
        for start in range(0, len(ids), LIMIT_MAX):
            found += self._documents.get_many(ids[start : start + LIMIT_MAX]).values()
        return EventObjects(
            found=tuple(_event_object(document) for document in found),
            kept_from_ms=now_ms - RETENTION_S * 1000 + _HOUR_MS,
        )


def _event_object(document: Document) -> EventObject:
    data = document.data
    untried = set(data["endpoints"]) - set(data.get("tried", ()))
    return EventObject(document.id, data["type"], data["data"]["object"]["id"], len(untried))
