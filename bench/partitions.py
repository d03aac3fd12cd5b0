"""A discrete simulation of partitions and conflicts, with the keys that payments really write.

The keys, items and sizes are recorded from the running functions, so a change of the design changes
the simulation. What the store does with them is a model, and its figures are design targets:
nothing here was measured on AWS.
"""

import math
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace

from bench.flows import PAY, REFUND_SETTLED, SETTLE, Recorded, recorded
from bench.model.guarded import UPDATES_PER_S, Debits, simulate_debits
from bench.model.sealing import APPEND_S, LEAVES_MAX, POLL_S, Sealed, Sealing, simulate_sealing
from bench.model.shapes import (
    DECISIONS_MAX,
    PROVIDER_S,
    Scope,
    Shape,
    payment_shape,
    shared_keys,
    with_balance,
)
from bench.model.traffic import (
    DEPTH_UNITS,
    PARTITION_UNITS,
    TRANSACTION_S,
    UTILISATION,
    Outcome,
    Traffic,
    even,
    partitions_of,
    simulate,
    units_of_tables,
    zipf,
)
from bench.posting import is_event, is_journal
from shared.adapters.dynamodb import THROTTLED_WAITS_S
from shared.domain.evidence import SHARDS
from shared.domain.lists import STRIPES_MAX

MERCHANTS = 10_000
# 65,000 payments/s in six regions, 100,000 in the five that are left when one fails.
SUSTAINED, CLAIMED, PEAK = 65_000 / 6, 100_000 / 5, 100_000.0
RATES = (1_000.0, 5_000.0, 10_000.0, SUSTAINED, CLAIMED, PEAK)
MERCHANT_RATES = (100.0, 400.0, 600.0, 1_000.0, 10_000.0)
STRIPES = (1, 8, 64, 256)
REFUND_RATES = (1, 5, 10, 20, 50, 100, 200)
REFUND_SECONDS = 120.0
# What an operator gives a merchant: a stripe for each so many payments/s.
PAYMENTS_PER_STRIPE = 50
# The ledger's own: events and snapshots, and journals.
LEDGER_TABLES = frozenset({"payments", "ledger"})
BATCH_MAX = 1_000
# Payments/s, window of a batch, chains of a merchant, and whether records are routed by chain.
SEALING = (
    (1_000.0, 0.0, 1, False),
    (1_000.0, 1.0, 1, False),
    (1_000.0, 5.0, 1, False),
    (5_000.0, 1.0, 1, False),
    (5_000.0, 5.0, 1, False),
    (5_000.0, 12.0, 64, False),
    (CLAIMED, 1.0, 1, False),
    (CLAIMED, 5.0, 64, False),
    (1_000.0, 1.0, 1, True),
    (5_000.0, 1.0, 1, True),
    (CLAIMED, 1.0, 1, True),
    (CLAIMED, 1.0, 64, True),
)
# As many appends/s as a chain takes when about half of all tries are overtaken.
CHAIN_APPENDS = 40


@dataclass(frozen=True, slots=True)
class Row:
    """One simulation of the payment path.

    Args: claimed: every payment must succeed.
    """

    traffic: Traffic
    shape: Shape
    claimed: bool = False


def main() -> bool:
    """Prints the figures; tells whether the payment path keeps its claim."""
    found = recorded((PAY, SETTLE, REFUND_SETTLED))
    shape = payment_shape(found)
    _explain()
    _keys(shape)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        rows = list(_rows(shape))
        outcomes = [pool.submit(simulate, row.shape, row.traffic) for row in rows]
        old = [(stripes, rate) for stripes in STRIPES for rate in RATES]
        old_outcomes = [pool.submit(_old, shape, *case) for case in old]
        debits = [pool.submit(simulate_debits, rate, REFUND_SECONDS) for rate in REFUND_RATES]
        sealings = list(_sealings(found, shape))
        sealed = [pool.submit(simulate_sealing, sealing) for sealing in sealings]
        kept = _report_payments(rows, outcomes)
        _report_old(old, old_outcomes)
        _report_debits(found, debits)
        _report_sealing(sealings, sealed)
    return kept


