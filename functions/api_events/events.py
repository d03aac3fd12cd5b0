"""Operations on events."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from functions.api_events.models import ListEvents
from shared.domain.documents import LIMIT_MAX, Document, Page, PageQuery
from shared.domain.errors import RejectedError
from shared.domain.ports import DocumentStore
from shared.edge.api import Api, Reply, Request
from shared.edge.documents import ScopedDocuments
from shared.edge.fields import NoParams
from shared.edge.lists import list_reply
from shared.wire import objects

KIND = "event"
_URL = "/v1/events"
# A filtered list reads at most this many pages for one answer; `has_more` tells to go on.
_SCANNED_PAGES_MAX = 20

_Matches = Callable[[Document], bool]


def register(api: Api, documents: DocumentStore) -> None:
    """Adds the operations to the API."""
    events = _Events(documents)
    api.list(_URL, ListEvents)(events.list)
    api.get(_URL + "/{id}", NoParams)(events.retrieve)


class _Events:
    def __init__(self, documents: DocumentStore) -> None:
        self._documents = documents

    def list(self, request: Request[ListEvents]) -> Reply:
        """Lists events, newest first, of all types or of those asked for."""
        params, scoped = request.params, ScopedDocuments(self._documents, request.scope)
        if params.type is not None and params.types is not None:
            raise RejectedError(
                "You may only specify one of these parameters: type, types.",
                code="parameters_exclusive",
                param="types",
            )
        patterns = params.types if params.type is None else [params.type]
        if patterns is None:
            return Reply(200, scoped.list(KIND, KIND, params, objects.event, _URL))
        found, has_more = self._scan(request, scoped.query(KIND, params), _matcher(patterns))
        data = [objects.event(event) for event in found]
        return Reply(200, list_reply(_URL, data, has_more=has_more))

    def retrieve(self, request: Request[NoParams]) -> Reply:
        """Returns an event."""
        scoped = ScopedDocuments(self._documents, request.scope)
        return Reply(200, objects.event(scoped.named_by_path(KIND, request.path["id"])))

    def _scan(
        self, request: Request[ListEvents], query: PageQuery, matches: _Matches
    ) -> tuple[tuple[Document, ...], bool]:
        """Reads pages until enough events match; returns them newest first."""
        scoped = ScopedDocuments(self._documents, request.scope)
        backwards = query.before is not None
        found: list[Document] = []
        query, page = replace(query, limit=LIMIT_MAX), Page(has_more=True)
        for _ in range(_SCANNED_PAGES_MAX):
            page = self._documents.page(request.scope, KIND, query)
            events = scoped.in_order(page.ids)
            # Walking from the cursor outwards keeps the events next to it when there are enough.
            outwards = tuple(reversed(events) if backwards else events)
            found += [event for event in outwards if matches(event)]
            if len(found) > request.params.limit or not page.has_more or not events:
                break
            query = _beyond(query, outwards[-1], backwards=backwards)
        has_more = len(found) > request.params.limit or page.has_more
        chosen = found[: request.params.limit]
        return tuple(reversed(chosen) if backwards else chosen), has_more


def _beyond(query: PageQuery, event: Document, *, backwards: bool) -> PageQuery:
    position = (event.created_ms, event.id)
    return replace(query, before=position) if backwards else replace(query, after=position)


def _matcher(patterns: Sequence[str]) -> _Matches:
    exact = frozenset(pattern for pattern in patterns if not pattern.endswith("*"))
    prefixes = tuple(pattern.removesuffix("*") for pattern in patterns if pattern.endswith("*"))

    def matches(event: Document) -> bool:
        event_type: str = event.data["type"]
        return event_type in exact or event_type.startswith(prefixes)

    return matches
