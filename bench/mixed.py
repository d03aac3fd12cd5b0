"""A mixed trade on the local platform: payments of every kind, through Stripe's own SDK.

What each client does is drawn from a seed, so that two runs ask for the same.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import stripe

from local.home import Home
from local.ministack import NAME as MINISTACK

CALL_TIMEOUT_S = 60
# Seconds, of which the sweep that looks the word up needs some.
WORD_WAITS_MAX = 120
AMOUNTS_MINOR = (100, 999, 2_000, 4_550, 12_345)
CURRENCIES = ("usd", "usd", "usd", "eur", "gbp", "jpy")


@dataclass
class Trade:
    """What the clients did.

    Args: kinds: how often each kind of payment was taken. errors: what was refused, by type.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, counter: Counter[str], name: str) -> None:
        """Counts one."""
        with self.lock:
            counter[name] += 1


def serving() -> tuple[dict[str, Any], int] | None:
    """Finds the platform that `make up` left serving; says so where there is none.

    Returns: its summary, and the emulator's port.
    """
    home = Home.current()
    summary = home.read("farthing.json")
    if not summary:
        print("run `make up` first")
        return None
    return summary, int(home.read("ports.json")[MINISTACK])


def open_client(
    summary: Mapping[str, Any], merchant: Mapping[str, Any], retries: int = 2
) -> stripe.StripeClient:
    """Returns Stripe's SDK for a merchant of the platform."""
    return stripe.StripeClient(
        merchant["secret_key"],
        base_addresses={"api": summary["api_base"]},
        http_client=stripe.RequestsClient(timeout=CALL_TIMEOUT_S),
        max_network_retries=retries,
    )


def trade(clients: Sequence[stripe.StripeClient], payments: int, workers: int, seed: int) -> Trade:
    """Takes so many payments, spread over the merchants' clients and so many threads.

    Raises: AssertionError when what must be refused is not.
    """
    done = Trade()

    def work(number: int) -> None:
        # Drawn to be repeated, not to be secret.
        draw = random.Random(f"{seed}/{number}")  # noqa: S311
        for place in range(number, payments, workers):
            kind = draw.choices(list(_KINDS), [weight for weight, _ in _KINDS.values()])[0]
            client = clients[place % len(clients)]
            try:
                _KINDS[kind][1](client, draw)
            except stripe.StripeError as error:
                done.add(done.errors, f"{kind}: {type(error).__name__} {error.code}")
            done.add(done.kinds, kind)

    with ThreadPoolExecutor(workers) as threads:
        # What ends a thread ends the trade: its payments would be missing and nobody know.
        list(threads.map(work, range(workers)))
    return done


def _pay(
    client: stripe.StripeClient, draw: random.Random, card: str = "visa", **params: Any
) -> stripe.PaymentIntent:
    payment = client.v1.payment_intents.create(
        {
            "amount": draw.choice(AMOUNTS_MINOR),
            "currency": draw.choice(CURRENCIES),
            "payment_method": f"pm_card_{card}",
            "confirm": True,
            **params,  # type: ignore[typeddict-item]
        }
    )
    # Where the provider's word is out, as on a busy machine, a merchant waits for it.
    for _ in range(WORD_WAITS_MAX):
        if payment.status != "processing":
            break
        time.sleep(1)
        payment = client.v1.payment_intents.retrieve(payment.id)
    return payment


def _sale(client: stripe.StripeClient, draw: random.Random) -> None:
    _pay(client, draw)


def _decline(client: stripe.StripeClient, draw: random.Random) -> None:
    try:
        _pay(client, draw, "chargeDeclined")
    except stripe.CardError:
        return
    raise AssertionError("a card that is always declined was charged")


def _refund(client: stripe.StripeClient, draw: random.Random) -> None:
    client.v1.refunds.create({"payment_intent": _pay(client, draw).id})


def _refund_in_parts(client: stripe.StripeClient, draw: random.Random) -> None:
    payment = _pay(client, draw)
    for part in (3, 4):
        client.v1.refunds.create({"payment_intent": payment.id, "amount": payment.amount // part})


def _capture(client: stripe.StripeClient, draw: random.Random) -> None:
    payment = _pay(client, draw, capture_method="manual")
    client.v1.payment_intents.capture(payment.id)


def _capture_in_part(client: stripe.StripeClient, draw: random.Random) -> None:
    payment = _pay(client, draw, capture_method="manual")
    client.v1.payment_intents.capture(payment.id, {"amount_to_capture": payment.amount // 3 + 1})


def _reverse(client: stripe.StripeClient, draw: random.Random) -> None:
    payment = _pay(client, draw, capture_method="manual")
    client.v1.payment_intents.cancel(payment.id)


def _failing_refund(client: stripe.StripeClient, draw: random.Random) -> None:
    client.v1.refunds.create({"payment_intent": _pay(client, draw, "refundFail").id})


# By kind: how often of a hundred, and what is done.
_KINDS: Mapping[str, tuple[int, Callable[[stripe.StripeClient, random.Random], None]]] = {
    "sale": (46, _sale),
    "decline": (5, _decline),
    "refund": (10, _refund),
    "refund in parts": (8, _refund_in_parts),
    "manual capture": (8, _capture),
    "partial capture": (12, _capture_in_part),
    "reversal": (10, _reverse),
    "refund that fails later": (1, _failing_refund),
}
