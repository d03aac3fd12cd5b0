"""Event objects against the history that they tell: each change exactly once.

The events of one transaction are announced together, and no event says which others were written
with it. Events with different requests or times are of different transactions; among those with
the same, every division is tried, and the event objects must be exactly what one of them leads to.
A division is fixed by the versions in the ids of its event objects, so that an object that is lost,
or one too many, leaves none.
"""

from collections.abc import Mapping, Sequence

from shared.domain.announcements import announce_payment
from shared.domain.errors import InvariantError
from shared.domain.events import Event
from shared.domain.ids import event_id
from shared.domain.payment import Payment, apply

_ORDINALS = range(10)


class History:
    """A payment's states after each of its events.

    Raises: InvariantError when there is no event, or they do not follow one another.
    """

    def __init__(self, events: Sequence[Event]) -> None:
        if not events:
            raise InvariantError("a payment has at least one event")
        self._events = events
        self._states: list[Payment | None] = [None]
        for event in events:
            self._states.append(apply(self._states[-1], event))

    def event_ids(self) -> tuple[str, ...]:
        """Returns the ids of all event objects that there may be, and of one more per version.

        An observer that looks for these finds every object that is there, and one too many.
        """
        return tuple(
            event_id(self._events[0].payment_id, end, ordinal)
            for end in range(1, len(self._states))
            for ordinal in _ORDINALS[: self._most(end) + 1]
        )

    def untold(self, types: Mapping[str, str], kept_from_ms: int) -> str | None:
        """Says what of the history its event objects do not tell, or tell too often.

        Args: types: of the event objects that there are, by id. kept_from_ms: event objects of
        earlier changes may have expired.
        Returns: None when they are what they should be.
        """
        told = [self._of_version(types, end) for end in range(len(self._states))]
        explained = {0}
        for end in range(1, len(self._states)):
            is_kept = self._events[end - 1].occurred_at_ms >= kept_from_ms
            for start in self._starts(end):
                lost = self._announced(start, end).items() - told[end].items()
                spare = told[end].items() - self._announced(start, end).items()
                between = any(told[version] for version in range(start + 1, end))
                if start in explained and not (spare or between or (lost and is_kept)):
                    explained.add(end)
        strays = set(types) - {name for found in told for name in found}
        if strays:
            return f"event objects of no change: {sorted(strays)}"
        return None if len(told) - 1 in explained else self._difference(told, max(explained))

    def _difference(self, told: Sequence[Mapping[str, str]], version: int) -> str:
        found = [name for types in told[version + 1 :] for name in sorted(types.items())]
        last = next(end for end in range(version + 1, len(told)) if self._is_last_of_its_time(end))
        expected = sorted(self._announced(version, last).items())
        return (
            f"after version {version} there are the event objects {found}, "
            f"and versions {version + 1} to {last} lead to {expected}"
        )

    def _of_version(self, types: Mapping[str, str], version: int) -> dict[str, str]:
        ids = [event_id(self._events[0].payment_id, version, ordinal) for ordinal in _ORDINALS]
        return {name: types[name] for name in ids if name in types}

    def _starts(self, end: int) -> range:
        """Returns the versions that a transaction that ended with this one may have begun at."""
        start = end - 1
        while start > 0 and not self._is_last_of_its_time(start):
            start -= 1
        return range(start, end)

    def _is_last_of_its_time(self, version: int) -> bool:
        if version == len(self._events):
            return True
        one, other = self._events[version - 1], self._events[version]
        return (one.request, one.occurred_at_ms) != (other.request, other.occurred_at_ms)

    def _announced(self, start: int, end: int) -> dict[str, str]:
        after = self._states[end]
        if after is None:
            return {}
        return {item.id: item.type for item in announce_payment(self._states[start], after)}

    def _most(self, end: int) -> int:
        return max(len(self._announced(start, end)) for start in self._starts(end))
