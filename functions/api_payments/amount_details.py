"""What the amount of a payment is made of: as it is sent, stored and listed."""

from collections.abc import Mapping
from typing import Any

from functions.api_payments.models import AmountDetails
from shared.domain.amount_details import mismatch, said_twice
from shared.domain.errors import RejectedError
from shared.domain.payment import Payment
from shared.edge.api import Reply, Request
from shared.edge.fields import PageParams
from shared.edge.lists import cut, list_reply
from shared.edge.payments import line_items_url
from shared.wire import payments as wire
from shared.wire.errors import RequestError

NAME = "amount_details"


def amount_details(
    request: Request[Any], sent: AmountDetails | None, stored: Mapping[str, Any], amount_minor: int
) -> dict[str, Any] | None:
    """Returns the parts of an amount as they are stored from now on; None for none.

    Args: sent: None unsets all of them. stored: those that there are. amount_minor: that they are
    to add up to.
    Raises: RejectedError when they do not, unless the request says that it does not matter;
    RequestError when something is said twice.
    """
    if sent is None:
        return None
    changes = sent.model_dump(exclude_unset=True, exclude={"enforce_arithmetic_validation"})
    if "line_items" in changes:
        # One name for all of them keeps them small; each is named by its place.
        changes["line_items_id"] = request.new_id("uli") if changes["line_items"] else None
    parts = {name: value for name, value in {**stored, **changes}.items() if value is not None}
    twice = said_twice(parts)
    if twice is not None:
        raise RequestError(
            f"You may only specify one of these parameters: {NAME}[{twice}], "
            f"{NAME}[line_items][#][{twice}].",
            code="parameters_exclusive",
            param=f"{NAME}[{twice}]",
        )
    if sent.enforce_arithmetic_validation:
        require_sum(parts, amount_minor)
    return parts


def require_sum(parts: Mapping[str, Any], amount_minor: int) -> None:
    """Refuses parts that do not add up to their amount.

    Raises: RejectedError.
    """
    error = mismatch(parts, amount_minor)
    if error is not None:
        raise RejectedError(error["message"], code=error["code"], param=NAME)


def line_items(request: Request[PageParams], payment: Payment) -> Reply:
    """Lists the line items of a payment, in the order in which they were sent."""
    items = wire.line_items(payment)
    page, has_more = cut(items, request.params, lambda item: item["id"], noun="line item")
    return Reply(200, list_reply(line_items_url(payment), page, has_more=has_more))
