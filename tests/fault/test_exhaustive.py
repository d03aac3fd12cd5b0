"""Every fault at every boundary of every flow, and every pair of them on a payment."""

from collections.abc import Callable

import pytest

from tests.fault.simulation.crowd import run_seed
from tests.fault.simulation.explore import (
    REPRESENTATIVES,
    Part,
    Report,
    explore,
    paired_cases,
    pairs,
    quick,
    singles,
)
from tests.fault.simulation.flows import Case, cases

# So that two workers have about the same to do.
PARTS = 4
# As the deployed provider sells; those that need two calls are for `make faults`.
SOLD_AT_ONCE = [case for case in paired_cases() if case.has_sale]
SEEDS = 200

Tell = Callable[[str, object], None]


def tell(report: Report, record_property: Tell) -> None:
    """Has the summary of the whole session count a report; see tests/conftest.py."""
    record_property(
        "faults",
        {
            "boundaries": sorted(report.boundaries),
            "faults": report.faults.total(),
            "runs": report.runs,
            "violations": len(report.violations),
        },
    )


@pytest.mark.parametrize("case", cases(), ids=str)
def test_flow_with_any_fault_at_any_boundary_keeps_every_invariant(
    case: Case, record_property: Tell
) -> None:
    with quick():
        report = explore(singles(case), Report())
    tell(report, record_property)
    assert report.violations == [], "\n".join(map(str, report.violations))


@pytest.mark.parametrize("number", range(PARTS))
@pytest.mark.parametrize("case", SOLD_AT_ONCE, ids=str)
def test_payment_with_any_two_faults_keeps_every_invariant(
    case: Case, number: int, record_property: Tell
) -> None:
    report = Report()
    with quick():
        explore(pairs(case, report, REPRESENTATIVES, part=Part(number, PARTS)), report)
    tell(report, record_property)
    assert report.violations == [], "\n".join(map(str, report.violations))


def test_crowd_with_several_faults_keeps_every_invariant(record_property: Tell) -> None:
    with quick():
        report = explore((run_seed(seed) for seed in range(SEEDS)), Report())
    tell(report, record_property)
    assert report.violations == [], "\n".join(map(str, report.violations))


def test_crowd_of_the_same_seed_goes_the_same_way() -> None:
    # given
    first, again = run_seed(7), run_seed(7)
    # then
    assert first.trace == again.trace
    assert first.injected == again.injected
