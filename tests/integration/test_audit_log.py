"""The audit log, through the APIs that change things and the one that tells of it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pytest

from shared.domain.audit import CONCEALED, AuditRecord
from shared.domain.audit_trail import payment_changes
from shared.edge.auth import key_record_id
from tests.support.world import CARD, Answer, Merchant, World

MONTH_MS = 31 * 24 * 60 * 60 * 1000
URL = "/v1/ledger/audit_log"


@dataclass(eq=False)
class Platform(World):
    """The platform, and all that is recorded of its changes."""

    def trail(self) -> dict[str, AuditRecord]:
        """Returns all audit records, by id."""
        records = [item for history in self.database.changes.values() for item in history]
        for payment_id in self.database.events:
            records += payment_changes(self.events.signed_events(payment_id))
        return {record.change.id: record for record in records}


@dataclass
class Asked:
    """An answer, and the audit records that the request left."""

    answer: Answer
    left: list[AuditRecord]

    @property
    def changes(self) -> list[tuple[str, str]]:
        """What was done to what."""
        return sorted((item.change.entity_type, item.change.action) for item in self.left)


@pytest.fixture
def world() -> Platform:
    return Platform()


class Caller:
    """Calls the API as the merchant and watches what is recorded."""

    def __init__(self, world: Platform, merchant: Merchant) -> None:
        self.world = world
        self.merchant = merchant
        self.count = 0

    def __call__(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        status: int = 200,
    ) -> Asked:
        self.count += 1
        self.world.clock.advance(1_000)
        if method == "POST" and key is None:
            key = f"key-{self.count}"
        before = self.world.trail()
        answer = self.world.call(method, path, params, merchant=self.merchant, key=key)
        assert answer.status == status, answer.text
        after = self.world.trail()
        assert before.items() <= after.items(), "a record was altered or lost"
        return Asked(answer, [after[name] for name in after if name not in before])

    def page(self, **params: Any) -> Answer:
        answer = self.world.call("GET", URL, params, merchant=self.merchant)
        assert answer.status == 200, answer.text
        return answer


@pytest.fixture
def caller(world: Platform, merchant: Merchant) -> Caller:
    return Caller(world, merchant)


def card(caller: Caller) -> str:
    made = caller("POST", "/v1/payment_methods", {"type": "card", "card": CARD})
    method_id: str = made.answer.body["id"]
    return method_id


def customer(caller: Caller, **params: Any) -> str:
    customer_id: str = caller("POST", "/v1/customers", params).answer.body["id"]
    return customer_id


def require_told(caller: Caller, asked: Asked, key: str | None = None) -> None:
    """Asserts that each record says who asked, by which request, and when."""
    digest = key_record_id(caller.merchant.secret_key).removeprefix("KEY#")
    for record in asked.left:
        change = record.change
        assert change.actor == f"key:{digest[:16]}"
        assert change.request_id == asked.answer.headers["Request-Id"]
        assert change.occurred_at_ms == caller.world.clock.now_ms()
        assert change.book == f"{caller.merchant.account}/test"
        assert caller.world.database.signer.verify(record.hash, record.signature)
        assert change.metadata.get("idempotency_key") == key
        assert change.new != change.old


# --- every write leaves exactly the records of what it changed


def test_write_operations_leave_one_record_of_each_change(caller: Caller) -> None:
    """Each operation of the API that changes something, in an order in which they all succeed."""
    made = caller("POST", "/v1/customers", {"name": "Ada", "metadata": {"a": "1"}}, key="k1")
    require_told(caller, made, "k1")
    assert made.changes == [("customer", "created")]
    cus = made.answer.body["id"]

    changed = caller("POST", f"/v1/customers/{cus}", {"name": "Eve"}, key="k2")
    require_told(caller, changed, "k2")
    assert changed.changes == [("customer", "updated")]
    assert (changed.left[0].change.old, changed.left[0].change.new) == (
        {"name": "Ada"},
        {"name": "Eve"},
    )

    carded = caller("POST", "/v1/payment_methods", {"type": "card", "card": CARD}, key="k3")
    require_told(caller, carded, "k3")
    assert carded.changes == [("payment_method", "created")]
    method = carded.answer.body["id"]

    token = caller("POST", "/v1/tokens", {"card": CARD}, key="k4")
    require_told(caller, token, "k4")
    assert token.changes == [("token", "created")]
    used = {"type": "card", "card": {"token": token.answer.body["id"]}}
    of_token = caller("POST", "/v1/payment_methods", used, key="k5")
    require_told(caller, of_token, "k5")
    assert of_token.changes == [("payment_method", "created"), ("token", "updated")]

    at = f"/v1/payment_methods/{method}"
    attached = caller("POST", f"{at}/attach", {"customer": cus}, key="k6")
    require_told(caller, attached, "k6")
    assert attached.changes == [("payment_method", "updated")]
    assert attached.left[0].change.new == {"customer": cus}
    edited = caller("POST", at, {"metadata": {"b": "2"}}, key="k7")
    require_told(caller, edited, "k7")
    assert edited.left[0].change.new == {"metadata": {"b": "2"}}
    default = {"invoice_settings": {"default_payment_method": method}}
    assert caller("POST", f"/v1/customers/{cus}", default).changes == [("customer", "updated")]
    detached = caller("POST", f"{at}/detach", key="k8")
    require_told(caller, detached, "k8")
    assert detached.changes == [("customer", "updated"), ("payment_method", "updated")]

    named = caller("POST", "/v1/payment_methods/pm_card_visa/attach", {"customer": cus}, key="k9")
    require_told(caller, named, "k9")
    assert named.changes == [("payment_method", "created")]
    together = caller("POST", "/v1/customers", {"payment_method": "pm_card_visa"}, key="k10")
    require_told(caller, together, "k10")
    assert together.changes == [("customer", "created"), ("payment_method", "created")]

    hook = {"url": "https://a.example/h", "enabled_events": ["*"]}
    endpoint = caller("POST", "/v1/webhook_endpoints", hook, key="k11")
    require_told(caller, endpoint, "k11")
    assert endpoint.changes == [("webhook_endpoint", "created")]
    where = f"/v1/webhook_endpoints/{endpoint.answer.body['id']}"
    disabled = caller("POST", where, {"disabled": "true"}, key="k12")
    require_told(caller, disabled, "k12")
    assert (disabled.left[0].change.old, disabled.left[0].change.new) == (
        {"status": "enabled"},
        {"status": "disabled"},
    )
    gone = caller("DELETE", where)
    require_told(caller, gone)
    assert gone.changes == [("webhook_endpoint", "deleted")]
    assert gone.left[0].change.old["secret"] == CONCEALED

    deleted = caller("DELETE", f"/v1/customers/{cus}")
    require_told(caller, deleted)
    assert deleted.changes == [("customer", "deleted"), ("payment_method", "updated")]


def test_payment_operations_leave_the_records_of_their_events(caller: Caller) -> None:
    order = {"amount": 2000, "currency": "usd", "payment_method": "pm_card_visa"}
    made = caller("POST", "/v1/payment_intents", {**order, "capture_method": "manual"}, key="k1")
    require_told(caller, made, "k1")
    assert made.changes == [
        ("payment_intent", "payment_created"),
        ("payment_method", "created"),
    ]
    path = f"/v1/payment_intents/{made.answer.body['id']}"
    changed = caller("POST", path, {"description": "new"}, key="k2")
    require_told(caller, changed, "k2")
    assert changed.left[0].change.new == {"details": {"description": "new"}}
    confirmed = caller("POST", f"{path}/confirm", key="k3")
    require_told(caller, confirmed, "k3")
    assert [action for _, action in confirmed.changes] == [
        "payment_authorized",
        "payment_confirmed",
    ]
    captured = caller("POST", f"{path}/capture", key="k4")
    require_told(caller, captured, "k4")
    assert captured.changes[-1] == ("payment_intent", "payment_captured")
    refund = {"payment_intent": made.answer.body["id"], "reason": "duplicate"}
    refunded = caller("POST", "/v1/refunds", refund, key="k5")
    asked, succeeded = refunded.left
    assert (asked.change.action, succeeded.change.action) == (
        "refund_requested",
        "refund_succeeded",
    )
    assert asked.change.metadata == {"idempotency_key": "k5", "reason": "duplicate"}
    (ended,) = succeeded.change.new["refunds"].values()
    assert ended["status"] == "succeeded"


def test_replays_refusals_and_reads_leave_no_record(caller: Caller) -> None:
    cus = customer(caller, name="Ada")
    first = caller("POST", f"/v1/customers/{cus}", {"name": "Eve"}, key="once")
    paid = {"amount": 2000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": "true"}
    bought = caller("POST", "/v1/payment_intents", paid, key="twice")
    assert len(first.left) == 1
    assert bought.left
    for path, params, key in (
        (f"/v1/customers/{cus}", {"name": "Eve"}, "once"),
        ("/v1/payment_intents", paid, "twice"),
    ):
        again = caller("POST", path, params, key=key)
        assert again.answer.headers["Idempotent-Replayed"] == "true"
        assert again.left == []
    assert caller("POST", "/v1/customers/cus_none", {"name": "x"}, status=404).left == []
    bad = {"invoice_settings": {"default_payment_method": "pm_none"}}
    assert caller("POST", f"/v1/customers/{cus}", bad, status=400).left == []
    assert caller("GET", f"/v1/customers/{cus}").left == []
    assert caller("GET", URL, {"entity": cus}).left == []


def test_no_record_holds_a_secret(caller: Caller) -> None:
    # given: everything that has secrets
    hook = {"url": "https://a.example/h", "enabled_events": ["*"]}
    endpoint = caller("POST", "/v1/webhook_endpoints", hook).answer.body
    method = card(caller)
    bought = caller(
        "POST",
        "/v1/payment_intents",
        {"amount": 2000, "currency": "usd", "payment_method": method, "confirm": "true"},
    ).answer.body
    caller("DELETE", f"/v1/webhook_endpoints/{endpoint['id']}")
    stored = caller.world.database.documents[method].data["card"]
    # when
    caller.world.seal()
    told = caller.page(limit=100).text + json.dumps(
        [asdict(record) for record in caller.world.trail().values()]
    )
    # then
    secrets = [
        endpoint["secret"],
        bought["client_secret"],
        caller.merchant.secret_key,
        CARD["number"],
        stored["vault_token"],
        stored["fingerprint"],
    ]
    assert [secret for secret in secrets if secret in told] == []
    assert '"last4": "4242"' in told


# --- reading


def test_log_of_an_object_is_read_newest_first(caller: Caller) -> None:
    # given
    cus = customer(caller, name="v1")
    for number in range(2, 6):
        caller("POST", f"/v1/customers/{cus}", {"name": f"v{number}"})
    # when
    page = caller.page(entity=cus, limit=2)
    # then
    newest = page.body["data"][0]
    assert newest == {
        "id": f"{cus}/5",
        "object": "ledger.audit_record",
        "action": "updated",
        "actor": newest["actor"],
        "created": caller.world.clock.now_ms() // 1000,
        "entity": cus,
        "entity_type": "customer",
        "evidence": newest["evidence"],
        "livemode": False,
        "metadata": {"idempotency_key": "key-5"},
        "new_value": {"name": "v5"},
        "old_value": {"name": "v4"},
        "request": newest["request"],
        "version": 5,
    }
    assert set(newest["evidence"]) == {"hash", "key", "mac", "previous_hash"}
    assert page.body["data"][1]["evidence"]["hash"] == newest["evidence"]["previous_hash"]
    assert page.body["has_more"] is True


@pytest.mark.parametrize("kind", ["customer", "payment"])
def test_log_of_an_object_is_paged_in_both_directions(caller: Caller, kind: str) -> None:
    # given: an object with five changes
    if kind == "customer":
        entity, path = customer(caller, name="v1"), "/v1/customers"
    else:
        order = {"amount": 2000, "currency": "usd"}
        made = caller("POST", "/v1/payment_intents", order)
        entity, path = made.answer.body["id"], "/v1/payment_intents"
    for number in range(2, 6):
        caller("POST", f"{path}/{entity}", {"description": f"v{number}"})

    def page(**params: Any) -> tuple[list[int], bool]:
        body = caller.page(entity=entity, limit=2, **params).body
        return [item["version"] for item in body["data"]], body["has_more"]

    # then
    assert page() == ([5, 4], True)
    assert page(starting_after=f"{entity}/4") == ([3, 2], True)
    assert page(starting_after=f"{entity}/2") == ([1], False)
    assert page(ending_before=f"{entity}/2") == ([4, 3], True)
    assert page(ending_before=f"{entity}/4") == ([5], False)


def test_log_of_a_month_holds_what_was_sealed_in_it(caller: Caller) -> None:
    # given: changes in two months
    first = customer(caller, name="Ada")
    bought = caller.world.pay(caller.merchant)
    caller.world.seal()
    caller.world.clock.advance(MONTH_MS)
    second = customer(caller, name="Eve")
    caller.world.seal()
    # when
    september, october = (
        [item["id"] for item in caller.page(month=month, limit=100).body["data"]]
        for month in ("2026-09", "2026-10")
    )
    # then
    assert october == [f"{second}/1"]
    assert {f"{first}/1", f"{bought.body['id']}/1"} <= set(september)
    assert sorted(september + october) == sorted(caller.world.trail())
    assert caller.page(month="2020-01").body["data"] == []


def test_log_of_a_month_is_paged_without_gap_or_repetition(caller: Caller) -> None:
    # given: records of many objects, sealed a few at a time, over several shards
    book = f"{caller.merchant.account}/test"
    stripes = caller.world.stripes.of_books([book])[book]
    caller.world.stripes.change(book, stripes, stripes.changed(4, caller.world.clock.now_ms()))
    caller.world.clock.advance(120_000)
    for _ in range(4):
        customer(caller)
        caller.world.pay(caller.merchant)
        caller.world.seal()
    everything = [item["id"] for item in caller.page(limit=100).body["data"]]
    assert len(everything) == len(set(everything)) > 15
    # when
    forward: list[str] = []
    page = caller.page(limit=3).body
    while True:
        forward += [item["id"] for item in page["data"]]
        if not page["has_more"]:
            break
        page = caller.page(limit=3, starting_after=forward[-1]).body
    back: list[str] = [everything[-1]]
    has_more = True
    while has_more:
        page = caller.page(limit=3, ending_before=back[0]).body
        back = [item["id"] for item in page["data"]] + back
        has_more = page["has_more"]
    # then
    assert forward == everything
    assert back == everything


def test_log_lists_what_is_not_sealed_by_object_only(caller: Caller) -> None:
    cus = customer(caller)
    assert caller.page().body["data"] == []
    assert len(caller.page(entity=cus).body["data"]) == 1
    caller.world.seal()
    assert f"{cus}/1" in [item["id"] for item in caller.page(limit=100).body["data"]]


def test_log_tells_nothing_of_others(world: Platform, caller: Caller) -> None:
    # given
    cus, bought = customer(caller), world.pay(caller.merchant)
    world.seal()
    other = Caller(world, world.merchant("two"))
    # then
    for entity in (cus, bought.body["id"]):
        assert other.page(entity=entity).body["data"] == []
    assert other.page(limit=100).body["data"] == []
    behind = {"starting_after": f"{cus}/1"}
    for params in (behind, {"entity": cus, **behind}):
        refused = other("GET", URL, params, status=400)
        assert refused.answer.body["error"]["code"] == "resource_missing"


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"entity": "cus_1", "month": "2026-09"}, "month"),
        ({"month": "2026-13"}, "month"),
        ({"month": "0000-01"}, "month"),
        ({"month": "yesterday"}, "month"),
        ({"entity": "cus 1"}, "entity"),
        ({"starting_after": "nonsense"}, "starting_after"),
        ({"starting_after": "pi_none/1"}, "starting_after"),
        ({"starting_after": "a/1", "ending_before": "b/1"}, "ending_before"),
        ({"entity": "cus_1", "starting_after": "cus_1/1"}, "starting_after"),
    ],
)
def test_log_asked_for_in_a_wrong_way_is_refused(
    caller: Caller, params: Mapping[str, str], param: str
) -> None:
    refused = caller("GET", URL, params, status=400)
    assert refused.answer.body["error"]["param"] == param
