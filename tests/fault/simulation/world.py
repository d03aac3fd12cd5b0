"""The whole platform in one process, with a fault possible at every boundary.

Everything happens in one thread at a time and at a time that the simulation sets, so that a run
is repeated exactly by its plan, or by its seed.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from functions.deliver_webhook.handler import Deliverer
from functions.receive_notices import handler as receive_notices
from functions.relay_events.handler import Relay
from functions.settle_payment import handler as settle_payment
from functions.sweep_due import handler as sweep_due
from shared.adapters.memory_saga import MemorySagaRunner, StepFunction
from shared.domain.announcements import announce_payment
from shared.domain.changes import PaymentChange
from shared.domain.documents import Document, ListEntry
from shared.domain.invariants import EventObject, EventObjects, Observation
from shared.domain.payment import Payment, RefundStatus
from shared.domain.resolution import SWEEP_AFTER_MS
from shared.domain.saga import RESOLVE, Outcome
from shared.domain.sandbox_network import REFUND_ENDS_AFTER_MS
from shared.domain.webhooks import COLLECTION
from shared.observability import logger
from tests.fault.simulation.boundaries import Boundaries, Chooser, Crash
from tests.fault.simulation.ports import (
    BrokenBus,
    BrokenDeliveryQueue,
    BrokenDocuments,
    BrokenDueIndex,
    BrokenEndpoint,
    BrokenIdempotency,
    BrokenPayments,
    BrokenProvider,
    BrokenRunner,
    BrokenVault,
    SimulatedQueue,
    StreamedPaymentStore,
    StreamRecord,
    stream_record,
)
from tests.support.documents import audited
from tests.support.world import Answer, Merchant, World

# What a client sees of a request whose connection broke.
LOST = Answer(0, {}, {}, "")
SETTLED_ON = frozenset({"payment_intent.succeeded"})
BATCH = 10
STREAM_RETRY_MS = 1_000
LATER_MS = 12_000
# The sweeper's schedule, and the longest that a payment may take to come to rest.
SWEEP_EVERY_MS = 60_000
PAUSE_MS = 61_000
ROUNDS_MAX = 150
NOTICE_DELAY_MS = REFUND_ENDS_AFTER_MS + 1_000


class StepDiedError(Exception):
    """What the state machine sees of a function that died."""


class AmpleTime:
    """Stands for Lambda's context."""

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


class _Local(threading.local):
    """What a thread is doing: its processes, innermost last, and the requests that it serves."""

    def __init__(self) -> None:
        self.processes: list[str] = []
        self.serving: list[Mapping[str, Any]] = []


