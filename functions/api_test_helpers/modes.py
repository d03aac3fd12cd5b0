"""What test helpers are for: test mode alone."""

from typing import Any

from shared.edge.api import Request
from shared.wire.errors import RequestError


def require_test_mode(request: Request[Any]) -> None:
    """Refuses a live key.

    Raises: RequestError.
    """
    if request.scope.livemode:
        raise RequestError(
            "Test helpers can only be used with a test mode key.",
            status=403,
            code="testmode_only",
        )
