"""Confirmation tokens: what a customer agreed to pay with, kept until a payment is confirmed by it.

`Document.data` of one: {"payment_method": the id of the one it names, or None, "method": data of
that payment method, or of the one to be made, "return_url", "setup_future_usage", "shipping",
"payment_intent" and "setup_intent": what it was used for, "used", "used_by": the request that did}.
Source: Stripe API reference, "Confirmation Token".
"""

from shared.domain.documents import Document

KIND = "confirmation_token"
LIFETIME_MS = 12 * 60 * 60 * 1000


def expires_at_ms(token: Document) -> int:
    """Returns when a token can no longer be used."""
    return token.created_ms + LIFETIME_MS
