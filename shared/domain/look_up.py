"""Asking a card provider for nothing new."""

from shared.domain.errors import UnknownOutcomeError
from shared.domain.ports import CardProvider
from shared.domain.providers import AuthorizationRequest, ProviderAnswer


class LookUpOnly:
    """A card provider that is asked for nothing new: each operation is looked up by its key.

    Raises (all operations): UnknownOutcomeError when the provider has not seen it, or does not
    remember it.
    """

    def __init__(self, provider: CardProvider) -> None:
        self.name = provider.name
        self.has_sale = provider.has_sale
        self._provider = provider

    def authorize(self, request: AuthorizationRequest) -> ProviderAnswer:
        """Looks up an authorization or sale."""
        return self._found(request.idempotency_key)

    def increment(self, reference: str, more_minor: int, idempotency_key: str) -> ProviderAnswer:
        """Looks up an increment."""
        return self._found(idempotency_key)

    def capture(self, reference: str, amount_minor: int, idempotency_key: str) -> ProviderAnswer:
        """Looks up a capture."""
        return self._found(idempotency_key)

    def void(self, reference: str, idempotency_key: str) -> ProviderAnswer:
        """Looks up a void."""
        return self._found(idempotency_key)

    def refund(
        self, reference: str, refund_id: str, amount_minor: int, idempotency_key: str
    ) -> ProviderAnswer:
        """Looks up a refund."""
        return self._found(idempotency_key)

    def find(self, idempotency_key: str) -> ProviderAnswer | None:
        """Looks up what has become of an operation; None when the provider has not seen it."""
        return self._provider.find(idempotency_key)

    def _found(self, key: str) -> ProviderAnswer:
        answer = self.find(key)
        if answer is None:
            raise UnknownOutcomeError("The provider does not know the operation any more.")
        return answer
