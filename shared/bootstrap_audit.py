"""Composes what the audit walks with, and the record that it holds the books against."""

from typing import TYPE_CHECKING

from shared import bootstrap
from shared.adapters.dynamodb_walk import DynamoPaymentWalk

if TYPE_CHECKING:
    from shared.adapters.providers.sandbox import SandboxProvider


def walk() -> DynamoPaymentWalk:
    """Composes the walk through the payments."""
    settings = bootstrap.settings()
    return DynamoPaymentWalk(
        bootstrap.dynamodb(), settings["PAYMENTS_TABLE"], settings["AUDIT_TABLE"]
    )


def network_record() -> "SandboxProvider | None":
    """Composes the network's own record; only the sandbox network lets anybody read it."""
    return bootstrap.provider() if bootstrap.settings().flag("SANDBOX_NETWORK") else None
