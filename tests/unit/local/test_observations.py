"""Observations through public endpoints, from the API of a platform in one process."""

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from local import observations as public
from local.observations import observations, trial_balance
from shared.domain.errors import UnknownOutcomeError
from shared.domain.invariants import Rule, skipped, unbalanced, violations
from shared.domain.sandbox_network import Operation, transaction_to_json
from shared.wire import objects
from shared.wire.events import event_write
from tests.support.faults import fail_provider
from tests.support.telling import TellingWorld
from tests.support.world import Merchant

UNSEEN = {Rule.NOT_OVERDUE, Rule.STATE_IS_REPLAY, Rule.BOOKS_FOLLOW, Rule.DELIVERY_TRIED}


class Shop:
    """A merchant of a platform, and what they can read."""

    def __init__(self) -> None:
        self.world = TellingWorld()
        self.merchant: Merchant = self.world.merchant()

    def read(self, target: str) -> Any:
        path, query = urlsplit(target).path, dict(parse_qsl(urlsplit(target).query))
        if path == "/v1/test_helpers/network_transactions":
            return self._page(self._transactions(), query)
        if path == "/v1/events":
            return self._page(self._events(), query)
        answer = self.world.call("GET", path, query, merchant=self.merchant)
        assert answer.status == 200, answer.text
        return answer.body

    def _page(self, items: list[Any], query: dict[str, str]) -> Any:
        ids = [item["id"] for item in items]
        start = ids.index(query["starting_after"]) + 1 if "starting_after" in query else 0
        page = items[start : start + 3]
        return {"data": page, "has_more": start + len(page) < len(items)}

    def _transactions(self) -> list[Any]:
        now_ms = self.world.clock.now_ms()
        found = [
            {**transaction_to_json(transaction, now_ms), "object": "network_transaction"}
            for transaction in self.world.provider.effects()
        ]
        return [{**item, "charge": item["reference"]} for item in found]

    def _events(self) -> list[Any]:
        return [
            objects.event(event_write(announcement, 1_790_000_000_000, ()).document)
            for announcements in self.world.telling.told.values()
            for announcement in announcements
        ]

    def trade(self) -> None:
        """Pays, refunds, holds, captures in part, is declined, and loses an answer."""
        world, merchant = self.world, self.merchant
        paid = world.pay(merchant).body["id"]
        world.settle(paid)
        for amount in (300, 400):
            order = {"payment_intent": paid, "amount": amount}
            world.call("POST", "/v1/refunds", order, merchant=merchant)
        by_hand: Any = {"card": {"capture_method": "manual"}}
        world.pay(merchant, payment_method_options=by_hand)
        held = world.pay(merchant, capture_method="manual").body["id"]
        path = f"/v1/payment_intents/{held}/capture"
        world.call("POST", path, {"amount_to_capture": 500}, merchant=merchant)
        world.pay(merchant, payment_method="pm_card_chargeDeclined")
        world.pay(merchant, confirm="false")
        fail_provider(world, None, "after_effect", UnknownOutcomeError("lost"))
        world.pay(merchant)


def test_observations_of_a_sound_shop_break_no_rule() -> None:
    # given
    shop = Shop()
    shop.trade()
    # when
    seen = list(observations(shop.read))
    # then
    assert len(seen) == 6
    assert [violation for one in seen for violation in violations(one)] == []
    assert {rule for one in seen for rule in skipped(one)} == UNSEEN
    assert unbalanced([trial_balance(shop.read)]) == ()


def test_observations_are_what_an_insider_sees_but_for_what_is_not_public() -> None:
    # given
    shop = Shop()
    shop.trade()
    # then
    for seen in observations(shop.read):
        inside = shop.world.observe(seen.payment.id)
        assert sorted(seen.network or (), key=str) == sorted(inside.network or (), key=str)
        assert {j.id: set(j.postings) for j in seen.journals or ()} == {
            j.id: set(j.postings) for j in inside.journals or ()
        }
        assert seen.event_objects is not None
        assert inside.event_objects is not None
        told = {replace(event, untried=None) for event in inside.event_objects.found}
        assert set(seen.event_objects.found) == told
        assert seen.payment.charges == inside.payment.charges
        assert set(seen.payment.refunds) == set(inside.payment.refunds)
        assert seen.payment.is_pending == inside.payment.is_pending


def test_observations_of_a_network_that_charged_twice_break_rules() -> None:
    # given
    shop = Shop()
    shop.trade()
    (sale, *_) = shop.world.provider.effects(Operation.SALE)
    again = replace(sale, id=f"{sale.id}x", idempotency_key="another")
    shop.world.provider.transactions.append(again)
    # when
    found = {(v.payment, v.rule) for seen in observations(shop.read) for v in violations(seen)}
    # then
    assert found == {
        (sale.payment_intent, Rule.NETWORK_AGREES),
        (sale.payment_intent, Rule.ONE_EFFECT),
    }


def test_observations_list_without_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public, "PAGES_MAX", 1)
    shop = Shop()
    shop.trade()
    with pytest.raises(OverflowError, match="more than 1 pages"):
        list(observations(shop.read))
