"""Schedule consumer: has somebody look after every payment that is past its date.

The net below everything: whatever died on the way, its first transaction set a date.
"""

from collections.abc import Mapping
from typing import Any

from shared import bootstrap
from shared.domain.errors import TransientError
from shared.domain.ports import Clock, DueIndex, SagaRunner
from shared.domain.resolution import SWEEP_AFTER_MS
from shared.domain.saga import RESOLVE
from shared.domain.work import resolve_input
from shared.observability import logger

# Of one run; Step Functions starts 300 a second, and the next run is a minute away.
PAYMENTS_MAX = 1_000
_MINUTE_MS = 60_000


def run(due: DueIndex, runner: SagaRunner, clock: Clock) -> dict[str, int]:
    """Starts the saga `resolve` for payments that are past their date.

    Returns: how many were started, and how many could not be.
    """
    now_ms = clock.now_ms()
    counts = {"started": 0, "failed": 0}
    for payment_id in due.overdue(now_ms - SWEEP_AFTER_MS, PAYMENTS_MAX):
        # A name that this minute's other runs give it too, and a later minute's do not.
        name = f"{payment_id}-{now_ms // _MINUTE_MS}"
        try:
            runner.start(RESOLVE.name, name, resolve_input(payment_id))
        except TransientError:
            # The next minute tries again; the others do not wait for it.
            counts["failed"] += 1
        else:
            counts["started"] += 1
    return counts


def handler(_event: Mapping[str, Any], _context: object) -> dict[str, int]:
    """Handles the schedule.

    Raises: TransientError when nothing could be started, which alarms where it lasts.
    """
    counts = run(bootstrap.due_index(), bootstrap.sagas(), bootstrap.clock())
    started, failed = counts["started"], counts["failed"]
    has_more = started + failed >= PAYMENTS_MAX
    logger.info("sweep", started=started, failed=failed, has_more=has_more)
    if failed and not started:
        raise TransientError("Nobody looks after the payments that are past their date.")
    return counts
