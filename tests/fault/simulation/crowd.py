"""Crowds: several merchants' programs at once, with several faults, all decided by one seed."""

import random
from collections.abc import Callable, Mapping
from typing import Any

from tests.fault.simulation.boundaries import KINDS, Boundary, Fault
from tests.fault.simulation.clients import Client, Order, Patience
from tests.fault.simulation.explore import Run, Violation, come_to_rest, forget_worlds
from tests.fault.simulation.flows import (
    APPROVED,
    AUTHENTICATED,
    DECLINED,
    PAY,
    REFUND_FAILED,
    REFUND_PENDING,
    REFUNDS,
    payment_order,
)
from tests.fault.simulation.turns import Program, Turns
from tests.fault.simulation.world import SimulatedWorld

MERCHANTS_MAX = 2
CLIENTS_MAX = 3
ORDERS_MAX = 3
FAULTS_MAX = 8
# Of a run's boundaries, some 150 of them.
FAULT_SHARES = (0.02, 0.05, 0.2)
HAND_OVER_SHARES = (0.05, 0.3)
TICK_MS = 1_000
CARDS = (APPROVED, APPROVED, APPROVED, REFUND_PENDING, REFUND_FAILED, DECLINED, AUTHENTICATED)
AMOUNTS = (500, 800, 1500, 2000)


class SeededFaults:
    """Breaks some boundaries, a bounded number, so that everything can come to rest."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._share = rng.choice(FAULT_SHARES)
        self._left = rng.randint(1, FAULTS_MAX)

    def __call__(self, boundary: Boundary) -> Fault | None:
        """Returns the fault at a boundary, None to let it pass."""
        if self._left == 0 or self._rng.random() >= self._share:
            return None
        self._left -= 1
        return self._rng.choice(KINDS[boundary.kind].faults)


class CrowdedWorld(SimulatedWorld):
    """A platform that serves several programs at once."""

    def __init__(self, rng: random.Random, *, has_sale: bool) -> None:
        super().__init__(SeededFaults(rng), has_sale=has_sale)
        share = rng.choice(HAND_OVER_SHARES)
        self._turns = Turns(rng, self.clock.now_ms, self._advance_to, share)
        self._busy = 0

    def _advance_to(self, moment_ms: int) -> None:
        super().wait(moment_ms - self.clock.now_ms())

    def give_way(self) -> None:
        """Lets other programs go first, now and then."""
        self._turns.give_way()

    def wait(self, delay_ms: int) -> None:
        """Lets time pass, for the program that waits and for all."""
        if not self._turns.sleep(delay_ms):
            super().wait(delay_ms)

    def serve(self, programs: list[Program]) -> None:
        """Runs programs at once, and beside them what happens by itself."""
        self._busy = len(programs)
        self._turns.run([*(self._counted(program) for program in programs), self._background])

    def _counted(self, program: Program) -> Program:
        def run() -> None:
            try:
                program()
            finally:
                self._busy -= 1

        return run

    def _background(self) -> None:
        while self._busy:
            self.pump()
            self.wait(TICK_MS)


def run_seed(seed: int, make: Callable[..., CrowdedWorld] = CrowdedWorld) -> Run:
    """Runs a crowd, lets everything come to rest and checks."""
    rng = random.Random(seed)  # noqa: S311 - repeats, which is what it is for
    world = make(rng, has_sale=rng.random() < 0.5)
    merchants = [world.merchant(f"m{n}") for n in range(rng.randint(1, MERCHANTS_MAX))]
    clients, programs = [], []
    for merchant in merchants:
        done: list[Order] = []
        for number in range(rng.randint(1, CLIENTS_MAX)):
            patience = rng.choice((Patience.PERSISTENT, Patience.PERSISTENT, Patience.GONE))
            client = Client(world, merchant, patience, f"{merchant.account}-{number}")
            clients.append(client)
            programs.append(_program(client, done, rng))
    message = None
    world.boundaries.active = True
    try:
        world.serve(programs)
        come_to_rest(world, [order for client in clients for order in client.orders])
        _check_answered(clients)
    except AssertionError as error:
        message = str(error) or repr(error)
    finally:
        world.boundaries.active = False
        forget_worlds()
    injected = tuple(world.boundaries.injected)
    faults = tuple(f"{boundary.name}={fault}" for boundary, fault in injected)
    violation = Violation(f"seed {seed}", faults, message) if message is not None else None
    return Run(tuple(world.boundaries.trace), injected, 0, violation)


def _program(
    client: Client,
    done: list[Order],
    rng: random.Random,
) -> Program:
    """Returns a merchant's program: payments, and what is done to those that there are.

    Args: done: the merchant's payments so far, of all programs.
    """

    def run() -> None:
        for _ in range(rng.randint(1, ORDERS_MAX)):
            known = [order for order in done if order.object_id not in {None, "None"}]
            if not known or rng.random() < 0.4:
                method = rng.choice(("automatic", "manual"))
                done.append(
                    client.order(PAY, payment_order(rng.choice(CARDS), capture_method=method))
                )
            else:
                client.order(*_next_order(str(rng.choice(known).object_id), rng))

    return run


def _next_order(payment_id: str, rng: random.Random) -> tuple[str, Mapping[str, Any]]:
    path = f"{PAY}/{payment_id}"
    amount = rng.choice(AMOUNTS)
    return rng.choice(
        (
            (f"{path}/capture", {"amount_to_capture": amount}),
            (f"{path}/capture", {}),
            (f"{path}/cancel", {}),
            (REFUNDS, {"payment_intent": payment_id}),
            (REFUNDS, {"payment_intent": payment_id, "amount": amount}),
        )
    )


def _check_answered(clients: list[Client]) -> None:
    for client in clients:
        for order in client.orders:
            is_known = order.is_answered or client.patience is Patience.GONE
            assert is_known, f"{order.path} was never answered: {order.result}"
