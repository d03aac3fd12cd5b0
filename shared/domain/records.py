"""Records: what is sealed of an event, of a journal, and of a change of a document."""

from collections.abc import Mapping
from typing import Any

from shared.domain.accounts import control_account
from shared.domain.events import SignedEvent
from shared.domain.evidence import Record, RecordKind
from shared.domain.ledger import Journal


def event_record(signed: SignedEvent, book: str) -> Record:
    """Makes the record of a payment's event.

    Args: book: of the payment; an event itself does not say it.
    """
    event, signature = signed.event, signed.signature
    return Record(
        kind=RecordKind.EVENT,
        id=f"{event.payment_id}/{event.version}",
        book=book,
        at_ms=event.occurred_at_ms,
        subject=event.payment_id,
        data={
            **event.facts(),
            "hash": event.hash,
            "key_id": signature.key_id,
            "mac": signature.mac,
        },
    )


def journal_record(journal: Journal) -> Record:
    """Makes the record of a journal.

    Raises: InvariantError when it posts to an account that the chart does not have.
    """
    for posting in journal.postings:
        control_account(posting.account)
    return Record(
        kind=RecordKind.JOURNAL,
        id=journal.id,
        book=journal.book,
        at_ms=journal.posted_at_ms,
        subject=journal.subject,
        data=journal.to_dict(),
    )


def change_record(data: Mapping[str, Any], book: str) -> Record:
    """Makes the record of a change of a document, or of an operator's action.

    Args: data: what the change says, with its hash and signature.
    """
    return Record(
        kind=RecordKind.CHANGE,
        id=f"{data['entity']}/{data['version']}",
        book=book,
        at_ms=data["occurred_at_ms"],
        subject=data["entity"],
        data=data,
    )
