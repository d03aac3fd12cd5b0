"""The rules of the sandbox card network: what it answers and what it remembers.

Pure functions of the remembered authorization and the command. The network's own service and its
in-memory twin both run them. Neither a card number nor a verification value, nor a digest of one,
is ever part of what is remembered.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol

from shared.domain.cards import CardNumber
from shared.domain.ids import derive_id
from shared.domain.providers import (
    AuthorizationRequest,
    Checks,
    ProviderAnswer,
    ProviderStatus,
    VerificationRequest,
)
from shared.domain.sandbox_cards import (
    CHARGES_DECLINED,
    CHECK_PASSED,
    EXEMPT_OFF_SESSION,
    EXPIRED_CARD,
    INCORRECT_CVC,
    PAID_AT_ONCE,
    REFUND_FAILED,
    REFUND_PENDING,
    Decline,
    Outcome,
    SandboxCard,
    by_name,
    by_number,
)

LIVE_CARD = Decline(
    "card_declined",
    "test_mode_live_card",
    "Your card was declined. Your request was in test mode, but used a non test (live) card.",
)
# A reference names one attempt; a second authorization of it would move the money twice.
DUPLICATE = Decline(
    "card_declined",
    "duplicate_transaction",
    "A transaction with the same reference was submitted before.",
)
VOIDED_BEFORE = Decline(
    "card_declined", "generic_decline", "The authorization was voided before it arrived."
)
# An issuer does not let an authorization grow at will: at once by no more than so many times it.
_GROWTH_MAX = 4
GROWN_TOO_MUCH = Decline("card_declined", "insufficient_funds", "Your card has insufficient funds.")
LIVE_CARD_OUTCOME = "live_card"
VOIDED = "voided"
# A bank takes days for what the sandbox shows at once.
REFUND_ENDS_AFTER_MS = 5_000


class Operation(StrEnum):
    """What the network is asked to do, and the type of the transaction it records."""

    AUTHORIZATION = "authorization"
    SALE = "sale"
    INCREMENT = "increment"
    CAPTURE = "capture"
    REFUND = "refund"
    VERIFICATION = "verification"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class FollowUp:
    """Asks to change an authorization: increment, capture, void or refund.

    Args: amount_minor: 1 or more, of an increment what it adds; None for a void. refund_id: of a
    refund only.
    """

    operation: Operation
    reference: str
    idempotency_key: str
    amount_minor: int | None = None
    refund_id: str | None = None


CardRequest = AuthorizationRequest | VerificationRequest
Command = CardRequest | FollowUp


@dataclass(frozen=True, slots=True)
class Later:
    """What the answer to a refund turns into by itself.

    Args: at_ms: from when on. code: why, in Stripe's terms.
    """

    at_ms: int
    status: ProviderStatus
    code: str | None = None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Later":
        """Reads it back from JSON."""
        return cls(**{**data, "status": ProviderStatus(data["status"])})


@dataclass(frozen=True, slots=True)
class Notice:
    """Tells the platform that something changed by itself, and that it should look it up.

    Args: reference: of the authorization. refund: our id of the refund.
    """

    reference: str
    refund: str


@dataclass(frozen=True, slots=True)
class Authorization:
    """What the network remembers of one reference.

    Args: status: "approved", "declined", "action_required", or "voided" (also when the void came
    before the authorization: a tombstone, with empty merchant). outcome: name of the test card's
    row. version: 1 at first, plus one per change. refunded_minor: asked back, including what
    `returning` lists as (epoch ms, amount): refunds that come back from then on.
    """

    reference: str
    version: int
    status: str
    merchant: str = ""
    payment_intent: str = ""
    currency: str = ""
    last4: str = ""
    outcome: str = ""
    sale: bool = False
    authorized_minor: int = 0
    captured_minor: int = 0
    refunded_minor: int = 0
    returning: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Authorization":
        """Reads an authorization back from JSON."""
        return cls(**{**data, "returning": tuple((at, minor) for at, minor in data["returning"])})

    def given_back_minor(self, now_ms: int) -> int:
        """What was given back, or is on its way, and did not come back."""
        return self.refunded_minor - sum(minor for at, minor in self.returning if at <= now_ms)

    def refundable_minor(self, now_ms: int) -> int:
        """What was taken and not given back."""
        return self.captured_minor - self.given_back_minor(now_ms)


@dataclass(frozen=True, slots=True)
class Transaction:
    """One operation in the network's own record.

    Args: id: carries `created_ms`, so that it leads to its place in the record. merchant: the
    account. status: "approved" when it had an effect, else the answer's status. later: what that
    turns into.
    """

    id: str
    type: Operation
    status: str
    merchant: str
    payment_intent: str
    reference: str
    amount_minor: int
    currency: str
    idempotency_key: str
    created_ms: int
    refund: str | None = None
    later: Later | None = None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Transaction":
        """Reads a transaction back from JSON."""
        later = Later.of(data["later"]) if data["later"] else None
        return cls(**{**data, "type": Operation(data["type"]), "later": later})

    def status_at(self, now_ms: int) -> str:
        """Returns what the status has turned into."""
        if self.later is None or now_ms < self.later.at_ms:
            return self.status
        return self.later.status.value

    def has_effect(self, now_ms: int) -> bool:
        """Tells whether it moves money, or holds it, at that time."""
        return self.status_at(now_ms) == ProviderStatus.APPROVED

    @property
    def sort_key(self) -> str:
        """Orders transactions by time."""
        return transaction_sort_key(self.id)


@dataclass(frozen=True, slots=True)
class TransactionPage:
    """Some transactions of the network's own record as JSON, newest first."""

    data: tuple[Mapping[str, Any], ...]
    has_more: bool


