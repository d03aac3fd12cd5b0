"""The audit log: who changed what, of one object or of a whole month, newest first.

A month is read from the pages of the book, so it lacks what is not sealed yet, which is a moment
behind; a record belongs to the month in which it was sealed, as checkpoints do, so each is in one.
"""

import re
from calendar import timegm
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import StringConstraints

from functions.api_ledger.stores import Stores, book_name
from functions.api_ledger.windows import NEWEST, is_within
from shared.domain.audit import AuditRecord
from shared.domain.audit_trail import payment_changes
from shared.domain.documents import Scope
from shared.domain.errors import RejectedError
from shared.domain.evidence import RecordKind
from shared.domain.pages import BookPage, Listed
from shared.domain.reading import BookReader, Position, Window
from shared.edge.api import Api, Reply, Request
from shared.edge.fields import PageParams
from shared.edge.lists import cursors, cut, list_reply, one_cursor

_URL = "/v1/ledger/audit_log"
_NOUN = "audit record"
_AUDITED = frozenset({RecordKind.EVENT, RecordKind.CHANGE})
_PAYMENT = re.compile(r"pi_[0-9A-Za-z]+")
_ID = re.compile(r"(?P<entity>.+)/(?P<version>[1-9][0-9]{0,7})")
# The pages of a book are ordered by times of 13 digits.
_MS_BEYOND = 10**13

Month = Annotated[str, StringConstraints(pattern=r"^[12][0-9]{3}-(0[1-9]|1[0-2])$")]
# What has not this form is no key of the store, and might be one that it refuses.
Entity = Annotated[
    str, StringConstraints(min_length=1, max_length=255, pattern=r"^[0-9A-Za-z_#/:.\-]+$")
]
# A record of the book, and the newest time of the page that lists it.
_Row = tuple[int, Listed]


class ListAuditLog(PageParams):
    """GET /v1/ledger/audit_log."""

    entity: Entity | None = None
    month: Month | None = None


