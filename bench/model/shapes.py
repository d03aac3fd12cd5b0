"""The shape of a payment: which partitions and items each of its writes touches.

Derived from recorded calls. A key that every payment has of its own is the payment's; one that the
payments of a merchant share is the merchant's; one that two merchants share is the region's.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from bench.flows import PAY, SETTLE, Flow, Recorded
from bench.recording import Write
from shared.adapters.dynamodb import THROTTLED_WAITS_S
from shared.adapters.dynamodb_due import DUE_SHARDS
from shared.bootstrap import ATTEMPTS_MAX

# Between the first transaction and the second one the provider is asked; see shared.domain.saga.
PROVIDER_S = 0.25
NEXT_S = 0.01
SETTLE_AFTER_S = 1.0
# Tries of shared.domain.work.commit_latest, which reads the payment again in between.
DECISIONS_MAX = 5


class Scope(StrEnum):
    """Whose a key is."""

    PAYMENT = "payment"
    MERCHANT = "merchant"
    REGION = "region"


@dataclass(frozen=True, slots=True)
class Key:
    """A partition key.

    Args: label: the key of one payment where it is shared, its number in the table otherwise.
    stripes: over how many keys it is spread by chance. own_partitions: each on one of its own.
    """

    table: str
    scope: Scope
    label: str
    stripes: int = 1
    own_partitions: bool = False

    @property
    def name(self) -> str:
        """Names it to a reader."""
        shared = self.scope is not Scope.PAYMENT and self.label
        return f"{self.table} {self.label}" if shared else self.table


# The number of its keys is the adapter's; each payment falls on one by hash.
_INDEX = Key("index of due payments", Scope.REGION, "", DUE_SHARDS, own_partitions=True)


@dataclass(frozen=True, slots=True)
class Step:
    """One write request of a payment, or a transaction.

    Args: units: by the key's number in the shape. items: numbers of the items that are the
    payment's own. shared: numbers of the keys of which it touches the same item as others.
    after_s: since the step before. conflict_tries, throttle_tries: how often it is sent.
    backoff_s: of full jitter, doubled each time; None to read and decide again at once. behind:
    after the answer, and repeated by a queue until it is done.
    """

    transactional: bool
    units: tuple[tuple[int, int], ...]
    items: tuple[int, ...]
    shared: tuple[int, ...] = ()
    after_s: float = 0.0
    conflict_tries: int = 1
    throttle_tries: int = 1
    backoff_s: float | None = None
    behind: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """All writes of a payment in order."""

    keys: tuple[Key, ...]
    steps: tuple[Step, ...]
    items: int

    def units(self) -> Mapping[int, int]:
        """Write units of one payment by the key's number."""
        found: Counter[int] = Counter()
        for step in self.steps:
            found.update(dict(step.units))
        return found

    def only(self, tables: frozenset[str]) -> "Shape":
        """Leaves out what goes to other tables."""
        numbers = {number for number, key in enumerate(self.keys) if key.table in tables}
        steps = tuple(
            replace(
                step,
                units=tuple(pair for pair in step.units if pair[0] in numbers),
                shared=tuple(number for number in step.shared if number in numbers),
            )
            for step in self.steps
        )
        return replace(self, steps=tuple(step for step in steps if step.units))


def payment_shape(recorded: Recorded) -> Shape:
    """Makes the shape of a payment that is captured at once, with its settlement behind it."""
    maker = _Maker()
    pay = list(maker.steps(recorded, PAY))
    settle = list(maker.steps(recorded, SETTLE))
    first = pay[0]
    second = replace(pay[1], after_s=PROVIDER_S, conflict_tries=DECISIONS_MAX)
    answer = [replace(step, after_s=NEXT_S) for step in pay[2:]]
    behind = [
        replace(step, after_s=SETTLE_AFTER_S, conflict_tries=DECISIONS_MAX, behind=True)
        for step in settle
    ]
    return Shape(tuple(maker.keys), (first, second, *answer, *behind), maker.items)


def shared_keys(recorded: Recorded, flow: str) -> tuple[Key, ...]:
    """Returns the keys of items that others write too, which is where transactions conflict."""
    maker = _Maker()
    numbers = {number for step in maker.steps(recorded, flow) for number in step.shared}
    return tuple(maker.keys[number] for number in sorted(numbers))


def with_balance(shape: Shape, stripes: int) -> Shape:
    """Adds the design that is not used: each transaction updates a balance of the region.

    It is given the best: a partition for each of its items, and an item chosen anew at each try.
    """
    number = len(shape.keys)
    key = Key("balances", Scope.REGION, "one of the balance items", stripes, own_partitions=True)
    steps = tuple(
        replace(
            step,
            units=(*step.units, (number, 2)),
            shared=(*step.shared, number),
            conflict_tries=DECISIONS_MAX,
            throttle_tries=DECISIONS_MAX,
            backoff_s=NEXT_S,
        )
        if step.transactional
        else step
        for step in shape.steps
    )
    return replace(shape, keys=(*shape.keys, key), steps=steps)


class _Maker:
    """Numbers keys and items as they come."""

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self._items: dict[tuple[int, str], int] = {}

    @property
    def items(self) -> int:
        return len(self._items)

    def steps(self, recorded: Recorded, flow: str) -> Iterator[Step]:
        """Yields the writes of a flow, those of all its payments beside one another."""
        own, other = recorded.own[flow], recorded.other[flow]
        names: dict[tuple[str, str], int] = {}
        for calls in zip(*map(_writing, (*own, other)), strict=True):
            units: Counter[int] = Counter()
            items, shared = [], []
            for alike in zip(*(call.writes for call in calls), strict=True):
                number = self._key(alike, names)
                write = alike[0]
                units[number] += write.units
                if write.index_writes:
                    units[self._number(_INDEX)] += write.index_writes
                if len({(one.pk, one.sk) for one in alike[:-1]}) < len(own):
                    shared.append(number)
                else:
                    items.append(self._items.setdefault((number, write.sk), self.items))
            transactional = any(write.transactional for write in calls[0].writes)
            tries = 1 + len(THROTTLED_WAITS_S) if transactional else ATTEMPTS_MAX
            yield Step(
                transactional,
                tuple(units.items()),
                tuple(items),
                tuple(shared),
                throttle_tries=tries,
                backoff_s=None if transactional else 1.0,
            )

    def _key(self, alike: Sequence[Write], names: dict[tuple[str, str], int]) -> int:
        write, pks = alike[0], [one.pk for one in alike[:-1]]
        known = (write.table, write.pk)
        if known not in names:
            names[known] = self._number(self._of(write, pks, alike[-1].pk, names))
        return names[known]

    @staticmethod
    def _of(
        write: Write, pks: Sequence[str], other: str, names: Mapping[tuple[str, str], int]
    ) -> Key:
        if len(set(pks)) == len(pks):
            ordinal = sum(table == write.table for table, _ in names)
            return Key(write.table, Scope.PAYMENT, str(ordinal))
        scope = Scope.REGION if other in pks else Scope.MERCHANT
        return Key(write.table, scope, write.pk, len(set(pks)))

    def _number(self, key: Key) -> int:
        if key not in self.keys:
            self.keys.append(key)
        return self.keys.index(key)


def _writing(flow: Flow) -> Flow:
    return tuple(call for call in flow if call.writes)