def _explain() -> None:
    waits = ", ".join(f"{wait_s * 1000:.0f}" for wait_s in THROTTLED_WAITS_S)
    print(
        f"""model, not measured on AWS:
- a partition takes {PARTITION_UNITS:.0f} write units/s, and {DEPTH_UNITS:.0f} at once; a table has
  partitions for {1 / UTILISATION:.1f} times what the traffic writes; keys fall on them by hash;
  none is split because it is hot
- an item costs 1 unit for each started KB, 2 in a transaction, which holds it for
  {TRANSACTION_S * 1000:.0f} ms (lognormal): another transaction at it is cancelled meanwhile
- as in the code: a first transaction that is cancelled is not sent again, a later one is decided
  again at once, {DECISIONS_MAX} times in all; one that is throttled is sent again after
  {waits} ms, half to one and a half of it each
- a merchant's lists are spread over its stripes: by its operator, one for each
  {PAYMENTS_PER_STRIPE} payments/s begun; otherwise one
- the provider takes {PROVIDER_S * 1000:.0f} ms"""
    )


def _keys(shape: Shape) -> None:
    print("\nkeys of a payment (created, confirmed and captured by one call, then settled):")
    units = shape.units()
    for number, key in enumerate(shape.keys):
        owner = f"one of {key.stripes} of the {key.scope}" if key.stripes > 1 else key.scope
        print(f"  {key.name:48} {owner}: {units[number]} units")
    shared = [number for number in units if shape.keys[number].scope is not Scope.PAYMENT]
    for number in shared:
        key = shape.keys[number]
        most = PARTITION_UNITS * key.stripes / units[number]
        owner = f"{key.scope} of one stripe" if key.scope is Scope.MERCHANT else key.scope
        print(f"finding: {key.name} throttles its {owner} from {most:,.0f} payments/s on")


def _rows(shape: Shape) -> Iterator[Row]:
    for rate in RATES:
        seconds = 2.0 if rate == PEAK else 3.0
        spread = Traffic("10,000 alike", rate, seconds, even(MERCHANTS))
        skewed = Traffic("10,000 by Zipf", rate, seconds, zipf(MERCHANTS))
        yield Row(spread, shape, claimed=rate <= CLAIMED)
        yield Row(operated(skewed), shape, claimed=rate <= CLAIMED)
        yield Row(skewed, shape)
    for rate in MERCHANT_RATES:
        alone = Traffic("one merchant", rate, 3.0, even(1))
        yield Row(operated(alone), shape, claimed=True)
        yield Row(alone, shape)
    cold = Traffic("new tables", CLAIMED, 2.0, even(MERCHANTS), cold=True)
    yield Row(cold, shape)


def operated(traffic: Traffic) -> Traffic:
    """Gives each merchant the stripes that its operator would set."""
    total = sum(traffic.weights)
    rates = [traffic.rate * weight / total for weight in traffic.weights]
    stripes = [min(STRIPES_MAX, math.ceil(rate / PAYMENTS_PER_STRIPE)) for rate in rates]
    return replace(traffic, stripes=stripes)


def _old(shape: Shape, stripes: int, rate: float) -> Outcome:
    seconds = 1.0 if rate == PEAK else 2.0
    traffic = Traffic("", rate, seconds, even(MERCHANTS))
    return simulate(with_balance(shape.only(LEDGER_TABLES), stripes), traffic)


def _report_payments(rows: Sequence[Row], outcomes: Sequence[Future[Outcome]]) -> bool:
    print("\npayments; % of payments that succeeded, % of requests in conflict and throttled:")
    names = ("stripes", "payments/s", "success", "conflict", "throttled")
    print(f"{'merchants':16}" + "".join(f"{name:>11}" for name in names))
    kept, conflicts = True, 0
    for row, future in zip(rows, outcomes, strict=True):
        outcome = future.result()
        conflicts += outcome.conflicts
        missed = row.claimed and outcome.succeeded < outcome.offered
        kept = kept and not missed
        hottest = [f"  most: {name}" for name, _ in outcome.throttled.most_common(1)]
        figures = (outcome.success_percent, outcome.conflict_percent, outcome.throttle_percent)
        print(
            f"{row.traffic.name:16}{_stripes(row.traffic):>11}{row.traffic.rate:11,.0f}"
            + "".join(f"{figure:11.2f}" for figure in figures)
            + "".join(hottest)
            + ("  MISSED" if missed else "")
        )
    kept = kept and conflicts == 0
    print(
        f"claim: no transaction conflict ({conflicts} found), and every payment succeeds at up to"
        f" {CLAIMED:,.0f}/s\nper region, of which one merchant may have"
        f" {MERCHANT_RATES[-1]:,.0f}, whoever pays, with the stripes that"
        f" operators set: {'kept' if kept else 'MISSED'}"
    )
    _report_stripes()
    return kept


def _stripes(traffic: Traffic) -> str:
    fewest, most = min(traffic.stripes, default=1), max(traffic.stripes, default=1)
    return f"{most}" if fewest == most else f"{fewest} to {most}"


