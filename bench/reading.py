"""What reading costs: the AWS calls of retrieving and listing, and what they take by the model.

The calls are recorded from the running functions over moto; the milliseconds are modelled, see
bench/model/latency.py. Warm: the environment knows the API key; else it reads the key first.
"""

from bench.model.latency import percentiles
from bench.recording import Call, Platform, platform

P99_MAX_MS = 50.0
PAYMENTS = 12

# What is read: its function, path and query; the ids are those of the last payment.
READS: tuple[tuple[str, str, str, str], ...] = (
    ("retrieve a payment", "api_payments", "/v1/payment_intents/{payment}", ""),
    (
        "retrieve it with its charge",
        "api_payments",
        "/v1/payment_intents/{payment}",
        "expand[0]=latest_charge",
    ),
    ("retrieve a charge", "api_payments", "/v1/charges/{charge}", ""),
    ("retrieve a payment method", "api_customers", "/v1/payment_methods/{method}", ""),
    ("list payments", "api_payments", "/v1/payment_intents", "limit=10"),
    (
        "list payments, the next page",
        "api_payments",
        "/v1/payment_intents",
        "limit=10&starting_after={payment}",
    ),
    ("list charges", "api_payments", "/v1/charges", "limit=10"),
    ("list payment methods", "api_customers", "/v1/payment_methods", "limit=10"),
)


def main() -> bool:
    """Prints a row per read; tells whether all of them keep the bound."""
    with platform() as running:
        methods = [running.tokenize(f"method-{number}") for number in range(PAYMENTS)]
        payments = [running.pay(name, f"payment-{name}") for name in methods]
        body = running.get("api_payments", f"/v1/payment_intents/{payments[-1]}")
        ids = {
            "payment": payments[-1],
            "charge": body["latest_charge"],
            "method": methods[-1],
        }
        running.get("api_customers", "/v1/customers")
        print(f"{'':30} {'p50 ms':>7} {'p99 ms':>7} {'key read':>9}  calls")
        kept = [_report(running, row, ids) for row in READS]
    print(f"modelled; at most {P99_MAX_MS:.0f} ms for 99 in 100 where the key is known")
    return all(kept)


def _report(running: Platform, row: tuple[str, str, str, str], ids: dict[str, str]) -> bool:
    title, function, path, query = row
    running.recorder.calls.clear()
    running.get(function, path.format(**ids), query.format(**ids))
    calls = _in_sequence(running.recorder.calls)
    p50, p99 = percentiles(calls)
    _, p99_first = percentiles([["GetItem"], *calls])
    shown = ", ".join(" beside ".join(together) for together in calls)
    print(f"{title:30} {p50:7.1f} {p99:7.1f} {p99_first:9.1f}  {shown}")
    return p99 <= P99_MAX_MS


def _in_sequence(calls: list[Call]) -> list[list[str]]:
    """Returns the names of calls, with each those made beside it: a list's first query has such."""
    beside = [call.name for call in calls if call.aside]
    return [
        [call.name, *(beside if call.name == "Query" else ())] for call in calls if not call.aside
    ]
