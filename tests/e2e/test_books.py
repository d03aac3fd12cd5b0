"""The ledger against what the card network itself remembers, to the unit."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
import stripe

from local.observations import observations, trial_balance
from shared.domain.invariants import Violation, unbalanced, violations
from tests.e2e.conftest import Platform
from tests.support.live import eventually, read_all, read_json

pytestmark = pytest.mark.e2e

THREADS = 4
ROUNDS = 5
# A multiple of a thousand, so that fees of tenths of a percent are whole.
AMOUNT = 3_000
PLATFORM_FEE_PER_MILLE, PLATFORM_FEE_FIXED = 29, 30
PROVIDER_FEE_PER_MILLE, PROVIDER_FEE_FIXED = 18, 10

Network = list[dict[str, Any]]


def pay(client: stripe.StripeClient, **params: Any) -> stripe.PaymentIntent:
    order: Any = {
        "amount": AMOUNT,
        "currency": "usd",
        "payment_method": "pm_card_visa",
        "confirm": True,
        **params,
    }
    return client.v1.payment_intents.create(order)


def sell(client: stripe.StripeClient) -> None:
    assert pay(client).status == "succeeded"


def sell_and_refund_in_parts(client: stripe.StripeClient) -> None:
    payment = pay(client)
    for amount in (700, 1_100):
        client.v1.refunds.create({"payment_intent": payment.id, "amount": amount})


def sell_and_refund(client: stripe.StripeClient) -> None:
    client.v1.refunds.create({"charge": str(pay(client).latest_charge)})


def capture_in_part(client: stripe.StripeClient) -> None:
    payment = pay(client, capture_method="manual")
    client.v1.payment_intents.capture(payment.id, {"amount_to_capture": 2_000})


def capture_in_full_and_refund_a_part(client: stripe.StripeClient) -> None:
    payment = pay(client, capture_method="manual")
    client.v1.payment_intents.capture(payment.id)
    client.v1.refunds.create({"payment_intent": payment.id, "amount": 1})


def authorize_and_cancel(client: stripe.StripeClient) -> None:
    client.v1.payment_intents.cancel(pay(client, capture_method="manual").id)


def authorize(client: stripe.StripeClient) -> None:
    assert pay(client, capture_method="manual").status == "requires_capture"


def decline_then_sell(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.CardError) as declined:
        pay(client, payment_method="pm_card_chargeDeclined")
    assert declined.value.error is not None
    assert declined.value.error.payment_intent is not None
    payment_id = declined.value.error.payment_intent["id"]
    client.v1.payment_intents.confirm(payment_id, {"payment_method": "pm_card_visa"})


STORIES: tuple[Callable[[stripe.StripeClient], None], ...] = (
    sell,
    sell_and_refund_in_parts,
    sell_and_refund,
    capture_in_part,
    capture_in_full_and_refund_a_part,
    authorize_and_cancel,
    decline_then_sell,
)


@dataclass(frozen=True)
class Books:
    """All that is known of a merchant's busy day."""

    client: stripe.StripeClient
    network: Network
    charges: list[stripe.Charge]
    refunds: list[stripe.Refund]

    def moved(self, *types: str) -> int:
        """Adds up what the network did."""
        return sum(item["amount"] for item in self.network if item["type"] in types)

    @property
    def fees(self) -> tuple[int, int]:
        """What platform and provider charge for what was captured."""
        taken = [charge.amount_captured for charge in self.charges if charge.captured]
        return (
            sum(amount * PLATFORM_FEE_PER_MILLE // 1_000 + PLATFORM_FEE_FIXED for amount in taken),
            sum(amount * PROVIDER_FEE_PER_MILLE // 1_000 + PROVIDER_FEE_FIXED for amount in taken),
        )

    def balances(self) -> dict[str, dict[str, Any]]:
        """Reads the trial balance, by account code."""
        rows = read_json(self.client, "/v1/ledger/trial_balance")["data"]
        return {row["account"].partition(":")[0]: row for row in rows}


@pytest.fixture(scope="module")
def books(client: stripe.StripeClient) -> Books:
    """A few dozen payments of all kinds, made by several threads at once."""
    with ThreadPoolExecutor(THREADS) as pool:
        for done in [pool.submit(story, client) for _ in range(ROUNDS) for story in STORIES]:
            done.result()
    network = read_all(client, "/v1/test_helpers/network_transactions")
    charges = list(client.v1.charges.list({"limit": 100}).auto_paging_iter())
    refunds = list(client.v1.refunds.list({"limit": 100}).auto_paging_iter())
    made = Books(client, network, charges, refunds)
    taken, given_back = made.moved("sale", "capture"), made.moved("refund")
    # The books follow a moment behind, and settlement after the answer.
    eventually(
        lambda: made.balances().get("1100", {}),
        lambda row: (
            (row.get("debits"), row.get("credits")) == (taken, given_back)
            and row["pending_debits"] == row["pending_credits"]
        ),
    )
    return made


def test_network_did_each_operation_once(books: Books) -> None:
    keys = [item["idempotency_key"] for item in books.network]
    assert len(set(keys)) == len(keys)
    assert Counter(item["type"] for item in books.network) == {
        "sale": 4 * ROUNDS,
        "authorization": 3 * ROUNDS,
        "capture": 2 * ROUNDS,
        "void": ROUNDS,
        "refund": 4 * ROUNDS,
    }


def test_every_payment_keeps_the_invariants(books: Books) -> None:
    # given: what is announced follows an answer
    def read(target: str) -> Any:
        return read_json(books.client, target)

    def broken() -> list[Violation]:
        return [violation for seen in observations(read) for violation in violations(seen)]

    # then
    assert eventually(broken, lambda found: not found) == []
    assert unbalanced([trial_balance(read)]) == ()


def test_refunds_succeed_and_declined_charges_fail(books: Books) -> None:
    assert {refund.status for refund in books.refunds} == {"succeeded"}
    assert sum(charge.amount_refunded for charge in books.charges) == books.moved("refund")
    assert len([charge for charge in books.charges if charge.status == "failed"]) == ROUNDS


def test_trial_balance_is_zero_and_agrees_with_the_network(books: Books) -> None:
    # given
    taken, given_back = books.moved("sale", "capture"), books.moved("refund")
    platform_fee, provider_fee = books.fees
    # when
    totals = read_json(books.client, "/v1/ledger/trial_balance")["totals"]
    rows = books.balances()
    # then
    assert [(total["currency"], total["net"]) for total in totals] == [("usd", 0)]
    assert (rows["1100"]["debits"], rows["1100"]["credits"]) == (taken, given_back)
    assert rows["2200"]["net"] == 0
    assert rows["4000"]["net"] == -platform_fee
    assert (rows["5000"]["net"], rows["2500"]["net"]) == (provider_fee, -provider_fee)
    owed = -(rows["2000"]["net"] + rows.get("2010", {"net": 0})["net"])
    assert owed == taken - given_back - platform_fee


def test_holds_are_all_released(books: Books) -> None:
    rows = books.balances()
    held = {code: row["pending_debits"] - row["pending_credits"] for code, row in rows.items()}
    assert set(held.values()) == {0}
    confirmed = sum(charge.amount for charge in books.charges)
    assert rows["1100"]["pending_debits"] == confirmed


def test_captured_funds_become_available(books: Books) -> None:
    # given
    platform_fee, _ = books.fees
    net = books.moved("sale", "capture") - books.moved("refund") - platform_fee
    # when
    balance = eventually(
        books.client.v1.balance.retrieve,
        lambda found: found.pending[0].amount == 0 and found.available[0].amount >= net,
    )
    # then
    assert [(funds.currency, funds.amount) for funds in balance.available] == [("usd", net)]


def test_balance_transactions_add_up_to_what_is_owed(books: Books) -> None:
    # given
    platform_fee, _ = books.fees
    moved, given_back = books.moved("sale", "capture"), books.moved("refund")
    # when
    found = list(
        books.client.v1.balance_transactions.list(
            {"limit": 7, "expand": ["data.source"]}
        ).auto_paging_iter()
    )
    # then
    amounts = {
        kind: sum(item.amount for item in found if item.type == kind)
        for kind in ("charge", "refund")
    }
    assert amounts == {"charge": moved, "refund": -given_back}
    assert sum(item.fee for item in found) == platform_fee
    assert sum(item.net for item in found) == moved - given_back - platform_fee
    names = {item.source.id for item in found if not isinstance(item.source, str | None)}
    assert len(names) == len(found)


def test_open_authorization_is_a_hold_of_its_amount(platform: Platform) -> None:
    # given
    client = platform.client(platform.merchant())
    # when
    authorize(client)
    # then
    rows = eventually(lambda: read_json(client, "/v1/ledger/trial_balance")["data"], bool)
    held = {
        row["account"].partition(":")[0]: row["pending_debits"] - row["pending_credits"]
        for row in rows
    }
    assert held == {"1100": AMOUNT, "2000": -AMOUNT}
    assert all(row["net"] == 0 for row in rows)


def test_journals_of_a_payment_add_up_to_its_story(client: stripe.StripeClient) -> None:
    # given
    payment = pay(client, capture_method="manual")
    client.v1.payment_intents.capture(payment.id, {"amount_to_capture": 1_000})
    client.v1.refunds.create({"payment_intent": payment.id, "amount": 400})
    # when
    journals = eventually(
        lambda: read_json(client, f"/v1/ledger/journals?payment_intent={payment.id}")["data"],
        lambda found: "settle" in {journal["kind"] for journal in found},
    )
    # then
    for journal in journals:
        assert sum(posting["debit"] - posting["credit"] for posting in journal["postings"]) == 0
    kinds = [journal["kind"].removesuffix("_pending") for journal in journals]
    assert Counter(kinds) == Counter(
        ["hold", "capture", "fee", "settle", "refund_request", "refund_accept"]
    )
