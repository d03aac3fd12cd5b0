"""In-memory twin of the recent payments."""

from shared.domain.duplicates import WINDOW_MS, Neighbours, Suspicion, Trace


class MemoryRecentPayments:
    """Implements RecentPayments."""

    def __init__(self) -> None:
        self._traces: set[Trace] = set()
        self._events: dict[str, str] = {}
        self._reported: set[str] = set()

    def remember(self, trace: Trace) -> None:
        """Keeps a trace."""
        self._traces.add(trace)

    def neighbours(self, trace: Trace) -> Neighbours:
        """Reads what is next to a trace."""
        place = _place(trace)
        near = [
            other
            for other in sorted(self._traces, key=_place)
            if other.group == trace.group and abs(other.at_ms - trace.at_ms) <= WINDOW_MS
        ]
        earlier = [other for other in near if _place(other) < place]
        later = [other for other in near if _place(other) > place]
        return Neighbours(earlier[-1] if earlier else None, later[0] if later else None)

    def claim(self, suspicion: Suspicion, event_id: str) -> bool:
        """Tells whether a suspicion is to be reported now."""
        duplicate = suspicion.duplicate.payment_id
        owner = self._events.setdefault(duplicate, event_id)
        return owner == event_id and duplicate not in self._reported

    def reported(self, suspicion: Suspicion) -> None:
        """Notes that a duplicate was reported."""
        self._reported.add(suspicion.duplicate.payment_id)


def _place(trace: Trace) -> tuple[int, str]:
    return trace.at_ms, trace.payment_id
