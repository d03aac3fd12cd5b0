import io
import json
from collections.abc import Mapping
from typing import Any

import pytest

from shared.domain.documents import Document
from shared.domain.errors import (
    ConflictError,
    InvariantError,
    NotFoundError,
    RejectedError,
    StateError,
    TransientError,
    UnknownOutcomeError,
    VersionConflictError,
)
from shared.domain.idempotency import LEASE_MS, RETENTION_S, Answer
from shared.edge.api import Api, Reply, Request
from shared.edge.fields import Integer, ObjectId
from shared.edge.params import Params
from shared.observability import logger
from shared.wire.errors import CardError
from tests.support.api import (
    ABROAD_KEY,
    ACCOUNT,
    LIVE_KEY,
    OTHER_KEY,
    PUBLISHABLE_KEY,
    Client,
    Platform,
)
from tests.support.documents import audited


class CreateThing(Params):
    size: Integer = 1
    customer: ObjectId | None = None


class CreateOrder(Params):
    customer: ObjectId | None = None
    seller: ObjectId | None = None


class CreateCard(Params):
    card: dict[str, str]


@pytest.fixture(autouse=True)
def complete_answers() -> None:
    """These operations are invented: what they answer has no shape to be held against."""


class Things:
    """Operations that record what they were asked."""

    def __init__(self) -> None:
        self.requests: list[Request[Any]] = []
        self.error: Exception | None = None
        self.stores_answer = True

    def build(self, platform: Platform) -> Api:
        api = Api(platform.ports())

        @api.post("/v1/things", CreateThing, returns="payment_method")
        def create(request: Request[CreateThing]) -> Reply:
            self.requests.append(request)
            if self.error is not None:
                raise self.error
            thing = request.new_id("th")
            scope = request.scope
            document = Document(thing, "thing", scope.account, scope.livemode, 1, 0, {})
            body = {"id": thing, "size": request.params.size, "customer": request.params.customer}
            reply = Reply(200, body, began=not self.stores_answer)
            claim = request.answered(reply) if self.stores_answer else request.claim
            platform.documents.commit([audited(document)], claim)
            return reply

        @api.get("/v1/things/{id}", CreateThing)
        def retrieve(request: Request[CreateThing]) -> Reply:
            self.requests.append(request)
            if self.error is not None:
                raise self.error
            return Reply(200, {"id": request.path["id"], "name": "Zoë"})

        @api.post("/v1/tokens", CreateCard, publishable=True, conceal=lambda number: number[::-1])
        def tokenize(request: Request[CreateCard]) -> Reply:
            self.requests.append(request)
            return Reply(200, {}, began=True)

        return api


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    written = io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", written)
    return written


@pytest.fixture
def things() -> Things:
    return Things()


@pytest.fixture
def client(things: Things) -> Client:
    return Client(things.build)


def log_lines(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_api_answer_is_indented_json_with_headers(client: Client) -> None:
    answer = client.get("/v1/things/th_1")
    assert answer.status == 200
    assert answer.text == '{\n  "id": "th_1",\n  "name": "Zoë"\n}'
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Request-Id"].startswith("req_")
    assert len(answer.headers["Request-Id"]) == 18
    assert answer.headers["Stripe-Version"] == "2026-10-28.endive"


def test_api_stripe_version_is_echoed_when_fit(client: Client) -> None:
    def echo(version: str) -> str:
        answer = client.send("GET", "/v1/things/th_1", headers={"stripe-version": version})
        return answer.headers["Stripe-Version"]

    assert echo("2024-06-20") == "2024-06-20"
    assert echo("a\r\nSet-Cookie: b") == "2026-10-28.endive"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/nothing"), ("DELETE", "/v1/things/x"), ("PATCH", "/v1/things")],
)
def test_api_unknown_route_is_404(client: Client, method: str, path: str) -> None:
    answer = client.send(method, path)
    assert answer.status == 404
    assert answer.error == {
        "message": f"Unrecognized request URL ({method}: {path}).",
        "type": "invalid_request_error",
    }


