"""A World that makes event objects, as the relay does of every change of a payment."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from shared.domain.announcements import Announcement, announce_payment
from shared.domain.changes import PaymentChange
from shared.domain.events import Event
from shared.domain.invariants import EventObject, EventObjects, Observation
from shared.domain.payment import Payment
from shared.domain.ports import PaymentStore
from tests.support.world import World


class TellingStore:
    """A payment store with a stream that is followed at once. Implements PaymentStore."""

    def __init__(self, store: PaymentStore) -> None:
        self._store = store
        self.told: dict[str, list[Announcement]] = {}

    def load(self, payment_id: str) -> Payment | None:
        """Reads the snapshot."""
        return self._store.load(payment_id)

    def load_many(self, payment_ids: Sequence[str]) -> Mapping[str, Payment]:
        """Reads snapshots."""
        return self._store.load_many(payment_ids)

    def events(self, payment_id: str) -> tuple[Event, ...]:
        """Reads all events of a payment."""
        return self._store.events(payment_id)

    def commit(self, change: PaymentChange) -> None:
        """Writes a change and tells it."""
        before = self.load(change.payment.id)
        self._store.commit(change)
        told = self.told.setdefault(change.payment.id, [])
        told += announce_payment(before, change.payment)


class TellingWorld(World):
    """The platform with its event objects."""

    def open_stores(self) -> None:
        """Opens stores that tell."""
        super().open_stores()
        self.payments = self.telling = TellingStore(self.payments)

    def observe(self, payment_id: str) -> Observation:
        """Looks at a payment from everywhere."""
        told = self.telling.told[payment_id]
        found = (EventObject(item.id, item.type, item.object_id, untried=0) for item in told)
        return replace(super().observe(payment_id), event_objects=EventObjects(tuple(found)))
