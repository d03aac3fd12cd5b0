"""Limits and permissions in the pipeline, before anything else is looked at."""

from typing import Any

import pytest

from shared.adapters.memory_limits import MemoryBucketStore
from shared.domain.errors import OverloadedError, TransientError
from shared.edge.api import Api, ApiPorts, Reply, Request
from shared.edge.limits import RateLimiter
from shared.edge.params import Params
from tests.support.api import OTHER_KEY, SECRET_KEY, Answer, Client, Platform

RESTRICTED_KEY = "rk_test_RestrictedKeyOfTests"


@pytest.fixture(autouse=True)
def complete_answers() -> None:
    """These operations are invented: what they answer has no shape to be held against."""


class Broken:
    """A store of buckets that does not answer."""

    def take(self, name: str, cost_ms: int, *, full_ms: int, ceiling_ms: int) -> int:
        raise TransientError("no answer")


class Limited(Platform):
    """A platform whose requests are counted."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.buckets: Any = MemoryBucketStore()

    def ports(self) -> ApiPorts:
        limiter = RateLimiter(self.buckets, self.clock)
        return ApiPorts.of(
            self.documents, self.idempotency, self.clock, self.entropy, "us-east-1", None, limiter
        )


class Thing(Params):
    """Parameters of the tests' operations."""

    size: str | None = None


def build(platform: Platform) -> Api:
    api = Api(platform.ports())

    def act(request: Request[Thing]) -> Reply:
        if request.params.size == "too many":
            raise OverloadedError("Too many payments at once.")
        return Reply(200, {"id": request.new_id("th"), "customer": "cus_1"}, began=True)

    api.post("/v1/customers", Thing)(act)
    api.get("/v1/customers/{id}", Thing, returns="payment_method")(act)
    api.get("/v1/events/{id}", Thing)(act)
    api.post("/v1/payment_intents/{id}", Thing)(act)
    api.post("/v1/charges/{id}", Thing)(act)
    return api


@pytest.fixture
def client() -> Client:
    return Client(build, Limited())


def overload(client: Client, path: str = "/v1/customers/cus_1") -> Answer:
    """Sends until it is refused."""
    for _ in range(1_000):
        answer = client.get(path)
        if answer.status == 429:
            return answer
    raise AssertionError("nothing was refused")


def test_request_over_the_rate_is_refused_as_stripe_does(client: Client) -> None:
    # when
    refused = overload(client)
    # then
    assert refused.error == {
        "type": "invalid_request_error",
        "code": "rate_limit",
        "message": "Request rate limit exceeded. Wait before you try again, and longer each time.",
    }
    assert refused.headers["Stripe-Rate-Limited-Reason"] == "global-rate"
    assert "Stripe-Should-Retry" not in refused.headers
    assert refused.headers["Request-Id"].startswith("req_")


def test_request_over_the_rate_leaves_other_accounts_alone(client: Client) -> None:
    overload(client)
    assert client.get("/v1/customers/cus_1", key=OTHER_KEY).status == 200


def test_request_over_an_operations_rate_says_so(client: Client) -> None:
    # given
    key = "sk_test_MayAskForMuchElsewhere"
    client.platform.put_key(key, limits={"requests_per_s": 1_000})
    # when
    answers = [client.get("/v1/customers/cus_1", key=key) for _ in range(100)]
    # then
    refused = answers[-1]
    assert refused.status == 429
    assert refused.headers["Stripe-Rate-Limited-Reason"] == "endpoint-rate"
    assert client.get("/v1/events/evt_1", key=key).status == 200


def test_payment_changed_too_often_says_so_and_others_can_be(client: Client) -> None:
    # given
    key = "sk_test_MayAskForMuchEverywhere"
    limits = {"requests_per_s": 10**6, "endpoint_per_s": 10**6}
    client.platform.put_key(key, limits=limits)
    # when
    answers = [client.post("/v1/payment_intents/pi_1", key=key) for _ in range(1_100)]
    # then
    assert answers[990].status == 200
    assert answers[-1].headers["Stripe-Rate-Limited-Reason"] == "resource-specific"
    assert client.post("/v1/payment_intents/pi_2", key=key).status == 200


def test_payment_is_changed_by_its_charges_too(client: Client) -> None:
    # given
    key = "sk_test_MayAskForMuchEverywhere"
    limits = {"requests_per_s": 10**6, "endpoint_per_s": 10**6}
    client.platform.put_key(key, limits=limits)
    body = "0000000000000000000000aB"
    # when
    for _ in range(1_100):
        client.post(f"/v1/charges/ch_{body}01", key=key)
    # then
    refused = client.post(f"/v1/payment_intents/pi_{body}", key=key)
    assert refused.headers["Stripe-Rate-Limited-Reason"] == "resource-specific"


