"""On a schedule: judges payments by the invariants, some at each run, all of them in turn.

It reports one line per violation; a metric counts them, and an alarm fires on the first. It writes
nothing but the place where the next run goes on.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from aws_lambda_powertools import Logger

from functions.audit_invariants.observer import Observer
from shared import bootstrap, bootstrap_audit
from shared.domain.errors import InvariantError
from shared.domain.invariants import Rule, Violation, skipped, violations
from shared.domain.ports import PaymentWalk
from shared.observability import logger as shared_logger

PAGES_MAX = 5
# What a record that is not what it should be leads to, wherever it is read.
_UNREADABLE = (InvariantError, LookupError, TypeError, ValueError)


class Audit:
    """Judges a part of all payments."""

    def __init__(self, walk: PaymentWalk, observer: Observer, logger: Logger) -> None:
        self._walk = walk
        self._observer = observer
        self._logger = logger

    def run(self) -> dict[str, Any]:
        """Goes on where the run before ended; returns what it counted."""
        counts: Counter[str] = Counter(payments=0, judged=0, violations=0)
        skips: Counter[Rule] = Counter()
        place = self._walk.place()
        for _ in range(PAGES_MAX):
            payments, place = self._walk.page(place)
            for payment_id in payments:
                counts.update(self._judge(payment_id, skips))
            self._walk.keep(place)
            if place is None:
                break
        summary: dict[str, Any] = {
            **counts,
            "walked": place is None,
            "skipped": {str(rule): count for rule, count in skips.items()},
        }
        self._logger.info("audit", **summary)
        return summary

    def _judge(self, payment_id: str, skips: Counter[Rule]) -> dict[str, int]:
        found: Iterable[Violation]
        try:
            seen = self._observer.observe(payment_id)
            found = () if seen is None else violations(seen)
        except _UNREADABLE as error:
            # Of the others' texts nobody knows whether they may be told.
            said = f": {error}" if isinstance(error, InvariantError) else ""
            message = f"{type(error).__name__}{said}"
            found = [Violation(Rule.RECORD_IS_READABLE, payment_id, message)]
        else:
            if seen is None:
                return {"payments": 1}
            skips.update(skipped(seen))
        reported = [self._report(violation) for violation in found]
        return {"payments": 1, "judged": 1, "violations": len(reported)}

    def _report(self, violation: Violation) -> Violation:
        self._logger.error(
            "invariant violated",
            violated=True,
            rule=str(violation.rule),
            payment=violation.payment,
            detail=violation.message,
        )
        return violation


def handler(_event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Handles a run of the schedule."""
    observer = Observer(
        bootstrap.payments(),
        bootstrap.ledger(),
        bootstrap.documents(),
        bootstrap_audit.network_record(),
        bootstrap.clock(),
    )
    return Audit(bootstrap_audit.walk(), observer, shared_logger).run()
