"""How fast webhooks are told, and what endpoints that hang do to the others.

The real deliverer with its threads and its HTTP client posts to a server on a loopback port; the
log of deliveries is in memory. As many environments as Lambda starts with take batches from the
queue of deliveries, and as many from that of endpoints that hang, each batch when the one before is
done.
"""

import json
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from functions.deliver_webhook.handler import SIDE_BY_SIDE, Deliverer
from local.invoke import ACCOUNT, Context
from shared.adapters.memory import MemoryDatabase, MemoryDocumentStore
from shared.adapters.memory_deliveries import MemoryDeliveryLog, MemoryEndpointHealth
from shared.adapters.system import SystemClock
from shared.adapters.webhook_http import UrllibWebhookSender
from shared.domain.audit_trail import created
from shared.domain.changes import Context as ChangeContext
from shared.domain.documents import Document
from shared.domain.webhooks import Delivery
from shared.observability import logger

# What Lambda begins with on a queue; it adds some hundred a minute where that is too few.
ENVIRONMENTS = 5
ENDPOINTS, HANGING, EVENTS = 100, 10, 4
# Less than one attempt that hangs takes, with room for a machine that does other things too.
KNOWN_MAX_S = 5.0
CREATED_MS = 1_790_000_000_000


@dataclass
class Lane:
    """A queue of deliveries. Implements DeliveryQueue; what is for later is left out."""

    messages: deque[Delivery] = field(default_factory=deque)

    def put(self, deliveries: Sequence[Delivery], delay_s: int = 0) -> None:
        """Queues what is due now."""
        if delay_s == 0:
            self.messages.extend(deliveries)

    def retry_later(self, receipt_handle: str, delay_s: int) -> None:
        """Refuses: nothing here fails but endpoints."""
        raise RuntimeError(f"{receipt_handle} was not handled")

    def batch(self) -> dict[str, Any]:
        """Takes up to a batch."""
        taken = [self.messages.popleft() for _ in range(min(SIDE_BY_SIDE, len(self.messages)))]
        return {
            "Records": [
                {
                    "messageId": str(number),
                    "receiptHandle": str(number),
                    "attributes": {"ApproximateReceiveCount": "1"},
                    "body": json.dumps(asdict(delivery)),
                }
                for number, delivery in enumerate(taken)
            ]
        }


@dataclass
class Server:
    """Merchants' endpoints. Args: told: when each was posted to. url: of all of them."""

    url: str = ""
    told: list[float] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)


def main() -> bool:
    """Prints a row without endpoints that hang, with new ones and with known ones; tells whether
    every other endpoint was told, and where the hanging ones are known, as fast as without them.
    """
    logger.setLevel("WARNING")
    columns = ("told", "deliveries/s", "half in s", "99 % in s", "all over s")
    print(f"{'':26}" + "".join(f"{column:>14}" for column in columns))
    title = f"{HANGING} of {ENDPOINTS} hang"
    _report("none hangs", 0)
    _report(f"{title}, new", HANGING)
    last_s = _report(f"{title}, known", HANGING, known=True)
    print(
        f"{ENDPOINTS} endpoints, {EVENTS} events each at once, {ENVIRONMENTS} environments of"
        f" {SIDE_BY_SIDE} threads; told: of endpoints that answer; in: since they were queued"
    )
    return last_s <= KNOWN_MAX_S


def _report(title: str, hanging: int, *, known: bool = False) -> float:
    """Prints a row; returns when the last endpoint that answers was told.

    Raises: RuntimeError when one was not.
    """
    with _serving() as server:
        began = time.monotonic()
        _deliver(server, hanging, known=known)
        over_s = time.monotonic() - began
    waited = sorted(moment - began for moment in server.told)
    expected = (ENDPOINTS - hanging) * EVENTS
    figures = (
        expected / waited[-1],
        waited[len(waited) // 2],
        waited[len(waited) * 99 // 100],
        over_s,
    )
    print(f"{title:26}{len(waited):14}" + "".join(f"{figure:14.1f}" for figure in figures))
    if len(waited) != expected:
        raise RuntimeError(f"{len(waited)} instead of {expected} deliveries")
    return waited[-1]


def _deliver(server: Server, hanging: int, *, known: bool) -> None:
    """Tells all endpoints of all events. Args: known: endpoints hung before, too."""
    database, health, main_lane, aside = MemoryDatabase(), MemoryEndpointHealth(), Lane(), Lane()
    documents, log = MemoryDocumentStore(database), MemoryDeliveryLog(database)
    endpoints = [_endpoint(server.url, number, hanging) for number in range(ENDPOINTS)]
    made = [*endpoints, *(_event(number) for number in range(EVENTS))]
    context = ChangeContext(CREATED_MS)
    documents.commit([created(document, context) for document in made])
    for endpoint in endpoints if known else ():
        if _hangs(endpoint):
            health.failing(endpoint, CREATED_MS, hung=True)
    main_lane.put(
        [Delivery(f"evt_{n}", f"we_{e}") for n in range(EVENTS) for e in range(ENDPOINTS)]
    )

    def environment(lane: Lane) -> None:
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            deliverer = Deliverer(
                documents,
                log,
                health,
                main_lane,
                aside,
                UrllibWebhookSender(allow_loopback=True),
                SystemClock(),
                logger,
                pool.map,
            )
            while lane.messages:
                deliverer.handle(lane.batch(), Context())

    # What is aside waits for nobody else in truth; here it comes after, to end when all is told.
    for lane in (main_lane, aside):
        with ThreadPoolExecutor(ENVIRONMENTS) as environments:
            list(environments.map(environment, [lane] * ENVIRONMENTS))


def _endpoint(url: str, number: int, hanging: int) -> Document:
    # Spread over the list, as merchants' are.
    hangs = number % (ENDPOINTS // HANGING) == 0 and number < hanging * (ENDPOINTS // HANGING)
    data = {
        "url": f"{url}/{'hang' if hangs else 'take'}/{number}",
        "status": "enabled",
        "secret": "whsec_bench",
        "enabled_events": ["*"],
    }
    return _document(f"we_{number}", "webhook_endpoint", data)


def _hangs(endpoint: Document) -> bool:
    return "/hang/" in endpoint.data["url"]


def _event(number: int) -> Document:
    data = {"type": "charge.succeeded", "data": {"object": {"id": f"ch_{number}"}}}
    return _document(f"evt_{number}", "event", data)


def _document(name: str, kind: str, data: Mapping[str, Any]) -> Document:
    return Document(
        name, kind, ACCOUNT, livemode=False, version=1, created_ms=CREATED_MS, data=data
    )


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    # All connections that are made at the same time, so that none is lost.
    request_queue_size = ENDPOINTS * EVENTS


@contextmanager
def _serving() -> Iterator[Server]:
    server = Server()

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if self.path.startswith("/hang"):
                server.is_over.wait()
                return
            self.rfile.read(int(self.headers["content-length"]))
            server.told.append(time.monotonic())
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing of requests."""

    http = _Http(("127.0.0.1", 0), Endpoint)
    server.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.is_over.set()
        http.shutdown()
        thread.join()
        http.server_close()
