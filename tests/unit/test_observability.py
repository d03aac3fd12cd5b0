"""What a step's log line says of an operation that stays open."""

from typing import Any

import pytest

from shared.domain.saga import Outcome
from shared.observability import is_unresolved


@pytest.mark.parametrize(
    ("outcome", "pending", "refunds", "expected"),
    [
        (Outcome.DONE, {"kind": "authorization"}, [], True),
        (Outcome.DONE, None, [("pending", None)], True),
        (Outcome.DONE, None, [("pending", "ntx_1")], False),
        (Outcome.DONE, None, [("succeeded", "ntx_1"), ("failed", None)], False),
        (Outcome.RESERVED, {"kind": "authorization"}, [], False),
    ],
)
def test_step_that_ends_with_an_open_operation_is_unresolved(
    outcome: Outcome, pending: Any, refunds: list[tuple[str, str | None]], expected: bool
) -> None:
    told = [{"status": status, "provider_reference": reference} for status, reference in refunds]
    payment = {"pending": pending, "refunds": told}
    assert is_unresolved({"outcome": outcome, "payment": payment}) is expected


@pytest.mark.parametrize("is_open", [True, False])
def test_step_that_leaves_a_setup_open_is_unresolved(is_open: bool) -> None:
    setup = {"is_open": is_open}
    assert is_unresolved({"outcome": Outcome.DONE, "setup": setup}) is is_open
    assert is_unresolved({"outcome": Outcome.WAITING, "setup": setup}) is False


def test_step_without_a_payment_is_not_unresolved() -> None:
    assert is_unresolved({"outcome": Outcome.ALLOW}) is False
    assert is_unresolved({"outcome": Outcome.DONE, "payment": None}) is False
