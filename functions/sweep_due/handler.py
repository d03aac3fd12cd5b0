"""Schedule consumer: has somebody look after every payment that is past its date.

The net below everything: whatever died on the way, its first transaction set a date.
"""

from collections.abc import Mapping
from typing import Any

from shared import bootstrap
from shared.domain.ports import Clock, DueIndex, SagaRunner
from shared.domain.resolution import SWEEP_AFTER_MS
from shared.domain.saga import RESOLVE
from shared.domain.work import resolve_input
from shared.observability import logger

# Of one run; Step Functions starts 300 a second, and the next run is a minute away.
PAYMENTS_MAX = 1_000
_MINUTE_MS = 60_000


def run(due: DueIndex, runner: SagaRunner, clock: Clock) -> int:
    """Starts the saga `resolve` for payments that are past their date; returns how many."""
    now_ms = clock.now_ms()
    overdue = due.overdue(now_ms - SWEEP_AFTER_MS, PAYMENTS_MAX)
    for payment_id in overdue:
        # A name that this minute's other runs give it too, and a later minute's do not.
        name = f"{payment_id}-{now_ms // _MINUTE_MS}"
        runner.start(RESOLVE.name, name, resolve_input(payment_id))
    return len(overdue)


def handler(_event: Mapping[str, Any], _context: object) -> dict[str, int]:
    """Handles the schedule."""
    started = run(bootstrap.due_index(), bootstrap.sagas(), bootstrap.clock())
    logger.info("sweep", started=started, has_more=started >= PAYMENTS_MAX)
    return {"started": started}
