"""Saga step: looks after what is open on a payment and past its date.

The provider is asked by our own references. What it did is recorded, what was never sent on its
way back is given back, and what it does not say is asked again later, at last by a person.
In card-data scope for one thing: what records an authorization deletes its security code.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from functions.resolve_payment.resolver import Resolver
from shared import bootstrap, bootstrap_vault
from shared.domain.changes import Context
from shared.domain.ports import CardProvider, Clock, DocumentStore, PaymentStore
from shared.domain.resolution import postpone
from shared.domain.saga import Outcome
from shared.domain.work import commit_latest, load_payment
from shared.observability import step


def run(
    state: Mapping[str, Any],
    payments: PaymentStore,
    documents: DocumentStore,
    provider: CardProvider,
    clock: Clock,
) -> dict[str, Any]:
    """Returns "done" when nothing is open, "waiting" with `due_at` (ISO 8601) of the next try, or
    "parked" when it is a person's turn.
    """
    before = load_payment(payments, state["payment_id"])
    try:
        payment = Resolver(payments, documents, provider, clock).resolve(before)
    except Exception:
        # Whatever it is, it must not keep the sweeper from others, nor this one from a person.
        commit_latest(payments, before, lambda current: postpone(current, Context(clock.now_ms())))
        raise
    if payment.waits_for_person and not before.waits_for_person:
        return {"outcome": Outcome.PARKED}
    if payment.is_open and payment.due_at_ms is not None:
        due_at = datetime.fromtimestamp(payment.due_at_ms / 1000, UTC)
        return {"outcome": Outcome.WAITING, "due_at": due_at.isoformat(timespec="milliseconds")}
    return {"outcome": Outcome.PARKED if payment.waits_for_person else Outcome.DONE}


bootstrap.start_signer()
handler = step(
    lambda state: run(
        state,
        bootstrap_vault.payments(),
        bootstrap.documents(),
        bootstrap.provider(),
        bootstrap.clock(),
    )
)
