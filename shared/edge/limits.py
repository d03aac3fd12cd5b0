"""Rate limits at the edge: each environment counts, and tells the shared buckets now and then.

Most requests ask nobody. What an environment let through and has not told of yet is at most a
chunk per bucket; it is told of with the request that completes the chunk. Whoever hears then that
a bucket is overdrawn refuses until it is not. See docs/adr/0010-rate-limits.md.
"""

from dataclasses import dataclass

from shared.domain.errors import TransientError
from shared.domain.limits import Asked, Bucket, Limits, Reason, buckets
from shared.domain.ports import BucketStore, Clock
from shared.observability import logger

# Of one environment: accounts, their operations, and payments that are changed again and again.
BUCKETS_MAX = 5_000
# A store that failed is left alone for as long, so that not every chunk waits for it.
STORE_REST_MS = 10_000


@dataclass(slots=True)
class _Counted:
    """What an environment knows of a bucket.

    Args: untold: requests that the shared bucket has not been told of. since_ms: the first one's
    time. refused_until_ms: when the shared bucket is no longer overdrawn.
    """

    untold: int = 0
    since_ms: int = 0
    refused_until_ms: int = 0


class RateLimiter:
    """Counts the requests of one environment, of which there may be thousands."""

    def __init__(self, store: BucketStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._counted: dict[str, _Counted] = {}
        self._store_rests_until_ms = 0

    def admit(self, asked: Asked, limits: Limits) -> Reason | None:
        """Counts a request, or returns why it is refused; a refused one is not counted."""
        now_ms, wanted = self._clock.now_ms(), buckets(asked, limits)
        for bucket in wanted:
            if now_ms < self._of(bucket).refused_until_ms:
                return bucket.reason
        for bucket in wanted:
            self._count(bucket, now_ms)
        return None

    def _of(self, bucket: Bucket) -> _Counted:
        counted = self._counted.pop(bucket.name, None) or _Counted()
        while len(self._counted) >= BUCKETS_MAX:
            del self._counted[next(iter(self._counted))]
        # The last one of the dictionary is the one used last.
        self._counted[bucket.name] = counted
        return counted

    def _count(self, bucket: Bucket, now_ms: int) -> None:
        counted = self._of(bucket)
        if counted.untold and now_ms - counted.since_ms > bucket.memory_ms:
            counted.untold = 0
        if not counted.untold:
            counted.since_ms = now_ms
        counted.untold += 1
        if counted.untold >= bucket.chunk:
            self._tell(bucket, counted, now_ms)

    def _tell(self, bucket: Bucket, counted: _Counted, now_ms: int) -> None:
        told, counted.untold = counted.untold, 0
        if now_ms < self._store_rests_until_ms:
            return
        try:
            drained_ms = self._store.take(
                bucket.name,
                bucket.cost_ms(told),
                full_ms=now_ms - bucket.refill_ms,
                ceiling_ms=now_ms + bucket.debt_max_ms,
            )
        except TransientError as error:
            # Requests are served without limits rather than not at all; an alarm counts the lines.
            self._store_rests_until_ms = now_ms + STORE_REST_MS
            logger.warning("limits not enforced", limiter_failed=True, error=str(error))
            return
        if drained_ms > now_ms:
            counted.refused_until_ms = min(drained_ms, now_ms + bucket.debt_max_ms)


class Unlimited:
    """Admits everything: for what is built without a shared store, such as simulations."""

    def admit(self, asked: Asked, limits: Limits) -> Reason | None:
        """Returns None."""
        return None