class SimulatedWorld(World):
    """A platform that is broken as a chooser says. Nothing breaks until `boundaries.active`.

    Args: subscribed: types of events that the merchants' endpoints are told of.
    """

    store_class: type[StreamedPaymentStore] = StreamedPaymentStore
    sweeps = True

    def __init__(
        self, chooser: Chooser, *, has_sale: bool = True, subscribed: Sequence[str] = ("*",)
    ) -> None:
        self._subscribed = list(subscribed)
        self.boundaries = Boundaries(chooser, self)
        self.stream: list[StreamRecord] = []
        self.expected_events: set[str] = set()
        self.wrong_commits: list[str] = []
        self.rival: Callable[[], object] | None = None
        self.answers: dict[str, list[Answer]] = {}
        self._local = _Local()
        self._arrivals: list[tuple[int, int, Callable[[], object]]] = []
        self._count = 0
        self._stream_at_ms = 0
        self._swept_at_ms = 0
        self._started: set[str] = set()
        self._executions: list[tuple[int, str, Mapping[str, Any]]] = []
        super().__init__(has_sale=has_sale)
        # The step asks for it at each call.
        self.vault = BrokenVault(self.vault, self._through)  # type: ignore[assignment]
        self._open_consumers()

    # What is composed anew: every port behind a boundary.

    def open_stores(self) -> None:
        """Opens the stores, each call of them a boundary."""
        super().open_stores()
        self.payments = BrokenPayments(
            self.store_class(self.database, self._committed), self._through
        )
        self.documents = BrokenDocuments(self.documents, self._through)
        self.idempotency = BrokenIdempotency(self.idempotency, self._through)
        self.due_payments = BrokenDueIndex(self.due_payments, self._through)

    def real_steps(self) -> dict[str, StepFunction]:
        """Returns the steps, with a provider that can break."""
        network = self.provider
        self.remote = BrokenProvider(network, self._through)
        self.provider = self.remote  # type: ignore[assignment]
        try:
            return super().real_steps()
        finally:
            self.provider = network

    def runner(self, steps: Mapping[str, StepFunction]) -> MemorySagaRunner:
        """Returns what runs the sagas, behind a boundary."""
        return BrokenRunner(steps, self._start, self._through)

    def _start(self, name: str, state: Mapping[str, Any]) -> None:
        """Starts a saga that lasts, unless one of its name was started before."""
        if name not in self._started:
            self._started.add(name)
            self._executions.append((self.clock.now_ms(), name, state))

    def _step(self, name: str) -> StepFunction:
        def call(state: Mapping[str, Any]) -> Mapping[str, Any]:
            process = f"{state['saga']}/{name}"
            try:
                output: Mapping[str, Any] = self.boundaries.through(
                    "step", process, lambda: self._run_step(process, name, state)
                )
            except Crash:
                raise StepDiedError(name) from None
            return output

        return call

    def _run_step(self, process: str, name: str, state: Mapping[str, Any]) -> Mapping[str, Any]:
        with self._process(process):
            return self.steps[name](state)

    def _open_consumers(self) -> None:
        now_ms = self.clock.now_ms
        self.settlements, self.deliveries = SimulatedQueue(now_ms), SimulatedQueue(now_ms)
        self.notices = SimulatedQueue(now_ms)
        self._poison: list[Mapping[str, str | None]] = []
        self.endpoint = BrokenEndpoint(self._through)
        bus = BrokenBus(self._route, self._through)
        self._relay = Relay(self.documents, bus, self, logger)
        queue = BrokenDeliveryQueue(self.deliveries, self._through)
        # The endpoint never hangs, so that nothing is set aside.
        self._deliverer = Deliverer(
            self.documents,
            self.endpoint,
            self.endpoint,
            queue,
            queue,
            self.endpoint,
            self.clock,
            logger,
        )

    def put(self, letter: Mapping[str, str | None]) -> None:
        """Implements DeadLetters."""
        self._poison.append(letter)

    @property
    def dead_letters(self) -> list[Mapping[str, Any]]:
        """What nobody could handle."""
        queues = (self.settlements, self.deliveries, self.notices)
        return [*self._poison, *(letter for queue in queues for letter in queue.dead_letters)]

    def _route(self, announcement: Mapping[str, Any]) -> None:
        if announcement["type"] in SETTLED_ON:
            self.settlements.put({"detail": announcement})
        if announcement["webhooks"]:
            self.deliveries.put({"detail": announcement})

    def merchant(self, name: str = "one", *, home: str = "us-east-1") -> Merchant:
        """Creates a merchant with a webhook endpoint."""
        with self.boundaries.paused():
            merchant = super().merchant(name, home=home)
            data = {
                "url": "https://merchant.example/webhooks",
                "secret": "whsec_x",
                "status": "enabled",
                "enabled_events": self._subscribed,
            }
            document = Document(f"we_{name}", COLLECTION, merchant.account, False, 1, 0, data)
            self.documents.commit([audited(document, (ListEntry(COLLECTION, 0, document.id),))])
        return merchant

    # What happens at a boundary.

    def _through(self, kind: str, call: Callable[[], Any], **ways: Callable[[], Any]) -> Any:
        processes = self._local.processes
        place = f"{processes[-1]}/{kind}" if processes else kind
        return self.boundaries.through(kind, place, call, **ways)

    @contextmanager
    def _process(self, name: str) -> Iterator[None]:
        self._local.processes.append(name)
        try:
            yield
        finally:
            self._local.processes.pop()

    def _committed(self, before: Payment | None, change: PaymentChange) -> None:
        after = change.payment
        given_back = sum(r.amount_minor for r in after.refunds if r.status != RefundStatus.FAILED)
        if given_back > after.amount_received_minor:
            self.wrong_commits.append(
                f"{after.id} gives back {given_back} of {after.amount_received_minor}"
            )
        self._count += 1
        self.expected_events |= {item.id for item in announce_payment(before, after)}
        record = stream_record(before, change, self._count, self.clock.now_ms())
        if record is not None:
            self.stream.append(record)

    def arrive_later(self, delay_ms: int, call: Callable[[], object]) -> None:
        """Has a call made when its caller has given it up."""
        self._count += 1
        processes = list(self._local.processes)

        def arrive() -> None:
            self._local.processes.extend(processes)
            try:
                call()
            except (Exception, Crash):  # noqa: BLE001 - nobody is there to hear of it
                return
            finally:
                del self._local.processes[len(self._local.processes) - len(processes) :]

        self._arrivals.append((self.clock.now_ms() + delay_ms, self._count, arrive))

    def send_twin(self, after_ms: int) -> None:
        """Lets time pass and sends the request that is being served once more."""
        serving = self._local.serving
        if len(serving) == 1:
            self.wait(after_ms)
            self.respond(serving[0])

    def send_rival(self) -> None:
        """Sends another request on the payment that is being worked on, where the flow has one."""
        if len(self._local.serving) == 1 and self.rival is not None:
            self.rival()

    def sweep_beside(self) -> None:
        """Lets a minute pass, and the sweeper run beside what is going on."""
        self.wait(PAUSE_MS)
        self.sweep()

    def give_way(self) -> None:
        """Lets others go first; nobody is there where one client acts."""

    # What the client does.

    def respond(self, event: Mapping[str, Any]) -> Answer:
        """Answers a request, or nothing when the function died or the request got lost."""
        self._local.serving.append(event)
        try:
            answer: Answer = self.boundaries.through("request", "request", lambda: self._api(event))
        except (Exception, Crash):  # noqa: BLE001 - a client sees no more than that
            return LOST
        finally:
            self._local.serving.pop()
        self.answers.setdefault(event["headers"].get("idempotency-key", ""), []).append(answer)
        return answer

    def _api(self, event: Mapping[str, Any]) -> Answer:
        with self._process("api"):
            return super().respond(event)

    def wait(self, delay_ms: int) -> None:
        """Lets time pass; what is still on its way arrives."""
        until_ms = self.clock.now_ms() + delay_ms
        while self._arrivals and min(self._arrivals)[0] <= until_ms:
            arrival = min(self._arrivals)
            self._arrivals.remove(arrival)
            self._move_to(arrival[0])
            arrival[2]()
        self._move_to(until_ms)

    def _move_to(self, moment_ms: int) -> None:
        self.clock.advance(max(0, moment_ms - self.clock.now_ms()))

    def observe(self, payment_id: str) -> Observation:
        """Looks at a payment from everywhere."""
        told = self.endpoint.told | self.endpoint.tried_for
        found = []
        for document in self.database.documents.values():
            if document.kind != "event":
                continue
            told_of = document.data["data"]["object"]
            if payment_id in {told_of["id"], told_of.get("payment_intent")}:
                untried = 0 if document.id in told else len(document.data["endpoints"])
                found.append(
                    EventObject(document.id, document.data["type"], told_of["id"], untried)
                )
        events = EventObjects(tuple(found))
        return replace(super().observe(payment_id), event_objects=events)

    # What happens by itself.

    def settle_down(self, horizon_ms: int | None = None) -> None:
        """Lets time pass until nothing is left to happen, or until a horizon.

        Raises: AssertionError when something is left however long one waits.
        """
        began_ms = self.clock.now_ms()
        for _ in range(ROUNDS_MAX):
            self.pump()
            moment = self._next_ms()
            if moment is None or (horizon_ms is not None and moment > began_ms + horizon_ms):
                return
            self.wait(moment - self.clock.now_ms())
        raise AssertionError(f"never comes to rest: {self._unrest()}")

    def pump(self) -> None:
        """Has everything handled that is there to be handled now."""
        self._relay_changes()
        self._consume("settle_payment", self.settlements, self._settle_records)
        self._consume("deliver_webhook", self.deliveries, self._deliver_records)
        for notice in self.provider.notices:
            self.notices.put({"refund": notice.refund}, NOTICE_DELAY_MS)
        self.provider.notices = []
        self._consume("receive_notices", self.notices, self._follow_records)
        self._resume_executions()
        if self.sweeps and self._is_sweep_due():
            self.sweep()

    def _next_ms(self) -> int | None:
        moments = [arrival[0] for arrival in self._arrivals]
        queues = (self.settlements, self.deliveries, self.notices)
        moments += [at for queue in queues if (at := queue.next_ms()) is not None]
        if self.stream:
            moments.append(self._stream_at_ms)
        moments += [at_ms for at_ms, _, _ in self._executions]
        if self.sweeps and self._due_ms() is not None:
            moments.append(self._next_sweep_ms())
        return max(min(moments), self.clock.now_ms()) if moments else None

    def _due_ms(self) -> int | None:
        dues = (payment.due_at_ms for payment in self.database.payments.values())
        return min((due for due in dues if due is not None), default=None)

    def _unrest(self) -> str:
        pending = [p.id for p in self.database.payments.values() if p.due_at_ms is not None]
        return f"payments {pending}, stream {len(self.stream)}, dead {self.dead_letters}"

    def _next_sweep_ms(self) -> int:
        """Returns the first run of the schedule that finds something."""
        overdue_ms = (self._due_ms() or 0) + SWEEP_AFTER_MS + 1
        return max(overdue_ms, self._swept_at_ms + SWEEP_EVERY_MS)

    def _is_sweep_due(self) -> bool:
        return self._due_ms() is not None and self._next_sweep_ms() <= self.clock.now_ms()

    def sweep(self) -> None:
        """Has everything looked after that is overdue."""
        self._swept_at_ms = self.clock.now_ms()
        self._handled(
            "sweep_due",
            lambda: sweep_due.run(RESOLVE.name, self.due_payments, self.sagas(), self.clock),
        )
        self._resume_executions()

    def _resume_executions(self) -> None:
        """Goes on with the lasting sagas whose time has come; one that failed is over."""
        now_ms = self.clock.now_ms()
        ready = [execution for execution in self._executions if execution[0] <= now_ms]
        self._executions = [e for e in self._executions if e[0] > now_ms]
        for _, name, state in ready:
            try:
                output = self._step("resolve_payment")(state)
            except Exception:  # noqa: BLE001, S112 - the sweeper comes back to what it left
                continue
            if output["outcome"] == Outcome.WAITING:
                due_ms = int(datetime.fromisoformat(output["due_at"]).timestamp() * 1000)
                self._executions.append((due_ms, name, state))

    def _relay_changes(self) -> None:
        if not self.stream or self._stream_at_ms > self.clock.now_ms():
            return
        batch = list(self.stream)
        done = self._handled("relay_events", lambda: self._relay.handle({"Records": batch}, None))
        if done:
            del self.stream[: len(batch)]
        else:
            self._stream_at_ms = self.clock.now_ms() + STREAM_RETRY_MS

    def _consume(
        self,
        name: str,
        queue: SimulatedQueue,
        handle: Callable[[Sequence[Mapping[str, Any]]], Mapping[str, Any]],
    ) -> None:
        records = queue.take(BATCH)
        if not records:
            return
        answers: list[Mapping[str, Any]] = []
        if self._handled(name, lambda: answers.append(handle(records))):
            failed = {item["itemIdentifier"] for item in answers[-1]["batchItemFailures"]}
            for record in records:
                if record["messageId"] not in failed:
                    queue.delete(record["messageId"])

    def _handled(self, name: str, handle: Callable[[], object]) -> bool:
        """Tells whether a function handled what woke it, for all that its trigger knows."""

        def run() -> None:
            with self._process(name):
                handle()

        try:
            self.boundaries.through("consumer", name, run)
        except (Exception, Crash):  # noqa: BLE001 - any error of a consumer is the same to a queue
            return False
        return True

    def _settle_records(self, records: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        return settle_payment.run({"Records": records}, self.payments, self.clock)

    def _deliver_records(self, records: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        return self._deliverer.handle({"Records": records}, AmpleTime())

    def _follow_records(self, records: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        return receive_notices.run({"Records": records}, self.payments, self.remote, self.clock)
