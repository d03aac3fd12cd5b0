"""Exploring: one run for every fault at every boundary, pairs of them, and what they found."""

import functools
import gc
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.fault.simulation.boundaries import KINDS, Boundary, Fault, Injection, Plan, planned
from tests.fault.simulation.checks import check
from tests.fault.simulation.clients import Client, Order, Patience
from tests.fault.simulation.flows import APPROVED, FLOWS, Case, cases, expected
from tests.fault.simulation.world import SimulatedWorld
from tests.support.world import World

WorldMaker = Callable[..., SimulatedWorld]
COLLECT_EVERY = 200
RESOLVED_AFTER_MS = 4 * 24 * 60 * 60 * 1000


@dataclass(frozen=True)
class Part:
    """A share of a flow's boundaries, so that several processes explore it.

    Args: number: from 0. of: how many there are.
    """

    number: int
    of: int


WHOLE = Part(0, 1)
# How a payment ends: one event of each.
OUTCOMES = ("payment_intent.succeeded", "payment_intent.payment_failed")
# One of each sort: nothing done, done and not told, done and told to nobody, late, twice, and a
# provider that was certainly not reached.
REPRESENTATIVES = (
    Fault.CRASH_BEFORE,
    Fault.CRASH_AFTER,
    Fault.TIMEOUT_DONE,
    Fault.LATE,
    Fault.DUPLICATE,
    Fault.REFUSED,
)


@dataclass(frozen=True)
class Violation:
    """Something that must not be, and how to see it again.

    Args: faults: where what was injected.
    """

    case: str
    faults: tuple[str, ...]
    message: str

    def __str__(self) -> str:
        return f"{self.case}: {' + '.join(self.faults) or 'no fault'}: {self.message}"


@dataclass(frozen=True)
class Run:
    """One run: the boundaries it came to, and what was wrong afterwards.

    Args: history: what happened; runs that share it went the same way.
    """

    trace: tuple[Boundary, ...]
    injected: tuple[tuple[Boundary, Fault], ...]
    history: int
    violation: Violation | None


@dataclass
class Report:
    """What was explored."""

    boundaries: set[str] = field(default_factory=set)
    faults: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    skipped: int = 0
    violations: list[Violation] = field(default_factory=list)

    def add(self, run: Run) -> None:
        """Counts a run."""
        self.runs += 1
        self.boundaries |= {boundary.name for boundary in run.trace}
        self.faults.update(fault.value for _, fault in run.injected)
        if run.violation is not None:
            self.violations.append(run.violation)

    def merge(self, other: "Report") -> None:
        """Adds what another report counted."""
        self.boundaries |= other.boundaries
        self.faults += other.faults
        self.runs += other.runs
        self.skipped += other.skipped
        self.violations += other.violations

    def __str__(self) -> str:
        return (
            f"boundaries found: {len(self.boundaries)}, faults injected: "
            f"{self.faults.total()} of {len(self.faults)} kinds, runs: {self.runs}"
            + (f", runs alike left out: {self.skipped}" if self.skipped else "")
            + f", violations: {len(self.violations)}"
        )


@contextmanager
def quick() -> Iterator[None]:
    """Turns off what would take most of the time of thousands of runs: log lines, and the search
    for garbage, which `explore` makes now and then instead, among what the runs left.
    """
    logging.disable(logging.CRITICAL)
    gc.disable()
    gc.freeze()
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        gc.unfreeze()
        gc.enable()


def forget_worlds() -> None:
    """Lets worlds go: they keep what they compose in caches that would keep them for ever."""
    for member in vars(World).values():
        if hasattr(member, "cache_clear"):
            member.cache_clear()


def run_case(case: Case, plan: Plan = (), make: WorldMaker = SimulatedWorld) -> Run:
    """Runs a flow with faults, lets everything come to rest and checks."""
    world = make(planned(plan), has_sale=case.has_sale)
    merchant = world.merchant()
    client = Client(world, merchant, case.patience)
    message = None
    world.boundaries.active = True
    try:
        FLOWS[case.flow](client, world, merchant, case.card)
        come_to_rest(world, [*client.orders, *client.rivals])
        _check_outcomes(case, client)
    except AssertionError as error:
        message = str(error) or repr(error)
    finally:
        world.boundaries.active = False
        forget_worlds()
    injected = tuple(world.boundaries.injected)
    faults = tuple(f"{boundary.name}={fault}" for boundary, fault in injected)
    violation = Violation(str(case), faults, message) if message is not None else None
    return Run(tuple(world.boundaries.trace), injected, _history(world), violation)


def come_to_rest(world: SimulatedWorld, orders: Sequence[Order]) -> None:
    """Lets everything happen that happens by itself, and checks.

    First until the last try of the resolver; then until held money goes back by itself.
    """
    world.settle_down(RESOLVED_AFTER_MS)
    check(world, orders)
    seen = len(world.boundaries.trace)
    world.settle_down()
    if len(world.boundaries.trace) > seen:
        check(world, orders)


def _check_outcomes(case: Case, client: Client) -> None:
    if case.patience is Patience.GONE:
        return
    for order in client.orders:
        assert order.is_answered, f"{order.path} was never answered: {order.result}"
        possible = expected(order, case, has_rival=bool(client.rivals))
        assert order.result in possible, f"{order.path} was answered {order.result}"


def _history(world: SimulatedWorld) -> int:
    """Identifies what happened: the boundaries in their order, and all that was written."""
    states = tuple(repr(payment) for payment in world.database.payments.values())
    network = tuple(repr(transaction) for transaction in world.provider.transactions)
    names = tuple(boundary.name for boundary in world.boundaries.trace)
    return hash((names, states, network))


def singles(case: Case, make: WorldMaker = SimulatedWorld, *, part: Part = WHOLE) -> Iterator[Run]:
    """Runs a flow without a fault, then with every fault at every boundary of that run."""
    first = run_case(case, make=make)
    yield first
    for boundary in first.trace:
        if boundary.index % part.of == part.number:
            for fault in KINDS[boundary.kind].faults:
                yield run_case(case, (Injection(boundary.index, fault),), make)


def pairs(
    case: Case, report: Report, seconds: Iterable[Fault], *, part: Part = WHOLE
) -> Iterator[Run]:
    """Runs a flow with every two faults, the second of the given kinds.

    The second is at a boundary that the run with the first came to afterwards: in the undo, the
    retry, the resolver. Of several first faults at one boundary after which everything went the
    same way, one stands for all. So does one webhook for all of a payment: each is delivered by
    itself.
    """
    make = functools.partial(SimulatedWorld, subscribed=OUTCOMES)
    kinds = frozenset(seconds)
    seen: set[tuple[int, int]] = set()
    for first in singles(case, make, part=part):
        if not first.injected or first.violation is not None:
            continue
        (boundary, fault), *_ = first.injected
        way = (boundary.index, first.history)
        if way in seen:
            report.skipped += 1
            continue
        seen.add(way)
        begun = Injection(boundary.index, fault)
        for second in first.trace[boundary.index + 1 :]:
            for other in KINDS[second.kind].faults:
                if other in kinds:
                    yield run_case(case, (begun, Injection(second.index, other)), make)


def paired_cases() -> list[Case]:
    """Returns the pay flows of which every pair of faults is tried."""
    return [case for case in cases() if case.flow == "pay" and case.card == APPROVED]


def explore(runs: Iterable[Run], report: Report) -> Report:
    """Counts runs; frees memory now and then."""
    for number, run in enumerate(runs, start=1):
        report.add(run)
        if number % COLLECT_EVERY == 0:
            gc.collect()
    return report
