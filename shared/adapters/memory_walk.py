"""In-memory twin of the walk through the payments."""

from shared.adapters.memory import MemoryDatabase

PAGE_PAYMENTS = 40


class MemoryPaymentWalk:
    """Implements PaymentWalk."""

    def __init__(self, database: MemoryDatabase, page_payments: int = PAGE_PAYMENTS) -> None:
        self._database = database
        self._page_payments = page_payments
        self._place: str | None = None

    def place(self) -> str | None:
        """Returns where the walk is."""
        return self._place

    def page(self, place: str | None) -> tuple[tuple[str, ...], str | None]:
        """Returns the next ids in their order."""
        ahead = sorted(name for name in self._database.payments if name > (place or ""))
        page = tuple(ahead[: self._page_payments])
        return page, page[-1] if len(ahead) > len(page) else None

    def keep(self, place: str | None) -> None:
        """Remembers where the walk is."""
        self._place = place
