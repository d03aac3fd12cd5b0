"""Suspected duplicates: payments that look like another one made just before.

One idempotency key makes one payment, so a customer who is charged twice for one thing was charged
by two payments with different keys: a client that made a new key for its retry, or a fault of the
platform's own. Nothing can refuse the second, which may be meant; but somebody can look.

Compared are payments whose money moved or is held. Two resemble each other when account, mode,
amount and currency are the same and so is the customer, or the card; and when they were confirmed
within WINDOW_MS of each other. Of payments that resemble each other, each but the first is a
suspected duplicate, and is reported once: three alike are two reports, as two charges may have to
be given back. That a payment was canceled or refunded since makes it no less of an original.

Why none is missed or reported twice: whoever hears of a payment first leaves its traces and then
looks at the trace right before and the one right after. Of two payments that end up next to each
other, the one whose trace came last sees the other. So the later of the two is reported by one of
them at least, and the condition on its report lets one through. Redelivered and reordered messages
find the same traces.

A report is made twice only by a function that dies after making it and before noting so. One is
missed only where a function dies before making it and, until its message comes again, a third
payment alike is heard of that was made between the two; that third is reported.
"""

from dataclasses import dataclass
from typing import Protocol

from shared.domain.documents import mode_of
from shared.domain.ids import derive_id
from shared.domain.payment import Charge, Payment, PaymentStatus

WINDOW_MS = 10 * 60 * 1000
# A hold may be captured seven days after its confirmation, and a message that fails waits up to
# four days in its queue and fourteen in the dead-letter queue.
RETENTION_S = 30 * 24 * 60 * 60
_COMPARED = frozenset({PaymentStatus.SUCCEEDED, PaymentStatus.REQUIRES_CAPTURE})


@dataclass(frozen=True, slots=True)
class Trace:
    """A payment among those that resemble it if they are near.

    Args: group: a digest of what they share; it tells nothing of customer or card. at_ms: when
    the payment was confirmed.
    """

    group: str
    payment_id: str
    at_ms: int

    @property
    def expires_at_s(self) -> int:
        """When nobody can ask for it any more."""
        return self.at_ms // 1000 + RETENTION_S


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The nearest traces of a trace's group within WINDOW_MS, by time and then payment id."""

    earlier: Trace | None
    later: Trace | None


@dataclass(frozen=True, slots=True)
class Suspicion:
    """One payment that looks like another made before it."""

    original: Trace
    duplicate: Trace


class RecentPayments(Protocol):
    """Remembers who paid what lately, and which suspicions were reported."""

    def remember(self, trace: Trace) -> None:
        """Keeps a trace; the same one again changes nothing."""

    def neighbours(self, trace: Trace) -> Neighbours:
        """Reads what is next to a trace, strongly consistent."""

    def claim(self, suspicion: Suspicion, event_id: str) -> bool:
        """Tells whether a suspicion is to be reported now, by whom that event came to.

        The first event that asks for a duplicate has its report. Asking again for the same event
        is answered alike until `reported`, so that a report outlives a crash before it.
        """

    def reported(self, suspicion: Suspicion) -> None:
        """Notes that the duplicate of a claimed suspicion was reported."""


def traces(payment: Payment) -> tuple[Trace, ...]:
    """Returns a payment's traces: by its card, and by its customer if it has one.

    Card or customer is part of every group, so that no merchant's sales meet in a hot one.
    """
    if payment.status not in _COMPARED:
        return ()
    charge = payment.latest_charge
    payers = [("card", charge.card.fingerprint)]
    if payment.customer is not None:
        payers.append(("customer", payment.customer))
    return tuple(
        Trace(_group(payment, charge, kind, name), payment.id, charge.created_ms)
        for kind, name in payers
    )


def _group(payment: Payment, charge: Charge, kind: str, name: str) -> str:
    mode = mode_of(livemode=payment.livemode)
    # The confirmed amount: what was captured of it later is the merchant's choice.
    amount = str(charge.amount_minor)
    return derive_id("alike", payment.account, mode, amount, payment.currency, kind, name)


def suspicions(trace: Trace, neighbours: Neighbours) -> tuple[Suspicion, ...]:
    """Returns what a trace gives rise to: that it is a duplicate, that it has one, or both."""
    found = []
    if neighbours.earlier is not None:
        found.append(Suspicion(original=neighbours.earlier, duplicate=trace))
    if neighbours.later is not None:
        found.append(Suspicion(original=trace, duplicate=neighbours.later))
    return tuple(found)
