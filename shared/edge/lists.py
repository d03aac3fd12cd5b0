"""Lists: cursors and bounds in, Stripe's list object out."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from shared.domain.documents import PageQuery
from shared.edge.fields import CreatedRange, ListParams, PageParams
from shared.wire.errors import RequestError, missing_reference

# Tells when an object of the request's scope was created, in ms, or None when there is none.
Cursor = Callable[[str], int | None]


def page_query(params: PageParams, cursor: Cursor, *, noun: str) -> PageQuery:
    """Turns list parameters into a query.

    Args: noun: what is listed, as in "No such customer".
    Raises: RequestError when both cursors are given, RejectedError when one names nothing.
    """
    if params.starting_after and params.ending_before:
        raise RequestError(
            "You may only specify one of these parameters: starting_after, ending_before.",
            code="parameters_exclusive",
            param="ending_before",
        )
    created = params.created if isinstance(params, ListParams) else None
    from_ms, to_ms = created_bounds_ms(created)
    return PageQuery(
        limit=params.limit,
        after=_position(params.starting_after, cursor, noun, "starting_after"),
        before=_position(params.ending_before, cursor, noun, "ending_before"),
        created_from_ms=from_ms,
        created_to_ms=to_ms,
    )


def created_bounds_ms(created: CreatedRange | None) -> tuple[int | None, int | None]:
    """Returns the first and the last millisecond of a range of seconds, both inclusive."""
    if created is None:
        return None, None
    first = [value for value in (created.gte, _next(created.gt)) if value is not None]
    beyond = [value for value in (_next(created.lte), created.lt) if value is not None]
    from_ms = max(first) * 1000 if first else None
    to_ms = min(beyond) * 1000 - 1 if beyond else None
    return from_ms, to_ms


def list_reply(url: str, data: Iterable[Mapping[str, Any]], *, has_more: bool) -> dict[str, Any]:
    """Builds Stripe's list object."""
    return {"object": "list", "data": list(data), "has_more": has_more, "url": url}


def _next(second: int | None) -> int | None:
    return None if second is None else second + 1


def _position(
    object_id: str | None, cursor: Cursor, noun: str, param: str
) -> tuple[int, str] | None:
    if object_id is None:
        return None
    created_ms = cursor(object_id)
    if created_ms is None:
        raise missing_reference(noun, object_id, param)
    return created_ms, object_id
