"""The books as a merchant reads them, against the handlers on memory stores."""

from collections.abc import Mapping
from typing import Any

import pytest
import stripe

from shared.domain.ledger import currency_of
from shared.domain.stripes import NOTICE_MS, Stripes
from tests.support.world import Answer, Merchant, World

DAY_MS = 24 * 60 * 60 * 1000


def get(world: World, merchant: Merchant, path: str, **params: Any) -> Answer:
    return world.call("GET", path, params, merchant=merchant)


def read(world: World, merchant: Merchant, path: str, **params: Any) -> Any:
    answer = get(world, merchant, path, **params)
    assert answer.status == 200, answer.text
    return answer.body


def sale(world: World, merchant: Merchant, *, settled: bool = True, **params: Any) -> Any:
    paid = world.pay(merchant, **params)
    assert paid.status == 200, paid.text
    if settled:
        world.settle(paid.body["id"])
    return paid.body


def refund(world: World, merchant: Merchant, payment: str, amount: int) -> Any:
    order = {"payment_intent": payment, "amount": amount}
    answer = world.call("POST", "/v1/refunds", order, merchant=merchant)
    assert answer.status == 200, answer.text
    return answer.body


def everything(world: World, merchant: Merchant, path: str, *, limit: int, **params: Any) -> Any:
    """Reads a list to its end, and backwards again; both must be the same."""
    data: list[Any] = []
    more = True
    while more:
        after = {"starting_after": data[-1]["id"]} if data else {}
        page = read(world, merchant, path, limit=limit, **after, **params)
        data += page["data"]
        more = page["has_more"]
    back: list[Any] = data[-1:]
    more = bool(back)
    while more:
        page = read(world, merchant, path, limit=limit, ending_before=back[0]["id"], **params)
        back = page["data"] + back
        more = page["has_more"]
    assert back == data
    return data


@pytest.fixture
def busy(world: World, merchant: Merchant) -> Merchant:
    """A merchant with payments of all sorts over some days, in blocks of their own."""
    for day in range(6):
        paid = sale(world, merchant, amount=2000 + day, settled=day % 2 == 0)
        refund(world, merchant, paid["id"], 100 + day)
        if day == 3:
            sale(world, merchant, amount=900, currency="jpy")
        world.clock.advance(DAY_MS)
        if day % 2:
            world.seal()
    world.seal()
    return merchant


def test_balance_shows_pending_and_available_funds(world: World, merchant: Merchant) -> None:
    # given
    sale(world, merchant)
    sale(world, merchant, amount=1000, settled=False)
    world.seal()
    # when
    body = read(world, merchant, "/v1/balance")
    # then
    assert body["available"] == [
        {"amount": 1912, "currency": "usd", "source_types": {"card": 1912}}
    ]
    assert body["pending"] == [{"amount": 941, "currency": "usd", "source_types": {"card": 941}}]
    assert set(body) <= set(stripe.Balance.__annotations__)


def test_balance_of_a_new_merchant_is_zero(world: World, merchant: Merchant) -> None:
    body = read(world, merchant, "/v1/balance")
    zero = [{"amount": 0, "currency": "usd", "source_types": {"card": 0}}]
    assert (body["available"], body["pending"]) == (zero, zero)


def test_guarded_debit_shows_before_it_is_sealed(world: World, merchant: Merchant) -> None:
    # given
    paid = sale(world, merchant)
    world.seal()
    # when
    refund(world, merchant, paid["id"], 500)
    # then
    assert read(world, merchant, "/v1/balance")["available"][0]["amount"] == 1412


def test_balance_transactions_add_up_to_the_balance(world: World, busy: Merchant) -> None:
    # when
    data = everything(world, busy, "/v1/balance_transactions", limit=4)
    body = read(world, busy, "/v1/balance")
    # then
    assert len(data) == 13
    for row in body["available"] + body["pending"]:
        status = "available" if row in body["available"] else "pending"
        nets = [
            item["net"]
            for item in data
            if (item["currency"], item["status"]) == (row["currency"], status)
        ]
        assert sum(nets) == row["amount"], row
    assert [item["created"] for item in data] == sorted(
        (item["created"] for item in data), reverse=True
    )


def test_balance_transaction_has_all_fields_of_the_sdk(world: World, busy: Merchant) -> None:
    data = everything(world, busy, "/v1/balance_transactions", limit=100)
    # then
    for item in data:
        assert set(item) == set(stripe.BalanceTransaction.__annotations__) - {"OBJECT_NAME"}
        for fee in item["fee_details"]:
            assert set(fee) == set(stripe.BalanceTransaction.FeeDetail.__annotations__)
        found = read(world, busy, f"/v1/balance_transactions/{item['id']}")
        assert found == item


