"""The first payment: taken with Stripe's own SDK, with the books and the webhook it led to."""

import http.server
import json
import queue
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import stripe

CALL_TIMEOUT_S = 30
WEBHOOK_TIMEOUT_S = 30
FOLD_TIMEOUT_S = 30
POLL_S = 0.2
BODY_BYTES_MAX = 262_144
AMOUNT_MINOR = 2_000

Delivery = tuple[bytes, str]


class DemoError(Exception):
    """Says what of the demonstration did not happen."""


@contextmanager
def listener() -> Iterator[tuple[str, "queue.Queue[Delivery]"]]:
    """Receives webhooks on a free loopback port.

    Yields: its address, and the deliveries as (body, Stripe-Signature).
    """
    deliveries: queue.Queue[Delivery] = queue.Queue()

    class Handler(http.server.BaseHTTPRequestHandler):
        timeout = CALL_TIMEOUT_S

        def do_POST(self) -> None:
            length = min(int(self.headers.get("Content-Length", "0")), BODY_BYTES_MAX)
            body = self.rfile.read(length)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()
            deliveries.put((body, self.headers.get("Stripe-Signature", "")))

        def log_message(self, *_: object) -> None:
            """Keeps the listener silent."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/webhooks", deliveries
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def open_client(
    summary: Mapping[str, Any], http_client: stripe.HTTPClient | None = None
) -> stripe.StripeClient:
    """Returns Stripe's SDK, pointed at the platform; nothing else of it is changed."""
    return stripe.StripeClient(
        summary["secret_key"],
        base_addresses={"api": summary["api_base"]},
        http_client=http_client or stripe.RequestsClient(timeout=CALL_TIMEOUT_S),
        max_network_retries=0,
    )


def charge_test_card(client: stripe.StripeClient) -> stripe.PaymentIntent:
    """Charges the test card that Stripe names pm_card_visa."""
    return client.v1.payment_intents.create(
        {
            "amount": AMOUNT_MINOR,
            "currency": "usd",
            "payment_method": "pm_card_visa",
            "confirm": True,
        }
    )


def take_payment(client: stripe.StripeClient) -> stripe.PaymentIntent:
    """Creates a card and charges it.

    Raises: DemoError when the payment does not succeed.
    """
    method = client.v1.payment_methods.create(
        {
            "type": "card",
            "card": {"number": "4242424242424242", "exp_month": 12, "exp_year": 2034, "cvc": "123"},
        }
    )
    payment = client.v1.payment_intents.create(
        {
            "amount": AMOUNT_MINOR,
            "currency": "usd",
            "payment_method": method.id,
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "confirm": True,
            "description": "The first payment",
        }
    )
    if payment.status != "succeeded":
        raise DemoError(f"the payment ended as {payment.status}:\n{payment}")
    return payment


def await_webhook(
    deliveries: "queue.Queue[Delivery]", secret: str, payment_id: str
) -> stripe.Event:
    """Returns the verified event that announces the payment.

    Raises: DemoError when it does not come; stripe.SignatureVerificationError when it is forged.
    """
    while True:
        try:
            body, signature = deliveries.get(timeout=WEBHOOK_TIMEOUT_S)
        except queue.Empty as error:
            raise DemoError(f"no webhook within {WEBHOOK_TIMEOUT_S} s") from error
        event: stripe.Event = stripe.Webhook.construct_event(body, signature, secret)
        if event.data.object["id"] == payment_id:
            return event


def read(client: stripe.StripeClient, path: str) -> Any:
    """Reads one of Farthing's own resources through the SDK's raw request."""
    answer = client.raw_request("get", path)
    return json.loads(answer.body)


def await_folded(client: stripe.StripeClient, journal_id: str) -> None:
    """Waits until a journal counts in the folded books, which follow a moment behind.

    Raises: DemoError when it does not in time.
    """
    deadline = time.monotonic() + FOLD_TIMEOUT_S
    while True:
        newest = read(client, "/v1/ledger/journals?limit=100")["data"]
        if journal_id in {journal["id"] for journal in newest}:
            return
        if time.monotonic() > deadline:
            raise DemoError(f"the books did not count {journal_id} within {FOLD_TIMEOUT_S} s")
        time.sleep(POLL_S)


def show(summary: Mapping[str, Any]) -> None:
    """Takes the payment and prints it, its journals, the trial balance and the webhook.

    Raises: DemoError when any of it does not happen; stripe.StripeError when a call fails.
    """
    client = open_client(summary)
    with listener() as (url, deliveries):
        endpoint = client.v1.webhook_endpoints.create(
            {"url": url, "enabled_events": ["payment_intent.succeeded"]}
        )
        payment = take_payment(client)
        event = await_webhook(deliveries, str(endpoint.secret), payment.id)
        client.v1.webhook_endpoints.delete(endpoint.id)
    print(f"\nPaymentIntent\n{payment}")
    journals = read(client, f"/v1/ledger/journals?payment_intent={payment.id}")["data"]
    print(f"\nJournals of {payment.id}")
    for journal in reversed(journals):
        _print_journal(journal)
    await_folded(client, journals[0]["id"])
    _print_trial_balance(read(client, "/v1/ledger/trial_balance"))
    print(f"\nWebhook {event.type} {event.id}, received at {url}, signature verified by the SDK\n")


def _print_journal(journal: Mapping[str, Any]) -> None:
    for number, posting in enumerate(journal["postings"]):
        kind = journal["kind"] if number == 0 else ""
        sums = f"{posting['debit'] or '':>10} {posting['credit'] or '':>10}"
        print(f"  {kind:<10} {posting['account']:<52} {sums}  {posting['layer']}")


def _print_trial_balance(balance: Mapping[str, Any]) -> None:
    print("\nTrial balance (debits, credits)")
    for account in balance["data"]:
        print(
            f"  {'':<10} {account['account']:<52} {account['debits']:>10} {account['credits']:>10}"
        )
    for total in balance["totals"]:
        sums = f"{total['debits']:>10} {total['credits']:>10}"
        print(f"  {'total':<10} {total['currency']:<52} {sums}  net {total['net']}")