@pytest.mark.parametrize("path", ["/v1/\ud800", "/v1/things\udcff"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_api_path_that_is_no_text_names_nothing(client: Client, method: str, path: str) -> None:
    # when
    answer = client.send(method, path, headers={"idempotency-key": "k"})
    # then
    assert answer.status == 404
    assert answer.text.isascii()


def test_api_no_key_is_401_before_the_route_is_told(client: Client) -> None:
    answer = client.send("GET", "/v1/nothing", key=None)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic")


def test_api_key_of_another_region_is_sent_home(client: Client) -> None:
    answer = client.get("/v1/things/th_1", key=ABROAD_KEY)
    assert (answer.status, answer.error["code"]) == (403, "account_home_region_mismatch")
    assert answer.headers["Farthing-Home-Region"] == "eu-west-1"


def test_api_publishable_key_is_admitted_by_marked_routes_only(client: Client) -> None:
    assert client.post("/v1/tokens", {"card": {"number": "1"}}, key=PUBLISHABLE_KEY).status == 200
    refused = client.post("/v1/things", key=PUBLISHABLE_KEY)
    assert (refused.status, refused.error["code"]) == (403, "secret_key_required")


def test_api_connect_header_is_refused(client: Client) -> None:
    answer = client.send("GET", "/v1/things/th_1", headers={"stripe-account": "acct_9"})
    assert answer.status == 403


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"size=1" + b"0" * 262_144, {}, 413),
        (b'{"size": 1}', {"content-type": "application/json"}, 400),
        (b"size=%zz", {}, 400),
        ("size=\ud800", {}, 400),
        (b"size=1", {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}, 200),
        (b"size=1", {}, 200),
    ],
)
def test_api_body_is_a_form_of_bearable_size(
    client: Client, body: bytes | str, headers: dict[str, str], status: int
) -> None:
    answer = client.send("POST", "/v1/things", body=body, headers=headers)
    assert answer.status == status


def test_api_garbled_base64_is_refused(client: Client) -> None:
    event = {
        "rawPath": "/v1/things",
        "headers": {"authorization": "Bearer sk_test_SecretKeyOfTheTests"},
        "requestContext": {"http": {"method": "POST"}},
        "body": "%%%",
        "isBase64Encoded": True,
    }
    assert client.api.handle(event, None)["statusCode"] == 400


@pytest.mark.parametrize(
    ("path", "query", "headers"),
    [
        ("/v1/things/4242424242424242", "", {}),
        ("/v1/nothing/4242424242424242", "", {}),
        ("/v1/things/th_1", "size=4242424242424242", {}),
        ("/v1/things/th_1", "", {"idempotency-key": "4242424242424242"}),
        ("/v1/things/th_1", "", {"stripe-version": "4242-4242-4242-4242"}),
    ],
)
def test_api_card_number_is_refused_and_appears_nowhere(
    client: Client,
    log: io.StringIO,
    path: str,
    query: str,
    headers: Mapping[str, str],
) -> None:
    answer = client.send("GET", path, query=query, headers=headers)
    assert (answer.status, answer.error["code"]) == (400, "card_data_refused")
    written = f"{answer.headers}{answer.text}{log.getvalue()}"
    assert "4242" not in written


def test_api_vault_route_fingerprints_neither_number_nor_cvc(
    client: Client, things: Things
) -> None:
    def pay(number: str, cvc: str) -> int:
        card = {"number": number, "cvc": cvc}
        return client.post("/v1/tokens", {"card": card}, idempotency_key="k").status

    # given a first request
    assert pay("4242424242424242", "123") == 200
    client.platform.documents.commit([], things.requests[0].claim)
    # then another code is taken for the same request, another number is not
    assert pay("4242424242424242", "999") == 409
    assert pay("5555555555554444", "123") == 400


def test_api_expansion_is_in_the_answer_and_in_its_replay(client: Client) -> None:
    data = {"name": "Jenny"}
    client.platform.put_object("customer", "cus_1", data)
    params = {"customer": "cus_1", "expand": ["customer"]}
    first = client.post("/v1/things", params, idempotency_key="k")
    assert first.body["customer"]["name"] == "Jenny"
    assert client.post("/v1/things", params, idempotency_key="k").text == first.text


def test_api_impossible_expansion_changes_nothing(client: Client, things: Things) -> None:
    answer = client.post("/v1/things", {"expand": ["size"]}, idempotency_key="k")
    assert answer.error["message"] == "This property cannot be expanded (size)."
    assert things.requests == []