class NetworkRecord(Protocol):
    """Reads the network's own record."""

    def transactions(
        self,
        account: str,
        payment_id: str | None = None,
        limit: int = 10,
        starting_after: str | None = None,
    ) -> TransactionPage:
        """Returns a page of an account's, or a payment's, transactions in effect, newest first.

        Raises: RejectedError when `starting_after` names no transaction; ProviderUnavailableError,
        UnknownOutcomeError when the network does not answer.
        """


@dataclass(frozen=True, slots=True)
class Decision:
    """What a command leads to.

    Args: authorization: the new state, or None when it stays. transaction: None when there is
    nothing to record.
    """

    answer: ProviderAnswer
    authorization: Authorization | None = None
    transaction: Transaction | None = None

    @property
    def later(self) -> Later | None:
        """What the answer turns into."""
        return self.transaction.later if self.transaction else None

    @property
    def notice(self) -> Notice | None:
        """What to tell when the answer has turned into something else."""
        made = self.transaction
        if made is None or made.later is None or made.refund is None:
            return None
        return Notice(made.reference, made.refund)


def answer_at(answer: ProviderAnswer, later: Later | None, now_ms: int) -> ProviderAnswer:
    """Returns what an answer has turned into."""
    if later is None or now_ms < later.at_ms:
        return answer
    return replace(answer, status=later.status, code=later.code, occurred_at_ms=later.at_ms)


def operation_of(command: Command) -> Operation:
    """Names the operation of a command."""
    if isinstance(command, FollowUp):
        return command.operation
    if isinstance(command, VerificationRequest):
        return Operation.VERIFICATION
    return Operation.SALE if command.capture else Operation.AUTHORIZATION


def request_fingerprint(command: Command) -> str:
    """Identifies what a command asks for, to refuse a key that is used for something else.

    The card enters by its last four digits and expiry only: a digest of a card number would be
    card data. The verification value stays out: it is deleted after the first attempt, and the
    second attempt is still the same request.
    """
    if isinstance(command, FollowUp):
        facts = asdict(command)
    else:
        card = command.card
        facts = {
            "merchant": command.account,
            "reference": command.reference,
            "card": [card.number[-4:], card.exp_month, card.exp_year],
            "address": [command.address_line1, command.address_postal_code],
            **_facts(command),
            # A request without it is remembered as it was before there was such a thing.
            **({"authenticate": True} if command.authenticate else {}),
        }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _facts(command: CardRequest) -> dict[str, Any]:
    if isinstance(command, VerificationRequest):
        return {"setup_intent": command.setup_id}
    return {
        "payment_intent": command.payment_id,
        "amount": command.amount_minor,
        "currency": command.currency,
        "capture": command.capture,
        "off_session": command.off_session,
    }


def transaction_id(idempotency_key: str, created_ms: int) -> str:
    """Names a transaction: time first, then a digest of its key."""
    return f"ntx_{created_ms:013d}{derive_id('ntx', idempotency_key)[4:18]}"


