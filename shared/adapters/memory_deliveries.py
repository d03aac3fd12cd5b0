"""In-memory twins of the delivery log and of the endpoints' health."""

from collections.abc import Sequence
from dataclasses import replace

from shared.adapters.memory import MemoryDatabase
from shared.domain.documents import Document
from shared.domain.webhooks import DeliveryRecord


class MemoryDeliveryLog:
    """Implements DeliveryLog."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database
        self._records: dict[tuple[str, str], DeliveryRecord] = {}
        self._told: dict[str, set[str]] = {}
        self._tried: dict[str, set[str]] = {}

    def find(self, event_id: str, endpoint_id: str) -> DeliveryRecord | None:
        """Reads one record."""
        return self._records.get((event_id, endpoint_id))

    def of_event(self, event_id: str) -> Sequence[DeliveryRecord]:
        """Reads the records of an event."""
        return [self._records[name] for name in sorted(self._records) if name[0] == event_id]

    def keep(self, record: DeliveryRecord, _expires_at_s: int | None) -> bool:
        """Writes the next version of a record; tells whether nobody else wrote it first."""
        name = (record.event, record.endpoint)
        held = self._records.get(name)
        if held is not None and held.version >= record.version:
            return False
        # Through JSON's types, as a real store would.
        self._records[name] = DeliveryRecord.of(record.to_dict())
        return True

    def tried(self, event_id: str, endpoint_id: str) -> None:
        """Adds an endpoint that did not take it yet."""
        self._add(self._tried, event_id, endpoint_id)

    def delivered(self, event_id: str, endpoint_id: str) -> None:
        """Adds an endpoint that was told."""
        self._add(self._told, event_id, endpoint_id)

    def _add(self, to: dict[str, set[str]], event_id: str, endpoint_id: str) -> None:
        event = self._database.documents.get(event_id)
        if event is None:
            return
        to.setdefault(event_id, set()).add(endpoint_id)
        told, tried = self._told.get(event_id, set()), self._tried.get(event_id, set())
        pending = set(event.data.get("endpoints", ())) - told
        data = {**event.data, "pending_webhooks": len(pending), "tried": sorted(told | tried)}
        self._database.documents[event_id] = replace(event, data=data)


class MemoryEndpointHealth:
    """Implements EndpointHealth."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, int], int] = {}
        self._hung: set[tuple[str, int]] = set()

    def failing(self, endpoint: Document, now_ms: int, *, hung: bool) -> int:
        """Notes a failure; returns the time of the first one since the last success."""
        name = (endpoint.id, endpoint.version)
        self._hung = self._hung | {name} if hung else self._hung - {name}
        return self._since.setdefault(name, now_ms)

    def hangs(self, endpoint: Document) -> bool:
        """Tells whether an endpoint did not answer in time when it was tried last."""
        return (endpoint.id, endpoint.version) in self._hung

    def healthy(self, endpoint: Document, _now_ms: int, *, after_failure: bool) -> None:
        """Notes a success."""
        name = (endpoint.id, endpoint.version)
        self._since.pop(name, None)
        self._hung = self._hung - {name}