@dataclass(frozen=True, slots=True)
class AuditLog:
    """The operation on the audit log."""

    stores: Stores

    def register(self, api: Api) -> None:
        """Adds the operation to an API."""
        api.list(_URL, ListAuditLog)(self.list)

    def list(self, request: Request[ListAuditLog]) -> Reply:
        """Lists the records of an object, of a month, or all."""
        params = request.params
        one_cursor(params)
        if params.entity is not None and params.month is not None:
            raise RejectedError(
                "You may only specify one of these parameters: entity, month.",
                code="parameters_exclusive",
                param="month",
            )
        of_entity = params.entity is not None
        records, has_more = self._of_entity(request) if of_entity else self._of_book(request)
        data = [_rendered(record) for record in records]
        return Reply(200, list_reply(_URL, data, has_more=has_more))

    def _of_entity(self, request: Request[ListAuditLog]) -> tuple[Sequence[AuditRecord], bool]:
        params, scope, entity = request.params, request.scope, str(request.params.entity)
        if _PAYMENT.fullmatch(entity):
            found = payment_changes(self.stores.events.signed_events(entity))
            records = [record for record in reversed(found) if _is_seen(record, scope)]
            return cut(records, params, lambda record: record.change.id, noun=_NOUN)
        older_than, newer_than = cursors(
            params, lambda cursor: self._version(cursor, entity, scope), noun=_NOUN
        )
        records = [
            record
            for record in self.stores.changes.of_entity(
                entity, params.limit + 1, before_version=older_than, after_version=newer_than
            )
            if _is_seen(record, scope)
        ]
        is_back = newer_than is not None
        kept = records[-params.limit :] if is_back else records[: params.limit]
        return kept, len(records) > params.limit

    def _version(self, cursor: str, entity: str, scope: Scope) -> int | None:
        record = self._find(cursor, scope)
        if record is None or record.change.entity != entity:
            return None
        return record.change.version

    def _of_book(self, request: Request[ListAuditLog]) -> tuple[Sequence[AuditRecord], bool]:
        params, scope = request.params, request.scope
        from_ms, to_ms = _bounds_ms(params.month)
        book = self.stores.book(scope)
        after, before = cursors(
            params, lambda cursor: self._position(book, cursor, scope), noun=_NOUN
        )
        window = Window(
            limit=params.limit,
            after=after,
            before=before,
            from_ms=from_ms,
            to_ms=to_ms,
        )

        def is_wanted(row: _Row) -> bool:
            sealed_ms, listed = row
            return listed.kind in _AUDITED and is_within(sealed_ms, window)

        found = book.lines(window, _rows, is_wanted)
        return self._load([listed for _, (_, listed) in found.lines]), found.has_more

    def _position(self, book: BookReader, cursor: str, scope: Scope) -> Position | None:
        """Finds the place of a record; one that is not sealed yet is the newest."""
        record = self._find(cursor, scope)
        if record is None:
            return None
        wanted = (_kind(record.change.entity), cursor)
        found = book.find(
            record.change.entity,
            record.change.occurred_at_ms,
            _rows,
            lambda row: (row[1].kind, row[1].id) == wanted,
        )
        return found or NEWEST

    def _find(self, record_id: str, scope: Scope) -> AuditRecord | None:
        named = _ID.fullmatch(record_id)
        if named is None:
            return None
        name = named["entity"], int(named["version"])
        record = self._read({_kind(name[0]): [name]}).get(name)
        return record if record is not None and _is_seen(record, scope) else None

    def _load(self, listed: Sequence[Listed]) -> Sequence[AuditRecord]:
        names: dict[RecordKind, list[tuple[str, int]]] = {}
        for item in listed:
            names.setdefault(item.kind, []).append(_name(item))
        found = self._read(names)
        return [found[_name(item)] for item in listed]

    def _read(
        self, names: Mapping[RecordKind, Sequence[tuple[str, int]]]
    ) -> Mapping[tuple[str, int], AuditRecord]:
        found = dict(self.stores.changes.get_many(names.get(RecordKind.CHANGE, ())))
        payments = dict.fromkeys(entity for entity, _ in names.get(RecordKind.EVENT, ()))
        for payment_id in payments:
            for record in payment_changes(self.stores.events.signed_events(payment_id)):
                found[payment_id, record.change.version] = record
        return found


def _rows(page: BookPage) -> Sequence[_Row]:
    return [(page.newest_ms, listed) for listed in page.records]


def _name(listed: Listed) -> tuple[str, int]:
    entity, _, version = listed.id.rpartition("/")
    return entity, int(version)


def _kind(entity: str) -> RecordKind:
    """Returns what is recorded of an entity: of a payment its events, of all else changes."""
    return RecordKind.EVENT if _PAYMENT.fullmatch(entity) else RecordKind.CHANGE


def _is_seen(record: AuditRecord, scope: Scope) -> bool:
    return record.change.book == book_name(scope)


def _bounds_ms(month: str | None) -> tuple[int | None, int | None]:
    """Returns the first and the last millisecond of a month."""
    if month is None:
        return None, None
    year, number = (int(part) for part in month.split("-"))
    following = (year + 1, 1) if number == 12 else (year, number + 1)
    first, beyond = (timegm((*start, 1, 0, 0, 0)) for start in ((year, number), following))
    return max(first * 1000, 0), min(beyond * 1000, _MS_BEYOND) - 1


def _rendered(record: AuditRecord) -> Mapping[str, Any]:
    change = record.change
    return {
        "id": change.id,
        "object": "ledger.audit_record",
        "action": change.action,
        "actor": change.actor,
        "created": change.occurred_at_ms // 1000,
        "entity": change.entity,
        "entity_type": change.entity_type,
        "evidence": {
            "hash": record.hash,
            "key": record.signature.key_id,
            "mac": record.signature.mac,
            "previous_hash": change.previous_hash,
        },
        "livemode": change.book.endswith("/live"),
        "metadata": dict(change.metadata),
        "new_value": change.new,
        "old_value": change.old,
        "request": change.request_id,
        "version": change.version,
    }
