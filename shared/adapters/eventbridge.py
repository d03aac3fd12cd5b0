"""EventBridge: announcements to whoever listens in the region."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from shared.domain.errors import TransientError

if TYPE_CHECKING:
    from types_boto3_events.client import EventBridgeClient
    from types_boto3_events.type_defs import PutEventsRequestEntryTypeDef

SOURCE = "farthing"
# PutEvents takes no more entries in one call.
ENTRIES_MAX = 10
TRIES_MAX = 3


class EventBridgeBus:
    """Implements EventBus with PutEvents.

    Args: bus: name of the event bus.
    """

    def __init__(self, client: "EventBridgeClient", bus: str) -> None:
        self._client = client
        self._bus = bus

    def publish(self, announcements: Sequence[Mapping[str, Any]]) -> None:
        """Announces all; entries that failed are sent again, the others are not."""
        for start in range(0, len(announcements), ENTRIES_MAX):
            chunk = announcements[start : start + ENTRIES_MAX]
            self._put([self._entry(announcement) for announcement in chunk])

    def _put(self, entries: list["PutEventsRequestEntryTypeDef"]) -> None:
        for _ in range(TRIES_MAX):
            try:
                answer = self._client.put_events(Entries=entries)
            except (ClientError, BotoCoreError) as error:
                raise TransientError("The event bus cannot be reached.") from error
            results = zip(entries, answer["Entries"], strict=True)
            entries = [entry for entry, result in results if "ErrorCode" in result]
            if not entries:
                return
        raise TransientError("The event bus took only some of the announcements.")

    def _entry(self, announcement: Mapping[str, Any]) -> "PutEventsRequestEntryTypeDef":
        return {
            "EventBusName": self._bus,
            "Source": SOURCE,
            "DetailType": announcement["type"],
            "Detail": json.dumps(announcement, separators=(",", ":")),
        }