@pytest.mark.parametrize(
    ("params", "count"),
    [
        ({"type": "charge"}, 7),
        ({"type": "refund"}, 6),
        ({"type": "refund_failure"}, 0),
        ({"currency": "jpy"}, 1),
        ({"currency": "usd", "type": "charge"}, 6),
    ],
)
def test_balance_transactions_are_filtered(
    world: World, busy: Merchant, params: Mapping[str, str], count: int
) -> None:
    data = everything(world, busy, "/v1/balance_transactions", limit=2, **params)
    # then
    assert len(data) == count
    assert all(item[name] == value for item in data for name, value in params.items())


def test_balance_transactions_of_a_time_are_listed(world: World, busy: Merchant) -> None:
    # given
    data = everything(world, busy, "/v1/balance_transactions", limit=100)
    middle = data[6]["created"]
    # then
    for bounds in ({"created[gte]": middle}, {"created[lt]": middle}, {"created": middle}):
        listed = everything(world, busy, "/v1/balance_transactions", limit=2, **bounds)
        wanted = {
            "created[gte]": [item for item in data if item["created"] >= middle],
            "created[lt]": [item for item in data if item["created"] < middle],
            "created": [item for item in data if item["created"] == middle],
        }
        assert listed == wanted[next(iter(bounds))]


def test_balance_transactions_of_a_source_need_no_sealing(world: World, merchant: Merchant) -> None:
    # given
    paid = sale(world, merchant)
    refunded = refund(world, merchant, paid["id"], 300)
    # when
    of_charge = read(world, merchant, "/v1/balance_transactions", source=paid["latest_charge"])[
        "data"
    ]
    of_refund = read(world, merchant, "/v1/balance_transactions", source=refunded["id"])["data"]
    # then
    assert [item["net"] for item in of_charge] == [1912]
    assert [item["net"] for item in of_refund] == [-300]
    assert refunded["balance_transaction"] == of_refund[0]["id"]
    assert read(world, merchant, "/v1/balance_transactions")["data"] == []


def test_charge_and_refund_expand_their_balance_transactions(
    world: World, merchant: Merchant
) -> None:
    # given
    paid = sale(world, merchant, description="Two cups")
    refunded = refund(world, merchant, paid["id"], 300)
    expand = {"expand": ["balance_transaction.source"]}
    # when
    charge = read(world, merchant, f"/v1/charges/{paid['latest_charge']}", **expand)
    again = read(world, merchant, f"/v1/refunds/{refunded['id']}", **expand)
    # then
    transaction = charge["balance_transaction"]
    assert (transaction["amount"], transaction["fee"], transaction["net"]) == (2000, 88, 1912)
    assert transaction["description"] == "Two cups"
    assert transaction["source"]["id"] == paid["latest_charge"]
    assert again["balance_transaction"]["description"] == "REFUND FOR CHARGE (Two cups)"
    assert again["balance_transaction"]["source"]["id"] == refunded["id"]


def test_failed_refund_names_the_transaction_that_gives_the_money_back(
    world: World, merchant: Merchant
) -> None:
    # given
    paid = sale(world, merchant, payment_method="pm_card_refundFail")
    refunded = refund(world, merchant, paid["id"], 300)
    world.deliver_notices()
    # when
    found = read(
        world,
        merchant,
        f"/v1/refunds/{refunded['id']}",
        expand=["failure_balance_transaction", "balance_transaction"],
    )
    # then
    assert found["status"] == "failed"
    assert found["balance_transaction"]["net"] == -300
    failure = found["failure_balance_transaction"]
    assert (failure["type"], failure["net"], failure["source"]) == (
        "refund_failure",
        300,
        refunded["id"],
    )


def test_uncaptured_charge_has_no_transaction_and_a_partial_one_its_part(
    world: World, merchant: Merchant
) -> None:
    # given
    held = sale(world, merchant, settled=False, capture_method="manual")
    charge = f"/v1/charges/{held['latest_charge']}"
    assert read(world, merchant, charge)["balance_transaction"] is None
    # when
    order = {"amount_to_capture": 700}
    world.call("POST", f"/v1/payment_intents/{held['id']}/capture", order, merchant=merchant)
    # then
    found = read(world, merchant, charge, expand=["balance_transaction"])["balance_transaction"]
    assert (found["amount"], found["type"]) == (700, "charge")