def _report_stripes() -> None:
    skewed = operated(Traffic("", CLAIMED, 0.0, zipf(MERCHANTS)))
    raised = [count for count in skewed.stripes if count > 1]
    print(
        f"by Zipf at {CLAIMED:,.0f}/s, {len(raised)} merchants of {MERCHANTS:,} have more than one"
        f" stripe; the first ten: {', '.join(map(str, raised[:10]))}"
    )


def _report_old(cases: Sequence[tuple[int, float]], outcomes: Sequence[Future[Outcome]]) -> None:
    print(
        f"\nthe design not used: a balance item updated in each transaction, the ledger's keys,"
        f"\nup to {DECISIONS_MAX} tries with full jitter; success % / conflict % of requests:"
    )
    print(f"{'items':8}" + "".join(f"{rate:>16,.0f}" for rate in RATES))
    found = dict(zip(cases, outcomes, strict=True))
    for stripes in STRIPES:
        cells = [found[stripes, rate].result() for rate in RATES]
        row = (f"{cell.success_percent:.1f} / {cell.conflict_percent:.1f}" for cell in cells)
        print(f"{stripes:<8}" + "".join(f"{cell:>16}" for cell in row))


def _report_debits(found: Recorded, debits: Sequence[Future[Debits]]) -> None:
    shared = ", ".join(key.name for key in shared_keys(found, REFUND_SETTLED))
    print(
        f"\nrefunds from one account's balance, which share the item {shared or '(none yet)'},"
        f"\nbeside {UPDATES_PER_S:.0f} update/s of it by the sealer; refused: lost all their tries:"
    )
    print(f"{'refunds/s':>9}{'conflict %':>12}{'refused %':>11}{'updates in conflict %':>23}")
    for rate, future in zip(REFUND_RATES, debits, strict=True):
        outcome = future.result()
        conflict = 100 * outcome.conflicts / outcome.attempts
        refused = 100 * outcome.refused / outcome.offered
        updates = 100 * outcome.refused_updates / max(1, outcome.updates)
        print(f"{rate:9}{conflict:12.1f}{refused:11.2f}{updates:23.1f}")


def _sealings(found: Recorded, shape: Shape) -> Iterator[Sealing]:
    writes = [w for flow in (PAY, SETTLE) for call in found.own[flow][-1] for w in call.writes]
    records = {"payments": sum(map(is_event, writes)), "ledger": sum(map(is_journal, writes))}
    units = units_of_tables(shape)
    for rate, window_s, stripes, routed in SEALING:
        streams = [
            (partitions_of(units[table], rate), rate * count) for table, count in records.items()
        ]
        yield Sealing(rate, streams, window_s, BATCH_MAX, stripes, routed)


def _report_sealing(sealings: Sequence[Sealing], sealed: Sequence[Future[Sealed]]) -> None:
    print(
        f"""
sealing: {SHARDS} chains, an append takes {APPEND_S * 1000:.0f} ms, a block has up to
{LEAVES_MAX} leaves, a batch up to {BATCH_MAX}; {MERCHANTS:,} merchants by Zipf, each on as many
chains as named. Consumers: one for each partition, as streams have shards; or, routed, one for each
chain, to which its records are brought first. No window is {POLL_S} s of polling; 'needs s' is the
window at which a chain is asked for {CHAIN_APPENDS} appends/s:"""
    )
    names = ["payments/s", "records/s", "consumers", "chains", "window s", "blocks/s", "conflict %"]
    names += ["throttled %", "leaves", "lag s", "kept up %", "needs s"]
    print("".join(f"{name:>12}" for name in names))
    for sealing, future in zip(sealings, sealed, strict=True):
        found = future.result()
        attempts = max(1, found.attempts)
        figures = [
            f"{sealing.rate:,.0f}",
            f"{sealing.records:,.0f}",
            f"{sealing.consumers:,}{' routed' if sealing.routed else ''}",
            f"{sealing.stripes}",
            f"{sealing.window_s:g}",
            f"{found.blocks / found.seconds:,.0f}",
            f"{100 * found.conflicts / attempts:.1f}",
            f"{100 * found.throttles / attempts:.1f}",
            f"{found.leaves / max(1, found.blocks):.0f}",
            f"{found.lag_max_s:.1f}",
            f"{found.kept_up_percent:.0f}",
            "-" if sealing.routed else f"{sealing.consumers / CHAIN_APPENDS:.1f}",
        ]
        print("".join(f"{figure:>12}" for figure in figures))
