"""Composes what announces events, what tells merchants of them, and what else listens."""

from shared import bootstrap
from shared.adapters.dynamodb_deliveries import DynamoEndpointHealth
from shared.adapters.dynamodb_recent import DynamoRecentPayments
from shared.adapters.eventbridge import EventBridgeBus
from shared.adapters.sqs import SqsDeadLetters, SqsDeliveryQueue
from shared.adapters.webhook_http import UrllibWebhookSender


def bus() -> EventBridgeBus:
    """Composes the event bus."""
    client = bootstrap.client("events")
    return EventBridgeBus(client, bootstrap.settings()["EVENT_BUS_NAME"])


def relay_dead_letters() -> SqsDeadLetters:
    """Composes the queue of records that cannot be announced."""
    client = bootstrap.client("sqs")
    return SqsDeadLetters(client, bootstrap.settings()["RELAY_DEAD_LETTERS_URL"])


def endpoint_health() -> DynamoEndpointHealth:
    """Composes the memory of which endpoints fail."""
    return DynamoEndpointHealth(bootstrap.dynamodb(), bootstrap.settings()["OBJECTS_TABLE"])


def recent_payments() -> DynamoRecentPayments:
    """Composes the memory of who paid what lately."""
    return DynamoRecentPayments(bootstrap.dynamodb(), bootstrap.settings()["RECENT_PAYMENTS_TABLE"])


def delivery_queue() -> SqsDeliveryQueue:
    """Composes the queue of deliveries."""
    client = bootstrap.client("sqs")
    return SqsDeliveryQueue(client, bootstrap.settings()["DELIVERY_QUEUE_URL"])


def delivery_queue_aside() -> SqsDeliveryQueue:
    """Composes the queue of deliveries to endpoints that hang."""
    client = bootstrap.client("sqs")
    return SqsDeliveryQueue(client, bootstrap.settings()["DELIVERY_ASIDE_QUEUE_URL"])


def webhook_sender() -> UrllibWebhookSender:
    """Composes what posts to merchants; loopback addresses are for the local stage only."""
    return UrllibWebhookSender(allow_loopback=bootstrap.settings().flag("LOCAL_LOOPBACK"))
