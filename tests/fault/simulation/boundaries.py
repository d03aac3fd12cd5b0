"""Boundaries: every place where a process ends, calls another or hands over; and what breaks there.

A boundary is one call of a port, one hand-over into a saga step, one start of a saga, one message
received. Which faults are possible at a kind of boundary is data. An error that is raised is the
one that the real adapter raises.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeVar

from botocore.exceptions import ClientError, ReadTimeoutError

from shared.domain.errors import (
    InvariantError,
    ProviderUnavailableError,
    TransientError,
    UnknownOutcomeError,
    VersionConflictError,
)
from shared.domain.idempotency import LEASE_MS

T = TypeVar("T")


class Crash(BaseException):
    """The end of a process. Not an error: whoever would handle it is gone too."""


class Fault(StrEnum):
    """What goes wrong at a boundary.

    LATE and LATER: the caller gives up, and what it asked for is done 12 s or 90 s afterwards,
    beside whatever was done instead. BUSY_DONE: an answer that says that nothing was done, though
    it was. PARTIAL: only the first part is done. TWIN: the client's whole request arrives again at
    this very moment. OVERTAKEN: the process stands still until the lease of its request is over,
    and the client's retry runs from beginning to end before it goes on. RIVAL: another request on
    the same payment runs from beginning to end before it goes on. SWEPT: it stands still for
    a minute, and the sweeper looks at everything before it goes on. STALE: an eventually
    consistent read that misses the newest writes.
    """

    CRASH_BEFORE = "crash_before"
    CRASH_AFTER = "crash_after"
    TIMEOUT_LOST = "timeout_lost"
    TIMEOUT_DONE = "timeout_done"
    LATE = "late"
    LATER = "later"
    THROTTLED = "throttled"
    BUSY_DONE = "busy_done"
    CONFLICT = "conflict"
    PARTIAL = "partial"
    DUPLICATE = "duplicate"
    REORDERED = "reordered"
    STALE = "stale"
    REFUSED = "refused"
    TWIN = "twin"
    OVERTAKEN = "overtaken"
    RIVAL = "rival"
    SWEPT = "swept"


_ANSWER_LOST = frozenset({Fault.TIMEOUT_DONE, Fault.BUSY_DONE})
LATE_MS = {Fault.LATE: 12_000, Fault.LATER: 90_000}


def _throttled() -> Exception:
    return ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow"}}, "Call")


def _timed_out() -> Exception:
    return ReadTimeoutError(endpoint_url="https://aws")


def _busy() -> Exception:
    return TransientError("The store is busy; try again.")


def _unknown() -> Exception:
    return UnknownOutcomeError("no answer came")


def _unreachable() -> Exception:
    return ProviderUnavailableError("not reached")


def _changed() -> Exception:
    return VersionConflictError("Another request changed this object first.")


@dataclass(frozen=True, slots=True)
class Kind:
    """What may go wrong at a kind of boundary, and how the adapter says so."""

    faults: tuple[Fault, ...]
    timed_out: Callable[[], Exception] = _timed_out
    throttled: Callable[[], Exception] = _throttled
    refused: Callable[[], Exception] = _busy


_CRASHES = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER)
_BESIDE = (Fault.TWIN, Fault.OVERTAKEN, Fault.RIVAL, Fault.SWEPT)
_TIMEOUTS = (Fault.TIMEOUT_LOST, Fault.TIMEOUT_DONE, Fault.LATE)
READ = Kind((Fault.CRASH_BEFORE, Fault.TIMEOUT_LOST, Fault.THROTTLED, *_BESIDE))
TRANSACTION = Kind(
    (*_CRASHES, *_TIMEOUTS, Fault.THROTTLED, Fault.BUSY_DONE, Fault.CONFLICT, *_BESIDE),
    throttled=_busy,
)
WRITE = Kind((*_CRASHES, *_TIMEOUTS, Fault.THROTTLED, *_BESIDE))
BATCH_WRITE = Kind((*_CRASHES, *_TIMEOUTS, Fault.THROTTLED, Fault.PARTIAL))
PUBLISH = Kind(
    (*_CRASHES, Fault.THROTTLED, Fault.BUSY_DONE, Fault.PARTIAL, Fault.DUPLICATE), throttled=_busy
)
VAULT = Kind((Fault.CRASH_BEFORE, Fault.THROTTLED, *_BESIDE), throttled=_busy)
PROVIDER = Kind(
    (*_CRASHES, *_TIMEOUTS, Fault.LATER, Fault.REFUSED, Fault.DUPLICATE, *_BESIDE),
    timed_out=_unknown,
    refused=_unreachable,
)
PROVIDER_READ = Kind(
    (Fault.CRASH_BEFORE, Fault.TIMEOUT_LOST, Fault.REFUSED, *_BESIDE),
    timed_out=_unknown,
    refused=_unreachable,
)
# A saga is started by one call that waits for its end.
SAGA = Kind(
    (*_CRASHES, *_TIMEOUTS, Fault.THROTTLED, Fault.DUPLICATE, *_BESIDE),
    timed_out=_unknown,
    throttled=_busy,
)
START = Kind(
    (*_CRASHES, *_TIMEOUTS, Fault.THROTTLED, Fault.DUPLICATE), timed_out=_busy, throttled=_busy
)
STEP = Kind((*_CRASHES, Fault.LATE, Fault.DUPLICATE, *_BESIDE))
# A request on its way to the API and its answer on the way back.
REQUEST = Kind((*_CRASHES, Fault.LATE, Fault.LATER, Fault.DUPLICATE))
CONSUMER = Kind((*_CRASHES, Fault.DUPLICATE, Fault.REORDERED))
ENDPOINT = Kind((*_CRASHES, Fault.REFUSED, Fault.BUSY_DONE), refused=_busy)
INDEX = Kind((Fault.CRASH_BEFORE, Fault.TIMEOUT_LOST, Fault.THROTTLED, Fault.STALE))
ENQUEUE = Kind((*_CRASHES, Fault.THROTTLED, Fault.BUSY_DONE, Fault.DUPLICATE), throttled=_busy)

KINDS: Mapping[str, Kind] = {
    "request": REQUEST,
    "saga": SAGA,
    "saga.start": START,
    "step": STEP,
    "consumer": CONSUMER,
    "payments.load": READ,
    "payments.load_many": READ,
    "payments.events": READ,
    "payments.commit": TRANSACTION,
    "due.overdue": INDEX,
    "documents.get": READ,
    "documents.get_many": READ,
    "documents.page": READ,
    "documents.commit": TRANSACTION,
    "documents.put_events": BATCH_WRITE,
    "idempotency.find": READ,
    "idempotency.answer": WRITE,
    "idempotency.keep": WRITE,
    "vault.open": VAULT,
    "provider.authorize": PROVIDER,
    "provider.increment": PROVIDER,
    "provider.capture": PROVIDER,
    "provider.void": PROVIDER,
    "provider.refund": PROVIDER,
    "provider.find": PROVIDER_READ,
    "bus.publish": PUBLISH,
    "queue.put": ENQUEUE,
    "queue.retry_later": WRITE,
    "endpoint.post": ENDPOINT,
    "deliveries.find": READ,
    "deliveries.keep": WRITE,
    "health.failing": WRITE,
    "health.healthy": WRITE,
    "deliveries.tried": WRITE,
    "deliveries.delivered": WRITE,
}


@dataclass(frozen=True, slots=True)
class Boundary:
    """A boundary that a run came to.

    Args: index: how many came before it. name: process, call and how often it was made before.
    """

    index: int
    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Injection:
    """A fault to be injected at the boundary of an index."""

    index: int
    fault: Fault


Plan = tuple[Injection, ...]


class Chooser(Protocol):
    """Decides what goes wrong."""

    def __call__(self, boundary: Boundary) -> Fault | None:
        """Returns the fault at a boundary, None to let it pass."""


def planned(plan: Plan) -> Chooser:
    """Returns a chooser that follows a plan."""
    faults = {injection.index: injection.fault for injection in plan}
    return lambda boundary: faults.get(boundary.index)


class Surroundings(Protocol):
    """What a fault needs of the world around the boundary."""

    def arrive_later(self, delay_ms: int, call: Callable[[], object]) -> None:
        """Has a call made when its caller has given it up."""

    def send_twin(self, after_ms: int) -> None:
        """Lets time pass and sends the request that is being served once more."""

    def send_rival(self) -> None:
        """Sends another request on the payment that is being worked on."""

    def sweep_beside(self) -> None:
        """Lets a minute pass, and the sweeper run beside what is going on."""

    def give_way(self) -> None:
        """Lets others go first."""


class Boundaries:
    """Counts the boundaries that a run comes to, and breaks what its chooser says.

    Args: chooser: decides. around: the world.
    """

    def __init__(self, chooser: Chooser, around: Surroundings) -> None:
        self.active = False
        self.trace: list[Boundary] = []
        self.injected: list[tuple[Boundary, Fault]] = []
        self.bugs: list[str] = []
        self._chooser = chooser
        self._around = around
        self._names: Counter[str] = Counter()

    def through(
        self,
        kind: str,
        place: str,
        call: Callable[[], T],
        *,
        part: Callable[[], object] | None = None,
        stale: Callable[[], T] | None = None,
    ) -> T:
        """Makes a call across a boundary.

        Args: place: the process and what it calls. part: makes only a part of the call. stale:
        reads what was there a moment ago.
        Raises: Crash, and what the adapter of the port raises.
        """
        if not self.active:
            return call()
        self._around.give_way()
        boundary = self._reached(kind, place)
        fault = self._chooser(boundary)
        if fault is not None:
            self.injected.append((boundary, fault))
            return self._break(fault, KINDS[kind], call, part, stale)
        return self._watched(boundary.name, call)

    def _reached(self, kind: str, place: str) -> Boundary:
        self._names[place] += 1
        boundary = Boundary(len(self.trace), kind, f"{place}#{self._names[place]}")
        self.trace.append(boundary)
        return boundary

    def _watched(self, name: str, call: Callable[[], T]) -> T:
        try:
            return call()
        except InvariantError as error:
            # Whoever handles it, it is a bug, and some would only see that a step failed.
            self.bugs.append(f"{name}: {error}")
            raise

    def _break(
        self,
        fault: Fault,
        kind: Kind,
        call: Callable[[], T],
        part: Callable[[], object] | None,
        stale: Callable[[], T] | None,
    ) -> T:
        self._before(fault, kind)
        if fault is Fault.STALE and stale is not None:
            return stale()
        if fault in LATE_MS:
            self._around.arrive_later(LATE_MS[fault], call)
            raise kind.timed_out()
        if fault is Fault.PARTIAL and part is not None:
            part()
            raise _busy()
        if fault in _ANSWER_LOST:
            self._quietly(call)
            raise kind.timed_out() if fault is Fault.TIMEOUT_DONE else _busy()
        if fault is Fault.DUPLICATE:
            call()
        answer = call()
        if fault is Fault.CRASH_AFTER:
            raise Crash
        return answer

    def _before(self, fault: Fault, kind: Kind) -> None:
        """Does what a fault does before the call, which for many is never made."""
        match fault:
            case Fault.CRASH_BEFORE:
                raise Crash
            case Fault.TIMEOUT_LOST:
                raise kind.timed_out()
            case Fault.THROTTLED:
                raise kind.throttled()
            case Fault.CONFLICT:
                raise _changed()
            case Fault.REFUSED | Fault.REORDERED:
                raise kind.refused()
            case Fault.TWIN:
                self._around.send_twin(after_ms=0)
            case Fault.OVERTAKEN:
                self._around.send_twin(after_ms=LEASE_MS + 1)
            case Fault.RIVAL:
                self._around.send_rival()
            case Fault.SWEPT:
                self._around.sweep_beside()

    @staticmethod
    def _quietly(call: Callable[[], object]) -> None:
        """Makes a call whose answer nobody reads, be it an error."""
        try:
            call()
        except Exception:  # noqa: BLE001 - the caller hears of a timeout either way
            return

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Lets everything pass, uncounted."""
        was, self.active = self.active, False
        try:
            yield
        finally:
            self.active = was
