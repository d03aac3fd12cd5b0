"""How much an account may ask of the platform, and the buckets that it is counted in.

A bucket is kept as the one moment at which everything taken from it has flowed in again, "drained
until" (the generic cell rate algorithm): while that moment is past, requests are within the rate.
Source: docs/adr/0010-rate-limits.md; Stripe's documentation, "Rate limits".
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, Self

from shared.domain.documents import Scope

HOUR_MS = 3_600_000
# A refusal lasts no longer than this, however much too much was asked for; of a slow bucket, no
# longer than it takes for what ten environments let through at once to flow in again.
DEBT_MAX_MS = 10_000
_DEBT_MAX_CHUNKS = 10
_SECOND_MS = 1_000
# An environment asks the shared bucket once per so many requests: a twentieth of a second's worth.
_CHUNKS_PER_SECOND = 20
_CHUNK_MIN, _CHUNK_MAX = 5, 50
# Requests that were counted and not told of are forgotten after it.
_MEMORY_MIN_MS = 60_000
_PREFIX = "LIMIT#"


class Reason(StrEnum):
    """Why a request is refused, as the header Stripe-Rate-Limited-Reason says it."""

    GLOBAL_RATE = "global-rate"
    ENDPOINT_RATE = "endpoint-rate"
    RESOURCE = "resource-specific"
    ENDPOINT_CONCURRENCY = "endpoint-concurrency"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one account may ask for in one mode.

    Args: endpoint_per_s: of each operation. search_per_s: of each search, which counts as an
    operation too. payment_updates_per_h: of each PaymentIntent.
    """

    requests_per_s: int
    endpoint_per_s: int = 25
    search_per_s: int = 20
    payment_updates_per_h: int = 1_000

    @classmethod
    def of(cls, facts: Mapping[str, Any] | None, *, livemode: bool) -> Self:
        """Reads an account's own limits; what they do not say is the default of the mode."""
        told = {**asdict(DEFAULTS[livemode]), **(facts or {})}
        return cls(**{field.name: int(told[field.name]) for field in fields(cls)})


# By livemode.
DEFAULTS: Mapping[bool, Limits] = {True: Limits(100), False: Limits(25)}
# Of merchants on a developer's own machine: tests and measurements send in a second what a
# merchant sends in an hour, and what they are to find is not this.
LOCAL = Limits(100_000, 100_000, 100_000, 100_000)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A rate, and how many requests may come at once.

    Args: name: of the shared item. burst: requests that flow in again within `refill_ms`.
    """

    name: str
    reason: Reason
    burst: int
    refill_ms: int

    @property
    def chunk(self) -> int:
        """After how many requests an environment tells of them."""
        per_s = self.burst * _SECOND_MS // self.refill_ms
        return min(_CHUNK_MAX, max(_CHUNK_MIN, per_s // _CHUNKS_PER_SECOND))

    @property
    def debt_max_ms(self) -> int:
        """How far it can be overdrawn."""
        return max(DEBT_MAX_MS, self.cost_ms(_DEBT_MAX_CHUNKS * self.chunk))

    @property
    def memory_ms(self) -> int:
        """How long an environment remembers requests that it has not told of."""
        return max(_MEMORY_MIN_MS, self.refill_ms)

    def cost_ms(self, requests: int) -> int:
        """Returns how long so many requests take to flow in again."""
        return max(1, requests * self.refill_ms // self.burst)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is known of a request before its parameters.

    Args: endpoint: method and path template, None for paths that there are not. payment: that
    the request changes, if any.
    """

    scope: Scope
    endpoint: str | None
    is_search: bool = False
    payment: str | None = None


def buckets(asked: Asked, limits: Limits) -> tuple[Bucket, ...]:
    """Returns the buckets that a request is counted in."""
    name = f"{_PREFIX}{asked.scope.account}#{asked.scope.mode}"
    found = [Bucket(name, Reason.GLOBAL_RATE, limits.requests_per_s, _SECOND_MS)]
    if asked.endpoint is not None:
        rate = limits.search_per_s if asked.is_search else limits.endpoint_per_s
        endpoint = f"{name}#{asked.endpoint}"
        found.append(Bucket(endpoint, Reason.ENDPOINT_RATE, rate, _SECOND_MS))
    if asked.payment is not None:
        updates, payment = limits.payment_updates_per_h, f"{name}#{asked.payment}"
        found.append(Bucket(payment, Reason.RESOURCE, updates, HOUR_MS))
    return tuple(found)


def drained_until(held_ms: int | None, cost_ms: int, *, full_ms: int, ceiling_ms: int) -> int:
    """Returns until when a bucket is drained after something is taken from it."""
    base_ms = full_ms if held_ms is None else max(held_ms, full_ms)
    return base_ms if base_ms > ceiling_ms else base_ms + cost_ms