@pytest.mark.parametrize("stores_answer", [True, False])
def test_api_repeated_key_replays_the_first_answer(
    client: Client, things: Things, stores_answer: bool
) -> None:
    things.stores_answer = stores_answer
    first = client.post("/v1/things", {"size": 2}, idempotency_key="k")
    second = client.post("/v1/things", {"size": 2}, idempotency_key="k")
    assert (second.status, second.text) == (first.status, first.text)
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.headers["Idempotency-Key"] == "k"
    assert "Idempotent-Replayed" not in first.headers
    assert len(things.requests) == 1


def test_api_key_with_other_parameters_is_refused(client: Client) -> None:
    client.post("/v1/things", {"size": 2}, idempotency_key="k")
    answer = client.post("/v1/things", {"size": 3}, idempotency_key="k")
    assert answer.status == 400
    assert answer.error == {
        "message": "Keys for idempotent requests can only be used with the same parameters they"
        " were first used with. Try using a key other than 'k' if you meant to execute a different"
        " request.",
        "type": "idempotency_error",
    }


def test_api_key_at_another_endpoint_is_refused(client: Client) -> None:
    client.post("/v1/things", {"size": 2}, idempotency_key="k")
    answer = client.post("/v1/tokens", {"card": {"number": "1"}}, idempotency_key="k")
    assert "('/v1/tokens' vs '/v1/things')" in answer.error["message"]
    assert answer.error["type"] == "idempotency_error"


def test_api_same_key_of_another_account_or_mode_is_another_key(client: Client) -> None:
    first = client.post("/v1/things", {"size": 2}, idempotency_key="k")
    other = client.post("/v1/things", {"size": 3}, idempotency_key="k", key=OTHER_KEY)
    live = client.post("/v1/things", {"size": 4}, idempotency_key="k", key=LIVE_KEY)
    assert (first.status, other.status, live.status) == (200, 200, 200)
    assert len({first.body["id"], other.body["id"], live.body["id"]}) == 3


def test_api_key_of_a_running_request_is_in_use(client: Client, things: Things) -> None:
    # given a request that claimed its key and has not answered
    client.post("/v1/things", idempotency_key="k")
    claim = things.requests[0].claim
    assert claim is not None
    client.platform.database.claims[claim.key_hash] = claim
    # when it is sent again
    answer = client.post("/v1/things", idempotency_key="k")
    # then
    assert (answer.status, answer.error["code"]) == (409, "idempotency_key_in_use")
    assert answer.headers["Stripe-Should-Retry"] == "true"


def test_api_key_of_a_dead_request_is_resumed_under_the_same_id(
    client: Client, things: Things
) -> None:
    # given a request that died after its first write
    client.post("/v1/things", idempotency_key="k")
    first = things.requests[0]
    assert first.claim is not None
    client.platform.database.claims[first.claim.key_hash] = first.claim
    # when its lease is over and it is sent again
    client.platform.clock.advance(LEASE_MS + 1)
    things.error = RejectedError("looked at")
    client.post("/v1/things", idempotency_key="k")
    # then
    resumed = things.requests[1]
    assert (first.resumed, resumed.resumed) == (False, True)
    assert resumed.new_id("th") == first.new_id("th")


def test_api_key_after_its_retention_is_a_new_request(client: Client) -> None:
    first = client.post("/v1/things", idempotency_key="k")
    client.platform.clock.advance((RETENTION_S + 1) * 1000)
    second = client.post("/v1/things", idempotency_key="k")
    assert second.status == 200
    assert second.body["id"] != first.body["id"]


def test_api_key_taken_by_a_twin_replays_the_twins_answer() -> None:
    class Twins(Things):
        """Things whose first request is overtaken by its twin just before its commit."""

        def build(self, platform: Platform) -> Api:
            api = super().build(platform)
            documents, commit = platform.documents, platform.documents.commit

            def overtaken(writes: Any, claim: Any = None) -> None:
                documents.commit = commit  # type: ignore[method-assign]
                platform.database.claims[claim.key_hash] = claim
                platform.idempotency.answer(claim, Answer(200, '{"id": "twin"}'))
                commit(writes, claim)

            documents.commit = overtaken  # type: ignore[method-assign]
            return api

    client = Client(Twins().build)
    answer = client.post("/v1/things", idempotency_key="k")
    assert answer.headers["Idempotent-Replayed"] == "true"


