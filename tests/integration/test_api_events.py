"""Events and webhook endpoints, through the function's own API on in-memory stores."""

import re
from typing import Any

import pytest
import stripe
from stripe.params import WebhookEndpointCreateParams

from functions.api_events.handler import build
from shared.adapters.memory import MemoryDatabase
from shared.adapters.memory_deliveries import MemoryDeliveryLog
from shared.domain.webhooks import Attempt, Delivery, DeliveryRecord, valid_secrets
from shared.edge.api import Api
from shared.wire.event_types import EVENT_TYPES
from tests.support.api import LIVE_KEY, OTHER_KEY, SECRET_KEY, Client, Platform

URL = "https://example.com/hook"
TOLD = {"id": "cus_1", "object": "customer", "deleted": True}
ENDPOINTS = "/v1/webhook_endpoints"
NO_DELIVERIES = MemoryDeliveryLog(MemoryDatabase())


@pytest.fixture
def client() -> Client:
    return Client(lambda platform: build(platform.ports(), platform.documents, NO_DELIVERIES))


@pytest.fixture
def told() -> tuple[Client, MemoryDeliveryLog]:
    """A client of a platform that knows of deliveries, and what it knows of them."""
    logs: list[MemoryDeliveryLog] = []

    def build_with_log(platform: Platform) -> Api:
        logs.append(MemoryDeliveryLog(platform.database))
        return build(platform.ports(), platform.documents, logs[0])

    return Client(build_with_log), logs[0]


def put_event(
    client: Client, event_id: str, event_type: str = "charge.succeeded", pending: int = 1
) -> None:
    data = {
        "type": event_type,
        "data": {"object": TOLD},
        "request": {"id": "req_1", "idempotency_key": "k"},
        "pending_webhooks": pending,
    }
    client.platform.put_object("event", event_id, data)


def create(client: Client, *, key: str = SECRET_KEY, **params: Any) -> dict[str, Any]:
    client.platform.clock.advance(1_000)
    params = {"url": URL, "enabled_events": ["*"], **params}
    answer = client.post(ENDPOINTS, params, key=key)
    assert answer.status == 200, answer.text
    return answer.body


def test_retrieve_event_returns_every_field(client: Client) -> None:
    put_event(client, "evt_1")
    event = client.get("/v1/events/evt_1").body
    assert event == {
        "id": "evt_1",
        "object": "event",
        "account": None,
        "api_version": "2026-10-28.endive",
        "context": None,
        "created": client.platform.clock.now_ms() // 1000,
        "data": {"object": TOLD},
        "livemode": False,
        "object_version": None,
        "pending_webhooks": 1,
        "request": {"id": "req_1", "idempotency_key": "k"},
        "type": "charge.succeeded",
    }
    assert set(event) - {"object_version"} <= set(stripe.Event.__annotations__)


def test_retrieve_event_unknown_is_404(client: Client) -> None:
    put_event(client, "evt_1")
    assert client.get("/v1/events/evt_2").error["message"] == "No such event: 'evt_2'"
    assert client.get("/v1/events/evt_1", key=OTHER_KEY).status == 404


def test_list_events_pages_newest_first(client: Client) -> None:
    for number in range(3):
        put_event(client, f"evt_{number}")
    page = client.get("/v1/events", limit=2)
    assert (page.ids, page.body["has_more"]) == (["evt_2", "evt_1"], True)
    page = client.get("/v1/events", limit=2, starting_after="evt_1")
    assert (page.ids, page.body["has_more"]) == (["evt_0"], False)


def put_many(client: Client) -> list[str]:
    """Stores 250 events, each tenth a refund, and returns the refunds' ids, newest first."""
    for number in range(250):
        put_event(client, f"evt_{number}", "charge.refunded" if number % 10 == 0 else "payout.paid")
    return [f"evt_{number}" for number in range(240, -1, -10)]


