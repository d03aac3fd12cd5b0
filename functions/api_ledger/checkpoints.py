"""Checkpoints: what the platform has signed of its books. They hold hashes and counts alone."""

from dataclasses import dataclass

from functions.api_ledger.models import ListCheckpoints
from shared.domain.checkpoints import CheckpointLog
from shared.domain.evidence import SignedCheckpoint
from shared.edge.api import Api, Reply, Request
from shared.edge.fields import NoParams
from shared.edge.lists import cursors, list_reply
from shared.wire import ledger as wire
from shared.wire.errors import no_such

NOUN = "checkpoint"
PATH = "/v1/ledger/checkpoints"
DIGITS_MAX = 12


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The operations on checkpoints, the same for all merchants of a region."""

    log: CheckpointLog

    def register(self, api: Api) -> None:
        """Adds the operations to an API."""
        api.list(PATH, ListCheckpoints)(self.list_checkpoints)
        api.get(f"{PATH}/{{number}}", NoParams)(self.retrieve)

    def retrieve(self, request: Request[NoParams]) -> Reply:
        """Retrieves a checkpoint by its number."""
        found = self._find(request.path["number"])
        if found is None:
            raise no_such(NOUN, request.path["number"])
        return Reply(200, wire.checkpoint(found))

    def list_checkpoints(self, request: Request[ListCheckpoints]) -> Reply:
        """Lists checkpoints, newest first."""
        params = request.params
        after, before = cursors(params, self._find, noun=NOUN)
        newest = self.log.newest()
        last = newest.checkpoint.number if newest else 0
        # Numbers have no gaps, so a page is a range of them.
        if before is not None:
            first = before.checkpoint.number + 1
            beyond = min(first + params.limit, last + 1)
            has_more = beyond <= last
        else:
            beyond = last + 1 if after is None else after.checkpoint.number
            first = max(beyond - params.limit, 1)
            has_more = first > 1
        count = max(beyond - first, 0)
        found = self.log.page(first - 1, count) if count else ()
        data = [wire.checkpoint(signed) for signed in reversed(found)]
        return Reply(200, list_reply(PATH, data, has_more=has_more))

    def _find(self, cursor: str) -> SignedCheckpoint | None:
        is_number = cursor.isascii() and cursor.isdecimal() and len(cursor) <= DIGITS_MAX
        if not is_number or int(cursor) == 0:
            return None
        found = self.log.page(int(cursor) - 1, 1)
        return found[0] if found and found[0].checkpoint.number == int(cursor) else None
