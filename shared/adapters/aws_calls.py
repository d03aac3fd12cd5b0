"""Calls of AWS services: a refusal that is worth another try says so."""

from collections.abc import Callable
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from shared.domain.errors import TransientError

_THROTTLES = frozenset(
    {
        "ThrottlingException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "LimitExceededException",
        "InternalServerError",
        "KMSInternalException",
        "DependencyTimeoutException",
        "TransactionInProgressException",
        "ServiceUnavailable",
    }
)

T = TypeVar("T")


def calling(call: Callable[..., T], **arguments: Any) -> T:
    """Makes a call.

    Raises: TransientError when the service is busy or does not answer; what it raises otherwise.
    """
    try:
        return call(**arguments)
    except (ClientError, BotoCoreError) as error:
        raise translated(error) from error


def translated(error: ClientError | BotoCoreError) -> Exception:
    """Turns a refusal that is worth another try into a TransientError."""
    if isinstance(error, ClientError) and error.response["Error"]["Code"] not in _THROTTLES:
        return error
    return TransientError("The platform is busy. Please try again.")
