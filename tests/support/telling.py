"""A World that makes event objects, as the relay does of every change of a payment."""

from dataclasses import replace

from shared.adapters.memory import MemoryDatabase, MemoryPaymentStore
from shared.domain.announcements import announce_payment
from shared.domain.changes import PaymentChange
from shared.domain.invariants import EventObject, EventObjects, Observation
from tests.support.world import World


class TellingStore(MemoryPaymentStore):
    """A payment store with a stream that is followed at once."""

    def __init__(self, database: MemoryDatabase) -> None:
        super().__init__(database)
        self.told: dict[str, list[EventObject]] = {}

    def commit(self, change: PaymentChange) -> None:
        """Writes a change and tells it."""
        before = self.load(change.payment.id)
        super().commit(change)
        self.told.setdefault(change.payment.id, []).extend(
            EventObject(item.id, item.type, item.object_id, untried=0)
            for item in announce_payment(before, change.payment)
        )


class TellingWorld(World):
    """The platform with its event objects."""

    def open_stores(self) -> None:
        """Opens stores that tell."""
        super().open_stores()
        self.telling = TellingStore(self.database)
        self.payments = self.telling

    def observe(self, payment_id: str) -> Observation:
        """Looks at a payment from everywhere."""
        objects = EventObjects(tuple(self.telling.told[payment_id]))
        return replace(super().observe(payment_id), event_objects=objects)
