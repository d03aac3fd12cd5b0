"""Operations on payment method configurations."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from functions.api_customers.configuration_models import (
    CreateConfiguration,
    ListConfigurations,
    UpdateConfiguration,
    preferences_of,
)
from shared.domain.audit_trail import created, updated
from shared.domain.documents import Document, DocumentWrite, ListEntry, Page, PageQuery, Scope
from shared.domain.errors import RejectedError
from shared.domain.method_configurations import (
    KIND,
    default_configuration,
    default_id,
    is_default,
    preferred,
)
from shared.domain.ports import DocumentStore
from shared.edge.api import Api, Reply, Request
from shared.edge.documents import NOUNS, ScopedDocuments
from shared.edge.fields import NoParams
from shared.edge.lists import list_reply, page_query
from shared.wire.errors import missing_reference
from shared.wire.method_configurations import configuration

_URL = "/v1/payment_method_configurations"
_UNNAMED = "Untitled"


def register(api: Api, documents: DocumentStore) -> None:
    """Adds the operations to the API."""
    configurations = _Configurations(documents)
    api.post(_URL, CreateConfiguration)(configurations.create)
    api.list(_URL, ListConfigurations)(configurations.list)
    api.get(_URL + "/{id}", NoParams)(configurations.retrieve)
    api.post(_URL + "/{id}", UpdateConfiguration)(configurations.update)


class _Configurations:
    def __init__(self, documents: DocumentStore) -> None:
        self._documents = documents

    def create(self, request: Request[CreateConfiguration]) -> Reply:
        """Creates a configuration, or the child of one."""
        params, scope = request.params, request.scope
        parent = self._parent(scope, params.parent)
        document = request.document(
            request.new_id("pmc"),
            KIND,
            {
                "name": params.name or _UNNAMED,
                "active": True,
                "parent": params.parent,
                "preferences": preferred({}, preferences_of(params)),
            },
        )
        write = created(document, request.context, listed=_entries(document))
        return self._commit(request, write, parent)

    def list(self, request: Request[ListConfigurations]) -> Reply:
        """Lists configurations, newest first; the default one, as old as the account, is last."""
        scope, params = request.scope, request.params
        query = page_query(params, lambda name: self._created_ms(scope, name), noun=NOUNS[KIND])
        page = self._documents.page(scope, _collection(active=params.active), query)
        found = list(ScopedDocuments(self._documents, scope).in_order(page.ids))
        has_more = page.has_more
        default = self._default(scope)
        if _ends_with_default(default, params, query, page):
            has_more = len(found) == params.limit
            found += [] if has_more else [default]
        parents = self._parents(scope, found)
        data = [configuration(item, parents.get(item.data["parent"])) for item in found]
        return Reply(200, list_reply(_URL, data, has_more=has_more))

    def retrieve(self, request: Request[NoParams]) -> Reply:
        """Returns a configuration."""
        return _shown(*self._named(request))

    def update(self, request: Request[UpdateConfiguration]) -> Reply:
        """Changes what was sent and leaves the rest."""
        before, parent = self._named(request)
        params = request.params
        if params.active is False and is_default(before):
            raise RejectedError(
                "You cannot deactivate the default payment method configuration.", param="active"
            )
        data = {
            **before.data,
            **{name: value for name, value in params.sent().items() if name in {"active", "name"}},
            "preferences": preferred(before.data["preferences"], preferences_of(params)),
        }
        return self._commit(request, _changed(before, data, request), parent)

    def _named(self, request: Request[Any]) -> tuple[Document, Document | None]:
        """Returns the configuration that the path names, with its parent."""
        scope, name = request.scope, request.path["id"]
        scoped = ScopedDocuments(self._documents, scope)
        if name == default_id(scope):
            return self._default(scope), None
        document = scoped.named_by_path(KIND, name, param="configuration")
        return document, self._parents(scope, [document]).get(document.data["parent"])

    def _default(self, scope: Scope) -> Document:
        """Returns the default configuration, of version 0 where nobody changed it yet."""
        name = default_id(scope)
        found = self._documents.get_many([name, scope.account])
        return found.get(name) or default_configuration(scope, found[scope.account].created_ms)

    def _parent(self, scope: Scope, name: str | None) -> Document | None:
        """Returns the configuration that one is to be the child of.

        Raises: RejectedError when there is none, or it is a child itself.
        """
        if name is None:
            return None
        parent = self._found(scope, [name]).get(name)
        if parent is None:
            raise missing_reference(NOUNS[KIND], name, "parent")
        if parent.data["parent"] is not None:
            raise RejectedError(
                f"{name} has a parent itself; a configuration with a parent cannot be one.",
                param="parent",
            )
        return parent

    def _parents(self, scope: Scope, children: Sequence[Document]) -> Mapping[str, Document]:
        names = {child.data["parent"] for child in children} - {None}
        return self._found(scope, sorted(names)) if names else {}

    def _found(self, scope: Scope, names: Sequence[str]) -> Mapping[str, Document]:
        """Reads configurations of the scope by id, the default one too."""
        scoped = ScopedDocuments(self._documents, scope)
        stored = {name: scoped.find(KIND, name) for name in names}
        if default_id(scope) in stored:
            stored[default_id(scope)] = self._default(scope)
        return {name: document for name, document in stored.items() if document is not None}

    def _created_ms(self, scope: Scope, name: str) -> int | None:
        found = self._found(scope, [name]).get(name)
        return found.created_ms if found is not None else None

    def _commit(
        self, request: Request[Any], write: DocumentWrite, parent: Document | None
    ) -> Reply:
        reply = _shown(write.document, parent)
        self._documents.commit([write], request.answered(reply))
        return reply


def _shown(document: Document, parent: Document | None) -> Reply:
    return Reply(200, configuration(document, parent))


def _changed(before: Document, data: Mapping[str, Any], request: Request[Any]) -> DocumentWrite:
    """Writes the next version; of the default configuration perhaps the first."""
    if before.version == 0:
        first = replace(before, version=1, data=data)
        return created(first, request.context, listed=_entries(first))
    old, new = _entries(before), _entries(replace(before, data=data))
    return updated(
        before,
        data,
        request.context,
        listed=[entry for entry in new if entry not in old],
        unlisted=[entry for entry in old if entry not in new],
    )


def _ends_with_default(
    default: Document, params: ListConfigurations, query: PageQuery, page: Page
) -> bool:
    """Tells whether a page reaches the end of a list whose last one is not stored."""
    goes_back = query.before is not None
    is_behind = query.after is None or query.after > (default.created_ms, default.id)
    is_meant = params.active is not False
    return default.version == 0 and is_meant and is_behind and not goes_back and not page.has_more


def _collection(*, active: bool | None) -> str:
    return KIND if active is None else f"{KIND}/{'active' if active else 'inactive'}"


def _entries(document: Document) -> tuple[ListEntry, ...]:
    collections = (KIND, _collection(active=document.data["active"]))
    return tuple(ListEntry(name, document.created_ms, document.id) for name in collections)
