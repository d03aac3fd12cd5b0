"""Searches: a merchant's list, newest first, and of it what matches.

What was created a moment ago is found. A request reads a bounded part of the list; where nothing
of it matches, or less than was asked for, `next_page` goes on behind it.
"""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from shared.domain.documents import LIMIT_DEFAULT, LIMIT_MAX, Page, PageQuery
from shared.domain.errors import RejectedError
from shared.domain.search import QUERY_LENGTH_MAX, Fields, parse_query
from shared.edge.documents import is_id
from shared.edge.fields import Integer, Text
from shared.edge.lists import Cursor, page_token
from shared.edge.params import Params

# Of LIMIT_MAX objects each.
SCANNED_PAGES_MAX = 20

Json = Mapping[str, Any]


class SearchParams(Params):
    """The parameters of every search."""

    query: Annotated[Text, Field(min_length=1, max_length=QUERY_LENGTH_MAX)]
    limit: Annotated[Integer, Field(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT
    page: Annotated[Text, Field(min_length=1, max_length=500)] | None = None


def search_reply(
    url: str,
    params: SearchParams,
    fields: Fields,
    *,
    read: Callable[[PageQuery], Page],
    render: Callable[[Page], Sequence[Json]],
    created_ms: Cursor,
) -> dict[str, Any]:
    """Searches, and builds Stripe's search result.

    Args: read: reads a page of the list. render: renders its objects. created_ms: of the one that a
    page token names.
    Raises: RejectedError when the query or the page is none.
    """
    query = parse_query(params.query, fields)
    from_ms, to_ms = query.created_ms()
    after = None if params.page is None else _position(params.page, created_ms)
    found: list[Json] = []
    for _ in range(SCANNED_PAGES_MAX):
        page = read(PageQuery(LIMIT_MAX, after, None, from_ms, to_ms))
        found += [item for item in render(page) if query.matches(item)]
        after = page.end if page.has_more else None
        if len(found) > params.limit or after is None:
            break
    last = None if after is None else after[1]
    if len(found) > params.limit:
        last = found[params.limit - 1]["id"]
    return {
        "object": "search_result",
        "url": url,
        "data": found[: params.limit],
        "has_more": last is not None,
        "next_page": None if last is None else page_token(last),
    }


def _position(token: str, created_ms: Cursor) -> tuple[int, str]:
    try:
        name = base64.urlsafe_b64decode(token.encode()).decode("ascii")
    except (binascii.Error, ValueError):
        name = ""
    at_ms = created_ms(name) if is_id(name) and page_token(name) == token else None
    if at_ms is None:
        raise RejectedError(
            "This is no page of a search: send `next_page` as it was.", param="page"
        )
    return at_ms, name
