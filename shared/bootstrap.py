"""Composition: settings in, ports out. One session and one client per service."""

import functools
import secrets
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import get_session

from shared.adapters.dynamodb_documents import DynamoDocumentStore, DynamoIdempotencyStore
from shared.adapters.dynamodb_due import DynamoDueIndex
from shared.adapters.dynamodb_ledger import DynamoLedgerStore
from shared.adapters.dynamodb_payments import DynamoPaymentStore
from shared.adapters.system import SystemClock, SystemEntropy
from shared.config import Settings
from shared.domain.errors import TransientError
from shared.observability import logger

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient
    from types_boto3_kms.client import KMSClient

    from shared.adapters.dynamodb_deliveries import DynamoDeliveryLog
    from shared.adapters.event_keys import KmsEventSigner
    from shared.adapters.providers.sandbox import SandboxProvider
    from shared.adapters.sandbox_cards import VaultSandboxCards
    from shared.adapters.secrets import StoredSecret
    from shared.adapters.stepfunctions import StepFunctionsRunner

CONNECT_TIMEOUT_S = 1
READ_TIMEOUT_S = 3
ATTEMPTS_MAX = 2
# Within the gateway's 30 s. A saga may run on after it: its payment is answered as it stands then,
# and the saga goes on, or is taken over.
SAGA_READ_TIMEOUT_S = 27
# A function that is asked may have to start first.
COLD_FUNCTION_TIMEOUT_S = 10

settings = functools.cache(Settings)
clock = functools.cache(SystemClock)
entropy = functools.cache(SystemEntropy)
# The SDK's core: importing boto3 around it would add to every cold start and is not needed.
session = functools.cache(get_session)


def client_config() -> Config:
    """Returns the bounds of every AWS call."""
    return Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"total_max_attempts": ATTEMPTS_MAX, "mode": "standard"},
    )


def client(service: str, config: Config | None = None) -> Any:
    """Returns a client of the one session, with the bounds of `client_config` or its own."""
    bounds = config or client_config()
    return session().create_client(service, region_name=settings().region, config=bounds)


@functools.cache
def dynamodb() -> "DynamoDBClient":
    """Returns the one DynamoDB client of the environment."""
    found: DynamoDBClient = client("dynamodb")
    return found


@functools.cache
def documents() -> DynamoDocumentStore:
    """Composes the document store for those who read, and announce what others changed."""
    return DynamoDocumentStore(
        dynamodb(), settings()["OBJECTS_TABLE"], settings()["IDEMPOTENCY_TABLE"]
    )


@functools.cache
def audited_documents() -> DynamoDocumentStore:
    """Composes the document store for those who change documents, and sign for it."""
    return DynamoDocumentStore(
        dynamodb(), settings()["OBJECTS_TABLE"], settings()["IDEMPOTENCY_TABLE"], signer()
    )


@functools.cache
def idempotency() -> DynamoIdempotencyStore:
    """Composes the idempotency store."""
    return DynamoIdempotencyStore(
        dynamodb(), settings()["IDEMPOTENCY_TABLE"], settings()["OBJECTS_TABLE"], clock()
    )


def payment_tables() -> dict[str, str]:
    """Names the tables of a payment's transaction."""
    names = ("payments", "objects", "ledger", "idempotency", "balances")
    return {name: settings()[f"{name.upper()}_TABLE"] for name in names}


@functools.cache
def payments() -> DynamoPaymentStore:
    """Composes the payment store, outside of card-data scope."""
    return DynamoPaymentStore(dynamodb(), payment_tables(), signer())


@functools.cache
def kms() -> "KMSClient":
    """Returns the one KMS client of the environment."""
    found: KMSClient = client("kms")
    return found


@functools.cache
def signer() -> "KmsEventSigner":
    """Composes the signer of events."""
    from shared.adapters.event_keys import CHANGE_MS, KmsEventSigner

    return KmsEventSigner(
        dynamodb=dynamodb(),
        kms=kms,
        table=settings()["EVIDENCE_TABLE"],
        key_id=settings()["EVENT_KEY_ARN"],
        stage=settings().stage,
        region=settings().region,
        clock=clock(),
        change_ms=secrets.randbelow(CHANGE_MS),
    )


def start_signer() -> None:
    """Fetches the key of the day while a Lambda environment starts, when no payment waits yet.

    Modules that change payments or objects call it as they are loaded; loaded elsewhere, they call
    nobody.
    """
    if not settings().is_lambda:
        return
    try:
        signer().prepare()
    except (BotoCoreError, ClientError, TransientError) as error:
        # The environment is as good without it: the first payment fetches it again.
        logger.warning("event key not fetched at start", error=str(error))


def delivery_log() -> "DynamoDeliveryLog":
    """Composes the record of who was told of an event."""
    from shared.adapters.dynamodb_deliveries import DynamoDeliveryLog

    return DynamoDeliveryLog(dynamodb(), settings()["OBJECTS_TABLE"])


@functools.cache
def due_payments() -> DynamoDueIndex:
    """Composes the index of payments to look after."""
    return DynamoDueIndex(dynamodb(), settings()["PAYMENTS_TABLE"])


@functools.cache
def due_documents() -> DynamoDueIndex:
    """Composes the index of other objects to look after: attempts of setups."""
    return DynamoDueIndex(dynamodb(), settings()["OBJECTS_TABLE"])


@functools.cache
def ledger() -> DynamoLedgerStore:
    """Composes the ledger."""
    return DynamoLedgerStore(dynamodb(), settings()["LEDGER_TABLE"])


@functools.cache
def provider() -> "SandboxProvider":
    """Composes the card provider; the sandbox network is the only one there is."""
    from shared.adapters.providers.sandbox import SandboxProvider

    return SandboxProvider(settings()["NETWORK_URL"], network_secret())


@functools.cache
def network_secret() -> "StoredSecret":
    """Composes the secret that the card network knows the platform by."""
    from shared.adapters.secrets import StoredSecret

    return StoredSecret(client("secretsmanager"), settings()["NETWORK_SECRET_ARN"], clock())


def start_provider() -> None:
    """Fetches the network's secret while a Lambda environment starts, when no payment waits yet.

    Modules that ask the provider call it as they are loaded; loaded elsewhere, they call nobody.
    """
    if not settings().is_lambda:
        return
    try:
        network_secret().text()
    except (BotoCoreError, ClientError) as error:
        # The environment is as good without it: the first payment fetches it again.
        logger.warning("network secret not fetched at start", error=str(error))


@functools.cache
def sagas() -> "StepFunctionsRunner":
    """Composes the saga runner."""
    from shared.adapters.stepfunctions import StepFunctionsRunner

    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=SAGA_READ_TIMEOUT_S,
        retries={"total_max_attempts": 1, "mode": "standard"},
        # StartSyncExecution has a host of its own, which a local endpoint does not answer under.
        inject_host_prefix=not settings().flag("LOCAL_LOOPBACK"),
    )
    return StepFunctionsRunner(
        client("stepfunctions", config), lambda saga: settings()[f"{saga.upper()}_MACHINE_ARN"]
    )


@functools.cache
def sandbox_cards() -> "VaultSandboxCards":
    """Composes the description of the sandbox's test cards."""
    from shared.adapters.sandbox_cards import VaultSandboxCards

    config = client_config().merge(Config(read_timeout=COLD_FUNCTION_TIMEOUT_S))
    return VaultSandboxCards(client("lambda", config), settings()["TOKENIZE_FUNCTION_NAME"])
