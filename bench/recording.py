"""The platform in one process, with every AWS call recorded from botocore.

The real handlers and adapters run over moto, in the order of the step table. The card network is a
loopback server; its own calls are not the platform's and are left out.
"""

import base64
import json
import math
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from local.invoke import ACCOUNT, Context, admit, load, stage
from shared.adapters.dynamodb_documents import DynamoDocumentStore
from shared.adapters.memory_saga import MemorySagaRunner, StepFunction
from shared.adapters.memory_signer import MemorySigner
from shared.adapters.system import SystemClock
from shared.domain import changes
from shared.domain.audit_trail import created
from shared.domain.saga import SAGAS
from shared.edge.auth import key_record_id
from shared.observability import logger

KEY = "sk_test_BenchmarkOfOnePayment"
OTHER_KEY = "sk_test_BenchmarkOfAnotherMerchant"
OTHER_ACCOUNT = "acct_1Other"
WRITE_UNIT_BYTES = 1024
READ_UNIT_BYTES = 4096
# A transaction writes each item twice: prepare and commit.
TRANSACTION_FACTOR = 2

Item = Mapping[str, Any]
Form = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Write:
    """One item that a call writes.

    Args: pk, sk: its key; sk is "" where the table has none. size_bytes: of the item before or
    after, whichever is larger, as DynamoDB charges it. index_writes: entries of the index of due
    payments that come or go with it. transactional: written twice.
    """

    table: str
    pk: str
    sk: str
    size_bytes: int
    index_writes: int
    transactional: bool

    @property
    def units(self) -> int:
        """Write request units, without the index."""
        factor = TRANSACTION_FACTOR if self.transactional else 1
        return factor * max(1, math.ceil(self.size_bytes / WRITE_UNIT_BYTES))


@dataclass(frozen=True, slots=True)
class Call:
    """One AWS call, with what it reads and writes where it is DynamoDB's.

    Args: aside: made beside another one, by a thread of its own.
    """

    service: str
    name: str
    detail: str = ""
    read_units: int = 0
    writes: tuple[Write, ...] = ()
    aside: bool = False

    @property
    def write_units(self) -> int:
        """Write request units of the items, without the index."""
        return sum(write.units for write in self.writes)


