"""Composes what the sandbox card network runs on; it shares no resource with the platform."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.session import get_session

from shared.adapters.network_notices import SqsNotices
from shared.adapters.secrets import Secret, StoredSecret
from shared.adapters.system import SystemClock
from shared.config import Settings
from shared.domain.ports import Clock

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient

# The platform waits eight seconds for an answer; three tries of two seconds stay inside.
_CONFIG = Config(
    connect_timeout=1,
    read_timeout=2,
    retries={"total_max_attempts": 3, "mode": "standard"},
)


@dataclass(frozen=True, slots=True)
class NetworkParts:
    """The outside of the network."""

    dynamodb: "DynamoDBClient"
    table: str
    secret: Secret
    notices: SqsNotices
    clock: Clock


def network_parts(settings: Settings) -> NetworkParts:
    """Makes the clients from NETWORK_TABLE, NETWORK_SECRET_ARN and NETWORK_NOTICES_URL."""
    session, clock = get_session(), SystemClock()
    dynamodb: Any = session.create_client("dynamodb", settings.region, config=_CONFIG)
    secrets_manager: Any = session.create_client("secretsmanager", settings.region, config=_CONFIG)
    sqs: Any = session.create_client("sqs", settings.region, config=_CONFIG)
    return NetworkParts(
        dynamodb=dynamodb,
        table=settings["NETWORK_TABLE"],
        secret=StoredSecret(secrets_manager, settings["NETWORK_SECRET_ARN"], clock),
        notices=SqsNotices(sqs, settings["NETWORK_NOTICES_URL"]),
        clock=clock,
    )
