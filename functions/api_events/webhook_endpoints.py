"""Operations on webhook endpoints."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from functions.api_events.models import CreateWebhookEndpoint, UpdateWebhookEndpoint
from shared.domain.audit_trail import created, updated
from shared.domain.documents import Document, ListEntry, PageQuery
from shared.domain.errors import RejectedError
from shared.domain.ports import DocumentStore
from shared.domain.webhooks import ENDPOINTS_MAX, rolled
from shared.edge.api import Api, Reply, Request
from shared.edge.documents import ScopedDocuments, storable
from shared.edge.fields import NoParams, PageParams, merge_metadata
from shared.wire import objects

KIND = "webhook_endpoint"
SECRET_LENGTH = 32
_URL = "/v1/webhook_endpoints"


def register(api: Api, documents: DocumentStore) -> None:
    """Adds the operations to the API."""
    endpoints = _WebhookEndpoints(documents)
    api.post(_URL, CreateWebhookEndpoint)(endpoints.create)
    api.list(_URL, PageParams)(endpoints.list)
    api.get(_URL + "/{id}", NoParams)(endpoints.retrieve)
    api.post(_URL + "/{id}", UpdateWebhookEndpoint)(endpoints.update)
    api.delete(_URL + "/{id}", NoParams)(endpoints.delete)
    api.post(_URL + "/{id}/roll_secret", NoParams)(endpoints.roll_secret)


class _WebhookEndpoints:
    def __init__(self, documents: DocumentStore) -> None:
        self._documents = documents

    def create(self, request: Request[CreateWebhookEndpoint]) -> Reply:
        """Creates an endpoint; its secret is in this answer and in no later one."""
        params = request.params
        _check_url(params.url, livemode=request.scope.livemode)
        self._require_room(request)
        secret = _new_secret(request)
        endpoint = request.document(
            request.new_id("we"),
            KIND,
            {
                "api_version": params.api_version,
                "description": params.description,
                "enabled_events": params.enabled_events,
                "metadata": merge_metadata({}, params.metadata),
                "secret": secret,
                "status": "enabled",
                "url": params.url,
            },
        )
        reply = Reply(200, {**objects.webhook_endpoint(endpoint), "secret": secret})
        write = created(endpoint, request.context, listed=[_entry(endpoint)])
        self._documents.commit([write], request.answered(reply))
        return reply

    def list(self, request: Request[PageParams]) -> Reply:
        """Lists endpoints, newest first."""
        scoped = ScopedDocuments(self._documents, request.scope)
        render = objects.webhook_endpoint
        return Reply(200, scoped.list(KIND, KIND, request.params, render, _URL))

    def retrieve(self, request: Request[NoParams]) -> Reply:
        """Returns an endpoint, without its secret."""
        return Reply(200, objects.webhook_endpoint(self._named(request)))

    def update(self, request: Request[UpdateWebhookEndpoint]) -> Reply:
        """Changes what was sent; a disabled endpoint is sent nothing until it is enabled."""
        endpoint = self._named(request)
        changes = request.params.sent()
        if "url" in changes:
            _check_url(changes["url"], livemode=request.scope.livemode)
        data = storable(_merged(endpoint.data, changes))
        write = updated(endpoint, data, request.context)
        reply = Reply(200, objects.webhook_endpoint(write.document))
        self._documents.commit([write], request.answered(reply))
        return reply

    def delete(self, request: Request[NoParams]) -> Reply:
        """Deletes an endpoint and its secret."""
        endpoint = self._named(request)
        entries = [_entry(endpoint)]
        tombstone = updated(endpoint, {"deleted": True}, request.context, unlisted=entries)
        self._documents.commit([tombstone])
        return Reply(200, objects.deleted(tombstone.document))

    def roll_secret(self, request: Request[NoParams]) -> Reply:
        """Gives an endpoint a new secret, which is in this answer and in no later one.

        For a day, deliveries are signed with both.
        """
        endpoint, secret = self._named(request), _new_secret(request)
        write = updated(endpoint, rolled(endpoint, secret, request.now_ms), request.context)
        reply = Reply(200, {**objects.webhook_endpoint(write.document), "secret": secret})
        self._documents.commit([write], request.answered(reply))
        return reply

    def _named(self, request: Request[Any]) -> Document:
        scoped = ScopedDocuments(self._documents, request.scope)
        return scoped.named_by_path(KIND, request.path["id"])

    def _require_room(self, request: Request[CreateWebhookEndpoint]) -> None:
        page = self._documents.page(request.scope, KIND, PageQuery(limit=ENDPOINTS_MAX))
        if len(page.ids) >= ENDPOINTS_MAX:
            mode = request.scope.mode
            raise RejectedError(
                f"You have reached the maximum of {ENDPOINTS_MAX} {mode} webhook endpoints."
            )


def _new_secret(request: Request[Any]) -> str:
    return f"whsec_{request.entropy.token(SECRET_LENGTH)}"


def _merged(stored: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    changes = dict(changes)
    disabled = changes.pop("disabled", None)
    merged = {**stored, **changes}
    merged["metadata"] = merge_metadata(stored["metadata"], changes.get("metadata", {}))
    if disabled is not None:
        merged["status"] = "disabled" if disabled else "enabled"
        # The merchant has decided now, whatever the platform did before.
        merged.pop("disabled_reason", None)
    return merged


def _check_url(url: str, *, livemode: bool) -> None:
    """Refuses what is no web address, and in live mode what is not encrypted.

    Whether the address may be reached at all is decided at delivery, when its name is resolved.
    """
    parts = _split(url)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise _invalid_url("An explicit scheme (such as https) must be provided.")
    if parts.username is not None or parts.password is not None:
        raise _invalid_url("Credentials do not belong there.")
    if livemode and parts.scheme != "https":
        raise _invalid_url("Live mode endpoints must use https.")


def _split(url: str) -> SplitResult | None:
    """Reads an address, or returns None when it is not well formed."""
    if not (url.isascii() and url.isprintable()) or " " in url:
        return None
    try:
        parts = urlsplit(url)
        # Reading the port checks it.
        return parts if parts.port != 0 else None
    except ValueError:
        return None


def _invalid_url(reason: str) -> RejectedError:
    return RejectedError(f"Invalid URL: {reason}", code="url_invalid", param="url")


def _entry(endpoint: Document) -> ListEntry:
    return ListEntry(KIND, endpoint.created_ms, endpoint.id)