def transaction_sort_key(transaction: str) -> str:
    """Finds a transaction's place in the record from its id alone."""
    return f"{transaction[4:17]}#{transaction}"


def decide(state: Authorization | None, command: Command, now_ms: int) -> Decision:
    """Decides a command that was not seen before.

    Args: state: what is remembered of the command's reference, None when nothing is.
    """
    decision = _decided(state, command, now_ms)
    return replace(decision, answer=replace(decision.answer, occurred_at_ms=now_ms))


def _decided(state: Authorization | None, command: Command, now_ms: int) -> Decision:
    if isinstance(command, AuthorizationRequest):
        return _authorize(state, command, now_ms)
    if isinstance(command, VerificationRequest):
        # Of a verification the answer alone is remembered: it has no effect to be undone.
        return Decision(_verdict(None, by_number(command.card.number), command, now_ms))
    if command.operation is Operation.INCREMENT:
        return _increment(state, command, now_ms)
    if command.operation is Operation.CAPTURE:
        return _capture(state, command, now_ms)
    if command.operation is Operation.REFUND:
        return _refund(state, command, now_ms)
    return _void(state, command, now_ms)


def _authorize(state: Authorization | None, command: AuthorizationRequest, now_ms: int) -> Decision:
    card = by_number(command.card.number)
    answer = _verdict(state, card, command, now_ms)
    transaction = Transaction(
        id=transaction_id(command.idempotency_key, now_ms),
        type=operation_of(command),
        status=answer.status.value,
        merchant=command.account,
        payment_intent=command.payment_id,
        reference=command.reference,
        amount_minor=command.amount_minor,
        currency=command.currency,
        idempotency_key=command.idempotency_key,
        created_ms=now_ms,
    )
    if state is not None:
        return Decision(answer, None, transaction)
    authorized = command.amount_minor if answer.status is ProviderStatus.APPROVED else 0
    authorization = Authorization(
        reference=command.reference,
        version=1,
        status=answer.status.value,
        merchant=command.account,
        payment_intent=command.payment_id,
        currency=command.currency,
        last4=command.card.number[-4:],
        outcome=_outcome_name(card),
        sale=command.capture,
        authorized_minor=authorized,
        captured_minor=authorized if command.capture else 0,
    )
    return Decision(answer, authorization, transaction)


def _verdict(
    state: Authorization | None,
    card: SandboxCard | None,
    command: CardRequest,
    now_ms: int,
) -> ProviderAnswer:
    reference = transaction_id(command.idempotency_key, now_ms)
    if state is not None:
        return _declined(reference, VOIDED_BEFORE if state.status == VOIDED else DUPLICATE)
    if card is None:
        return _declined(reference, LIVE_CARD)
    misfit = _misfit(card, command.card, now_ms)
    if misfit is not None:
        return _declined(reference, misfit, Checks(cvc_check=_failed_cvc(misfit, command.card)))
    checks = _checks(card, command)
    if _asks_for_authentication(card, command):
        return ProviderAnswer(
            status=ProviderStatus.ACTION_REQUIRED,
            reference=reference,
            code="authentication_required",
            message="The card's issuer asks for an authentication of the cardholder.",
            checks=checks,
        )
    if card.decline is not None and not _is_good_uncharged(card, command):
        cvc_check = _failed_cvc(card.decline, command.card) or checks.cvc_check
        checks = replace(checks, cvc_check=cvc_check)
        return _declined(reference, card.decline, checks)
    return ProviderAnswer(
        status=ProviderStatus.APPROVED,
        reference=reference,
        authorization_code=_digits("authorization", command.reference, 6),
        network_transaction_id=_digits("network", command.reference, 15),
        paid_at_once=_is_sale(command) and card.followup == PAID_AT_ONCE,
        checks=checks,
    )


def _is_sale(command: CardRequest) -> bool:
    return isinstance(command, AuthorizationRequest) and command.capture


def _is_good_uncharged(card: SandboxCard, command: CardRequest) -> bool:
    return isinstance(command, VerificationRequest) and card.followup == CHARGES_DECLINED


