"""Which AWS calls one create+confirm makes between request and answer, recorded from botocore.

What functions call while their environments start is nobody's wait: it is told apart.
"""

from bench.recording import Call, Platform, platform

TRANSACTIONS_MAX = 2
CALLS_MAX = 8
STEPS_MAX = 3


def main() -> bool:
    """Prints the calls of a first and of a repeated payment; tells whether they keep the bounds."""
    with platform() as running:
        method = running.tokenize("method")
        names = ", ".join(call.name for call in running.start())
        print(f"while the environments start: {names or 'no call'}")
        kept = True
        for number, title in enumerate(("all caches cold, new card", "caches warm")):
            kept = _paid(running, method, f"payment-{number}", title) and kept
    return kept


def _paid(running: Platform, method: str, key: str, title: str) -> bool:
    running.recorder.calls.clear()
    running.steps.clear()
    running.pay(method, key)
    return _report(title, running.recorder.calls, running.steps)


def _report(title: str, calls: list[Call], steps: list[str]) -> bool:
    print(f"{title}:")
    for number, call in enumerate(calls, start=1):
        units = f"{call.write_units} WRU" if call.write_units else f"{call.read_units} RRU"
        units = "" if not call.write_units + call.read_units else units
        print(f"  {number:2} {call.name:22} {units:8} {call.detail}")
    transactions = sum(call.name == "TransactWriteItems" for call in calls)
    # score_fraud runs beside reserve_funds and makes no call of its own.
    sequential = [name for name in steps if name != "score_fraud"]
    print(
        f"  {len(calls)} calls, all in sequence; {transactions} transactions;"
        f" {sum(c.write_units for c in calls)} WRU, {sum(c.read_units for c in calls)} RRU;"
        f" step Lambdas in sequence: {len(sequential)} ({', '.join(sequential)})"
    )
    return (
        len(calls) <= CALLS_MAX
        and transactions <= TRANSACTIONS_MAX
        and len(sequential) <= STEPS_MAX
    )
