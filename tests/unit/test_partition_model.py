"""The simulation of partitions and conflicts."""

from dataclasses import replace

import pytest

from bench.flows import PAY, SETTLE, Flow, Recorded, recorded
from bench.model.guarded import simulate_debits
from bench.model.sealing import Sealing, simulate_sealing
from bench.model.shapes import Scope, Shape, payment_shape, with_balance
from bench.model.traffic import Traffic, even, simulate, zipf
from bench.partitions import operated
from bench.recording import Call, Write
from shared.adapters.dynamodb_due import DUE_SHARDS

SECONDS = 1.0


def put(table: str, pk: str, sk: str, size_bytes: int = 300, index_writes: int = 0) -> Write:
    return Write(table, pk, sk, size_bytes, index_writes, transactional=True)


def transaction(*writes: Write) -> Call:
    return Call("dynamodb", "TransactWriteItems", writes=writes)


def payment(number: int, account: str) -> tuple[Flow, Flow]:
    """Makes the calls of a payment that lists itself once, and of its settlement."""
    name = f"pi_{account}{number}"
    first = transaction(
        put("payments", name, "STATE", 1500, index_writes=1),
        put("payments", name, "EV#1"),
        put("objects", f"LIST#{account}", f"{number}#{name}"),
    )
    second = transaction(put("payments", name, "STATE"), put("ledger", name, f"{name}/fee"))
    answer = Call("dynamodb", "UpdateItem", writes=(Write("idempotency", name, "", 100, 0, False),))
    return (first, second, answer), (transaction(put("payments", name, "STATE")),)


def recording(*shared: Write) -> Recorded:
    """Makes a recording of three payments, with more items in their first transaction."""
    flows = [payment(number, "acct_1") for number in range(3)] + [payment(0, "acct_2")]
    pays = [(replace(pay[0], writes=(*pay[0].writes, *shared)), *pay[1:]) for pay, _ in flows]
    settles = [settle for _, settle in flows]
    return Recorded(
        {PAY: tuple(pays[:-1]), SETTLE: tuple(settles[:-1])}, {PAY: pays[-1], SETTLE: settles[-1]}
    )


def traffic(rate: float, merchants: int = 1_000) -> Traffic:
    return Traffic("test", rate, SECONDS, even(merchants))


@pytest.fixture(scope="module")
def shape() -> Shape:
    return payment_shape(recording())


def test_shape_keys_are_the_payments_the_merchants_or_the_regions(shape: Shape) -> None:
    # when
    scopes = {key.name: (key.scope, key.stripes) for key in shape.keys}
    # then
    assert scopes == {
        "payments": (Scope.PAYMENT, 1),
        "index of due payments": (Scope.REGION, DUE_SHARDS),
        "objects LIST#acct_1": (Scope.MERCHANT, 1),
        "ledger": (Scope.PAYMENT, 1),
        "idempotency": (Scope.PAYMENT, 1),
    }


def test_shape_key_of_two_merchants_is_the_regions() -> None:
    # when
    found = payment_shape(recording(put("objects", "BALANCE", "usd")))
    # then
    assert [key.scope for key in found.keys if key.name == "objects BALANCE"] == [Scope.REGION]
    assert found.steps[0].shared != ()


def test_shape_units_count_each_started_kilobyte_twice_in_a_transaction(shape: Shape) -> None:
    # when
    units = {shape.keys[number].name: units for number, units in shape.units().items()}
    # then
    assert units == {
        "payments": 4 + 2 + 2 + 2,
        "index of due payments": 1,
        "objects LIST#acct_1": 2,
        "ledger": 2,
        "idempotency": 1,
    }


def test_shape_payments_of_different_shape_are_refused() -> None:
    # given
    good = recording()
    short = tuple(flow[:-1] for flow in good.own[PAY][:1])
    # then
    with pytest.raises(ValueError, match=r"zip\(\)"):
        payment_shape(Recorded({**good.own, PAY: (*short, *good.own[PAY][1:])}, good.other))


def test_traffic_own_keys_only_all_succeed_without_conflict(shape: Shape) -> None:
    # when
    outcome = simulate(shape, traffic(5_000))
    # then
    assert outcome.offered > 4_000
    assert (outcome.succeeded, outcome.conflicts) == (outcome.offered, 0)


def test_traffic_shared_item_conflicts() -> None:
    # given
    shared = payment_shape(recording(put("objects", "BALANCE", "usd")))
    # when
    outcome = simulate(shared, traffic(100))
    # then
    assert outcome.conflicts > 0
    assert outcome.succeeded < outcome.offered


