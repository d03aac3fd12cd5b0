"""Documents: the objects of the API other than payments, and the list rows that find objects."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.domain.audit import Change
from shared.domain.errors import InvariantError

LIMIT_DEFAULT = 10
LIMIT_MAX = 100


@dataclass(frozen=True, slots=True)
class Document:
    """A versioned object of one account and mode.

    Args: kind: as the API names it, such as "customer", or "account" and "api_key".
    version: 1 at creation, plus one per change. data: JSON, the kind's own fields.
    expires_at_s: when the store may drop it, epoch seconds, or None for never. change_hash: of its
    newest audit record, which names them all; two that say the same are equal whatever it is.
    """

    id: str
    kind: str
    account: str
    livemode: bool
    version: int
    created_ms: int
    data: Mapping[str, Any]
    expires_at_s: int | None = None
    change_hash: str = field(default="", compare=False)

    @property
    def scope(self) -> "Scope":
        """Who may see it."""
        return Scope(self.account, self.livemode)

    @property
    def is_deleted(self) -> bool:
        """Tells whether the object was deleted; a tombstone remains."""
        return bool(self.data.get("deleted"))

    @property
    def due_at_ms(self) -> int | None:
        """When somebody must look after it; None where nothing is open on it."""
        due_at_ms: int | None = self.data.get("due_at_ms")
        return due_at_ms


@dataclass(frozen=True, slots=True)
class ListEntry:
    """A row of a list, written in the transaction that creates the object.

    Args: collection: such as "payment_intent" or "payment_intent/cus_1" (that customer's).
    """

    collection: str
    created_ms: int
    object_id: str


@dataclass(frozen=True, slots=True)
class DocumentWrite:
    """Puts one version of a document (version 1 must be new) and changes its list rows.

    Args: change: the audit record of it, None for what is not audited; `created` and `updated` of
    the audit trail make both. stripes: over which its rows are spread; see shared.domain.lists.
    unchanged: other documents that it relies on, as they were read: the write loses against whoever
    changes one of them. None of them may be written with it.
    """

    document: Document
    listed: tuple[ListEntry, ...] = ()
    unlisted: tuple[ListEntry, ...] = ()
    change: Change | None = None
    stripes: int = 1
    unchanged: tuple[Document, ...] = ()

    def __post_init__(self) -> None:
        document, change = self.document, self.change
        if change is None:
            return
        told = (change.entity, change.version, change.hash)
        if told != (document.id, document.version, document.change_hash):
            raise InvariantError(f"{document.id} is written with the record of another change")


def mode_of(*, livemode: bool) -> str:
    """Names a mode, as keys, records and messages do."""
    return "live" if livemode else "test"


@dataclass(frozen=True, slots=True)
class Scope:
    """The account and mode that a request may see."""

    account: str
    livemode: bool

    @property
    def mode(self) -> str:
        """Names the mode."""
        return mode_of(livemode=self.livemode)


@dataclass(frozen=True, slots=True)
class PageQuery:
    """One page of a list, newest first.

    Args: limit: 1..100. after: (created_ms, id) of the last object of the page before; the page
    holds older ones. before: likewise, the page holds the newer ones next to it. created bounds
    in ms, inclusive.
    """

    limit: int = LIMIT_DEFAULT
    after: tuple[int, str] | None = None
    before: tuple[int, str] | None = None
    created_from_ms: int | None = None
    created_to_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Object ids newest first, and whether there are more in the direction asked for.

    Args: end: (created_ms, id) of the last one, for the query of what is older; None where the page
    is empty, or no list's.
    """

    ids: tuple[str, ...] = field(default=())
    has_more: bool = False
    end: tuple[int, str] | None = field(default=None, compare=False)
