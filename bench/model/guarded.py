"""Refunds that condition on one AVAILABLE item of their account, beside the sealing path's updates.

The refund's transaction holds the item; the sealer's plain update of it is refused meanwhile, but
holds nothing itself. Whoever conflicts decides again at once, as shared.domain.work does.
"""

import heapq
import math
import random
from dataclasses import dataclass

from bench.model.shapes import DECISIONS_MAX
from bench.model.traffic import REREAD_S, SEED, SIGMA, TRANSACTION_S

# Blocks that touch an account, once each: what a sealer adds to the item.
UPDATES_PER_S = 1.0


@dataclass(slots=True)
class Debits:
    """What became of the refunds of one account.

    Args: refused: refunds that lost every try. refused_updates: of the sealer, each time it tried.
    """

    offered: int = 0
    attempts: int = 0
    conflicts: int = 0
    refused: int = 0
    updates: int = 0
    refused_updates: int = 0


def simulate_debits(rate: float, seconds: float, seed: int = SEED) -> Debits:
    """Runs refunds of one account that arrive by chance."""
    rng = random.Random(seed)  # noqa: S311 - repeats
    mu = math.log(TRANSACTION_S) - SIGMA * SIGMA / 2
    found, held_until = Debits(), 0.0
    queue = [(at, 0) for at in _arrivals(rng, rate, seconds)]
    queue += [(at, -1) for at in _arrivals(rng, UPDATES_PER_S, seconds)]
    found.offered = sum(tries == 0 for _, tries in queue)
    heapq.heapify(queue)
    while queue:
        now, tries = heapq.heappop(queue)
        is_held = held_until > now
        if tries < 0:
            found.updates += 1
            found.refused_updates += is_held
            continue
        found.attempts += 1
        if not is_held:
            held_until = now + rng.lognormvariate(mu, SIGMA)
            continue
        found.conflicts += 1
        if tries + 1 < DECISIONS_MAX:
            pause = rng.lognormvariate(mu, SIGMA) / 2 + REREAD_S
            heapq.heappush(queue, (now + pause, tries + 1))
        else:
            found.refused += 1
    return found


def _arrivals(rng: random.Random, rate: float, seconds: float) -> list[float]:
    times, now = [], rng.expovariate(rate)
    while now < seconds:
        times.append(now)
        now += rng.expovariate(rate)
    return times