class Orders:
    """Operations on two documents; records what the store of documents was asked for."""

    def __init__(self) -> None:
        self.requests: list[Request[Any]] = []
        self.reads: list[tuple[str, ...]] = []

    def build(self, platform: Platform) -> Api:
        api = Api(platform.ports())
        get_many, find = platform.documents.get_many, platform.idempotency.find

        def recorded_read(object_ids: Any) -> Any:
            self.reads.append(("documents", *object_ids))
            return get_many(object_ids)

        def recorded_find(key_hash: str, object_ids: Any = ()) -> Any:
            self.reads.append(("claim", *object_ids))
            return find(key_hash, object_ids)

        platform.documents.get_many = recorded_read  # type: ignore[method-assign]
        platform.idempotency.find = recorded_find  # type: ignore[method-assign]

        @api.post(
            "/v1/orders",
            CreateOrder,
            references=lambda params, scope: (params.customer, params.seller, scope.account),
        )
        def create(request: Request[CreateOrder]) -> Reply:
            self.requests.append(request)
            reply = Reply(200, {"id": request.new_id("or")})
            platform.documents.commit([], request.answered(reply))
            return reply

        return api


@pytest.fixture
def orders() -> Orders:
    return Orders()


@pytest.mark.parametrize(("key", "read"), [("k", "claim"), (None, "documents")])
def test_api_documents_that_a_route_names_are_read_in_one_call(
    orders: Orders, key: str | None, read: str
) -> None:
    # given
    client = Client(orders.build)
    client.platform.put_object("customer", "cus_1", {"name": "Jenny"})
    # when
    params = {"customer": "cus_1", "seller": "cus_unknown"}
    assert client.post("/v1/orders", params, idempotency_key=key).status == 200
    # then
    assert orders.reads == [(read, "cus_1", "cus_unknown", ACCOUNT)]
    assert {name: d.data for name, d in orders.requests[0].references.items()} == {
        "cus_1": {"name": "Jenny"}
    }


@pytest.mark.parametrize("key", ["k", None])
def test_api_names_that_are_no_ids_never_reach_the_store(orders: Orders, key: str | None) -> None:
    # when
    params = {"customer": "KEY#1", "seller": "Zoë"}
    assert Client(orders.build).post("/v1/orders", params, idempotency_key=key).status == 200
    # then
    assert [read[1:] for read in orders.reads] == [(ACCOUNT,)]
    assert orders.requests[0].references == {}


def test_api_replay_reads_no_more_than_the_request_did(orders: Orders) -> None:
    # given
    client = Client(orders.build)
    first = client.post("/v1/orders", idempotency_key="k")
    # when
    second = client.post("/v1/orders", idempotency_key="k")
    # then
    assert (second.text, len(orders.requests)) == (first.text, 1)
    assert orders.reads == [("claim", ACCOUNT)] * 2


class Overtaken(Things):
    """Things that are refused because the request's twin has just done the work.

    Args: answer: the twin's, or None while it is still running.
    """

    def __init__(self, answer: Answer | None) -> None:
        super().__init__()
        self.answer = answer

    def build(self, platform: Platform) -> Api:
        api = Api(platform.ports())

        @api.post("/v1/things", CreateThing)
        def create(request: Request[CreateThing]) -> Reply:
            assert request.claim is not None
            platform.database.claims[request.claim.key_hash] = request.claim
            if self.answer is not None:
                platform.idempotency.answer(request.claim, self.answer)
            raise RejectedError("The thing is done already.")

        return api


def test_api_refused_for_what_its_twin_did_replays_the_twins_answer() -> None:
    client = Client(Overtaken(Answer(200, '{"id": "twin"}')).build)
    answer = client.post("/v1/things", idempotency_key="k")
    assert (answer.status, answer.body) == (200, {"id": "twin"})
    assert answer.headers["Idempotent-Replayed"] == "true"


def test_api_refused_for_what_its_twin_is_doing_is_in_use() -> None:
    client = Client(Overtaken(None).build)
    answer = client.post("/v1/things", idempotency_key="k")
    assert (answer.status, answer.error["code"]) == (409, "idempotency_key_in_use")
    assert answer.headers["Stripe-Should-Retry"] == "true"