class Recorder:
    """Records the calls of every client of a session, except those to the network's table."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._items: dict[tuple[str, str, str], Item] = {}

    def listen(self, session: Any) -> None:
        """Starts recording."""
        session.register("provide-client-params.*.*", self._request)
        session.register("after-call.dynamodb.*", self._answer)

    def _request(self, params: Mapping[str, Any], model: Any, **_: object) -> None:
        if params.get("TableName") == "network" or _tables(params) == {"network"}:
            return
        writes = tuple(self._writes(model.name, params))
        detail = _detail(model.name, params, writes)
        aside = threading.current_thread() is not threading.main_thread()
        service = model.service_model.service_name
        self.calls.append(Call(service, model.name, detail, 0, writes, aside))

    def _answer(self, parsed: Mapping[str, Any], model: Any, **_: object) -> None:
        if model.name in {"GetItem", "BatchGetItem", "Query"} and self.calls:
            last = self.calls[-1]
            if last.name == model.name:
                sizes = [_size(item) for item in _read_items(parsed)]
                units = max(1, sum(math.ceil(size / READ_UNIT_BYTES) for size in sizes))
                self.calls[-1] = replace(last, read_units=units)

    def _writes(self, name: str, params: Mapping[str, Any]) -> Iterator[Write]:
        if name in {"PutItem", "UpdateItem", "DeleteItem"}:
            yield self._write(params, transactional=False)
        if name == "TransactWriteItems":
            for operation in params["TransactItems"]:
                yield self._write(next(iter(operation.values())), transactional=True)
        if name == "BatchWriteItem":
            for table, requests in params["RequestItems"].items():
                for request in requests:
                    written = {"TableName": table, **next(iter(request.values()))}
                    yield self._write(written, transactional=False)

    def _write(self, operation: Mapping[str, Any], *, transactional: bool) -> Write:
        table, item = operation["TableName"], operation.get("Item")
        keyed = item or operation["Key"]
        key = (table, keyed["pk"]["S"], keyed.get("sk", {}).get("S", ""))
        before = self._items.get(key, {})
        after = item or {}
        if "UpdateExpression" in operation:
            # Its values stand for the attributes that it sets.
            after = {**keyed, **before, **operation.get("ExpressionAttributeValues", {})}
        self._items[key] = after
        size = max(_size(before), _size(after), _size(keyed))
        return Write(*key, size, _index_writes(before, after), transactional)


def _detail(name: str, params: Mapping[str, Any], writes: tuple[Write, ...]) -> str:
    if name == "TransactWriteItems":
        return f"{len(writes)} items, {sum(write.size_bytes for write in writes)} bytes"
    if name == "BatchGetItem":
        return ", ".join(params["RequestItems"])
    return str(params.get("TableName", ""))


def _tables(params: Mapping[str, Any]) -> set[str]:
    operations = params.get("TransactItems", [])
    return {next(iter(operation.values()))["TableName"] for operation in operations}


def _read_items(parsed: Mapping[str, Any]) -> list[Item]:
    responses = parsed.get("Responses", {})
    batches = responses.values() if isinstance(responses, dict) else []
    found = [item for batch in batches for item in batch]
    return [*found, *parsed.get("Items", []), *([parsed["Item"]] if "Item" in parsed else [])]


def _index_writes(before: Item, after: Item) -> int:
    old, new = _index_entry(before), _index_entry(after)
    return 0 if old == new else sum(entry is not None for entry in (old, new))


def _index_entry(item: Item) -> tuple[str, str] | None:
    """Returns what puts a snapshot into the index of what is due; see dynamodb_due."""
    return (item["due_shard"]["S"], item["due_at"]["N"]) if "due_shard" in item else None


def _size(item: Item) -> int:
    """Approximates DynamoDB's item size: names and values in UTF-8."""
    return sum(len(name) + _length(next(iter(value.values()))) for name, value in item.items())


def _length(value: object) -> int:
    return len(value) if isinstance(value, bytes) else len(str(value))


class Platform:
    """Two merchants, and the functions that serve them.

    Args: steps: names of the saga's steps that ran, in order.
    """

    def __init__(self, recorder: Recorder, steps: list[str]) -> None:
        self.recorder = recorder
        self.steps = steps

    def start(self) -> list[Call]:
        """Loads the functions of a payment as their Lambda environments do; returns the calls."""
        self.recorder.calls.clear()
        os.environ["AWS_LAMBDA_FUNCTION_NAME"] = Context.function_name
        for name in ("api_payments", *step_names("pay")):
            load(name)
        del os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        return list(self.recorder.calls)

    def post(self, path: str, form: Form, key: str, *, merchant: str = KEY) -> dict[str, Any]:
        """Sends a request to the API.

        Args: key: idempotency key. merchant: its API key.
        Raises: RuntimeError when the answer is not 200.
        """
        function = "tokenize_card" if path == "/v1/payment_methods" else "api_payments"
        return _answered(function, post_event(path, form, key, merchant=merchant))

    def get(self, function: str, path: str, query: str = "") -> dict[str, Any]:
        """Reads from the API.

        Args: function: that the path is routed to.
        Raises: RuntimeError when the answer is not 200.
        """
        return _answered(function, get_event(path, query))

    def tokenize(self, key: str, *, merchant: str = KEY) -> str:
        """Makes a payment method of a test card.

        Args: key: idempotency key.
        """
        card = {"number": "4242424242424242", "exp_month": "12", "exp_year": "2034", "cvc": "123"}
        form = {"type": "card", **{f"card[{name}]": value for name, value in card.items()}}
        return str(self.post("/v1/payment_methods", form, key, merchant=merchant)["id"])

    def pay(self, method: str, key: str, *, merchant: str = KEY, capture: str = "automatic") -> str:
        """Creates and confirms a payment; returns its id.

        Args: capture: the payment's `capture_method`.
        """
        form = {
            "amount": "2000",
            "currency": "usd",
            "payment_method": method,
            "confirm": "true",
            "capture_method": capture,
        }
        body = self.post("/v1/payment_intents", form, key, merchant=merchant)
        expected = "requires_capture" if capture == "manual" else "succeeded"
        if body["status"] != expected:
            raise RuntimeError(f"the payment is {body['status']}")
        return str(body["id"])


