"""A card provider in memory: the sandbox network's rules without its service."""

from typing import Protocol

from shared.domain.errors import InvariantError
from shared.domain.ports import Clock
from shared.domain.providers import AuthorizationRequest, ProviderAnswer, VerificationRequest
from shared.domain.sandbox_network import (
    Authorization,
    Command,
    Decision,
    FollowUp,
    Notice,
    Operation,
    Transaction,
    answer_at,
    decide,
    operation_of,
    request_fingerprint,
)


class FaultHook(Protocol):
    """Fails a call before it is sent, or after it took effect.

    Raises: what the provider shall fail with, such as ProviderUnavailableError before the send
    and UnknownOutcomeError after the effect.
    """

    def __call__(self, moment: str, command: Command) -> None:
        """Is called with the moment "before_send" and then "after_effect" of every command."""


def no_fault(moment: str, command: Command) -> None:
    """Lets every call through."""


class MemoryProvider:
    """Answers as the sandbox network does and remembers what it did.

    Args: has_sale: whether money can be taken in one call. fault: where a test breaks the
    connection; may be set later too.
    """

    name = "sandbox"

    def __init__(self, clock: Clock, *, has_sale: bool = True, fault: FaultHook = no_fault) -> None:
        self.has_sale = has_sale
        self.fault = fault
        self.authorizations: dict[str, Authorization] = {}
        self.transactions: list[Transaction] = []
        self._clock = clock
        self.notices: list[Notice] = []
        self._answers: dict[str, tuple[str, Decision]] = {}

    def authorize(self, request: AuthorizationRequest) -> ProviderAnswer:
        """Reserves money, or takes it when `request.capture`."""
        return self._run(request)

    def verify(self, request: VerificationRequest) -> ProviderAnswer:
        """Asks the issuer about a card, without money."""
        return self._run(request)

    def increment(self, reference: str, more_minor: int, idempotency_key: str) -> ProviderAnswer:
        """Reserves more money beside what is reserved."""
        return self._run(FollowUp(Operation.INCREMENT, reference, idempotency_key, more_minor))

    def capture(self, reference: str, amount_minor: int, idempotency_key: str) -> ProviderAnswer:
        """Takes reserved money; the rest of the reservation is given back."""
        return self._run(FollowUp(Operation.CAPTURE, reference, idempotency_key, amount_minor))

    def void(self, reference: str, idempotency_key: str) -> ProviderAnswer:
        """Gives a reservation, or a sale, back in full."""
        return self._run(FollowUp(Operation.VOID, reference, idempotency_key))

    def refund(
        self, reference: str, refund_id: str, amount_minor: int, idempotency_key: str
    ) -> ProviderAnswer:
        """Gives taken money back."""
        return self._run(
            FollowUp(Operation.REFUND, reference, idempotency_key, amount_minor, refund_id)
        )

    def find(self, idempotency_key: str) -> ProviderAnswer | None:
        """Looks up what became of an operation."""
        seen = self._answers.get(idempotency_key)
        return None if seen is None else self._answer_now(seen[1])

    def effects(self, *types: Operation) -> list[Transaction]:
        """Returns the transactions in effect, of the given types or all, oldest first."""
        now_ms = self._clock.now_ms()
        return [
            transaction
            for transaction in self.transactions
            if transaction.has_effect(now_ms) and (not types or transaction.type in types)
        ]

    def _run(self, command: Command) -> ProviderAnswer:
        self.fault("before_send", command)
        answer = self._answer(command)
        self.fault("after_effect", command)
        return answer

    def _answer(self, command: Command) -> ProviderAnswer:
        fingerprint = request_fingerprint(command)
        seen = self._answers.get(command.idempotency_key)
        if seen is not None:
            if seen[0] != fingerprint:
                raise InvariantError(f"{operation_of(command)} reuses a provider key")
            return self._answer_now(seen[1])
        state = self.authorizations.get(command.reference)
        decision = decide(state, command, self._clock.now_ms())
        if decision.authorization is not None:
            self.authorizations[command.reference] = decision.authorization
        if decision.transaction is not None:
            self.transactions.append(decision.transaction)
        if decision.notice is not None:
            self.notices.append(decision.notice)
        self._answers[command.idempotency_key] = fingerprint, decision
        return decision.answer

    def _answer_now(self, decision: Decision) -> ProviderAnswer:
        return answer_at(decision.answer, decision.later, self._clock.now_ms())
