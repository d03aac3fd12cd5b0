"""Documents as tests write them: of any version, with an audit record."""

from dataclasses import replace

from shared.domain.audit_trail import change_of
from shared.domain.changes import Context
from shared.domain.documents import Document, DocumentWrite, ListEntry

BY_THE_TEST = Context(1_790_000_000_000, actor="operator:test")


def audited(
    document: Document,
    listed: tuple[ListEntry, ...] = (),
    unlisted: tuple[ListEntry, ...] = (),
) -> DocumentWrite:
    """Writes a document; the record says nothing of the version before."""
    change = change_of(None, document, BY_THE_TEST)
    return DocumentWrite(replace(document, change_hash=change.hash), listed, unlisted, change)