def test_payment_with_no_id_at_all_makes_no_bucket(client: Client) -> None:
    for _ in range(10):
        client.post(f"/v1/payment_intents/{'x' * 3_000}")
    assert not [name for name in client.platform.buckets.drained if "xxx" in name]  # type: ignore[attr-defined]


def test_refusal_uses_up_no_idempotency_key(client: Client) -> None:
    # given
    overload(client)
    refused = client.post("/v1/customers", {"size": "1"}, idempotency_key="k")
    assert refused.status == 429
    # when
    client.platform.clock.advance(10_000)
    answer = client.post("/v1/customers", {"size": "2"}, idempotency_key="k")
    # then
    assert answer.status == 200
    assert "Idempotent-Replayed" not in answer.headers


def test_replay_is_counted_too(client: Client) -> None:
    answers = [client.post("/v1/customers", idempotency_key="k").status for _ in range(100)]
    assert answers[-1] == 429


def test_requests_are_served_while_the_limits_cannot_be_asked() -> None:
    platform = Limited()
    platform.buckets = Broken()
    client = Client(build, platform)
    assert {client.get("/v1/customers/cus_1").status for _ in range(200)} == {200}


def test_overloaded_platform_is_told_of_as_concurrency_and_kept_for_no_retry(
    client: Client,
) -> None:
    # when
    refused = client.post("/v1/customers", {"size": "too many"}, idempotency_key="k")
    # then
    assert (refused.status, refused.error["code"]) == (429, "rate_limit")
    assert refused.headers["Stripe-Rate-Limited-Reason"] == "endpoint-concurrency"
    assert "Stripe-Should-Retry" not in refused.headers
    assert client.post("/v1/customers", {"size": "1"}, idempotency_key="k").status == 200


def restrict(client: Client, **permissions: str) -> None:
    client.platform.put_key(RESTRICTED_KEY, kind="restricted", permissions=permissions)


def test_restricted_key_without_the_permission_is_refused_with_its_name(client: Client) -> None:
    # given
    restrict(client, customer="read")
    # when
    refused = client.post("/v1/customers", key=RESTRICTED_KEY)
    # then
    assert refused.status == 403
    assert refused.error == {
        "type": "invalid_request_error",
        "message": (
            "The provided key 'rk_test_***ests' does not have the required permissions for this"
            " endpoint on account 'acct_1'. Having the 'rak_customer_write' permission would allow"
            " this request to continue."
        ),
    }


def test_restricted_key_does_what_it_may(client: Client) -> None:
    restrict(client, customer="read", payment_intent="write", event="none")
    assert client.get("/v1/customers/cus_1", key=RESTRICTED_KEY).status == 200
    assert client.post("/v1/payment_intents/pi_1", key=RESTRICTED_KEY).status == 200
    assert client.get("/v1/events/evt_1", key=RESTRICTED_KEY).status == 403


def test_restricted_key_that_may_do_nothing_does_nothing(client: Client) -> None:
    client.platform.put_key(RESTRICTED_KEY, kind="restricted")
    for path in ("/v1/customers/cus_1", "/v1/events/evt_1"):
        assert client.get(path, key=RESTRICTED_KEY).status == 403


def test_restricted_key_sees_by_expansion_only_what_it_may_read(client: Client) -> None:
    # given: the operation returns what names a customer
    client.platform.put_key(
        RESTRICTED_KEY, kind="restricted", permissions={"customer": "none", "event": "read"}
    )
    api = client.api

    def act(_request: Request[Thing]) -> Reply:
        return Reply(200, {"id": "evt_1", "customer": "cus_1"})

    api.get("/v1/events/{id}/method", Thing, returns="payment_method")(act)
    path = "/v1/events/evt_1/method"
    # when
    refused = client.send("GET", path, query="expand[0]=customer", key=RESTRICTED_KEY)
    # then
    assert refused.status == 403
    assert "'rak_customer_read'" in refused.error["message"]
    assert client.get(path, key=RESTRICTED_KEY).status == 200
    assert client.send("GET", path, query="expand[0]=customer", key=SECRET_KEY).status == 200


def test_restricted_key_on_an_unknown_path_hears_that_it_is_unknown(client: Client) -> None:
    restrict(client)
    assert client.get("/v1/nothing", key=RESTRICTED_KEY).status == 404
