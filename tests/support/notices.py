"""Notices of the card network, kept instead of sent."""

from shared.domain.sandbox_network import Notice


class KeptNotices:
    """Implements Notices; `sent` holds each with its delay in seconds."""

    def __init__(self) -> None:
        self.sent: list[tuple[Notice, int]] = []

    def send(self, notice: Notice, delay_s: int) -> None:
        """Keeps a notice."""
        self.sent.append((notice, delay_s))