def post_event(path: str, form: Form, key: str, *, merchant: str = KEY) -> dict[str, Any]:
    """Builds API Gateway's event of a POST. Args: key: idempotency key."""
    event = get_event(path, merchant=merchant)
    event["headers"] |= {
        "content-type": "application/x-www-form-urlencoded",
        "idempotency-key": key,
    }
    event["requestContext"]["http"]["method"] = "POST"
    body = base64.b64encode(urlencode(form).encode()).decode()
    return {**event, "body": body, "isBase64Encoded": True}


def get_event(path: str, query: str = "", *, merchant: str = KEY) -> dict[str, Any]:
    """Builds API Gateway's event of a GET."""
    return {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"authorization": f"Bearer {merchant}"},
        "requestContext": {"http": {"method": "GET", "path": path}},
        "isBase64Encoded": False,
    }


def _answered(function: str, event: Mapping[str, Any]) -> dict[str, Any]:
    answer = load(function)(event, Context())
    if answer["statusCode"] != 200:
        raise RuntimeError(f"{event['rawPath']} answered {answer['statusCode']}: {answer['body']}")
    body: dict[str, Any] = json.loads(answer["body"])
    return body


class _Runner:
    """Runs the saga's steps in this process and counts its start as the one call it is."""

    def __init__(self, recorder: Recorder, steps: list[str]) -> None:
        self._recorder = recorder
        self._steps = steps

    def run(self, saga: str, saga_input: Mapping[str, Any]) -> Mapping[str, Any]:
        self._recorder.calls.append(Call("states", "StartSyncExecution", saga))
        functions = {name: self._counted(name) for name in step_names(saga)}
        return MemorySagaRunner(functions).run(saga, saga_input)

    def _counted(self, name: str) -> StepFunction:
        handler: Callable[..., Any] = load(name)

        def run(state: Mapping[str, Any]) -> Mapping[str, Any]:
            self._steps.append(name)
            output: Mapping[str, Any] = json.loads(json.dumps(handler(state, Context())))
            return output

        return run


def step_names(saga: str) -> set[str]:
    """Names the functions of a saga, those of its undo chain included."""
    names = {step.name for stage_ in SAGAS[saga].stages for step in stage_}
    return names | {step.name for step in SAGAS[saga].undo_chain}


@contextmanager
def platform() -> Iterator[Platform]:
    """Starts an empty platform with its merchants and records what it does from then on."""
    from shared import bootstrap

    # The figures are the output, not what the functions say while they are taken.
    logger.setLevel("WARNING")
    recorder, steps = Recorder(), list[str]()
    with stage() as client:
        signer = MemorySigner(SystemClock())
        documents = DynamoDocumentStore(client, "objects", "idempotency", signer)
        admit(documents, {"headers": {"authorization": f"Bearer {KEY}"}})
        _admit_other(documents)
        recorder.listen(bootstrap.session())
        bootstrap.sagas = lambda: _Runner(recorder, steps)  # type: ignore[assignment]
        yield Platform(recorder, steps)


def _admit_other(documents: DynamoDocumentStore) -> None:
    """Makes a second merchant in the image of the first."""
    names = {key_record_id(KEY): key_record_id(OTHER_KEY), ACCOUNT: OTHER_ACCOUNT}
    for document in documents.get_many(list(names)).values():
        told = {"account": OTHER_ACCOUNT} if "account" in document.data else {}
        other = replace(
            document,
            id=names[document.id],
            account=OTHER_ACCOUNT,
            data={**document.data, **told},
        )
        documents.commit([created(other, changes.Context(other.created_ms))])
