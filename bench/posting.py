"""What posting costs: DynamoDB requests and write units of each flow, and of its journals alone.

Recorded from the running functions with the sizes of their items: one unit for each started KB,
twice in a transaction. Sizes are approximate; entries of the index of due payments are one unit
each and come on top.
"""

from bench.flows import FLOWS, Flow, recorded
from bench.recording import Write

# Of a journal of up to 2 KB, in a transaction.
JOURNAL_UNITS_MAX = 4


def main() -> bool:
    """Prints a row per flow; tells whether a journal costs no more than it may."""
    flows = recorded().own
    columns = ("requests", "reads", "items", "WRU", "index", "events", "journals", "WRU", "each")
    print(f"{'flow':30}" + "".join(f"{column:>9}" for column in columns))
    kept = True
    for name in FLOWS:
        kept = _report(name, flows[name][-1]) and kept
    print(
        "requests: to DynamoDB, reads among them; WRU: of all items, then of the journals alone;"
        " index: units of the index of due payments"
    )
    return kept


def _report(name: str, flow: Flow) -> bool:
    writes = [write for call in flow for write in call.writes]
    journals = [write for write in writes if is_journal(write)]
    events = [write for write in writes if is_event(write)]
    units = sum(write.units for write in journals)
    each = units / len(journals) if journals else 0.0
    row = (
        len(flow),
        sum(not call.writes for call in flow),
        len(writes),
        sum(write.units for write in writes),
        sum(write.index_writes for write in writes),
        len(events),
        len(journals),
        units,
    )
    print(f"{name:30}" + "".join(f"{value:9}" for value in row) + f"{each:9.1f}")
    return each <= JOURNAL_UNITS_MAX


def is_journal(write: Write) -> bool:
    """Tells a journal from the other items of a payment's transaction."""
    return write.table == "ledger"


def is_event(write: Write) -> bool:
    """Tells an event from the other items of a payment's transaction."""
    return write.table == "payments" and write.sk.startswith("EV#")
