"""Operations on events."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from functions.api_events.models import ListEvents, RetryEvent
from shared.domain.audit_trail import created
from shared.domain.documents import LIMIT_MAX, Document, Page, PageQuery
from shared.domain.errors import RejectedError, StateError
from shared.domain.ports import DocumentStore
from shared.domain.webhooks import COLLECTION, RESEND, DeliveryLog
from shared.edge.api import Api, Reply, Request
from shared.edge.documents import ScopedDocuments
from shared.edge.fields import NoParams
from shared.edge.lists import list_reply
from shared.wire import deliveries, objects

KIND = "event"
_URL = "/v1/events"
# A filtered list reads at most this many pages for one answer; `has_more` tells to go on.
_SCANNED_PAGES_MAX = 20

_Matches = Callable[[Document], bool]


def register(api: Api, documents: DocumentStore, deliveries: DeliveryLog) -> None:
    """Adds the operations to the API."""
    events = _Events(documents, deliveries)
    api.list(_URL, ListEvents)(events.list)
    api.get(_URL + "/{id}", NoParams)(events.retrieve)
    api.list(_URL + "/{id}/deliveries", NoParams)(events.deliveries)
    api.post(_URL + "/{id}/retry", RetryEvent)(events.retry)


class _Events:
    def __init__(self, documents: DocumentStore, deliveries: DeliveryLog) -> None:
        self._documents = documents
        self._deliveries = deliveries

    def list(self, request: Request[ListEvents]) -> Reply:
        """Lists events, newest first: all, or those of some types, or (not) told to all."""
        params, scoped = request.params, ScopedDocuments(self._documents, request.scope)
        if params.type is not None and params.types is not None:
            raise RejectedError(
                "You may only specify one of these parameters: type, types.",
                code="parameters_exclusive",
                param="types",
            )
        patterns = params.types if params.type is None else [params.type]
        if patterns is None and params.delivery_success is None:
            return Reply(200, scoped.list(KIND, KIND, params, objects.event, _URL))
        found, has_more = self._scan(
            request, scoped.query(KIND, params), _matching(params, patterns)
        )
        data = [objects.event(event) for event in found]
        return Reply(200, list_reply(_URL, data, has_more=has_more))

    def retrieve(self, request: Request[NoParams]) -> Reply:
        """Returns an event."""
        scoped = ScopedDocuments(self._documents, request.scope)
        return Reply(200, objects.event(scoped.named_by_path(KIND, request.path["id"])))

    def deliveries(self, request: Request[NoParams]) -> Reply:
        """Lists what became of an event's deliveries: one object per endpoint, all of them."""
        scoped = ScopedDocuments(self._documents, request.scope)
        event = scoped.named_by_path(KIND, request.path["id"])
        data = [deliveries.delivery(event, found) for found in self._deliveries.of_event(event.id)]
        return Reply(200, list_reply(f"{_URL}/{event.id}/deliveries", data, has_more=False))

    def retry(self, request: Request[RetryEvent]) -> Reply:
        """Has an event told to an endpoint once more, whatever became of it before.

        The wish is a document: its change is announced as all others are, so it is audited, made
        once per idempotency key, and not lost.
        """
        scoped = ScopedDocuments(self._documents, request.scope)
        event = scoped.named_by_path(KIND, request.path["id"])
        endpoint = scoped.named_by_param(
            COLLECTION, request.params.webhook_endpoint, "webhook_endpoint"
        )
        if endpoint.data["status"] != "enabled":
            raise StateError(
                f"The webhook endpoint {endpoint.id} is disabled.", param="webhook_endpoint"
            )
        resend = request.document(
            request.new_id("whr"),
            RESEND,
            {"event": event.id, "webhook_endpoint": endpoint.id},
            expires_at_s=event.expires_at_s,
        )
        reply = Reply(200, objects.event(event))
        self._documents.commit([created(resend, request.context)], request.answered(reply))
        return reply

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


def _matching(params: ListEvents, patterns: Sequence[str] | None) -> _Matches:
    is_of_type = _matcher(patterns) if patterns is not None else None

    def matches(event: Document) -> bool:
        if is_of_type is not None and not is_of_type(event):
            return False
        told = event.data.get("pending_webhooks", 0) == 0
        return params.delivery_success is None or params.delivery_success == told

    return matches


def _matcher(patterns: Sequence[str]) -> _Matches:
    exact = frozenset(pattern for pattern in patterns if not pattern.endswith("*"))
    prefixes = tuple(pattern.removesuffix("*") for pattern in patterns if pattern.endswith("*"))

    def matches(event: Document) -> bool:
        event_type: str = event.data["type"]
        return event_type in exact or event_type.startswith(prefixes)

    return matches
