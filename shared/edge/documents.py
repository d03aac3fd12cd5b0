"""Documents as one request may see them: of its account, its mode and the kind asked for."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from shared.domain.documents import LIMIT_MAX, Document, Page, PageQuery, Scope
from shared.domain.errors import InvariantError, NotFoundError, RejectedError
from shared.domain.ports import DocumentStore
from shared.edge.fields import PageParams
from shared.edge.lists import list_reply, page_query
from shared.wire.errors import missing_reference, no_such

# What messages call a kind.
NOUNS: Mapping[str, str] = {
    "confirmation_token": "confirmation token",
    "customer": "customer",
    "customer_balance_transaction": "customer balance transaction",
    "event": "event",
    "payment_method": "PaymentMethod",
    "payment_method_configuration": "payment_method_configuration",
    "payment_method_domain": "payment_method_domain",
    "setup_attempt": "setupattempt",
    "setup_intent": "setupintent",
    "token": "token",
    "webhook_endpoint": "webhook endpoint",
}

# Of LIMIT_MAX documents each.
_READ_PAGES_MAX = 20

_ID = re.compile(r"[0-9A-Za-z_]{1,255}")

# An item of the store takes 400 KB, and holds an object twice: an audit record has what changed
# before and after, an event the object and what it was. A saga's state holds it three times in
# 256 KB. Plain text in every field fits.
DATA_BYTES_MAX = 64 * 1024

Render = Callable[[Document], Mapping[str, Any]]


def is_id(text: str) -> bool:
    """Tells whether a text has the form of an id.

    What has not is no key of the store, and might be one it refuses.
    """
    return _ID.fullmatch(text) is not None


def storable(data: Mapping[str, Any], *, spare_bytes: int = 0) -> Mapping[str, Any]:
    """Returns a document's data that a merchant fills.

    Args: spare_bytes: for what is added to it later.
    Raises: RejectedError when it is more than can be stored, recorded and announced.
    """
    size = len(json.dumps(data)) + spare_bytes
    if size > DATA_BYTES_MAX:
        raise RejectedError(
            f"The object's metadata and other texts are {size} bytes as JSON with this request; at"
            f" most {DATA_BYTES_MAX} are accepted.",
            code="details_too_large",
        )
    return data


class ScopedDocuments:
    """Reads the documents of one scope."""

    def __init__(self, documents: DocumentStore, scope: Scope) -> None:
        self._documents = documents
        self._scope = scope

    def find(self, kind: str, object_id: str) -> Document | None:
        """Returns a document, deleted ones too, or None when the scope has none of this id."""
        document = self._read(object_id)
        return document if document is not None and self._sees(document, kind) else None

    def named_by_path(self, kind: str, object_id: str, *, param: str = "id") -> Document:
        """Returns the document that a path names.

        Raises: NotFoundError when there is none, or it was deleted.
        """
        document = self._read(object_id)
        if document is None or not self._sees(document, kind) or document.is_deleted:
            raise self._not_found(document, kind, object_id, param)
        return document

    def named_by_param(self, kind: str, object_id: str, param: str) -> Document:
        """Returns the document that a parameter names.

        Raises: RejectedError when there is none, or it was deleted.
        """
        document = self.find(kind, object_id)
        if document is None or document.is_deleted:
            raise missing_reference(NOUNS[kind], object_id, param)
        return document

    def list(
        self, kind: str, collection: str, params: PageParams, render: Render, url: str
    ) -> dict[str, Any]:
        """Reads one page of a list and builds its answer."""
        page = self._documents.page(self._scope, collection, self.query(kind, params))
        data = [render(document) for document in self.in_order(page.ids)]
        return list_reply(url, data, has_more=page.has_more)

    def list_of(
        self,
        kind: str,
        collection: str,
        params: PageParams,
        render: Render,
        url: str,
        *,
        keep: Callable[[Document], bool],
    ) -> dict[str, Any]:
        """Reads one page of those in a list that are asked for, and builds its answer.

        Once it found one it reads a bounded part of the list: a cursor goes on behind that one.
        """
        query = replace(self.query(kind, params), limit=LIMIT_MAX)
        is_backwards = query.before is not None
        found: list[Document] = []
        for read in count(1):
            page = self._documents.page(self._scope, collection, query)
            kept = [document for document in self.in_order(page.ids) if keep(document)]
            found = kept + found if is_backwards else found + kept
            is_enough = len(found) > params.limit or (found and read >= _READ_PAGES_MAX)
            if is_enough or not page.has_more:
                break
            query = self._next(kind, query, page)
        has_more = len(found) > params.limit or page.has_more
        data = found[-params.limit :] if is_backwards else found[: params.limit]
        return list_reply(url, [render(document) for document in data], has_more=has_more)

    def _next(self, kind: str, query: PageQuery, page: Page) -> PageQuery:
        """Returns the query of what a list holds beyond a page."""
        if query.before is None:
            return replace(query, after=page.end)
        newest = page.ids[0]
        created_ms = self.created_ms(kind, newest)
        if created_ms is None:
            raise InvariantError(f"{newest} is in a list and nowhere else")
        return replace(query, before=(created_ms, newest))

    def query(self, kind: str, params: PageParams) -> PageQuery:
        """Turns list parameters into a query of this scope."""
        return page_query(params, lambda name: self.created_ms(kind, name), noun=NOUNS[kind])

    def created_ms(self, kind: str, object_id: str) -> int | None:
        """Tells when a document was created, a deleted one too; None when there is none."""
        document = self.find(kind, object_id)
        return document.created_ms if document is not None else None

    def in_order(self, object_ids: Sequence[str]) -> Sequence[Document]:
        """Reads documents in the order of their ids; those gone in the meantime are left out."""
        found = self._documents.get_many(object_ids) if object_ids else {}
        return [found[object_id] for object_id in object_ids if object_id in found]

    def _read(self, object_id: str) -> Document | None:
        return self._documents.get(object_id) if is_id(object_id) else None

    def _sees(self, document: Document, kind: str) -> bool:
        return document.scope == self._scope and document.kind == kind

    def _not_found(
        self, document: Document | None, kind: str, object_id: str, param: str
    ) -> NotFoundError:
        error = no_such(NOUNS[kind], object_id, param)
        other_mode = replace(self._scope, livemode=not self._scope.livemode)
        if document is None or not ScopedDocuments(self._documents, other_mode)._sees(
            document, kind
        ):
            return error
        there, here = ("test", "live") if self._scope.livemode else ("live", "test")
        hint = f"a similar object exists in {there} mode, but a {here} mode key was used"
        return NotFoundError(
            f"{error.message}; {hint} to make this request.", code=error.code, param=param
        )