def test_list_events_by_type_pages_through_the_matching_ones(client: Client) -> None:
    refunds = put_many(client)
    seen: list[str] = []
    params: dict[str, Any] = {"type": "charge.refunded", "limit": 10}
    for has_more in (True, True, False):
        page = client.get("/v1/events", **params)
        assert page.body["has_more"] is has_more
        seen += page.ids
        params["starting_after"] = seen[-1]
    assert seen == refunds


def test_list_events_by_type_backwards_returns_the_nearest(client: Client) -> None:
    refunds = put_many(client)
    page = client.get("/v1/events", type="charge.*", limit=10, ending_before=refunds[20])
    assert (page.ids, page.body["has_more"]) == (refunds[10:20], True)
    page = client.get("/v1/events", type="charge.*", limit=10, ending_before=refunds[5])
    assert (page.ids, page.body["has_more"]) == (refunds[:5], False)


def test_list_events_by_types_returns_all_of_them(client: Client) -> None:
    put_event(client, "evt_1", "charge.refunded")
    put_event(client, "evt_2", "payout.paid")
    put_event(client, "evt_3", "customer.created")
    page = client.get("/v1/events", types=["payout.paid", "customer.created"])
    assert page.ids == ["evt_3", "evt_2"]


def test_list_events_rare_type_is_searched_within_a_bound(client: Client) -> None:
    put_event(client, "evt_old", "charge.refunded")
    for number in range(2_050):
        put_event(client, f"evt_{number}", "payout.paid")
    page = client.get("/v1/events", type="charge.refunded")
    assert (page.ids, page.body["has_more"]) == ([], True)


@pytest.mark.parametrize(
    "params",
    [
        {"type": "a", "types": ["b"]},
        {"type": "no such thing"},
        {"types": [f"t{i}" for i in range(21)]},
        {"type": ""},
        {"delivery_success": "perhaps"},
    ],
)
def test_list_events_bad_parameter_is_refused(client: Client, params: dict[str, Any]) -> None:
    assert client.get("/v1/events", **params).status == 400


def test_list_events_by_delivery_success(client: Client) -> None:
    put_event(client, "evt_1")
    put_event(client, "evt_2", "charge.refunded", pending=0)
    assert client.get("/v1/events", delivery_success="false").ids == ["evt_1"]
    assert client.get("/v1/events", delivery_success="true").ids == ["evt_2"]
    assert client.get("/v1/events", delivery_success="true", type="charge.succeeded").ids == []


def test_list_deliveries_tells_every_attempt(told: tuple[Client, MemoryDeliveryLog]) -> None:
    client, log = told
    put_event(client, "evt_1")
    refused = Attempt(1_790_000_000_123, 12, 500, "http_status")
    record = DeliveryRecord("evt_1", "we_1")
    log.keep(record.after(Delivery("evt_1", "we_1"), refused, 1_790_000_005_000), None)
    answer = client.get("/v1/events/evt_1/deliveries").body
    assert answer == {
        "object": "list",
        "data": [
            {
                "id": "evt_1_we_1",
                "object": "event_delivery",
                "attempts": [
                    {
                        "created": 1_790_000_000,
                        "error": "http_status",
                        "http_status": 500,
                        "latency_ms": 12,
                        "resend": None,
                    }
                ],
                "event": "evt_1",
                "livemode": False,
                "next_attempt": 1_790_000_005,
                "status": "pending",
                "webhook_endpoint": "we_1",
            }
        ],
        "has_more": False,
        "url": "/v1/events/evt_1/deliveries",
    }
    for answered in (
        client.get("/v1/events/evt_1/deliveries", key=OTHER_KEY),
        client.get("/v1/events/evt_2/deliveries"),
    ):
        assert answered.status == 404


def test_retry_event_is_asked_for_once_per_key_and_audited(client: Client) -> None:
    # given
    put_event(client, "evt_1")
    endpoint = create(client)["id"]
    # when
    params = {"webhook_endpoint": endpoint}
    answers = [client.post("/v1/events/evt_1/retry", params, idempotency_key="k") for _ in range(2)]
    # then
    assert {answer.text for answer in answers} == {answers[0].text}
    assert (answers[0].status, answers[0].body["id"]) == (200, "evt_1")
    database = client.platform.database
    (wish,) = [found for found in database.documents.values() if found.kind == "webhook_resend"]
    assert wish.data == {"event": "evt_1", "webhook_endpoint": endpoint}
    (record,) = database.changes[wish.id]
    assert (record.change.action, record.change.entity_type) == ("created", "webhook_resend")


