"""The sealing path: consumers of streams that append to 64 chains by compare-and-swap.

Each consumer takes what its stream shard has gathered, and appends a block to each chain that the
batch has records of, one after the other. An append reads the chain's tail and puts the next block;
who was overtaken in between reads again. Beside it: records that are gathered by chain first, so
that each chain has one consumer.
"""

import heapq
import math
import random
from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from bench.model.traffic import DEPTH_UNITS, PARTITION_UNITS, SEED, SIGMA, zipf
from shared.domain.canonical import canonical
from shared.domain.evidence import SHARDS, Leaf, RecordKind, shard_of

APPEND_S = 0.010
# Lambda asks a stream shard four times a second when no window is set.
POLL_S = 0.25
LEAVES_MAX = 250
HEADER_BYTES = 2_000
LEAF = Leaf(
    RecordKind.JOURNAL,
    "pi_0000000000000000000000aB/capture/ch_0000000000000000000000aB01",
    "0" * 64,
    1_790_000_000_000,
    "acct_1Demo00000000/live",
)
LEAF_BYTES = len(canonical(LEAF.to_dict()))
MERCHANTS = 10_000
# A chain that is out of units is tried again after as long.
THROTTLE_PAUSE_S = 0.05


@dataclass(frozen=True, slots=True)
class Sealing:
    """What the sealing path is given.

    Args: streams: consumers and records/s of each stream. window_s, batch_max: of a batch.
    stripes: how many chains a merchant's records are spread over. routed: whether the records of
    a chain come to one consumer, whatever stream they are of.
    """

    rate: float
    streams: Sequence[tuple[int, float]]
    window_s: float
    batch_max: int
    stripes: int = 1
    routed: bool = False

    @property
    def consumers(self) -> int:
        """Of all streams."""
        return SHARDS if self.routed else sum(count for count, _ in self.streams)

    @property
    def records(self) -> float:
        """Records/s of all streams."""
        return sum(rate for _, rate in self.streams)

    @property
    def seconds(self) -> float:
        """Long enough for some batches of each consumer."""
        return max(6.0, 3 * self.window_s)


@dataclass(slots=True)
class Sealed:
    """What was sealed after a third of the time, when the consumers are under way.

    Args: lag_max_s: from a record to the end of its batch. kept_up_percent: records sealed, of
    those that came in the same time.
    """

    seconds: float
    blocks: int = 0
    leaves: int = 0
    attempts: int = 0
    conflicts: int = 0
    throttles: int = 0
    lag_max_s: float = 0.0
    kept_up_percent: float = 0.0


@dataclass(slots=True)
class _Consumer:
    """One stream shard's consumer: what it holds, and until when records are taken."""

    rate: float
    chain: int | None = None
    taken_until: float = 0.0
    oldest: float = 0.0
    started: float = 0.0
    read_at: float = 0.0
    left: list[tuple[int, int]] | None = None


def simulate_sealing(sealing: Sealing, seed: int = SEED) -> Sealed:
    """Runs the consumers for some batches each."""
    return _Run(sealing, random.Random(seed)).run()  # noqa: S311 - repeats