@pytest.mark.parametrize("key", ["k" * 256, "caf\u00e9", "a\r\nb"])
def test_api_bad_idempotency_key_is_refused(client: Client, key: str) -> None:
    answer = client.post("/v1/things", idempotency_key=key)
    assert answer.status == 400
    assert "Idempotency-Key" not in answer.headers


def test_api_refused_parameters_leave_the_key_free(client: Client) -> None:
    assert client.post("/v1/things", {"size": "x"}, idempotency_key="k").status == 400
    assert client.post("/v1/things", {"size": 1}, idempotency_key="k").status == 200


@pytest.mark.parametrize(
    "error", [RejectedError("no", param="p"), TransientError("no"), UnknownOutcomeError("no")]
)
def test_api_refusal_that_is_no_answer_leaves_the_key_free(
    client: Client, things: Things, error: Exception
) -> None:
    # given
    things.error = error
    assert client.post("/v1/things", idempotency_key="k").status >= 400
    # when
    things.error = None
    answer = client.post("/v1/things", {"size": 2}, idempotency_key="k")
    # then
    assert (answer.status, answer.body["size"]) == (200, 2)


def test_api_refusal_by_an_objects_state_is_replayed(client: Client, things: Things) -> None:
    # given
    things.error = StateError("The thing is closed.", code="closed")
    first = client.post("/v1/things", idempotency_key="k")
    # when
    things.error = None
    again = client.post("/v1/things", idempotency_key="k")
    # then
    assert (again.status, again.error) == (400, first.error)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    for path, params in (("/v1/things", {"size": 2}), ("/v1/tokens", {"card": {"a": "b"}})):
        other = client.post(path, params, idempotency_key="k")
        assert (other.status, other.error["type"]) == (400, "idempotency_error")


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (RejectedError("no", code="c", param="p"), 400, "invalid_request_error", "c"),
        (NotFoundError("no", code="resource_missing"), 404, "invalid_request_error", None),
        (ConflictError("no"), 409, "invalid_request_error", None),
        (VersionConflictError("no"), 429, "invalid_request_error", "lock_timeout"),
        (CardError("no", code="incorrect_number"), 402, "card_error", "incorrect_number"),
        (TransientError("secret detail"), 503, "api_error", None),
        (UnknownOutcomeError("secret detail"), 500, "api_error", None),
        (InvariantError("secret detail"), 500, "api_error", None),
        (ValueError("secret detail"), 500, "api_error", None),
    ],
)
def test_api_error_becomes_stripes_error(
    client: Client,
    things: Things,
    log: io.StringIO,
    error: Exception,
    status: int,
    kind: str,
    code: str | None,
) -> None:
    things.error = error
    answer = client.get("/v1/things/th_1")
    assert (answer.status, answer.error["type"]) == (status, kind)
    assert code in {None, answer.error.get("code")}
    assert "secret detail" not in f"{answer.text}{log.getvalue()}"


@pytest.mark.parametrize("error", [VersionConflictError("x"), TransientError("x")])
def test_api_error_that_may_pass_asks_for_a_retry(
    client: Client, things: Things, error: Exception
) -> None:
    things.error = error
    assert client.get("/v1/things/th_1").headers["Stripe-Should-Retry"] == "true"


def test_api_request_logs_one_line_without_what_was_sent(client: Client, log: io.StringIO) -> None:
    answer = client.get("/v1/things/th_private", size=77)
    (line,) = log_lines(log)
    assert line["route"] == "/v1/things/{id}"
    assert (line["method"], line["status"], line["account"]) == ("GET", 200, ACCOUNT)
    assert line["request_id"] == answer.headers["Request-Id"]
    assert "th_private" not in json.dumps(line)
    assert "sk_test" not in json.dumps(line)


def test_api_bug_logs_where_it_happened(client: Client, things: Things, log: io.StringIO) -> None:
    things.error = KeyError("card_number")
    client.get("/v1/things/th_1")
    (line,) = log_lines(log)
    assert (line["level"], line["error"]) == ("ERROR", "KeyError")
    assert any("retrieve" in frame for frame in line["stack"])
