"""What payments are made of, as objects that others name, for expansion and lists."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from shared.domain.balance_transactions import BalanceTransaction, parts, transactions
from shared.domain.documents import LIMIT_DEFAULT, Page, Scope
from shared.domain.ids import owner_of
from shared.domain.ledger import Journal
from shared.domain.payment import Payment
from shared.domain.ports import LedgerStore, PaymentStore
from shared.edge.lists import list_reply
from shared.edge.load import Json, Source
from shared.wire import ledger
from shared.wire import payments as wire

_BATCH_MAX = 100

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


def find_payment(payments: PaymentStore, payment_id: str, scope: Scope) -> Payment | None:
    """Reads the scope's payment of this very id, or None."""
    return find_owner(payments, payment_id, scope) if payment_id.startswith("pi_") else None


def find_owner(payments: PaymentStore, object_id: str, scope: Scope) -> Payment | None:
    """Reads the scope's payment that an id belongs to, whether it has such an object or not."""
    name = owner_of(object_id)
    return in_scope(payments.load(name), scope) if name else None


def source(payments: PaymentStore, pick: Pick) -> Source:
    """Makes the source of one kind of object."""

    def read(object_ids: Sequence[str], scope: Scope) -> Mapping[str, Json]:
        owned = _owners(payments, object_ids, scope)
        rendered = {object_id: pick(payment, object_id) for object_id, payment in owned.items()}
        return {object_id: body for object_id, body in rendered.items() if body is not None}

    return read


def _owners(payments: PaymentStore, ids: Sequence[str], scope: Scope) -> dict[str, Payment]:
    """Reads the scope's payments that ids belong to, by these ids."""
    names = {object_id: owner_of(object_id) for object_id in ids}
    loaded = payments.load_many([name for name in dict.fromkeys(names.values()) if name])
    return {
        object_id: payment
        for object_id, name in names.items()
        if (payment := in_scope(loaded.get(name or ""), scope)) is not None
    }


def find_transactions(
    payments: PaymentStore, journals: LedgerStore, ids: Sequence[str], scope: Scope
) -> dict[str, tuple[BalanceTransaction, Payment]]:
    """Reads balance transactions with their payments, by id, strongly consistent."""
    owned = _owners(payments, ids, scope)
    subjects = {payment.id: payment for payment in owned.values()}
    wanted = [name for object_id, payment in owned.items() for name in parts(payment, object_id)]
    made = {t.id: t for t in made_transactions(subjects, read_journals(journals, wanted))}
    for object_id, payment in owned.items():
        # What is neither a charge's nor a refund's is found in the payment's whole history.
        if object_id not in made:
            history = journals.of_subject(payment.id)
            made |= {t.id: t for t in made_transactions(subjects, history)}
    return {object_id: (made[object_id], owned[object_id]) for object_id in owned.keys() & made}


def read_journals(journals: LedgerStore, names: Iterable[str]) -> list[Journal]:
    """Reads journals by id, in batches; the missing ones are left out."""
    ids = list(dict.fromkeys(names))
    return [
        journal
        for start in range(0, len(ids), _BATCH_MAX)
        for journal in journals.get_many(ids[start : start + _BATCH_MAX]).values()
    ]


def made_transactions(
    payments: Mapping[str, Payment], journals: Iterable[Journal]
) -> list[BalanceTransaction]:
    """Derives the balance transactions that journals make, subject by subject.

    Args: payments: those that are the subjects, by id.
    """
    by_subject: dict[str, list[Journal]] = defaultdict(list)
    for journal in journals:
        by_subject[journal.subject].append(journal)
    return [
        transaction
        for subject, history in by_subject.items()
        for transaction in transactions(
            history, is_settled=subject in payments and payments[subject].settled
        )
    ]


def render_transaction(transaction: BalanceTransaction, payment: Payment | None) -> Json:
    """Renders a balance transaction, described as its payment is."""
    described = payment.details.get("description") if payment else None
    return ledger.balance_transaction(transaction, described)


def transaction_source(payments: PaymentStore, journals: LedgerStore) -> Source:
    """Makes the source of balance transactions."""

    def read(object_ids: Sequence[str], scope: Scope) -> Mapping[str, Json]:
        found = find_transactions(payments, journals, object_ids, scope)
        return {name: render_transaction(*made) for name, made in found.items()}

    return read


def sources(payments: PaymentStore, journals: LedgerStore) -> dict[str, Source]:
    """Makes the sources of all kinds, by id prefix."""
    picks: Mapping[str, Pick] = {"pi": pick_payment, "ch": pick_charge, "re": pick_refund}
    found = {prefix: source(payments, pick) for prefix, pick in picks.items()}
    found["lines"] = line_items_source(payments)
    return {**found, "txn": transaction_source(payments, journals)}


def line_items_source(payments: PaymentStore) -> Source:
    """Makes the source of what was bought, each by its prefix and its payment's id."""

    def read(names: Sequence[str], scope: Scope) -> Mapping[str, Json]:
        payment_ids = {name: name.partition("_")[2] for name in names}
        owned = _owners(payments, list(payment_ids.values()), scope)
        return {
            name: line_items_page(owned[payment_id])
            for name, payment_id in payment_ids.items()
            if payment_id in owned
        }

    return read


def line_items_page(payment: Payment) -> Json:
    """Renders the first of what was bought, as an object that includes them does."""
    items = wire.line_items(payment)
    page = items[:LIMIT_DEFAULT]
    return list_reply(line_items_url(payment), page, has_more=len(items) > len(page))


def line_items_url(payment: Payment) -> str:
    """Returns where the list of what was bought is."""
    return f"/v1/payment_intents/{payment.id}/amount_details_line_items"


def rendered_page(page: Page, read: Source, scope: Scope) -> list[Mapping[str, Any]]:
    """Renders a page's objects in order."""
    found = read(page.ids, scope)
    return [found[object_id] for object_id in page.ids if object_id in found]