def test_retry_event_to_an_endpoint_that_cannot_be_told_is_refused(client: Client) -> None:
    put_event(client, "evt_1")
    endpoint, foreign = create(client)["id"], create(client, key=OTHER_KEY)["id"]
    path = "/v1/events/evt_1/retry"
    for params in ({}, {"webhook_endpoint": "we_none"}, {"webhook_endpoint": foreign}):
        assert client.post(path, params).error["param"] == "webhook_endpoint"
    client.post(f"{ENDPOINTS}/{endpoint}", {"disabled": "true"})
    assert client.post(path, {"webhook_endpoint": endpoint}).status == 400
    assert client.post(path, {"webhook_endpoint": foreign}, key=OTHER_KEY).status == 404
    kinds = {found.kind for found in client.platform.database.documents.values()}
    assert "webhook_resend" not in kinds


def test_roll_secret_shows_the_new_one_once_and_keeps_the_old_one_for_a_day(
    client: Client,
) -> None:
    # given
    endpoint = create(client)
    path = f"{ENDPOINTS}/{endpoint['id']}"
    # when
    answers = [client.post(f"{path}/roll_secret", {}, idempotency_key="k") for _ in range(2)]
    # then
    secret = answers[0].body["secret"]
    assert answers[0].text == answers[1].text
    assert secret.startswith("whsec_")
    assert secret != endpoint["secret"]
    stored = client.platform.database.documents[endpoint["id"]]
    assert valid_secrets(stored, client.platform.clock.now_ms()) == (secret, endpoint["secret"])
    assert "secret" not in client.get(path).body
    changes = str(client.platform.database.changes[endpoint["id"]])
    assert secret not in changes
    assert endpoint["secret"] not in changes
    assert client.post(f"{path}/roll_secret", {}, key=OTHER_KEY).status == 404


def test_endpoint_may_ask_for_the_warning_that_another_is_disabled(client: Client) -> None:
    types = ["webhook_endpoint.disabled", "charge.failed"]
    assert create(client, enabled_events=types)["enabled_events"] == types


def test_create_webhook_endpoint_shows_its_secret_once(client: Client) -> None:
    params = {
        "url": URL,
        "enabled_events": ["charge.succeeded", "charge.failed"],
        "description": "d",
        "metadata": {"a": "1"},
        "api_version": "2026-10-28.endive",
    }
    created = client.post(ENDPOINTS, params, idempotency_key="k")
    endpoint = created.body
    secret = endpoint.pop("secret")
    assert secret.startswith("whsec_")
    assert len(secret) == 38
    assert endpoint == {
        "id": endpoint["id"],
        "object": "webhook_endpoint",
        "api_version": "2026-10-28.endive",
        "application": None,
        "created": client.platform.clock.now_ms() // 1000,
        "description": "d",
        "enabled_events": ["charge.succeeded", "charge.failed"],
        "livemode": False,
        "metadata": {"a": "1"},
        "status": "enabled",
        "url": URL,
    }
    path = f"{ENDPOINTS}/{endpoint['id']}"
    assert client.get(path).body == endpoint
    assert client.get(ENDPOINTS).body["data"] == [endpoint]
    assert client.post(ENDPOINTS, params, idempotency_key="k").text == created.text
    assert client.platform.database.documents[endpoint["id"]].data["secret"] == secret


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"url": ""}, "parameter_invalid_empty", "url"),
        ({"url": "example.com"}, "url_invalid", "url"),
        ({"url": "ftp://example.com"}, "url_invalid", "url"),
        ({"url": "https://"}, "url_invalid", "url"),
        ({"url": "https://a:b@example.com"}, "url_invalid", "url"),
        ({"url": "https://example.com:x"}, "url_invalid", "url"),
        ({"url": "https://example.com/\r\nx"}, "url_invalid", "url"),
        ({"url": "https://[::1"}, "url_invalid", "url"),
        ({"enabled_events": ["charge.done"]}, None, "enabled_events[0]"),
        ({"enabled_events": "charge.failed"}, None, "enabled_events"),
        ({"enabled_events": [""]}, "parameter_invalid_empty", "enabled_events[0]"),
        ({"connect": "true"}, "parameter_unknown", "connect"),
        ({"api_version": "2026-10-28"}, None, "api_version"),
        ({"api_version": "2025-09-30.clover"}, None, "api_version"),
    ],
)
def test_create_webhook_endpoint_bad_parameter_is_refused(
    client: Client, params: dict[str, Any], code: str | None, param: str
) -> None:
    answer = client.post(ENDPOINTS, {"url": URL, "enabled_events": ["*"], **params})
    assert (answer.status, answer.error.get("code"), answer.error["param"]) == (400, code, param)
    assert client.get(ENDPOINTS).ids == []


