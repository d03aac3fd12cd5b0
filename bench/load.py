"""Throughput and latency of create+confirm on the platform that `make up` left serving.

Clients are threads with Stripe's Python SDK. After the load every payment is accounted for: each
answer's PaymentIntent is found succeeded, the card network's own record equals the receivable in
the trial balance, and the books balance.
"""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import stripe

from bench.mixed import open_client, serving
from local.observations import read_all
from local.up import create_merchant

AMOUNT_MINOR = 2_000
# Clients and seconds: functions start cold, and starting them is not what is measured here.
WARM_UP = ((2, 5), (4, 5), (8, 10), (16, 40))
RUN_S = 30
RATE_MIN = 20.0


@dataclass
class Tally:
    """What the clients saw."""

    latencies_ms: list[float] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    payments: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, milliseconds: float, answer: str, payment: str | None) -> None:
        """Counts one answer."""
        with self.lock:
            self.latencies_ms.append(milliseconds)
            self.answers[answer] += 1
            if payment is not None:
                self.payments.add(payment)


def main() -> bool:
    """Prints the figures; tells whether 16 clients reach the rate and nothing was lost."""
    platform = serving()
    if platform is None:
        return False
    summary, port = platform
    merchant = create_merchant(port)
    payments: set[str] = set()
    for clients, seconds in WARM_UP:
        payments |= _run(summary, merchant, clients, seconds).payments
    kept = True
    for clients in (1, 16):
        tally = _run(summary, merchant, clients, RUN_S)
        payments |= tally.payments
        rate = _report(clients, tally, RUN_S)
        kept = kept and (clients == 1 or rate >= RATE_MIN) and set(tally.answers) == {"succeeded"}
    return _accounted(summary, merchant, payments) and kept


def _run(summary: dict[str, Any], merchant: dict[str, Any], clients: int, seconds: float) -> Tally:
    tally, until = Tally(), time.monotonic() + seconds

    def work() -> None:
        client = open_client(summary, merchant, retries=0)
        while time.monotonic() < until:
            started = time.perf_counter()
            payment = None
            try:
                intent = client.v1.payment_intents.create(
                    {
                        "amount": AMOUNT_MINOR,
                        "currency": "usd",
                        "payment_method": "pm_card_visa",
                        "confirm": True,
                    }
                )
                answer, payment = intent.status, intent.id
            except stripe.StripeError as error:
                answer = f"{type(error).__name__} {error.http_status}"
            tally.add((time.perf_counter() - started) * 1000, answer, payment)

    with ThreadPoolExecutor(clients) as threads:
        # What ends a client ends the run: its payments would be missing and nobody know.
        for client in [threads.submit(work) for _ in range(clients)]:
            client.result()
    return tally


def _report(clients: int, tally: Tally, seconds: float) -> float:
    latencies = sorted(tally.latencies_ms)
    rate = len(latencies) / seconds
    p50, p95, p99 = (latencies[int(len(latencies) * part)] for part in (0.50, 0.95, 0.99))
    print(
        f"{clients:2} clients: {rate:5.1f} payments/s; p50 {p50:.0f}, p95 {p95:.0f},"
        f" p99 {p99:.0f}, max {latencies[-1]:.0f} ms; {dict(tally.answers)}"
    )
    return rate


def _accounted(summary: dict[str, Any], merchant: dict[str, Any], payments: set[str]) -> bool:
    """Holds the answers, the network's record and the books against one another."""
    client = open_client(summary, merchant, retries=0)
    listed = {
        intent.id: intent.status
        for intent in client.v1.payment_intents.list({"limit": 100}).auto_paging_iter()
    }
    lost = payments - {name for name, status in listed.items() if status == "succeeded"}
    sales = _network_sales(client)
    balance = _json(client, "/v1/ledger/trial_balance")
    receivable = sum(row["net"] for row in balance["data"] if row["account"].startswith("1100:"))
    net = sum(total["net"] for total in balance["totals"])
    print(
        f"{len(payments)} answered as succeeded, {len(lost)} of them lost; card network"
        f" {sum(sales.values())} = receivable {receivable}; trial balance {net}"
    )
    return not lost and sum(sales.values()) == receivable and net == 0


def _network_sales(client: stripe.StripeClient) -> dict[str, int]:
    record = "/v1/test_helpers/network_transactions"
    rows = read_all(lambda path: _json(client, path), record)
    return {row["id"]: row["amount"] for row in rows if row["type"] == "sale"}


def _json(client: stripe.StripeClient, path: str) -> dict[str, Any]:
    answer: dict[str, Any] = client.raw_request("get", path).data
    return answer