def _asks_for_authentication(card: SandboxCard, command: CardRequest) -> bool:
    # Who verifies a card is there to be asked.
    is_off_session = isinstance(command, AuthorizationRequest) and command.off_session
    is_exempt = is_off_session and card.followup == EXEMPT_OFF_SESSION
    is_required = card.outcome is Outcome.AUTHENTICATION_REQUIRED and not is_exempt
    return is_required or (command.authenticate and card.is_enrolled)


def _checks(card: SandboxCard, command: CardRequest) -> Checks:
    return Checks(
        cvc_check=card.cvc_check if command.card.cvc else None,
        address_line1_check=_address_check(card.line1_check, command.address_line1),
        address_postal_code_check=_address_check(card.postal_check, command.address_postal_code),
    )


def _address_check(result: str, given: str | None) -> str | None:
    # A card that is made to fail does so without an address too: it may be used by name alone.
    return result if given or result != CHECK_PASSED else None


def _declined(reference: str, decline: Decline, checks: Checks | None = None) -> ProviderAnswer:
    return ProviderAnswer(
        status=ProviderStatus.DECLINED,
        reference=reference,
        code=decline.code,
        decline_code=decline.decline_code,
        message=decline.message,
        checks=checks or Checks(),
    )


def _misfit(card: SandboxCard, given: CardNumber, now_ms: int) -> Decline | None:
    # A card is good to the end of its month.
    now = datetime.fromtimestamp(now_ms / 1000, tz=UTC)
    if (given.exp_year, given.exp_month) < (now.year, now.month):
        return EXPIRED_CARD
    if given.cvc is None:
        return None
    has_form = given.cvc.isascii() and given.cvc.isdigit()
    return None if has_form and len(given.cvc) == card.brand.cvc_length else INCORRECT_CVC


def _failed_cvc(decline: Decline, given: CardNumber) -> str | None:
    return "fail" if decline == INCORRECT_CVC and given.cvc is not None else None


def _outcome_name(card: SandboxCard | None) -> str:
    if card is None:
        return LIVE_CARD_OUTCOME
    return card.names[0] if card.names else card.outcome.value


def _digits(purpose: str, reference: str, length: int) -> str:
    digest = hashlib.sha256(f"{purpose}:{reference}".encode()).digest()
    return f"{int.from_bytes(digest, 'big') % 10**length:0{length}d}"


def _increment(state: Authorization | None, command: FollowUp, now_ms: int) -> Decision:
    amount = command.amount_minor or 0
    if state is None or state.status != ProviderStatus.APPROVED or state.captured_minor:
        return _refused(command, now_ms, "There is no open authorization of this reference.")
    if amount > _GROWTH_MAX * state.authorized_minor:
        reference = transaction_id(command.idempotency_key, now_ms)
        return Decision(_declined(reference, GROWN_TOO_MUCH))
    grown = replace(
        state, version=state.version + 1, authorized_minor=state.authorized_minor + amount
    )
    return _approved(command, grown, amount, now_ms)


def _capture(state: Authorization | None, command: FollowUp, now_ms: int) -> Decision:
    amount = command.amount_minor or 0
    if state is None or state.status != ProviderStatus.APPROVED:
        return _refused(command, now_ms, "There is no open authorization of this reference.")
    if state.captured_minor:
        return _refused(command, now_ms, "The authorization was captured before.")
    if not 0 < amount <= state.authorized_minor:
        return _refused(command, now_ms, "The amount exceeds the authorization.")
    captured = replace(state, version=state.version + 1, captured_minor=amount)
    decision = _approved(command, captured, amount, now_ms)
    card = by_name(state.outcome)
    paid_at_once = card is not None and card.followup == PAID_AT_ONCE
    return replace(decision, answer=replace(decision.answer, paid_at_once=paid_at_once))


def _refund(state: Authorization | None, command: FollowUp, now_ms: int) -> Decision:
    amount = command.amount_minor or 0
    if state is None or state.status != ProviderStatus.APPROVED or not state.captured_minor:
        return _refused(command, now_ms, "Nothing was captured under this reference.")
    if not 0 < amount <= state.refundable_minor(now_ms):
        return _refused(command, now_ms, "The amount exceeds what is left of the capture.")
    refunded = replace(
        state, version=state.version + 1, refunded_minor=state.refunded_minor + amount
    )
    card = by_name(state.outcome)
    if card is None or card.followup not in _REFUND_LIVES:
        return _approved(command, refunded, amount, now_ms)
    return _living_refund(_REFUND_LIVES[card.followup], command, refunded, amount, now_ms)