class _Run:
    """One simulation."""

    def __init__(self, sealing: Sealing, rng: random.Random) -> None:
        self._sealing = sealing
        self._rng = rng
        self._mu = math.log(APPEND_S) - SIGMA * SIGMA / 2
        self._weights = _chain_weights(sealing.stripes)
        self._cumulated = list(accumulate(self._weights))
        self._appended_at = [-1.0] * SHARDS
        self._tokens = [DEPTH_UNITS] * SHARDS
        self._filled_at = [0.0] * SHARDS
        self._warm = sealing.seconds / 3
        self._sealed = Sealed(sealing.seconds - self._warm)
        self._queue: list[tuple[float, int, _Consumer]] = []

    def run(self) -> Sealed:
        """Handles one event after the other until the time is over."""
        for number, consumer in enumerate(self._start()):
            heapq.heappush(self._queue, (consumer.started, number, consumer))
        while self._queue[0][0] < self._sealing.seconds:
            now, number, consumer = heapq.heappop(self._queue)
            later = self._put(now, consumer) if consumer.left else self._take(now, consumer)
            heapq.heappush(self._queue, (later, number, consumer))
        arrived = self._sealing.records * self._sealed.seconds
        self._sealed.kept_up_percent = min(100.0, 100 * self._sealed.leaves / arrived)
        return self._sealed

    def _start(self) -> list[_Consumer]:
        rates: list[tuple[float, int | None]]
        if self._sealing.routed:
            part = self._sealing.records / self._cumulated[-1]
            rates = [(weight * part, chain) for chain, weight in enumerate(self._weights)]
        else:
            rates = [
                (rate / count, None) for count, rate in self._sealing.streams for _ in range(count)
            ]
        pause = max(self._sealing.window_s, POLL_S)
        return [_Consumer(*one, started=self._rng.random() * pause) for one in rates]

    def _take(self, now: float, consumer: _Consumer) -> float:
        """Takes a batch where there is one; returns when the consumer goes on."""
        batch_max, pause = self._sealing.batch_max, max(self._sealing.window_s, POLL_S)
        waiting = int((now - consumer.taken_until) * consumer.rate)
        if waiting == 0:
            return now + pause
        batch = min(waiting, batch_max)
        consumer.started, consumer.oldest = now, consumer.taken_until
        consumer.taken_until += batch / consumer.rate
        consumer.left = [
            (chain, min(LEAVES_MAX, count - start))
            for chain, count in self._chains(batch, consumer.chain).items()
            for start in range(0, count, LEAVES_MAX)
        ]
        self._rng.shuffle(consumer.left)
        consumer.read_at = now
        return now + self._latency()

    def _chains(self, batch: int, only: int | None) -> Counter[int]:
        if only is not None:
            return Counter({only: batch})
        total = self._cumulated[-1]
        return Counter(bisect(self._cumulated, self._rng.random() * total) for _ in range(batch))

    def _put(self, now: float, consumer: _Consumer) -> float:
        """Puts the next block of a chain where nobody else has; returns when to go on."""
        blocks = consumer.left or []
        chain, leaves = blocks[-1]
        counted = now >= self._warm
        self._sealed.attempts += counted
        if self._appended_at[chain] > consumer.read_at:
            self._sealed.conflicts += counted
            consumer.read_at = now
            return now + self._latency()
        if not self._has_units(now, chain, leaves):
            self._sealed.throttles += counted
            consumer.read_at = now + THROTTLE_PAUSE_S
            return consumer.read_at + self._latency()
        self._appended_at[chain] = now
        self._sealed.blocks += counted
        self._sealed.leaves += leaves * counted
        blocks.pop()
        if blocks:
            consumer.read_at = now
            return now + self._latency()
        self._sealed.lag_max_s = max(self._sealed.lag_max_s, now - consumer.oldest)
        return self._next_batch(now, consumer)

    def _next_batch(self, now: float, consumer: _Consumer) -> float:
        full_at = consumer.taken_until + self._sealing.batch_max / consumer.rate
        window_over = consumer.started + max(self._sealing.window_s, POLL_S)
        return max(now, min(full_at, window_over))

    def _has_units(self, now: float, chain: int, leaves: int) -> bool:
        units = math.ceil((HEADER_BYTES + leaves * LEAF_BYTES) / 1024)
        level = self._tokens[chain] + (now - self._filled_at[chain]) * PARTITION_UNITS
        level = min(level, DEPTH_UNITS)
        enough = level >= units
        self._tokens[chain] = level - units if enough else level
        self._filled_at[chain] = now
        return enough

    def _latency(self) -> float:
        return self._rng.lognormvariate(self._mu, SIGMA)


def _chain_weights(stripes: int) -> list[float]:
    weights: defaultdict[int, float] = defaultdict(float)
    for number, share in enumerate(zipf(MERCHANTS)):
        for stripe in range(stripes):
            weights[shard_of(f"acct_{number}/live", f"pi_{stripe}", stripes)] += share / stripes
    return [weights[chain] for chain in range(SHARDS)]
