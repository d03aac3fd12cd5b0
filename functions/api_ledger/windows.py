"""List parameters as windows of a book, or of the few objects of one payment."""

from collections.abc import Callable

from functions.api_ledger.models import SECOND_MAX
from shared.domain.reading import Position, Window
from shared.edge.fields import ListParams
from shared.edge.lists import created_bounds_ms, cursors

_MS_MAX = SECOND_MAX * 1000 + 999
# Behind every line there is: what is not sealed yet is newer than all of them.
NEWEST: Position = (_MS_MAX, 0, 0, 0)


def window(params: ListParams, find: Callable[[str], Position | None], *, noun: str) -> Window:
    """Turns list parameters into a window.

    Args: find: the place of the object that a cursor names, None where there is no such object.
    noun: what is listed, as in "No such journal".
    Raises: RequestError when both cursors are given; RejectedError when one names nothing.
    """
    after, before = cursors(params, find, noun=noun)
    from_ms, to_ms = _bounds_ms(params)
    return Window(
        limit=params.limit,
        after=after,
        before=before,
        from_ms=from_ms,
        to_ms=to_ms,
    )


def is_within(at_ms: int, window: Window) -> bool:
    """Tells whether a time is in a window's bounds."""
    is_new = window.from_ms is None or at_ms >= window.from_ms
    return is_new and (window.to_ms is None or at_ms <= window.to_ms)


def _bounds_ms(params: ListParams) -> tuple[int | None, int | None]:
    """Returns the bounds of a creation time that keys can hold, inclusive."""
    first, last = created_bounds_ms(params.created)
    return (
        None if first is None else min(max(first, 0), _MS_MAX),
        None if last is None else min(max(last, 0), _MS_MAX),
    )
