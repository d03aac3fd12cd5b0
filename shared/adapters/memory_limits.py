"""Buckets in memory: the twin of the shared ones, for tests and simulations."""

from shared.domain.limits import drained_until


class MemoryBucketStore:
    """Implements BucketStore."""

    def __init__(self) -> None:
        self.drained: dict[str, int] = {}
        self.calls = 0

    def take(self, name: str, cost_ms: int, *, full_ms: int, ceiling_ms: int) -> int:
        """Takes from a bucket and returns until when it is drained."""
        self.calls += 1
        held = self.drained.get(name)
        self.drained[name] = drained_until(held, cost_ms, full_ms=full_ms, ceiling_ms=ceiling_ms)
        return self.drained[name]
