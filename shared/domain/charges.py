"""Charges: what a merchant may say about one after it was made."""

from collections.abc import Mapping
from typing import Any

from shared.domain.changes import Draft
from shared.domain.errors import RejectedError
from shared.domain.events import EventType
from shared.domain.payment import Charge, Payment

# What stays as it is once it was said.
_SAID_ONCE = ("customer", "transfer_group")


def check_update(payment: Payment, charge: Charge, details: Mapping[str, Any]) -> None:
    """Refuses to change what others rely on.

    Args: details: what is said anew.
    Raises: RejectedError with the parameter.
    """
    said = payment.charge_details(charge)
    for name in _SAID_ONCE:
        known = said.get(name)
        if known is not None and details.get(name, known) != known:
            raise RejectedError(
                f"You cannot change the `{name}` of charge {charge.id} once it is set.",
                param=name,
            )


def updated_draft(charge: Charge, details: Mapping[str, Any]) -> Draft:
    """Returns the event of what a merchant says anew about a charge."""
    return EventType.CHARGE_UPDATED, {"charge_id": charge.id, "details": details}
