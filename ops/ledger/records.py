"""The records behind the leaves of blocks, read from where they were written."""

from collections import OrderedDict
from collections.abc import Sequence

from ops.ledger.stage import Ledger
from ops.stages import OperatorError
from shared.domain.events import SignedEvent
from shared.domain.evidence import Block, Leaf, Record, RecordKind
from shared.domain.ledger import Journal
from shared.domain.records import change_record, event_record, journal_record

PAYMENTS_KEPT = 500


class Records:
    """Reads records; remembers some payments, whose events come in many blocks."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._events: OrderedDict[str, tuple[SignedEvent, ...]] = OrderedDict()

    def of_block(self, block: Block) -> list[Record]:
        """Reads the records of a block in their order.

        Raises: OperatorError when one is gone.
        """
        journals = self.journals(block)
        names = [_name(leaf) for leaf in block.leaves if leaf.kind is RecordKind.CHANGE]
        changes = self._ledger.changes.get_many(names) if names else {}
        records = []
        for leaf in block.leaves:
            if leaf.kind is RecordKind.JOURNAL and leaf.id in journals:
                records.append(journal_record(journals[leaf.id]))
            elif leaf.kind is RecordKind.CHANGE and _name(leaf) in changes:
                found = changes[_name(leaf)]
                records.append(change_record(found.to_dict(), found.change.book))
            elif leaf.kind is RecordKind.EVENT:
                records.append(self._event_record(leaf))
            else:
                raise _gone(leaf, block)
        return records

    def journals(self, block: Block) -> dict[str, Journal]:
        """Reads the journals of a block by id; the missing ones are left out."""
        names = [leaf.id for leaf in block.leaves if leaf.kind is RecordKind.JOURNAL]
        return dict(self._ledger.journals.get_many(names)) if names else {}

    def _event_record(self, leaf: Leaf) -> Record:
        payment_id, version = _name(leaf)
        events = self._events_of(payment_id)
        if len(events) < version:
            # What is remembered may be older than the block.
            self._events.pop(payment_id)
            events = self._events_of(payment_id)
        found = next((signed for signed in events if signed.event.version == version), None)
        if found is None:
            raise OperatorError(f"the event {leaf.id} is sealed and gone")
        return event_record(found, leaf.book)

    def _events_of(self, payment_id: str) -> Sequence[SignedEvent]:
        if payment_id not in self._events:
            self._events[payment_id] = self._ledger.events.signed_events(payment_id)
            if len(self._events) > PAYMENTS_KEPT:
                self._events.popitem(last=False)
        return self._events[payment_id]


def _name(leaf: Leaf) -> tuple[str, int]:
    entity, _, version = leaf.id.rpartition("/")
    return entity, int(version)


def _gone(leaf: Leaf, block: Block) -> OperatorError:
    where = f"block {block.number} of shard {block.shard}"
    return OperatorError(f"the {leaf.kind} {leaf.id} is sealed in {where} and gone")
