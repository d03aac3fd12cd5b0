"""What restricted keys may be allowed: a level per family of resources, as Stripe names them.

Source: Stripe's documentation, "Restricted API keys", and the names in its refusals (rak_...).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

# Every family that a key can be allowed; those of resources that are not served yet are missing.
FAMILIES = frozenset(
    {
        "balance",
        "balance_transaction",
        "charge",
        "confirmation_token",
        "customer",
        "event",
        "ledger",
        "mandate",
        "payment_intent",
        "payment_method",
        "payment_method_configuration",
        "payment_method_domain",
        "setup_attempt",
        "setup_intent",
        "test_helper",
        "token",
        "webhook",
    }
)
# By segment of a path, where it is not the family's plural. Refunds belong to charges.
_FAMILY_OF = {"balance": "balance", "ledger": "ledger", "refunds": "charge"}
_FAMILY_OF |= {"line_items": "payment_intent"}
_FAMILY_OF |= {"refund": "charge", "webhook_endpoints": "webhook", "webhook_endpoint": "webhook"}
# What hangs below another family's object and belongs to its own.
_NESTED = {"payment_methods"}


class Access(StrEnum):
    """What a key may do with a family of resources; writing includes reading."""

    NONE = "none"
    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Permission:
    """What an operation needs.

    Args: access: READ or WRITE.
    """

    family: str
    access: Access

    @property
    def name(self) -> str:
        """As Stripe calls it, such as "rak_payment_intent_write"."""
        return f"rak_{self.family}_{self.access}"

    def is_in(self, granted: Mapping[str, Access]) -> bool:
        """Tells whether this is among what was granted; what is not named is not granted."""
        held = granted.get(self.family, Access.NONE)
        return held in {self.access, Access.WRITE}


def permission_for(method: str, template: str) -> Permission:
    """Returns what an operation needs, by its path: "/v1/payment_intents/{id}/confirm"."""
    segments = [part for part in template.split("/")[2:] if not part.startswith("{")]
    last = segments[-1] if len(segments) > 1 else ""
    family = last if last in _NESTED else (segments or [""])[0]
    return Permission(family_of(family), Access.READ if method == "GET" else Access.WRITE)


def reading(kind: str) -> Permission:
    """Returns what showing an object of this kind needs."""
    return Permission(family_of(kind), Access.READ)


def family_of(name: str) -> str:
    """Returns the family of a kind of object, or of the segment of a path that it has."""
    return _FAMILY_OF.get(name, name.removesuffix("s"))
