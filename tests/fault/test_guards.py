"""The fault harness can fail: without any one of the guards it finds what the guard prevents."""

import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from shared.domain import providers, work
from shared.domain.changes import PaymentChange
from shared.domain.payment import Payment, RefundStatus
from tests.fault.simulation.boundaries import Fault, Injection
from tests.fault.simulation.clients import Patience
from tests.fault.simulation.explore import quick, run_case, singles
from tests.fault.simulation.flows import APPROVED, Case
from tests.fault.simulation.ports import StreamedPaymentStore
from tests.fault.simulation.world import SimulatedWorld

Disable = Callable[[pytest.MonkeyPatch], None]


class CarelessStore(StreamedPaymentStore):
    """A payment store that writes without a condition, or without some."""

    checks_version = False
    checks_journals = False

    def write(self, change: PaymentChange) -> None:
        database, payment = self.database, change.payment
        current = database.payments.get(payment.id)
        if self.checks_version and (current.version if current else 0) != change.before_version:
            super().write(change)
        known = any(journal.id in database.journals for journal in change.journals)
        if self.checks_journals and known:
            super().write(change)
        if change.claim is not None:
            database.check_claim(change.claim)
            database.claims[change.claim.key_hash] = change.claim
        database.payments[payment.id] = payment
        database.events.setdefault(payment.id, []).extend(change.events)
        for number, journal in enumerate(change.journals, start=len(database.journals)):
            # A table without the key's condition would hold both.
            unique = journal.id if journal.id not in database.journals else f"{journal.id}/{number}"
            database.journals[unique] = replace(journal, id=unique)
        database.change_rows(payment, change.listed, change.unlisted)
        database.put_documents(change.documents)


def replace_everywhere(patch: pytest.MonkeyPatch, original: Any, replacement: Any) -> None:
    """Replaces a function in every module that imported it."""
    for name, module in list(sys.modules.items()):
        if name.startswith(("functions.", "shared.")):
            for attribute, value in list(vars(module).items()):
                if value is original:
                    patch.setattr(module, attribute, replacement)


def without_version(patch: pytest.MonkeyPatch) -> None:
    class Store(CarelessStore):
        checks_journals = True

    patch.setattr(SimulatedWorld, "store_class", Store)


def without_journal_key(patch: pytest.MonkeyPatch) -> None:
    class Store(CarelessStore):
        checks_version = True

    patch.setattr(SimulatedWorld, "store_class", Store)


def without_version_and_journal_key(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SimulatedWorld, "store_class", CarelessStore)


def without_provider_key(patch: pytest.MonkeyPatch) -> None:
    sends = itertools.count()
    replace_everywhere(
        patch,
        providers.idempotency_key,
        lambda reference, operation: f"{reference}/{operation}/{next(sends)}",
    )


def without_sweeper(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SimulatedWorld, "sweeps", False)


def without_reservation(patch: pytest.MonkeyPatch) -> None:
    def refunded_minor(payment: Payment) -> int:
        return sum(r.amount_minor for r in payment.refunds if r.status is RefundStatus.SUCCEEDED)

    patch.setattr(Payment, "refunded_minor", property(refunded_minor))


def without_resumption(patch: pytest.MonkeyPatch) -> None:
    replace_everywhere(patch, work.is_same_request, lambda *_: False)


@dataclass(frozen=True)
class Guard:
    """A guard, and what the harness says without it.

    Args: found: what is part of the message of at least one violation.
    """

    name: str
    disable: Disable
    case: Case
    found: str

    def __str__(self) -> str:
        return self.name


def _case(flow: str, patience: Patience = Patience.PERSISTENT, *, has_sale: bool = True) -> Case:
    return Case(flow, APPROVED, has_sale, patience)


GUARDS = (
    Guard(
        "event_version_lost_update",
        without_version,
        _case("pay", has_sale=False),
        "do not follow one another",
    ),
    Guard("event_version_books", without_version, _case("pay", has_sale=False), "books_agree"),
    Guard(
        "provider_key_money_given_back_twice",
        without_provider_key,
        _case("refund"),
        "the network has taken 400, not 1200",
    ),
    Guard(
        "provider_key_money_taken_unrecorded",
        without_provider_key,
        _case("pay"),
        "the network has taken 2000, not 0",
    ),
    Guard("due_index", without_sweeper, _case("pay", Patience.GONE), "left pending"),
    Guard("due_index_of_refunds", without_sweeper, _case("refund", Patience.GONE), "left pending"),
    Guard(
        "refund_reservation",
        without_reservation,
        _case("refund_twice", Patience.GONE),
        "gives back 3000 of 2000",
    ),
    Guard("resumption", without_resumption, _case("pay"), "was never answered"),
    Guard(
        "resumption_of_a_capture",
        without_resumption,
        _case("capture_part"),
        "payment_intent_unexpected_state",
    ),
)


@pytest.mark.parametrize("guard", GUARDS, ids=str)
def test_harness_without_a_guard_finds_what_it_prevents(
    guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    guard.disable(monkeypatch)
    # when
    with quick():
        messages = (run.violation.message for run in singles(guard.case) if run.violation)
        found = next((message for message in messages if guard.found in message), None)
    # then
    assert found is not None


def test_harness_without_the_journal_key_finds_what_was_booked_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # given: the step that records a payment runs twice
    case = _case("pay")
    (boundary,) = [b for b in run_case(case).trace if b.name == "pay/authorize_payment#1"]
    plan = (Injection(boundary.index, Fault.DUPLICATE),)
    assert run_case(case, plan).violation is None
    # when: the version condition, which alone prevents it too, is gone
    without_version(monkeypatch)
    # then: the journal key prevents it
    assert run_case(case, plan).violation is None
    # when: both are gone
    without_version_and_journal_key(monkeypatch)
    violation = run_case(case, plan).violation
    # then
    assert violation is not None
    assert "the receivable (1100): 4000 instead of 2000" in violation.message


def test_journal_key_alone_is_a_second_line(monkeypatch: pytest.MonkeyPatch) -> None:
    # given: what the version condition lets through was never posted before
    without_journal_key(monkeypatch)
    # then
    with quick():
        assert not [run.violation for run in singles(_case("refund")) if run.violation]