# How a refund to such a card begins, how it ends, and why.
_REFUND_LIVES = {
    REFUND_PENDING: (ProviderStatus.PENDING, ProviderStatus.APPROVED, None),
    REFUND_FAILED: (
        ProviderStatus.APPROVED,
        ProviderStatus.RETURNED,
        "expired_or_canceled_card",
    ),
}


def _living_refund(
    life: tuple[ProviderStatus, ProviderStatus, str | None],
    command: FollowUp,
    refunded: Authorization,
    amount_minor: int,
    now_ms: int,
) -> Decision:
    first, last, code = life
    later = Later(now_ms + REFUND_ENDS_AFTER_MS, last, code)
    if last is ProviderStatus.RETURNED:
        returning = (*refunded.returning, (later.at_ms, amount_minor))
        refunded = replace(refunded, returning=returning)
    decision = _approved(command, refunded, amount_minor, now_ms)
    transaction = decision.transaction
    return replace(
        decision,
        answer=replace(decision.answer, status=first),
        transaction=replace(transaction, status=first.value, later=later) if transaction else None,
    )


def _void(state: Authorization | None, command: FollowUp, now_ms: int) -> Decision:
    if state is None:
        tombstone = Authorization(reference=command.reference, version=1, status=VOIDED)
        return Decision(_nothing_to_void(command, now_ms), tombstone)
    if state.captured_minor and not state.sale:
        return _refused(command, now_ms, "The authorization was captured; refund it instead.")
    released = state.refundable_minor(now_ms) if state.sale else state.authorized_minor
    if state.status != ProviderStatus.APPROVED or released == 0:
        return Decision(_nothing_to_void(command, now_ms))
    voided = replace(state, version=state.version + 1, status=VOIDED)
    return _approved(command, voided, released, now_ms)


def _nothing_to_void(command: FollowUp, now_ms: int) -> ProviderAnswer:
    reference = transaction_id(command.idempotency_key, now_ms)
    return ProviderAnswer(ProviderStatus.NOTHING_TO_VOID, reference)


def _refused(command: FollowUp, now_ms: int, message: str) -> Decision:
    reference = transaction_id(command.idempotency_key, now_ms)
    return Decision(ProviderAnswer(ProviderStatus.REFUSED, reference, message=message))


def _approved(
    command: FollowUp, authorization: Authorization, amount_minor: int, now_ms: int
) -> Decision:
    transaction = Transaction(
        id=transaction_id(command.idempotency_key, now_ms),
        type=command.operation,
        status=ProviderStatus.APPROVED.value,
        merchant=authorization.merchant,
        payment_intent=authorization.payment_intent,
        reference=authorization.reference,
        amount_minor=amount_minor,
        currency=authorization.currency,
        idempotency_key=command.idempotency_key,
        created_ms=now_ms,
        refund=command.refund_id,
    )
    answer = ProviderAnswer(ProviderStatus.APPROVED, transaction.id)
    return Decision(answer, authorization, transaction)


def answer_to_json(answer: ProviderAnswer) -> dict[str, Any]:
    """Renders an answer as the network's API states it; absent facts are left out."""
    facts = {**asdict(answer), "id": answer.reference, "status": answer.status.value}
    del facts["reference"]
    return {name: value for name, value in facts.items() if value is not None}


def answer_of_json(data: Mapping[str, Any]) -> ProviderAnswer:
    """Reads an answer of the network's API.

    Raises: KeyError, TypeError or ValueError when it is none.
    """
    facts = dict(data)
    return ProviderAnswer(
        **{
            "reference": facts.pop("id"),
            **facts,
            "status": ProviderStatus(data["status"]),
            "checks": Checks(**data["checks"]),
        }
    )


def transaction_to_json(transaction: Transaction, now_ms: int) -> dict[str, Any]:
    """Renders a transaction as it is now; `created` is in epoch seconds."""
    facts = asdict(transaction)
    created_ms, amount = facts.pop("created_ms"), facts.pop("amount_minor")
    del facts["later"]
    return {
        **facts,
        "type": transaction.type.value,
        "status": transaction.status_at(now_ms),
        "amount": amount,
        "created": created_ms // 1000,
    }