@pytest.mark.parametrize(("rate", "throttled"), [(400, False), (700, True)])
def test_traffic_one_merchant_list_is_throttled_from_500(
    shape: Shape, rate: float, throttled: bool
) -> None:
    # when
    outcome = simulate(shape, traffic(rate, merchants=1))
    # then
    assert (outcome.throttles > 0) is throttled
    assert set(outcome.throttled) <= {"objects LIST#acct_1"}


def test_traffic_one_merchant_with_the_stripes_of_its_rate_all_succeed(shape: Shape) -> None:
    # given
    alone = traffic(5_000, merchants=1)
    # when
    before, after = simulate(shape, alone), simulate(shape, operated(alone))
    # then
    assert operated(alone).stripes == [100]
    assert before.success_percent < 50
    assert after.succeeded == after.offered


def test_traffic_skewed_merchants_with_the_stripes_of_their_rates_all_succeed(
    shape: Shape,
) -> None:
    # given
    skewed = operated(Traffic("test", 10_000, SECONDS, zipf(1_000)))
    # when
    outcome = simulate(shape, skewed)
    # then
    assert skewed.stripes[0] > skewed.stripes[1] > skewed.stripes[-1] == 1
    assert outcome.succeeded == outcome.offered


def test_traffic_throttled_transactions_are_sent_again(shape: Shape) -> None:
    # given
    once = replace(shape, steps=tuple(replace(step, throttle_tries=1) for step in shape.steps))
    full = traffic(490, merchants=1)
    # then
    assert simulate(shape, full).success_percent > simulate(once, full).success_percent


def test_traffic_one_merchant_without_lists_all_succeed(shape: Shape) -> None:
    # when
    outcome = simulate(shape.only(frozenset({"payments", "ledger"})), traffic(5_000, merchants=1))
    # then
    assert outcome.succeeded == outcome.offered


def test_traffic_skewed_merchants_throttle_the_largest(shape: Shape) -> None:
    # when
    outcome = simulate(shape, Traffic("test", 10_000, SECONDS, zipf(1_000)))
    # then
    assert outcome.throttles > 0
    assert set(outcome.throttled) == {"objects LIST#acct_1"}


def test_traffic_new_tables_are_throttled(shape: Shape) -> None:
    # when
    outcome = simulate(shape, replace(traffic(5_000), cold=True))
    # then
    assert outcome.success_percent < 50


def test_traffic_same_seed_same_outcome(shape: Shape) -> None:
    assert simulate(shape, traffic(1_000)) == simulate(shape, traffic(1_000))
    assert simulate(shape, traffic(1_000)) != simulate(shape, traffic(1_000), seed=8)


def test_traffic_balances_in_the_transaction_conflict_less_on_more_items(shape: Shape) -> None:
    # when
    few, many = (simulate(with_balance(shape, items), traffic(2_000)) for items in (8, 256))
    # then
    assert few.success_percent < 50 < many.success_percent
    assert 0 < many.conflict_percent < few.conflict_percent


def test_debits_faster_refunds_are_refused_more() -> None:
    # when
    slow, fast = simulate_debits(1, 60), simulate_debits(200, 60)
    # then
    assert slow.refused == 0
    assert fast.refused > fast.offered / 4
    assert slow.refused_updates < fast.refused_updates


def test_sealing_few_consumers_keep_up_and_overtake_one_another() -> None:
    # when
    found = simulate_sealing(Sealing(100, [(8, 1_000)], window_s=1, batch_max=1_000))
    # then
    assert found.kept_up_percent > 90
    assert 0 < found.conflicts < found.attempts


def test_sealing_many_consumers_fall_behind() -> None:
    # when
    found = simulate_sealing(Sealing(10_000, [(700, 90_000)], window_s=1, batch_max=1_000))
    # then
    assert found.kept_up_percent < 50


def test_sealing_one_consumer_per_chain_has_no_conflict() -> None:
    # given
    sealing = Sealing(1_000, [(68, 9_000)], window_s=1, batch_max=1_000, routed=True)
    # when
    found = simulate_sealing(sealing)
    # then
    assert found.conflicts == 0
    assert found.kept_up_percent > 90


def test_payment_as_recorded_shares_no_item_with_another() -> None:
    # when
    found = payment_shape(recorded((PAY, SETTLE)))
    # then
    assert found.steps[0].items
    assert [step.shared for step in found.steps] == [()] * len(found.steps)
