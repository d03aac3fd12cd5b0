"""What `make faults` runs: every fault, every pair of faults on a payment, and seeded crowds.

Usage: python -m tests.fault.run [--seeds N] [--seed N] [--only singles,pairs,crowds]
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass

from tests.fault.simulation.boundaries import Fault
from tests.fault.simulation.crowd import run_seed
from tests.fault.simulation.explore import (
    Part,
    Report,
    explore,
    paired_cases,
    pairs,
    quick,
    singles,
)
from tests.fault.simulation.flows import Case, cases

SEEDS = 10_000
SEEDS_OF_A_TASK = 250
PARTS = 8
STAGES = ("singles", "pairs", "crowds")
SHOWN_MAX = 20


@dataclass(frozen=True)
class Task:
    """A share of the work, for one process."""

    work: Callable[..., Report]
    arguments: tuple[object, ...]

    def __call__(self) -> Report:
        with quick():
            return self.work(*self.arguments)


def explore_singles(case: Case) -> Report:
    """Explores every fault of a flow."""
    return explore(singles(case), Report())


def explore_pairs(case: Case, part: Part) -> Report:
    """Explores every pair of faults of a part of a flow."""
    report = Report()
    return explore(pairs(case, report, Fault, part=part), report)


def explore_crowds(first: int, after: int) -> Report:
    """Explores some seeds."""
    return explore((run_seed(seed) for seed in range(first, after)), Report())


def tasks(stage: str, seeds: int) -> Iterator[Task]:
    """Returns the work of a stage."""
    if stage == "singles":
        yield from (Task(explore_singles, (case,)) for case in cases())
    elif stage == "pairs":
        for case in paired_cases():
            yield from (Task(explore_pairs, (case, Part(n, PARTS))) for n in range(PARTS))
    else:
        for first in range(0, seeds, SEEDS_OF_A_TASK):
            yield Task(explore_crowds, (first, min(first + SEEDS_OF_A_TASK, seeds)))


def run_stage(stage: str, seeds: int, pool: ProcessPoolExecutor) -> Report:
    """Runs a stage on all processes and prints how it goes."""
    began, report = time.monotonic(), Report()
    futures = [pool.submit(task) for task in tasks(stage, seeds)]
    for number, future in enumerate(as_completed(futures), start=1):
        report.merge(future.result())
        if sys.stdout.isatty():
            print(f"{stage}: {number} of {len(futures)} shares\r", end="", flush=True)
    print(f"{stage}: {report} ({time.monotonic() - began:.0f} s)", flush=True)
    return report


def replay(seed: int) -> Report:
    """Runs one seed alone and prints what was broken."""
    report = Report()
    with quick():
        run = run_seed(seed)
    report.add(run)
    for boundary, fault in run.injected:
        print(f"{boundary.index:5d} {boundary.name}: {fault}")
    print(f"seed {seed}: {report}")
    return report


def main() -> None:
    """Explores, and exits with 1 on any violation."""
    parser = argparse.ArgumentParser(prog="python -m tests.fault.run")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--seed", type=int, help="replay this one alone")
    parser.add_argument("--only", default=",".join(STAGES))
    options = parser.parse_args()
    if options.seed is not None:
        total = replay(options.seed)
    else:
        total = Report()
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            for stage in options.only.split(","):
                total.merge(run_stage(stage, options.seeds, pool))
        print(f"in all: {total}")
    for violation in total.violations[:SHOWN_MAX]:
        print(violation)
    if total.violations:
        sys.exit(1)


if __name__ == "__main__":
    main()
