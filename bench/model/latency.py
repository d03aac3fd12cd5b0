"""How long AWS calls take, as a model: what each takes for half and for 99 in 100 of them.

Each part of a request is drawn from a lognormal distribution, independently of the others, and the
parts are added up; of calls that are made at the same time, the slowest counts. Real tails go
together to some degree, so that the model is a little kind to the 99th percentile of many calls.

Sources: API Gateway: AWS Compute Blog, "Announcing HTTP APIs" (under 10 ms for 99 in 100).
PutItem, and a transaction of five items: Alex DeBrie's measurements from Lambda. The others are
assumptions: a GetItem takes what AWS calls single-digit milliseconds, a query or a batch half as
much again, an invocation of an environment that runs already 6 ms, in one of 100 cases 20, and the
function itself 3 ms, in one of 100 cases 10: `python -m bench edge` measures less than one on a
whole CPU, of which a function has a part.
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SAMPLES = 20_000
SEED = 1
# Of the standard normal distribution.
_Z99 = 2.326


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a request, by two of its percentiles."""

    p50_ms: float
    p99_ms: float

    def drawn(self, source: random.Random) -> float:
        """Draws how long it took."""
        sigma = math.log(self.p99_ms / self.p50_ms) / _Z99
        return source.lognormvariate(math.log(self.p50_ms), sigma)


API_GATEWAY, INVOCATION, COMPUTING = Part(4, 10), Part(6, 20), Part(3, 10)
CALLS: Mapping[str, Part] = {
    "GetItem": Part(3, 10),
    "BatchGetItem": Part(4.5, 15),
    "Query": Part(4.5, 15),
    "PutItem": Part(7.6, 16),
    "UpdateItem": Part(7.6, 16),
    "TransactWriteItems": Part(25, 92.5),
}


def percentiles(calls: Sequence[Sequence[str]]) -> tuple[float, float]:
    """Returns the 50th and 99th percentile of a request, in milliseconds.

    Args: calls: its AWS calls, each by name with those that are made at the same time.
    Raises: KeyError for a call that the model has no numbers for.
    """
    parts = [[API_GATEWAY], [INVOCATION], [COMPUTING]]
    parts += [[CALLS[name] for name in together] for together in calls]
    source = random.Random(SEED)  # noqa: S311 a simulation, the same each time
    drawn = sorted(
        sum(max(part.drawn(source) for part in together) for together in parts)
        for _ in range(SAMPLES)
    )
    return drawn[SAMPLES // 2], drawn[SAMPLES * 99 // 100]
