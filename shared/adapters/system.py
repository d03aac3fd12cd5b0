"""The clock and the randomness of the machine."""

import secrets
import string
import time

_ALPHABET = string.digits + string.ascii_letters


class SystemClock:
    """Implements Clock."""

    def now_ms(self) -> int:
        """Returns milliseconds since the epoch."""
        return time.time_ns() // 1_000_000


class SystemEntropy:
    """Implements Entropy, fresh at every call, so that a restored snapshot repeats nothing."""

    def token(self, length: int) -> str:
        """Returns that many random base-62 characters."""
        return "".join(secrets.choice(_ALPHABET) for _ in range(length))
