"""Payments, charges and refunds as objects that other objects name, for expansion and lists."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared.domain.documents import Page, Scope
from shared.domain.errors import NotFoundError
from shared.domain.ids import payment_id_of
from shared.domain.payment import Payment
from shared.domain.ports import PaymentStore
from shared.edge.load import Json, Source
from shared.wire import payments as wire

# What has not this form is no key of the store, and might be one that it refuses.
_ID = re.compile(r"[a-z]{2}_[0-9A-Za-z]{1,64}")

# Finds and renders an object of a payment by id.
Pick = Callable[[Payment, str], Json | None]


def in_scope(payment: Payment | None, scope: Scope) -> Payment | None:
    """Returns the payment if the scope may see it."""
    if payment is None or Scope(payment.account, payment.livemode) != scope:
        return None
    return payment


def pick_payment(payment: Payment, _: str) -> Json:
    """Renders the payment itself."""
    return wire.payment_intent(payment)


def pick_charge(payment: Payment, charge_id: str) -> Json | None:
    """Renders one of its charges."""
    charge = payment.charge(charge_id)
    return wire.charge(payment, charge) if charge else None


def pick_refund(payment: Payment, refund_id: str) -> Json | None:
    """Renders one of its refunds."""
    refund = payment.refund(refund_id)
    return wire.refund(payment, refund) if refund else None


def owner(object_id: str) -> str | None:
    """Names the payment that an id belongs to, or None where it has no such form."""
    if not _ID.fullmatch(object_id):
        return None
    if object_id.startswith("pi_"):
        return object_id
    try:
        return payment_id_of(object_id)
    except NotFoundError:
        return None


def find_payment(payments: PaymentStore, payment_id: str, scope: Scope) -> Payment | None:
    """Reads the scope's payment of this very id, or None."""
    return find_owner(payments, payment_id, scope) if payment_id.startswith("pi_") else None


def find_owner(payments: PaymentStore, object_id: str, scope: Scope) -> Payment | None:
    """Reads the scope's payment that an id belongs to, whether it has such an object or not."""
    name = owner(object_id)
    return in_scope(payments.load(name), scope) if name else None


def source(payments: PaymentStore, pick: Pick) -> Source:
    """Makes the source of one kind of object."""

    def read(object_ids: Sequence[str], scope: Scope) -> Mapping[str, Json]:
        owners = {object_id: owner(object_id) for object_id in object_ids}
        loaded = payments.load_many([name for name in dict.fromkeys(owners.values()) if name])
        found: dict[str, Json] = {}
        for object_id, name in owners.items():
            payment = in_scope(loaded.get(name or ""), scope)
            rendered = pick(payment, object_id) if payment else None
            if rendered is not None:
                found[object_id] = rendered
        return found

    return read


def sources(payments: PaymentStore) -> dict[str, Source]:
    """Makes the sources of all three kinds, by id prefix."""
    picks: Mapping[str, Pick] = {"pi": pick_payment, "ch": pick_charge, "re": pick_refund}
    return {prefix: source(payments, pick) for prefix, pick in picks.items()}


def rendered_page(page: Page, read: Source, scope: Scope) -> list[Mapping[str, Any]]:
    """Renders a page's objects in order."""
    found = read(page.ids, scope)
    return [found[object_id] for object_id in page.ids if object_id in found]