def test_books_are_other_merchants_business(world: World, busy: Merchant) -> None:
    # given
    stranger = world.merchant("two")
    transaction = read(world, busy, "/v1/balance_transactions")["data"][0]["id"]
    journal = read(world, busy, "/v1/ledger/journals")["data"][0]
    account = read(world, busy, "/v1/ledger/accounts")["data"][0]["id"]
    # then
    for path in (
        f"/v1/balance_transactions/{transaction}",
        f"/v1/ledger/journals/{journal['id']}",
        f"/v1/ledger/accounts/{account}",
        f"/v1/ledger/accounts/{account}/entries",
        f"/v1/ledger/payment_intents/{journal['payment_intent']}",
    ):
        assert get(world, stranger, path).status == 404, path
    for path, cursor in (
        ("/v1/balance_transactions", transaction),
        ("/v1/ledger/journals", journal["id"]),
    ):
        assert read(world, stranger, path)["data"] == []
        assert get(world, stranger, path, starting_after=cursor).status == 400
    journals = "/v1/ledger/journals"
    foreign = read(world, stranger, journals, payment_intent=journal["payment_intent"])
    assert foreign["data"] == []


def test_trial_balance_adds_up_to_zero(world: World, busy: Merchant) -> None:
    # when
    body = read(world, busy, "/v1/ledger/trial_balance")
    # then
    assert {total["currency"] for total in body["totals"]} == {"usd", "jpy"}
    assert all(total["net"] == total["pending_net"] == 0 for total in body["totals"])
    rows = {row["account"]: -row["net"] for row in body["data"] if row["net"]}
    assert rows == world.balances(busy)
    assert body["as_of"] == (world.clock.now_ms() - DAY_MS) // 1000


def test_trial_balance_as_of_a_day_counts_what_was_posted_by_then(
    world: World, merchant: Merchant
) -> None:
    # given: two days in one block
    sale(world, merchant)
    first = world.balances(merchant)
    then_s = world.clock.now_ms() // 1000
    world.clock.advance(DAY_MS)
    sale(world, merchant, amount=500)
    world.seal()
    # when
    body = read(world, merchant, "/v1/ledger/trial_balance", as_of=then_s)
    # then
    assert {row["account"]: -row["net"] for row in body["data"] if row["net"]} == first
    assert body["as_of"] == then_s
    assert read(world, merchant, "/v1/ledger/trial_balance", as_of=then_s - 1)["data"] == []


