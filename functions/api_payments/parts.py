"""Charges and refunds as what they are: parts of a payment."""

from collections.abc import Callable

from shared.domain.documents import Page, PageQuery, Scope
from shared.domain.payment import Charge, Payment, Refund
from shared.domain.ports import PaymentStore
from shared.edge.api import Reply, Request
from shared.edge.fields import NoParams
from shared.edge.payments import Pick, find_owner, source
from shared.wire.errors import no_such


def retrieve(payments: PaymentStore, request: Request[NoParams], noun: str, pick: Pick) -> Reply:
    """Answers with the part that the path names.

    Raises: NotFoundError.
    """
    object_id = request.path["id"]
    found = source(payments, pick)([object_id], request.scope)
    if object_id not in found:
        raise no_such(noun, object_id)
    return Reply(200, found[object_id])


def created_ms(
    payments: PaymentStore,
    object_id: str,
    find: Callable[[Payment, str], Charge | Refund | None],
    scope: Scope,
) -> int | None:
    """Tells when a part was made, or None when the scope has none of this id."""
    payment = find_owner(payments, object_id, scope)
    found = find(payment, object_id) if payment else None
    return found.created_ms if found else None


def page_of(rows: list[tuple[int, str]], query: PageQuery) -> Page:
    """Cuts a page out of the few rows of one payment."""
    first = query.created_from_ms or 0
    rows = sorted(
        row
        for row in rows
        if row[0] >= first
        and (query.created_to_ms is None or row[0] <= query.created_to_ms)
        and (query.after is None or row < query.after)
        and (query.before is None or row > query.before)
    )
    kept = rows[: query.limit] if query.before is not None else rows[-query.limit :]
    ids = tuple(object_id for _, object_id in reversed(kept))
    return Page(ids, len(rows) > len(kept))
