"""The audit trail: writes of documents with records of them, and what payments were through."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from shared.domain.audit import PAYMENT, AuditRecord, Change, differences
from shared.domain.changes import Context
from shared.domain.documents import Document, DocumentWrite, ListEntry
from shared.domain.errors import InvariantError
from shared.domain.events import SignedEvent
from shared.domain.ledger import book_of
from shared.domain.payment import Payment, apply

if TYPE_CHECKING:
    from shared.domain.ports import ChangeStore

# They announce what is audited.
NOT_AUDITED = frozenset({"event"})


def created(
    document: Document,
    context: Context,
    *,
    listed: Sequence[ListEntry] = (),
    stripes: int = 1,
    reason: str | None = None,
) -> DocumentWrite:
    """Writes a new document, with the record of it.

    Args: stripes: of the lists. reason: why, for who reads the record later.
    """
    change = change_of(None, document, context, reason)
    written = replace(document, change_hash=change.hash)
    return DocumentWrite(written, tuple(listed), change=change, stripes=stripes)


def updated(
    before: Document,
    data: Mapping[str, Any],
    context: Context,
    *,
    listed: Sequence[ListEntry] = (),
    unlisted: Sequence[ListEntry] = (),
    reason: str | None = None,
) -> DocumentWrite:
    """Writes the next version of a document, with the record of what changed.

    Args: data: all of it, not only what changes. reason: why, for who reads the record later.
    """
    after = replace(before, version=before.version + 1, data=data)
    change = change_of(before, after, context, reason)
    return DocumentWrite(
        replace(after, change_hash=change.hash), tuple(listed), tuple(unlisted), change
    )


def next_version(facts: Mapping[str, Any], context: Context) -> DocumentWrite:
    """Writes the next version of a document, decided before it came through a saga.

    Args: facts: {"before": the document's fields, "data": all of it, as it is to be}.
    """
    return updated(Document(**facts["before"]), facts["data"], context)


def change_of(
    before: Document | None, after: Document, context: Context, reason: str | None = None
) -> Change:
    """Makes the record of a document's change; None before it is new."""
    old, new = differences(after.kind, before.data if before else {}, after.data)
    done = "deleted" if after.is_deleted else "updated"
    return Change(
        entity=after.id,
        entity_type=after.kind,
        version=after.version,
        action=done if before else "created",
        actor=context.actor,
        request_id=context.request_id,
        occurred_at_ms=context.now_ms,
        book=book_of(after.account, livemode=after.livemode),
        old=old,
        new=new,
        metadata=_metadata(idempotency_key=context.idempotency_key, reason=reason),
        previous_hash=before.change_hash if before else "",
    )


@dataclass(frozen=True, slots=True)
class Action:
    """What an operator does to something that is no document, such as a book.

    Args: entity: what it is done to. name: such as "floor_set". old, new: what it changes.
    """

    entity: str
    entity_type: str
    name: str
    book: str
    old: Mapping[str, Any]
    new: Mapping[str, Any]
    reason: str | None = None


def act(changes: "ChangeStore", action: Action, context: Context) -> Change:
    """Records an action, before it is taken: what a crash leaves behind is never unrecorded.

    Raises: VersionConflictError when somebody else acts at the same time; nothing is recorded.
    """
    newest = changes.of_entity(action.entity, 1)
    change = Change(
        entity=action.entity,
        entity_type=action.entity_type,
        version=newest[0].change.version + 1 if newest else 1,
        action=action.name,
        actor=context.actor,
        request_id=context.request_id,
        occurred_at_ms=context.now_ms,
        book=action.book,
        old=action.old,
        new=action.new,
        metadata=_metadata(reason=action.reason),
        previous_hash=newest[0].hash if newest else "",
    )
    changes.append(change)
    return change


def require_changes(writes: Iterable[DocumentWrite]) -> None:
    """Checks that nothing is written behind the audit's back.

    Raises: InvariantError when a document that is audited comes without its change.
    """
    for write in writes:
        if write.change is None and write.document.kind not in NOT_AUDITED:
            raise InvariantError(f"{write.document.id} is written without a record of who did it")


def payment_changes(events: Iterable[SignedEvent]) -> tuple[AuditRecord, ...]:
    """Tells a payment's changes from its events: all of them, in order.

    A change is called as its event is, such as "payment_captured".
    """
    before: Payment | None = None
    records: list[AuditRecord] = []
    for signed in events:
        after = apply(before, signed.event)
        change = _payment_change(before, after, signed)
        records.append(AuditRecord(change, signed.event.hash, signed.signature))
        before = after
    return tuple(records)


def _payment_change(before: Payment | None, after: Payment, signed: SignedEvent) -> Change:
    event = signed.event
    old, new = differences(PAYMENT, before.to_dict() if before else {}, after.to_dict())
    return Change(
        entity=after.id,
        entity_type=PAYMENT,
        version=event.version,
        action=_snake_case(event.type.partition(".")[0]),
        actor=event.request["actor"] or "",
        request_id=event.request["id"],
        occurred_at_ms=event.occurred_at_ms,
        book=after.book,
        old=old,
        new=new,
        metadata=_metadata(
            idempotency_key=event.request["idempotency_key"], reason=event.data.get("reason")
        ),
        previous_hash=event.previous_hash,
    )


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _metadata(**known: str | None) -> dict[str, str]:
    return {name: value for name, value in known.items() if value is not None}
