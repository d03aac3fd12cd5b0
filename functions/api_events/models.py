"""Parameters of the operations on events and webhook endpoints."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from shared.domain.announcements import ENDPOINT_DISABLED
from shared.edge.fields import (
    Boolean,
    Clearable,
    Items,
    ListParams,
    Metadata,
    Text,
    refusal,
)
from shared.edge.params import Params
from shared.wire.errors import ECHO_LENGTH_MAX
from shared.wire.event_types import EVENT_TYPES
from shared.wire.objects import API_VERSION

TYPES_MAX = 20
URL_LENGTH_MAX = 2_048

_PATTERN = re.compile(r"[a-z0-9_.]+(?:\.\*)?|\*")


def _known_type(event_type: str) -> str:
    if event_type not in {"*", ENDPOINT_DISABLED} and event_type not in EVENT_TYPES:
        raise refusal(
            f"Invalid enabled_events: {event_type[:ECHO_LENGTH_MAX]} is not a type of event."
        )
    return event_type


def _distinct(event_types: list[str]) -> list[str]:
    if not event_types:
        raise refusal("You must enable at least one event.")
    return list(dict.fromkeys(event_types))


def _type_pattern(pattern: str) -> str:
    if not _PATTERN.fullmatch(pattern):
        raise refusal(f"Invalid event type: {pattern[:ECHO_LENGTH_MAX]}")
    return pattern


def _api_version(version: str) -> str:
    if version != API_VERSION:
        raise refusal(
            f"Invalid API version: {version[:ECHO_LENGTH_MAX]}. Events are sent as of"
            f" {API_VERSION}."
        )
    return version


EnabledEvents = Annotated[
    Items[Annotated[Text, AfterValidator(_known_type)]],
    Field(max_length=len(EVENT_TYPES) + 2),
    AfterValidator(_distinct),
]
TypePattern = Annotated[Text, AfterValidator(_type_pattern)]
Url = Annotated[Text, Field(max_length=URL_LENGTH_MAX)]


class ListEvents(ListParams):
    """Parameters of GET /v1/events."""

    type: TypePattern | None = None
    types: Annotated[Items[TypePattern], Field(max_length=TYPES_MAX)] | None = None
    delivery_success: Boolean | None = None


class RetryEvent(Params):
    """Parameters of POST /v1/events/{id}/retry."""

    webhook_endpoint: Text


class CreateWebhookEndpoint(Params):
    """Parameters of POST /v1/webhook_endpoints."""

    url: Url
    enabled_events: EnabledEvents
    api_version: Annotated[Text, AfterValidator(_api_version)] | None = None
    description: Clearable[Text] = None
    metadata: Metadata = Field(default_factory=dict)


class UpdateWebhookEndpoint(Params):
    """Parameters of POST /v1/webhook_endpoints/{id}."""

    url: Url | None = None
    enabled_events: EnabledEvents | None = None
    disabled: Boolean | None = None
    description: Clearable[Text] = None
    metadata: Metadata = Field(default_factory=dict)