def test_create_webhook_endpoint_in_live_mode_must_be_encrypted(client: Client) -> None:
    params = {"url": "http://example.com", "enabled_events": ["*"]}
    assert client.post(ENDPOINTS, params).status == 200
    refused = client.post(ENDPOINTS, params, key=LIVE_KEY)
    assert (refused.status, refused.error["code"]) == (400, "url_invalid")


def test_create_webhook_endpoint_beyond_the_limit_is_refused(client: Client) -> None:
    first = create(client)
    for _ in range(15):
        create(client)
    assert client.post(ENDPOINTS, {"url": URL, "enabled_events": ["*"]}).status == 400
    client.delete(f"{ENDPOINTS}/{first['id']}")
    create(client)


def test_update_webhook_endpoint_changes_what_was_sent(client: Client) -> None:
    endpoint = create(client, description="d", metadata={"a": "1"})
    path = f"{ENDPOINTS}/{endpoint['id']}"
    changes = {
        "url": "https://example.com/new",
        "enabled_events": ["charge.failed"],
        "description": "",
        "disabled": "true",
        "metadata": "",
    }
    answer = client.post(path, changes).body
    assert (answer["url"], answer["status"]) == ("https://example.com/new", "disabled")
    assert (answer["enabled_events"], answer["description"]) == (["charge.failed"], None)
    assert answer["metadata"] == {}
    assert client.post(path, {"disabled": "false"}).body["status"] == "enabled"
    assert client.post(path, {"url": "nowhere"}).status == 400
    stored = client.platform.database.documents[endpoint["id"]].data
    assert stored["secret"] == endpoint["secret"]


def test_delete_webhook_endpoint_forgets_its_secret(client: Client) -> None:
    endpoint = create(client)
    path = f"{ENDPOINTS}/{endpoint['id']}"
    deleted = {"id": endpoint["id"], "object": "webhook_endpoint", "deleted": True}
    assert client.delete(path).body == deleted
    assert client.get(path).status == 404
    assert client.delete(path).status == 404
    assert client.get(ENDPOINTS).ids == []
    assert endpoint["secret"] not in str(client.platform.database.documents)


@pytest.mark.parametrize("key", [OTHER_KEY, LIVE_KEY])
def test_webhook_endpoint_of_another_account_or_mode_is_unknown(client: Client, key: str) -> None:
    path = f"{ENDPOINTS}/{create(client)['id']}"
    for answer in (
        client.get(path, key=key),
        client.post(path, {"disabled": "true"}, key=key),
        client.delete(path, key=key),
    ):
        assert (answer.status, answer.error["code"]) == (404, "resource_missing")
    assert client.get(ENDPOINTS, key=key).ids == []


def test_event_types_are_those_of_the_sdk() -> None:
    annotation = str(WebhookEndpointCreateParams.__annotations__["enabled_events"])
    assert set(re.findall(r"'([a-z0-9_.]+)'", annotation)) == EVENT_TYPES
