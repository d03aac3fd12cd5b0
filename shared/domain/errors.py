"""The error tree of the domain; its branches are what a saga can do about an error.

PaymentError
├─ RejectedError        never retry: the request cannot be served
├─ ConflictError        never retry as is: somebody else was first
├─ TransientError       retry: nothing happened
└─ UnknownOutcomeError  ask, never re-send under a new key: money may have moved
InvariantError          a bug: stop and alarm, never caught
"""


class PaymentError(Exception):
    """Is the root of every expected failure.

    Args: message: safe to show to a merchant. code: Stripe's error code or a Farthing one.
    param: the request parameter at fault, in Stripe's bracket form.
    """

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param


class RejectedError(PaymentError):
    """Says that the request cannot be served as it is.

    is_answer: whether it was carried out as far as it could be, so that this is its answer, kept
    for its retries; otherwise its form was wrong, and it may be corrected.
    """

    is_answer = False


class StateError(RejectedError):
    """Says that an object's state does not allow what is asked for."""

    is_answer = True


class InsufficientFundsError(StateError):
    """Says that a balance would fall below its floor."""


class NotFoundError(RejectedError):
    """Says that an object does not exist, or is not this account's."""


class ConflictError(PaymentError):
    """Says that somebody else changed the state first."""


class VersionConflictError(ConflictError):
    """Says that another writer recorded the same version."""


class KeyInUseError(ConflictError):
    """Says that an idempotency key is held by another request."""


class TransientError(PaymentError):
    """Says that nothing happened and that the same call may be made again."""


class OverloadedError(TransientError):
    """Says that nothing happened, because too much is asked for at the same time."""


class ProviderUnavailableError(TransientError):
    """Says that nothing was sent to the provider (DNS, connect, TLS, explicit refusal)."""


class UnknownOutcomeError(PaymentError):
    """Says that bytes were sent and no answer was read: money may have moved."""


class InvariantError(AssertionError):
    """Is a bug: a fact the code relies on is false."""
