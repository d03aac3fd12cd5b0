"""Lists: cursors and bounds in, Stripe's list object out."""

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from shared.domain.documents import PageQuery
from shared.edge.fields import CreatedRange, ListParams, PageParams
from shared.wire.errors import RequestError, missing_reference

# Lambda answers with at most 6 MB of JSON, in which the body is one escaped string.
ANSWER_BYTES_MAX = 5_500_000

T = TypeVar("T")

# Tells when an object of the request's scope was created, in ms, or None when there is none.
Cursor = Callable[[str], int | None]


def page_query(params: PageParams, cursor: Cursor, *, noun: str) -> PageQuery:
    """Turns list parameters into a query.

    Args: noun: what is listed, as in "No such customer".
    Raises: RequestError when both cursors are given, RejectedError when one names nothing.
    """

    def row(object_id: str) -> tuple[int, str] | None:
        created_ms = cursor(object_id)
        return None if created_ms is None else (created_ms, object_id)

    after, before = cursors(params, row, noun=noun)
    created = params.created if isinstance(params, ListParams) else None
    from_ms, to_ms = created_bounds_ms(created)
    return PageQuery(
        limit=params.limit,
        after=after,
        before=before,
        created_from_ms=from_ms,
        created_to_ms=to_ms,
    )


def cursors(
    params: PageParams, find: Callable[[str], T | None], *, noun: str
) -> tuple[T | None, T | None]:
    """Finds what a list goes on behind, and what it ends before.

    Args: find: what a cursor names, None where there is no such object. noun: what is listed.
    Raises: RequestError when both cursors are given, RejectedError when one names nothing.
    """
    one_cursor(params)

    def found(cursor: str | None, param: str) -> T | None:
        if cursor is None:
            return None
        named = find(cursor)
        if named is None:
            raise missing_reference(noun, cursor, param)
        return named

    after = found(params.starting_after, "starting_after")
    return after, found(params.ending_before, "ending_before")


def cut(
    items: Sequence[T], params: PageParams, id_of: Callable[[T], str], *, noun: str
) -> tuple[list[T], bool]:
    """Cuts a page out of a few objects, in the order they are listed in.

    Returns: the page, and whether there are more in the direction asked for.
    """
    places = {id_of(item): place for place, item in enumerate(items)}
    after, before = cursors(params, places.get, noun=noun)
    if before is not None:
        rest = items[:before]
        return list(rest[-params.limit :]), len(rest) > params.limit
    rest = items if after is None else items[after + 1 :]
    return list(rest[: params.limit]), len(rest) > params.limit


def one_cursor(params: PageParams) -> None:
    """Raises RequestError when both cursors are given."""
    if params.starting_after and params.ending_before:
        raise RequestError(
            "You may only specify one of these parameters: starting_after, ending_before.",
            code="parameters_exclusive",
            param="ending_before",
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


def fitting(
    body: Mapping[str, Any], render: Callable[[Mapping[str, Any]], str], *, backwards: bool
) -> str:
    """Renders a list, with fewer objects where all of them would be more than can be sent.

    Auto-paging clients go on behind the objects that were sent, so they miss none.
    Args: backwards: the page lies before its cursor, so that the objects next to it are the last.
    """
    text = render(body)
    while _is_too_long(text) and len(body["data"]) > 1:
        half = len(body["data"]) // 2
        data = body["data"][-half:] if backwards else body["data"][:half]
        body = {**body, "data": data, "has_more": True}
        if "next_page" in body:
            body["next_page"] = page_token(data[-1]["id"])
        text = render(body)
    return text


def page_token(object_id: str) -> str:
    """Names the page of a search that goes on behind an object."""
    return base64.urlsafe_b64encode(object_id.encode()).decode()


def _is_too_long(text: str) -> bool:
    # Escaping makes six characters of one, or twelve of one beyond the basic plane, at most.
    return 12 * len(text) > ANSWER_BYTES_MAX and len(json.dumps(text)) > ANSWER_BYTES_MAX


def _next(second: int | None) -> int | None:
    return None if second is None else second + 1
