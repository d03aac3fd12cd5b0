"""In-memory twin of the audit records."""

from collections.abc import Mapping, Sequence

from shared.adapters.memory import MemoryDatabase
from shared.domain.audit import AuditRecord, Change
from shared.domain.errors import VersionConflictError


class MemoryChangeStore:
    """Implements ChangeStore."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    def of_entity(
        self,
        entity: str,
        limit: int,
        *,
        before_version: int | None = None,
        after_version: int | None = None,
    ) -> tuple[AuditRecord, ...]:
        """Returns an entity's records, newest first."""
        found = [
            record
            for record in self._database.changes.get(entity, ())
            if (before_version is None or record.change.version < before_version)
            and (after_version is None or record.change.version > after_version)
        ]
        nearest = found[:limit] if after_version is not None else found[-limit:]
        return tuple(reversed(nearest))

    def get_many(self, names: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], AuditRecord]:
        """Returns records; the missing ones are left out."""
        return {
            (entity, record.change.version): record
            for entity, version in names
            for record in self._database.changes.get(entity, ())
            if record.change.version == version
        }

    def append(self, change: Change) -> None:
        """Keeps the record of an operator's action."""
        if self.get_many([(change.entity, change.version)]):
            raise VersionConflictError(f"Somebody else changed {change.entity} first.")
        record = AuditRecord(change, change.hash, self._database.signer.sign(change.hash))
        self._database.changes.setdefault(change.entity, []).append(record)
