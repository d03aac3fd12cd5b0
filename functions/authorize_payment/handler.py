"""Saga step: asks the provider to authorize, or to authorize and capture; Tx2 records its word.

In card-data scope: it is the only step that opens the vault.
"""

from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from typing import Any

from shared import bootstrap, bootstrap_vault
from shared.domain.authorization import record_answer
from shared.domain.changes import PaymentChange
from shared.domain.errors import RejectedError, TransientError, UnknownOutcomeError
from shared.domain.payment import OperationKind, Payment
from shared.domain.ports import CardProvider, Clock, DocumentStore, PaymentStore, Vault
from shared.domain.providers import AuthorizationRequest, ProviderAnswer, idempotency_key
from shared.domain.resolution import record_unknown
from shared.domain.saga import Outcome
from shared.domain.saving import saved
from shared.domain.work import Work, commit_latest, done, load_payment, may_have_been_sent
from shared.observability import step


def run(
    state: Mapping[str, Any],
    payments: PaymentStore,
    documents: DocumentStore,
    vault: Vault,
    provider: CardProvider,
    clock: Clock,
) -> dict[str, Any]:
    """Returns "done" with the payment, "authorized" where a capture must follow, "unavailable"
    when nothing was sent to the provider.
    """
    work = Work.of(state)
    payment = Payment.of(state["checks"]["reserve"]["payment"])
    score = state["checks"]["risk"]
    risk = {"level": score["level"], "score": score["score"], "blocked": False}
    sale = payment.is_automatic and provider.has_sale
    # An earlier run came as far as the capture.
    if payment.has_pending(OperationKind.CAPTURE):
        return done(payment, Outcome.AUTHORIZED)
    try:
        answer = _ask(payment, vault, provider, sale=sale, off_session=work.order["off_session"])
    except (RejectedError, TransientError):
        # The card could not be opened, or the provider not reached: nothing was sent now.
        found = load_payment(payments, payment.id)
        if not found.has_pending(OperationKind.AUTHORIZATION):
            return _recorded(found)
        if may_have_been_sent(state):
            return done(payment)
        return {"outcome": Outcome.UNAVAILABLE}
    except UnknownOutcomeError:
        answer = None

    tries = count()

    def decide(current: Payment) -> PaymentChange | None:
        # Another attempt, or one that is being undone: the answer comes too late.
        is_awaited = current.has_pending(OperationKind.AUTHORIZATION)
        if not is_awaited or current.attempts != payment.attempts:
            return None
        context = work.context(clock.now_ms())
        if answer is None:
            return record_unknown(current, context)
        made = record_answer(current, answer, risk, sale=sale, context=context)
        return saved(made, current, answer, documents, context, next(tries))

    return _recorded(commit_latest(payments, payment, decide))


def _recorded(payment: Payment) -> dict[str, Any]:
    must_capture = payment.is_automatic and payment.has_pending(OperationKind.CAPTURE)
    return done(payment, Outcome.AUTHORIZED if must_capture else Outcome.DONE)


def _ask(
    payment: Payment, vault: Vault, provider: CardProvider, *, sale: bool, off_session: bool
) -> ProviderAnswer:
    charge = payment.latest_charge
    operation = "sale" if sale else "authorization"
    address = charge.billing_details.get("address") or {}
    sealed = vault.open(charge.card.vault_token, payment.account)
    # The merchant may have renewed the expiry since the number was sealed.
    card = replace(sealed, exp_month=charge.card.exp_month, exp_year=charge.card.exp_year)
    return provider.authorize(
        AuthorizationRequest(
            account=payment.account,
            payment_id=payment.id,
            reference=charge.id,
            idempotency_key=idempotency_key(charge.id, operation),
            card=card,
            amount_minor=payment.amount_minor,
            currency=payment.currency,
            capture=sale,
            address_line1=address.get("line1"),
            address_postal_code=address.get("postal_code"),
            off_session=off_session,
            authenticate=payment.wants_authentication,
        )
    )


bootstrap.start_provider()
bootstrap.start_signer()
bootstrap_vault.start_vault()
handler = step(
    lambda state: run(
        state,
        bootstrap_vault.payments(),
        bootstrap.documents(),
        bootstrap_vault.vault(),
        bootstrap.provider(),
        bootstrap.clock(),
    )
)
