"""What `make invoke` runs: one function on one event, over moto, with nothing deployed.

The stage it runs in is made anew each time: empty tables, queues, keys, and the sandbox card
network behind a loopback address. The API key that an event carries belongs to a sample merchant.
"""

import argparse
import http.server
import importlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import boto3
from moto import mock_aws

from local.build import ROOT
from local.home import ACCESS
from local.progress import stop_with
from shared import bootstrap
from shared.adapters.dynamodb_documents import DynamoDocumentStore
from shared.adapters.memory_signer import MemorySigner
from shared.adapters.system import SystemClock
from shared.config import DUE_INDEX
from shared.domain import changes
from shared.domain.audit_trail import created
from shared.domain.documents import Document
from shared.domain.events import PLATFORM, Event, EventType
from shared.domain.limits import LOCAL
from shared.domain.payment import Payment
from shared.domain.ports import PaymentStore
from shared.domain.saga import SAGAS
from shared.domain.setups import Setup
from shared.domain.work import resolve_input
from shared.edge.auth import key_record_id

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient

REGION = "us-east-1"
ACCOUNT = "acct_1Demo"
NETWORK_SECRET = "sandbox-network-secret"
TABLES = (
    "payments",
    "objects",
    "ledger",
    "idempotency",
    "balances",
    "evidence",
    "recent_payments",
    "audit",
    "vault",
    "verifications",
    "network",
)
TABLES_WITHOUT_SORT_KEY = {"idempotency", "verifications"}
TABLES_WITH_DUE_INDEX = ("payments", "objects")
QUEUES = (
    "verification_queue_url",
    "relay_dead_letters_url",
    "delivery_queue_url",
    "delivery_aside_queue_url",
    "network_notices_url",
    "seal_dead_letters_url",
)
REMAINING_MS = 30_000
SERVER_TIMEOUT_S = 10

Handler = Callable[[Mapping[str, Any], object], Any]


class Context:
    """Stands in for Lambda's context."""

    function_name = "local"
    memory_limit_in_mb = 256
    invoked_function_arn = f"arn:aws:lambda:{REGION}:000000000000:function:local"
    aws_request_id = "local"

    def get_remaining_time_in_millis(self) -> int:
        """Returns a bound that no sample event reaches."""
        return REMAINING_MS


def load(function: str) -> Handler:
    """Imports a function's handler.

    Raises: LookupError with the names there are when there is no such function.
    """
    names = sorted(path.parent.name for path in (ROOT / "functions").glob("*/handler.py"))
    if function not in names:
        raise LookupError(f"F must be one of: {', '.join(names)}")
    handler: Handler = importlib.import_module(f"functions.{function}.handler").handler
    return handler


@contextmanager
def stage() -> Iterator["DynamoDBClient"]:
    """Makes everything a function may need, and says where in the environment."""
    facts = {
        **ACCESS,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "FARTHING_STAGE": "local",
        "LOCAL_LOOPBACK": "1",
        "TOKENIZE_FUNCTION_NAME": "tokenize_card",
        "POWERTOOLS_SERVICE_NAME": "farthing",
    }
    for saga in SAGAS:
        arn = f"arn:aws:states:{REGION}:000000000000:stateMachine:{saga}"
        facts[f"{saga.upper()}_MACHINE_ARN"] = arn
    os.environ.update(facts)
    with mock_aws(), _network() as url:
        os.environ.update({"NETWORK_URL": url, **_tables(), **_queues(), **_secrets()})
        os.environ["CHECKPOINT_BUCKET"] = _bucket()
        yield boto3.client("dynamodb", region_name=REGION)


def _tables() -> dict[str, str]:
    client = boto3.client("dynamodb", region_name=REGION)
    for name in TABLES:
        keys = {"pk": "HASH"}
        if name not in TABLES_WITHOUT_SORT_KEY:
            keys["sk"] = "RANGE"
        client.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys.items()],  # type: ignore[typeddict-item]
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
            BillingMode="PAY_PER_REQUEST",
        )
    for name in TABLES_WITH_DUE_INDEX:
        add_due_index(client, name)
    return {f"{name.upper()}_TABLE": name for name in TABLES}


