"""Secrets Manager: one secret text, fetched once per environment and renewed when it fails."""

from collections.abc import Mapping
from typing import Any, Protocol

from shared.domain.ports import Clock

RENEWAL_INTERVAL_MS = 60_000


class Secret(Protocol):
    """Gives a secret text that may be rotated."""

    def text(self) -> str:
        """Returns the text, from memory where possible."""

    def renew(self) -> bool:
        """Looks for a newer text after a mismatch; tells whether it changed."""


class SecretsClient(Protocol):
    """The part of a Secrets Manager client that is used."""

    def get_secret_value(self, *, SecretId: str) -> Mapping[str, Any]:
        """Reads a secret."""


class StoredSecret:
    """Reads a secret of Secrets Manager.

    Args: client: of Secrets Manager. arn: of the secret. clock: bounds the renewals to one a
    minute, so that wrong callers cannot turn into calls of Secrets Manager.
    """

    def __init__(self, client: SecretsClient, arn: str, clock: Clock) -> None:
        self._client = client
        self._arn = arn
        self._clock = clock
        self._text: str | None = None
        self._fetched_ms = 0

    def text(self) -> str:
        """Returns the text; the first call of an environment fetches it."""
        return self._fetch() if self._text is None else self._text

    def renew(self) -> bool:
        """Fetches the text again, at most once a minute; tells whether it changed."""
        before = self._text
        if before is not None and self._clock.now_ms() - self._fetched_ms < RENEWAL_INTERVAL_MS:
            return False
        return self._fetch() != before

    def _fetch(self) -> str:
        self._fetched_ms = self._clock.now_ms()
        text: str = self._client.get_secret_value(SecretId=self._arn)["SecretString"]
        self._text = text
        return text


class FixedSecret:
    """Is a secret that never changes, for tests and tools."""

    def __init__(self, text: str) -> None:
        self._text = text

    def text(self) -> str:
        """Returns the text."""
        return self._text

    def renew(self) -> bool:
        """Never finds another text."""
        return False
