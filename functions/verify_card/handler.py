"""Saga step: asks the provider whether a card is good, without money, and records its word.

In card-data scope: it opens the vault. What has no word yet it looks up, days later if need be.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from shared import bootstrap, bootstrap_vault
from shared.domain import setups
from shared.domain.card_options import wants_authentication
from shared.domain.changes import Context
from shared.domain.documents import Document, DocumentWrite
from shared.domain.errors import (
    ProviderUnavailableError,
    RejectedError,
    TransientError,
    UnknownOutcomeError,
)
from shared.domain.ports import CardVerifier, Clock, DocumentStore, Vault
from shared.domain.providers import VerificationRequest, idempotency_key
from shared.domain.saga import LOOKUP, Outcome
from shared.domain.setups import Setup, Silence, Word
from shared.domain.vault import Verifications
from shared.observability import step


def run(
    state: Mapping[str, Any],
    documents: DocumentStore,
    vault: Vault,
    verifications: Verifications,
    verifier: CardVerifier,
    clock: Clock,
) -> dict[str, Any]:
    """Returns "done", or "waiting" with `due_at` (ISO 8601) of the next try to look it up."""
    if state["saga"] == LOOKUP.name:
        attempt = setups.load_attempt(documents, state["setup_attempt_id"])
        if setups.is_open(attempt) and attempt.data["due_at_ms"] <= clock.now_ms():
            attempt = _looked_after(attempt, documents, verifier, Context(clock.now_ms()))
        return _waiting(attempt) if setups.is_open(attempt) else _done(attempt)
    setup = Setup.of(state)
    word = _asked(setup, vault, verifications, verifier, resumed=state["resumed"])
    context = setups.request_context(state, clock.now_ms())
    return _done(_recorded(setup.attempt, word, documents, context))


def _done(attempt: Document) -> dict[str, Any]:
    return {"outcome": Outcome.DONE, "setup": {"is_open": setups.is_open(attempt)}}


def _waiting(attempt: Document) -> dict[str, Any]:
    due_at = datetime.fromtimestamp(attempt.data["due_at_ms"] / 1000, UTC)
    return {"outcome": Outcome.WAITING, "due_at": due_at.isoformat(timespec="milliseconds")}


def _looked_after(
    attempt: Document, documents: DocumentStore, verifier: CardVerifier, context: Context
) -> Document:
    try:
        return _recorded(attempt, _looked_up(attempt, verifier), documents, context)
    except Exception:
        # Whatever it is, it must not keep the sweeper from others.
        documents.commit([setups.postponed(attempt, context)])
        raise


def _recorded(
    attempt: Document, word: Word, documents: DocumentStore, context: Context
) -> Document:
    def decide(current: Setup, method: Document) -> list[DocumentWrite]:
        return setups.record(current, word, method, context)

    return setups.commit_open(documents, setups.names_of(attempt), decide).attempt


def _asked(
    setup: Setup,
    vault: Vault,
    verifications: Verifications,
    verifier: CardVerifier,
    *,
    resumed: bool,
) -> Word:
    """Asks the provider, and deletes the security code: whatever it says, it was used."""
    try:
        request = _request(setup, vault)
        word: Word = verifier.verify(request)
    except (RejectedError, TransientError):
        # The card could not be opened, or the provider not reached: nothing was sent now.
        return Silence.UNKNOWN if resumed else Silence.NEVER_CAME
    except UnknownOutcomeError:
        word = Silence.UNKNOWN
    if setup.card.stored_token is not None:
        # Before the answer is recorded: what dies in between asks again under the same key, for
        # which the code is not needed.
        verifications.delete(setup.card.stored_token)
    return word


def _request(setup: Setup, vault: Vault) -> VerificationRequest:
    card, account = setup.card, setup.attempt.account
    details = setup.attempt.data["method"]["data"].get("billing_details") or {}
    address = details.get("address") or {}
    sealed = vault.open(card.vault_token, account)
    return VerificationRequest(
        account=account,
        setup_id=setup.intent.id,
        reference=setup.attempt.id,
        idempotency_key=_key(setup.attempt),
        # The merchant may have renewed the expiry since the number was sealed.
        card=replace(sealed, exp_month=card.exp_month, exp_year=card.exp_year),
        address_line1=address.get("line1"),
        address_postal_code=address.get("postal_code"),
        authenticate=wants_authentication(setups.card_options(setup.intent)),
    )


def _looked_up(attempt: Document, verifier: CardVerifier) -> Word:
    try:
        return verifier.find(_key(attempt)) or Silence.NEVER_CAME
    except (ProviderUnavailableError, UnknownOutcomeError):
        return Silence.UNKNOWN


def _key(attempt: Document) -> str:
    return idempotency_key(attempt.id, setups.OPERATION)


bootstrap.start_provider()
bootstrap.start_signer()
bootstrap_vault.start_vault()
handler = step(
    lambda state: run(
        state,
        bootstrap.audited_documents(),
        bootstrap_vault.vault(),
        bootstrap_vault.verifications(),
        bootstrap.provider(),
        bootstrap.clock(),
    )
)
