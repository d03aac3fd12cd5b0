"""Saga step: refuses a payment that could not be carried out. Reads and writes nothing."""

from collections.abc import Mapping
from typing import Any

from shared.domain.authorization import check_confirmation
from shared.domain.errors import RejectedError
from shared.domain.payment import Payment
from shared.domain.saga import Outcome
from shared.domain.work import Work, refused
from shared.observability import step


def run(state: Mapping[str, Any]) -> dict[str, Any]:
    """Returns "valid", or "refused" with the error."""
    work = Work.of(state)
    before = work.order["before"]
    try:
        check_confirmation(work, Payment.of(before) if before else None)
    except RejectedError as error:
        return refused(error)
    return {"outcome": Outcome.VALID}


handler = step(run)
