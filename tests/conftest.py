"""What holds for every test, and what the whole session tells at its end."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.answers import watched


@pytest.fixture(scope="session")
def answers_watched() -> Iterator[list[str]]:
    """What is wrong with the answers that the APIs of this process gave."""
    with watched() as found:
        yield found


@pytest.fixture(autouse=True)
def complete_answers(answers_watched: list[str]) -> Iterator[None]:
    """Every answer that a test is given has the shape of Stripe's typed classes."""
    answers_watched.clear()
    yield
    assert not answers_watched, "\n".join(sorted(set(answers_watched)))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Adds up what the fault harness explored; see tests/fault/test_exhaustive.py."""
    told = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == "faults" and getattr(report, "when", None) == "call"
    ]
    if not told:
        return
    boundaries = {name for one in told for name in one["boundaries"]}
    faults, runs, violations = (
        sum(one[name] for one in told) for name in ("faults", "runs", "violations")
    )
    terminalreporter.write_line(
        f"faults: {len(boundaries)} boundaries found, {faults} faults injected, {runs} runs, "
        f"{violations} violations (pairs on a payment that is sold in one call, the second fault "
        "one of six kinds; make faults tries all)"
    )
