"""Queue consumer: reports payments that look like another one made just before.

A report is one log line with the two payments and nothing of their card; a metric counts the
lines of live payments, and an alarm watches the metric. A report that was claimed and not noted as
made, because the function died in between, is made by the redelivered message.
"""

from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Logger

from shared import bootstrap, bootstrap_events
from shared.domain.duplicates import RecentPayments, suspicions, traces
from shared.domain.ports import PaymentStore
from shared.domain.work import load_payment
from shared.observability import each_message
from shared.observability import logger as shared_logger


def run(
    event: Mapping[str, Any], payments: PaymentStore, recent: RecentPayments, logger: Logger
) -> dict[str, Any]:
    """Compares each payment of a batch; returns the partial batch response."""
    return each_message(
        event,
        lambda message: _compare(message["detail"], payments, recent, logger),
        summary="compare",
        failure="comparison failed",
        log=logger,
    )


def _compare(
    detail: Mapping[str, Any], payments: PaymentStore, recent: RecentPayments, logger: Logger
) -> None:
    payment = load_payment(payments, detail["object"])
    for trace in traces(payment):
        recent.remember(trace)
        for suspicion in suspicions(trace, recent.neighbours(trace)):
            if recent.claim(suspicion, detail["event"]):
                logger.warning(
                    "suspected duplicate",
                    suspected_duplicate=True,
                    account=payment.account,
                    livemode=payment.livemode,
                    payment=suspicion.duplicate.payment_id,
                    original=suspicion.original.payment_id,
                )
                recent.reported(suspicion)


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Handles a batch of the comparison queue."""
    recent = bootstrap_events.recent_payments()
    return run(event, bootstrap.payments(), recent, shared_logger)
