"""Which AWS calls one create+confirm makes between request and answer, recorded from botocore.

What functions call while their environments start is nobody's wait: it is told apart.
The real handlers and adapters run in one process over moto, in the order of the step table. The
card network is a loopback server; its own calls are not the platform's and are left out.
"""

import base64
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from local.invoke import Context, admit, load, stage
from shared.adapters.dynamodb_documents import DynamoDocumentStore
from shared.adapters.memory_saga import MemorySagaRunner, StepFunction
from shared.domain.saga import SAGAS

TRANSACTIONS_MAX = 2
CALLS_MAX = 8
STEPS_MAX = 3
KEY = "sk_test_BenchmarkOfOnePayment"


@dataclass(frozen=True, slots=True)
class Call:
    """One AWS call: write and read request units of DynamoDB, 0 elsewhere."""

    name: str
    detail: str
    write_units: int
    read_units: int


class Recorder:
    """Records the calls of every client of a session, except those to the network's table."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def listen(self, session: Any) -> None:
        """Starts recording."""
        session.register("provide-client-params.*.*", self._request)
        session.register("after-call.dynamodb.*", self._answer)

    def _request(self, params: Mapping[str, Any], model: Any, **_: object) -> None:
        if params.get("TableName") == "network" or _tables(params) == {"network"}:
            return
        units, detail = _write_units(model.name, params)
        self.calls.append(Call(model.name, detail, units, 0))

    def _answer(self, parsed: Mapping[str, Any], model: Any, **_: object) -> None:
        items = _read_items(parsed)
        if model.name in {"GetItem", "BatchGetItem", "Query"} and self.calls:
            last = self.calls[-1]
            if last.name == model.name:
                units = max(1, sum(math.ceil(_size(item) / 4096) for item in items))
                self.calls[-1] = Call(last.name, last.detail, 0, units)


def _tables(params: Mapping[str, Any]) -> set[str]:
    operations = params.get("TransactItems", [])
    return {next(iter(operation.values()))["TableName"] for operation in operations}


def _write_units(name: str, params: Mapping[str, Any]) -> tuple[int, str]:
    if name == "TransactWriteItems":
        items = [next(iter(operation.values())) for operation in params["TransactItems"]]
        sizes = [_size(item.get("Item", item.get("Key", {}))) for item in items]
        # A transaction writes each item twice: prepare and commit.
        units = sum(2 * max(1, math.ceil(size / 1024)) for size in sizes)
        return units, f"{len(items)} items, {sum(sizes)} bytes"
    if name == "UpdateItem":
        size = _size(params.get("ExpressionAttributeValues", {}))
        return max(1, math.ceil(size / 1024)), params["TableName"]
    if name == "BatchGetItem":
        return 0, ", ".join(params["RequestItems"])
    return 0, str(params.get("TableName", ""))


def _read_items(parsed: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    responses = parsed.get("Responses", {})
    batches = responses.values() if isinstance(responses, dict) else []
    found = [item for batch in batches for item in batch]
    return [*found, *parsed.get("Items", []), *([parsed["Item"]] if "Item" in parsed else [])]


def _size(item: Mapping[str, Any]) -> int:
    """Approximates DynamoDB's item size: names and values in UTF-8."""
    return sum(len(name) + len(str(next(iter(value.values())))) for name, value in item.items())


def main() -> bool:
    """Prints the calls of a first and of a repeated payment; tells whether they keep the bounds."""
    from shared import bootstrap

    recorder = Recorder()
    with stage() as client:
        documents = DynamoDocumentStore(client, "objects", "idempotency")
        admit(documents, {"headers": {"authorization": f"Bearer {KEY}"}})
        recorder.listen(bootstrap.session())
        steps: list[str] = []
        bootstrap.sagas = lambda: _Runner(recorder, steps)  # type: ignore[assignment]
        method = _tokenize()
        _start(recorder)
        kept = True
        for number, title in enumerate(("all caches cold, new card", "caches warm")):
            recorder.calls.clear()
            steps.clear()
            _pay(method, f"payment-{number}")
            kept = _report(title, recorder.calls, steps) and kept
    return kept


