"""Schedule consumer: has somebody look after every payment and setup that is past its date.

The net below everything: whatever died on the way, its first transaction set a date.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from shared import bootstrap
from shared.domain.errors import TransientError
from shared.domain.ports import Clock, DueIndex, SagaRunner
from shared.domain.resolution import SWEEP_AFTER_MS
from shared.domain.saga import LOOKUP, RESOLVE
from shared.domain.setups import lookup_input
from shared.domain.work import resolve_input
from shared.observability import logger

# Of one run and saga; Step Functions starts 300 a second, and the next run is a minute away.
STARTED_MAX = 1_000
_MINUTE_MS = 60_000
# By the saga that looks after it: what it is told of what is due.
INPUTS: Mapping[str, Callable[[str], dict[str, Any]]] = {
    RESOLVE.name: resolve_input,
    LOOKUP.name: lookup_input,
}


def run(saga: str, due: DueIndex, runner: SagaRunner, clock: Clock) -> dict[str, int]:
    """Starts a saga for everything in an index that is past its date.

    Returns: how many were started, and how many could not be.
    """
    now_ms = clock.now_ms()
    counts = {"started": 0, "failed": 0}
    for object_id in due.overdue(now_ms - SWEEP_AFTER_MS, STARTED_MAX):
        # A name that this minute's other runs give it too, and a later minute's do not.
        name = f"{object_id}-{now_ms // _MINUTE_MS}"
        try:
            runner.start(saga, name, INPUTS[saga](object_id))
        except TransientError:
            # The next minute tries again; the others do not wait for it.
            counts["failed"] += 1
        else:
            counts["started"] += 1
    has_more = sum(counts.values()) >= STARTED_MAX
    started, failed = counts["started"], counts["failed"]
    logger.info("sweep", saga=saga, started=started, failed=failed, has_more=has_more)
    return counts


def handler(_event: Mapping[str, Any], _context: object) -> dict[str, dict[str, int]]:
    """Handles the schedule.

    Returns: the counts by saga.
    Raises: TransientError when nothing of a saga could be started, which alarms where it lasts.
    """
    indexes = {RESOLVE.name: bootstrap.due_payments(), LOOKUP.name: bootstrap.due_documents()}
    runner, clock = bootstrap.sagas(), bootstrap.clock()
    with ThreadPoolExecutor(len(indexes)) as pool:
        # Side by side: what keeps payments from being looked after keeps no setup, nor the reverse.
        sweeps = {saga: pool.submit(run, saga, due, runner, clock) for saga, due in indexes.items()}
    counts = {saga: sweep.result() for saga, sweep in sweeps.items()}
    if any(swept["failed"] and not swept["started"] for swept in counts.values()):
        raise TransientError("Nobody looks after what is past its date.")
    return counts
