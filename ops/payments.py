"""Looks at a payment of a deployed stage, and has it looked after when it waits for a person.

`python -m ops.payments show --stage dev pi_...` prints what is open on it, and the references under
which the card provider knows it. `python -m ops.payments look-again --stage dev pi_...` has the
provider asked again about what waits; the sweeper starts that within two minutes.
Uses the AWS credentials, and the endpoint, that the environment gives. Prints JSON, no card data.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import boto3

from ops.stages import (
    CLIENT,
    OperatorError,
    actor_of,
    ask_operator,
    data_outputs,
    event_signer,
    stage_region,
    stage_regions,
)
from shared.adapters.dynamodb_payments import DynamoPaymentStore
from shared.adapters.system import SystemClock
from shared.domain import resolution
from shared.domain.changes import Context
from shared.domain.errors import PaymentError
from shared.domain.ids import BODY_LENGTH
from shared.domain.payment import Charge, Payment
from shared.domain.ports import PaymentStore
from shared.domain.providers import idempotency_key

EVENTS_SHOWN = 20
TABLES = {
    "payments": "PaymentsTable",
    "objects": "ObjectsTable",
    "ledger": "LedgerTable",
    "idempotency": "IdempotencyTable",
    "balances": "BalancesTable",
}
# All that a charge may be known under at its provider; which of them it has seen, it can tell.
_CHARGE_OPERATIONS = ("sale", "authorization", "capture", "void")
_PAYMENT_ID = re.compile(rf"pi_[0-9A-Za-z]{{{BODY_LENGTH}}}")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Open:
    """Work at the provider that is not over.

    Args: refund_id, provider_reference: of a refund. due_at_ms: None when it waits for a person.
    """

    kind: str
    amount_minor: int
    requested_ms: int
    due_at_ms: int | None
    refund_id: str | None = None
    provider_reference: str | None = None

    def is_due(self, now_ms: int) -> bool:
        """Tells whether the sweeper has it looked after."""
        return self.due_at_ms is not None and self.due_at_ms <= now_ms

    def to_json(self) -> Json:
        """Returns it as it is printed."""
        shown = {
            "operation": self.kind,
            "amount_minor": self.amount_minor,
            "requested_at": _iso(self.requested_ms),
            "due_at": _iso(self.due_at_ms),
            "waits_for_person": self.due_at_ms is None,
        }
        if self.refund_id is None:
            return shown
        return {
            **shown,
            "refund": self.refund_id,
            "provider_reference": self.provider_reference,
            "idempotency_key": idempotency_key(self.refund_id, "refund"),
        }


def _iso(milliseconds: int | None) -> str | None:
    if milliseconds is None:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")


def open_work(payment: Payment) -> Iterator[Open]:
    """Yields what is open on a payment: its own operation, then its refunds."""
    pending = payment.pending
    if pending is not None:
        yield Open(pending.kind, pending.amount_minor, pending.requested_ms, pending.due_at_ms)
    for refund in payment.open_refunds:
        yield Open(
            "refund",
            refund.amount_minor,
            refund.created_ms,
            refund.due_at_ms,
            refund.id,
            refund.provider_reference,
        )


def show(payments: PaymentStore, payment: Payment) -> Json:
    """Returns what an operator needs to know of a payment."""
    events = payments.events(payment.id)[-EVENTS_SHOWN:]
    return {
        "payment": payment.id,
        "account": payment.account,
        "livemode": payment.livemode,
        "status": payment.status,
        "version": payment.version,
        "amount_minor": payment.amount_minor,
        "currency": payment.currency,
        "waits_for_person": payment.waits_for_person,
        "open": [work.to_json() for work in open_work(payment)],
        "provider": _provider(payment.latest_charge) if payment.charges else None,
        "events": [
            {"version": event.version, "type": event.type, "at": _iso(event.occurred_at_ms)}
            for event in events
        ],
    }


def _provider(charge: Charge) -> Json:
    # One more than have ended: it may be open.
    increments = [f"{charge.id}_{number + 1}" for number in range(len(charge.increments) + 1)]
    return {
        "name": charge.provider,
        "charge": charge.id,
        "reference": charge.provider_reference,
        "idempotency_keys": [
            *(idempotency_key(charge.id, name) for name in _CHARGE_OPERATIONS),
            *(idempotency_key(name, "increment") for name in increments),
        ],
    }


def look_again(
    payments: PaymentStore, payment: Payment, context: Context, reason: str | None = None
) -> Json:
    """Has everything on a payment looked after that waits for a person or is overdue.

    Args: reason: why, for who reads the payment's history later.
    Returns: what the sweeper now finds.
    Raises: OperatorError when there is no such thing; VersionConflictError when the payment has
    changed meanwhile. Nothing is changed then.
    """
    change = resolution.look_again(payment, context, reason)
    if change is not None:
        payments.commit(change)
        payment = change.payment
    due = [work.to_json() for work in open_work(payment) if work.is_due(context.now_ms)]
    if not due:
        raise OperatorError(f"nothing on {payment.id} waits for a person or is overdue")
    return {"payment": payment.id, "version": payment.version, "looked_after": due}


def open_store(stage: str, region: str) -> PaymentStore:
    """Opens the payments of a stage in a region.

    Raises: OperatorError when they cannot be found.
    """
    found = data_outputs(stage, region, tuple(TABLES.values()))
    client = boto3.client("dynamodb", region_name=region, config=CLIENT)
    tables = dict(zip(TABLES, found, strict=True))
    return DynamoPaymentStore(client, tables, event_signer(stage, region))


def _find(payments: PaymentStore, payment_id: str, stage: str, region: str) -> Payment:
    payment = payments.load(payment_id)
    if payment is None:
        others = [other for other in stage_regions(stage) if other != region]
        elsewhere = f"; look in its merchant's home: --region {' or '.join(others)}"
        raise OperatorError(f"no payment {payment_id} in {region}{elsewhere if others else ''}")
    return payment


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, purpose in (
        ("show", "print what is open on a payment"),
        ("look-again", "have what waits for a person looked after now"),
    ):
        command = commands.add_parser(name, help=purpose)
        command.add_argument("--stage", required=True)
        command.add_argument("--region", help="merchant's home; the stage's first one by default")
        command.add_argument("payment", metavar="pi_...")
        if name == "look-again":
            ask_operator(command)
    return parser.parse_args()


def _run(arguments: argparse.Namespace) -> str:
    if not _PAYMENT_ID.fullmatch(arguments.payment):
        form = f"pi_ and {BODY_LENGTH} letters or digits"
        raise OperatorError(f"{arguments.payment} is not the id of a payment: {form}")
    region = stage_region(arguments.stage, arguments.region)
    payments = open_store(arguments.stage, region)
    payment = _find(payments, arguments.payment, arguments.stage, region)
    if arguments.command == "show":
        return json.dumps(show(payments, payment), indent=2)
    context = Context(SystemClock().now_ms(), actor=actor_of(arguments))
    return json.dumps(look_again(payments, payment, context, arguments.reason))


def main() -> None:
    """Runs the command line."""
    try:
        answer = _run(_arguments())
    except (OperatorError, PaymentError) as error:
        sys.exit(f"ops.payments: {error}")
    print(answer)


if __name__ == "__main__":
    main()