def add_due_index(client: "DynamoDBClient", table: str) -> None:
    """Adds the index of what has a due date, as the data stack has it."""
    client.update_table(
        TableName=table,
        AttributeDefinitions=[
            {"AttributeName": "due_shard", "AttributeType": "S"},
            {"AttributeName": "due_at", "AttributeType": "N"},
        ],
        GlobalSecondaryIndexUpdates=[
            {
                "Create": {
                    "IndexName": DUE_INDEX,
                    "KeySchema": [
                        {"AttributeName": "due_shard", "KeyType": "HASH"},
                        {"AttributeName": "due_at", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                }
            }
        ],
    )


def _queues() -> dict[str, str]:
    client = boto3.client("sqs", region_name=REGION)
    boto3.client("events", region_name=REGION).create_event_bus(Name="farthing")
    urls = {name.upper(): client.create_queue(QueueName=name)["QueueUrl"] for name in QUEUES}
    requests = client.create_queue(QueueName="requests.fifo", Attributes={"FifoQueue": "true"})
    urls["CHECKPOINT_QUEUE_URL"] = requests["QueueUrl"]
    return {**urls, "EVENT_BUS_NAME": "farthing"}


def _secrets() -> dict[str, str]:
    kms = boto3.client("kms", region_name=REGION)
    mac = kms.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
    signing = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    secrets = boto3.client("secretsmanager", region_name=REGION)
    secret = secrets.create_secret(Name="network", SecretString=NETWORK_SECRET)
    return {
        "VAULT_KEY_ARN": kms.create_key()["KeyMetadata"]["Arn"],
        "EVENT_KEY_ARN": kms.create_key()["KeyMetadata"]["Arn"],
        "CHECKPOINT_KEY_ARN": signing["KeyMetadata"]["Arn"],
        "FINGERPRINT_KEY_ARN": mac["KeyMetadata"]["Arn"],
        "NETWORK_SECRET_ARN": secret["ARN"],
    }


def _bucket() -> str:
    s3 = boto3.client("s3", region_name=REGION)
    s3.create_bucket(Bucket="checkpoints", ObjectLockEnabledForBucket=True)
    return "checkpoints"


@contextmanager
def _network() -> Iterator[str]:
    """Serves the sandbox card network's function over HTTP, as its API does."""

    class Endpoint(http.server.BaseHTTPRequestHandler):
        timeout = SERVER_TIMEOUT_S

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            path, _, query = self.path.partition("?")
            event = {
                "version": "2.0",
                "rawPath": path,
                "rawQueryString": query,
                "queryStringParameters": dict(parse_qsl(query)),
                "headers": {name.lower(): value for name, value in self.headers.items()},
                "requestContext": {"http": {"method": self.command, "path": path}},
                "body": self.rfile.read(length).decode(),
                "isBase64Encoded": False,
            }
            reply = load("sandbox_network")(event, Context())
            body = str(reply["body"]).encode()
            self.send_response(reply["statusCode"])
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer

        def log_message(self, *_: object) -> None:
            """Keeps the output to the function's own."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def admit(documents: DynamoDocumentStore, event: Mapping[str, Any]) -> None:
    """Makes the key that an API event carries the sample merchant's."""
    scheme, _, key = event.get("headers", {}).get("authorization", "").partition(" ")
    if scheme != "Bearer" or not key.startswith(("sk_", "pk_")):
        return
    facts = {"account": ACCOUNT, "livemode": False, "home_region": REGION}
    kind = "secret" if key.startswith("sk_") else "publishable"
    record = {**facts, "kind": kind, "expires_at_s": None, "revoked": False}
    record["limits"] = asdict(LOCAL)
    profile = {"home_region": REGION, "country": "US", "default_currency": "usd"}
    now_ms = time.time_ns() // 1_000_000
    documents.commit(
        [
            created(
                Document(
                    name, of, ACCOUNT, livemode=False, version=1, created_ms=now_ms, data=data
                ),
                changes.Context(now_ms),
            )
            for name, of, data in (
                (key_record_id(key), "api_key", record),
                (ACCOUNT, "account", profile),
            )
        ]
    )


def restore(payments: PaymentStore, state: Mapping[str, Any]) -> None:
    """Stores the payment that a saga's state speaks of, as the step before left it.

    The events that led there are no part of a sample: placeholders stand for them. A payment that
    is named only is the one that the sample of authorize_payment found reserved.
    """
    if state.keys() == resolve_input("").keys():
        state = json.loads((ROOT / "events" / "authorize_payment.json").read_text())
    reserved = state.get("checks", {}).get("reserve", {}).get("payment")
    latest = state.get("result", {}).get("payment")
    before = state.get("order", {}).get("before")
    snapshot = reserved or latest or before
    if not snapshot:
        return
    payment = Payment.of(snapshot)
    nobody = {"id": None, "idempotency_key": None, "actor": PLATFORM}
    events = tuple(
        Event(payment.id, version, EventType.PAYMENT_UPDATED, payment.created_ms, {}, nobody)
        for version in range(1, payment.version + 1)
    )
    payments.commit(changes.PaymentChange(before_version=0, payment=payment, events=events))


def restore_setup(documents: DynamoDocumentStore, state: Mapping[str, Any]) -> None:
    """Stores the setup that a saga's state speaks of, with its payment method."""
    if "attempt" not in state:
        return
    setup = Setup.of(state)
    kept = setup.attempt.data["method"]
    method = replace(setup.attempt, id=kept["id"], kind="payment_method", data=kept["data"])
    context = changes.Context(setup.attempt.created_ms)
    stored = (setup.intent, setup.attempt, method)
    documents.commit([created(document, context) for document in stored])


def invoke(function: str, event: Mapping[str, Any]) -> Any:
    """Returns what the function answers to the event, on a stage of its own.

    Raises: LookupError when there is no such function; whatever the function raises.
    """
    with stage() as client:
        signer = MemorySigner(SystemClock())
        documents = DynamoDocumentStore(client, "objects", "idempotency", signer)
        admit(documents, event)
        restore(bootstrap.payments(), event)
        restore_setup(documents, event)
        return load(function)(event, Context())


def main() -> None:
    """Runs the command line: a function's name and an event file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("function")
    parser.add_argument("event", type=Path)
    arguments = parser.parse_args()
    try:
        load(arguments.function)
        event = json.loads(arguments.event.read_text())
    except (LookupError, OSError, ValueError) as error:
        stop_with(f"{error}\nusage: make invoke F=<function> E=<event file>")
    print(json.dumps(invoke(arguments.function, event), indent=2))


if __name__ == "__main__":
    main()