def test_statement_carries_the_balance_after_each_entry(world: World, busy: Merchant) -> None:
    accounts = everything(world, busy, "/v1/ledger/accounts", limit=3)
    assert {account["normal_side"] for account in accounts} == {"debit", "credit"}
    for account in accounts:
        path = f"/v1/ledger/accounts/{account['id']}"
        # when
        entries = everything(world, busy, f"{path}/entries", limit=3)
        # then
        assert read(world, busy, path) == account
        sign = 1 if account["normal_side"] == "debit" else -1
        posted = pending = 0
        for entry in reversed(entries):
            net = sign * (entry["debit"] - entry["credit"])
            posted += net if entry["layer"] == "posted" else 0
            pending += net if entry["layer"] == "pending" else 0
            assert (entry["balance_after"], entry["pending_balance_after"]) == (posted, pending)
        assert (account["balance"], account["pending_balance"]) == (posted, pending)
        # and: a part of it says the same of its entries
        middle = entries[len(entries) // 2]["created"]
        since = everything(world, busy, f"{path}/entries", limit=2, **{"created[gte]": middle})
        assert since == [entry for entry in entries if entry["created"] >= middle]


def test_journals_of_the_book_are_listed_in_sealed_order(world: World, busy: Merchant) -> None:
    # when
    data = everything(world, busy, "/v1/ledger/journals", limit=7)
    # then
    assert sorted(item["id"] for item in data) == sorted(world.database.journals)
    fees = everything(world, busy, "/v1/ledger/journals", limit=2, kind="fee")
    assert fees == [item for item in data if item["kind"] == "fee"]
    for item in data[:5]:
        assert read(world, busy, f"/v1/ledger/journals/{item['id']}") == item


def test_journals_of_a_payment_need_no_sealing(world: World, merchant: Merchant) -> None:
    paid = sale(world, merchant)
    # when
    data = everything(world, merchant, "/v1/ledger/journals", limit=2, payment_intent=paid["id"])
    # then
    assert sorted(item["kind"] for item in data) == ["capture", "fee", "hold", "settle"]
    assert read(world, merchant, "/v1/ledger/journals")["data"] == []


def test_hot_merchants_books_are_merged_over_their_stripes(world: World, busy: Merchant) -> None:
    # given
    before, book = Stripes(), f"{busy.account}/test"
    world.stripes.change(book, before, before.changed(8, world.clock.now_ms()))
    world.clock.advance(NOTICE_MS)
    for day in range(12):
        sale(world, busy, amount=3000 + day)
        world.clock.advance(DAY_MS // 24)
        if day % 3 == 0:
            world.seal()
    world.seal()
    assert len({shard for (name, shard) in world.pages.books if name == book}) > 3
    # then
    data = everything(world, busy, "/v1/balance_transactions", limit=5)
    assert len(data) == 13 + 12
    times = [item["created"] for item in data]
    assert times == sorted(times, reverse=True)
    rows = read(world, busy, "/v1/ledger/trial_balance")["data"]
    assert {row["account"]: -row["net"] for row in rows if row["net"]} == world.balances(busy)
    test_statement_carries_the_balance_after_each_entry(world, busy)
    test_journals_of_the_book_are_listed_in_sealed_order(world, busy)


def test_payment_is_shown_as_it_was(world: World, merchant: Merchant) -> None:
    # given
    held = sale(world, merchant, settled=False, capture_method="manual")
    path, then_s = f"/v1/ledger/payment_intents/{held['id']}", world.clock.now_ms() // 1000
    world.clock.advance(DAY_MS)
    world.call("POST", f"/v1/payment_intents/{held['id']}/capture", merchant=merchant)
    # then
    assert read(world, merchant, path, as_of=then_s) == held
    now = read(world, merchant, f"/v1/payment_intents/{held['id']}")
    assert now["status"] == "succeeded"
    assert read(world, merchant, path) == now
    expanded = read(world, merchant, path, expand=["latest_charge"])
    assert expanded["latest_charge"]["captured"]
    assert get(world, merchant, path, as_of=then_s - 1).status == 404


def test_checkpoints_are_listed_newest_first(world: World, busy: Merchant) -> None:
    # when
    data = everything(world, busy, "/v1/ledger/checkpoints", limit=2)
    # then
    assert [item["number"] for item in data] == [3, 2, 1]
    newest = read(world, busy, "/v1/ledger/checkpoints/3")
    assert newest == data[0]
    assert newest["checkpoint"]["previous_hash"] == data[1]["digest"]
    for name in ("0", "4", "x", "٣"):
        assert get(world, busy, f"/v1/ledger/checkpoints/{name}").status == 404


@pytest.mark.parametrize(
    ("path", "params", "status"),
    [
        ("/v1/balance_transactions", {"type": "nonsense"}, 400),
        ("/v1/balance_transactions", {"payout": "po_1"}, 400),
        ("/v1/balance_transactions", {"starting_after": "txn_1"}, 400),
        ("/v1/balance_transactions", {"starting_after": "a", "ending_before": "b"}, 400),
        ("/v1/balance_transactions/txn_1", {}, 404),
        ("/v1/ledger/journals/a/b/c", {}, 404),
        ("/v1/ledger/journals", {"ending_before": "a/b/c"}, 400),
        ("/v1/ledger/accounts/9999:x:usd", {}, 404),
        ("/v1/ledger/accounts/9999:x:usd/entries", {}, 404),
        ("/v1/ledger/accounts", {"starting_after": "x"}, 400),
        ("/v1/ledger/trial_balance", {"as_of": "-1"}, 400),
        ("/v1/ledger/trial_balance", {"as_of": "99999999999"}, 400),
        ("/v1/ledger/checkpoints", {"starting_after": "9"}, 400),
        ("/v1/ledger/payment_intents/pi_1", {}, 404),
    ],
)
def test_what_there_is_not_is_refused(
    world: World, busy: Merchant, path: str, params: Mapping[str, str], status: int
) -> None:
    assert get(world, busy, path, **params).status == status


@pytest.mark.parametrize("path", ["/v1/balance_transactions", "/v1/ledger/journals"])
def test_far_bounds_of_time_are_answered(world: World, busy: Merchant, path: str) -> None:
    for bounds in ({"created[gt]": -(10**17)}, {"created[lt]": 10**17}):
        assert read(world, busy, path, **bounds)["data"]
    for bounds in ({"created[lt]": -(10**17)}, {"created[gt]": 10**17}):
        assert read(world, busy, path, **bounds)["data"] == []


def test_unsealed_object_is_a_cursor_before_all_sealed_ones(world: World, busy: Merchant) -> None:
    # given
    sealed = everything(world, busy, "/v1/balance_transactions", limit=100)
    charge = sale(world, busy)["latest_charge"]
    cursor = read(world, busy, f"/v1/charges/{charge}")["balance_transaction"]
    # when
    page = read(world, busy, "/v1/balance_transactions", starting_after=cursor, limit=100)
    # then
    assert page["data"] == sealed
    newer = read(world, busy, "/v1/balance_transactions", ending_before=cursor)
    assert newer["data"] == []


def test_accounts_are_named_with_their_currency(world: World, busy: Merchant) -> None:
    accounts = read(world, busy, "/v1/ledger/accounts", limit=100)["data"]
    assert all(account["currency"] == currency_of(account["id"]) for account in accounts)
