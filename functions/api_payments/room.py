"""Bounds on what a payment may carry.

A payment's state passes through its sagas, up to three times at once beside the request's own
parameters; a state machine's state holds 256 KB, and an item of the store 400 KB.
"""

import json

from shared.domain.errors import RejectedError

# Each leaves room for what comes after it: confirmations after the details, refunds after both.
DETAILS_BYTES_MAX = 32 * 1024
CONFIRMATION_BYTES_MAX = 60 * 1024
REFUND_BYTES_MAX = 72 * 1024


def require_room(*parts: object, bytes_max: int) -> None:
    """Refuses a request after which a payment would carry too much.

    Args: parts: JSON that is stored or passed on together.
    Raises: RejectedError.
    """
    size = sum(len(json.dumps(part)) for part in parts)
    if size > bytes_max:
        raise RejectedError(
            f"A PaymentIntent's metadata, shipping, refunds and other details are {size} bytes as"
            f" JSON with this request; at most {bytes_max} are accepted.",
            code="details_too_large",
        )