class _Runner:
    """Runs the saga's steps in this process and counts its start as the one call it is."""

    def __init__(self, recorder: Recorder, steps: list[str]) -> None:
        self._recorder = recorder
        self._steps = steps

    def run(self, saga: str, saga_input: Mapping[str, Any]) -> Mapping[str, Any]:
        self._recorder.calls.append(Call("StartSyncExecution", saga, 0, 0))
        functions = {name: self._counted(name) for name in _step_names(saga)}
        return MemorySagaRunner(functions).run(saga, saga_input)

    def _counted(self, name: str) -> StepFunction:
        handler = load(name)

        def run(state: Mapping[str, Any]) -> Mapping[str, Any]:
            self._steps.append(name)
            output: Mapping[str, Any] = json.loads(json.dumps(handler(state, Context())))
            return output

        return run


def _start(recorder: Recorder) -> None:
    """Loads the functions of a payment as their Lambda environments do."""
    recorder.calls.clear()
    os.environ["AWS_LAMBDA_FUNCTION_NAME"] = Context.function_name
    for name in ("api_payments", *_step_names("pay")):
        load(name)
    del os.environ["AWS_LAMBDA_FUNCTION_NAME"]
    names = ", ".join(call.name for call in recorder.calls)
    print(f"while the environments start: {names or 'no call'}")


def _step_names(saga: str) -> set[str]:
    names = {step.name for stage_ in SAGAS[saga].stages for step in stage_}
    return names | {step.name for step in SAGAS[saga].undo_chain}


def _call(function: str, path: str, form: Mapping[str, str], key: str) -> dict[str, Any]:
    event = {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {
            "authorization": f"Bearer {KEY}",
            "content-type": "application/x-www-form-urlencoded",
            "idempotency-key": key,
        },
        "requestContext": {"http": {"method": "POST", "path": path}},
        "body": base64.b64encode(urlencode(form).encode()).decode(),
        "isBase64Encoded": True,
    }
    answer = load(function)(event, Context())
    if answer["statusCode"] != 200:
        raise RuntimeError(f"{path} answered {answer['statusCode']}: {answer['body']}")
    body: dict[str, Any] = json.loads(answer["body"])
    return body


def _tokenize() -> str:
    card = {"number": "4242424242424242", "exp_month": "12", "exp_year": "2034", "cvc": "123"}
    form = {"type": "card", **{f"card[{name}]": value for name, value in card.items()}}
    return str(_call("tokenize_card", "/v1/payment_methods", form, "method")["id"])


def _pay(method: str, key: str) -> None:
    form = {"amount": "2000", "currency": "usd", "payment_method": method, "confirm": "true"}
    body = _call("api_payments", "/v1/payment_intents", form, key)
    if body["status"] != "succeeded":
        raise RuntimeError(f"the payment is {body['status']}")


def _report(title: str, calls: list[Call], steps: list[str]) -> bool:
    print(f"{title}:")
    for number, call in enumerate(calls, start=1):
        units = f"{call.write_units} WRU" if call.write_units else f"{call.read_units} RRU"
        units = "" if not call.write_units + call.read_units else units
        print(f"  {number:2} {call.name:22} {units:8} {call.detail}")
    transactions = sum(call.name == "TransactWriteItems" for call in calls)
    # score_fraud runs beside reserve_funds and makes no call of its own.
    sequential = [name for name in steps if name != "score_fraud"]
    print(
        f"  {len(calls)} calls, all in sequence; {transactions} transactions;"
        f" {sum(c.write_units for c in calls)} WRU, {sum(c.read_units for c in calls)} RRU;"
        f" step Lambdas in sequence: {len(sequential)} ({', '.join(sequential)})"
    )
    return (
        len(calls) <= CALLS_MAX
        and transactions <= TRANSACTIONS_MAX
        and len(sequential) <= STEPS_MAX
    )
