"""Operations on payment method domains: where a merchant shows buttons of wallets."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from functions.api_customers.configuration_models import CreateDomain, ListDomains, UpdateDomain
from shared.domain.audit_trail import created, updated
from shared.domain.documents import Document, DocumentWrite, ListEntry
from shared.domain.ids import derive_id
from shared.domain.ports import DocumentStore
from shared.edge.api import Api, Reply, Request
from shared.edge.documents import ScopedDocuments
from shared.edge.fields import NoParams
from shared.wire.method_configurations import domain

KIND = "payment_method_domain"
_URL = "/v1/payment_method_domains"


def register(api: Api, documents: DocumentStore) -> None:
    """Adds the operations to the API."""
    domains = _Domains(documents)
    api.post(_URL, CreateDomain)(domains.create)
    api.list(_URL, ListDomains)(domains.list)
    api.get(_URL + "/{id}", NoParams)(domains.retrieve)
    api.post(_URL + "/{id}", UpdateDomain)(domains.update)
    api.post(_URL + "/{id}/validate", NoParams)(domains.validate)


class _Domains:
    def __init__(self, documents: DocumentStore) -> None:
        self._documents = documents

    def create(self, request: Request[CreateDomain]) -> Reply:
        """Registers a domain; one that is registered already is changed as an update would."""
        params, scope = request.params, request.scope
        # The name is the identity, so that no two requests register it twice.
        name = derive_id("pmd", scope.account, scope.mode, params.domain_name)
        known = ScopedDocuments(self._documents, scope).find(KIND, name)
        if known is not None:
            return self._change(request, known, params.sent())
        document = request.document(
            name, KIND, {"domain_name": params.domain_name, "enabled": params.enabled}
        )
        write = created(document, request.context, listed=_entries(document))
        return self._commit(request, write)

    def list(self, request: Request[ListDomains]) -> Reply:
        """Lists domains, newest first."""
        params = request.params
        collection = _collection(params.domain_name, enabled=params.enabled)
        scoped = ScopedDocuments(self._documents, request.scope)
        return Reply(200, scoped.list(KIND, collection, params, domain, _URL))

    def retrieve(self, request: Request[NoParams]) -> Reply:
        """Returns a domain."""
        return Reply(200, domain(self._named(request)))

    def update(self, request: Request[UpdateDomain]) -> Reply:
        """Enables or disables a domain."""
        return self._change(request, self._named(request), request.params.sent())

    def validate(self, request: Request[NoParams]) -> Reply:
        """Says how it stands with the wallets, none of which the platform has to ask."""
        return Reply(200, domain(self._named(request)), unchanged=True)

    def _named(self, request: Request[Any]) -> Document:
        scoped = ScopedDocuments(self._documents, request.scope)
        return scoped.named_by_path(KIND, request.path["id"], param="payment_method_domain")

    def _change(self, request: Request[Any], before: Document, sent: Mapping[str, Any]) -> Reply:
        data = {**before.data, **sent}
        if data == before.data:
            return Reply(200, domain(before), unchanged=True)
        old, new = _entries(before), _entries(replace(before, data=data))
        write = updated(
            before,
            data,
            request.context,
            listed=[entry for entry in new if entry not in old],
            unlisted=[entry for entry in old if entry not in new],
        )
        return self._commit(request, write)

    def _commit(self, request: Request[Any], write: DocumentWrite) -> Reply:
        reply = Reply(200, domain(write.document))
        self._documents.commit([write], request.answered(reply))
        return reply


def _collection(name: str | None, *, enabled: bool | None) -> str:
    state = None if enabled is None else "enabled" if enabled else "disabled"
    return "/".join(part for part in (KIND, name, state) if part is not None)


def _entries(document: Document) -> tuple[ListEntry, ...]:
    """Returns the rows of every list that a domain is found in: by name, by state, by both."""
    name, enabled = document.data["domain_name"], document.data["enabled"]
    return tuple(
        ListEntry(_collection(named, enabled=state), document.created_ms, document.id)
        for named in (None, name)
        for state in (None, enabled)
    )
