"""What each flow of a payment asks DynamoDB, recorded from the running functions.

Payments of one merchant and of another are recorded side by side, so that it shows which keys are
a payment's own, which its merchant's and which everybody's.
"""

import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

from bench.recording import KEY, OTHER_KEY, Call, Platform, platform, step_names
from local.invoke import Context, load

# Of one merchant: enough to tell a key that every payment has of its own from a shared one.
PAYMENTS = 4
PAY, SETTLE = "pay, automatic capture", "settle (behind the answer)"
REFUND_SETTLED = "refund of a settled payment"

Flow = tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class Recorded:
    """The DynamoDB calls of each flow, of several payments.

    Args: own: of one merchant's payments. other: of one payment of another merchant. Both by the
    flow's name.
    """

    own: Mapping[str, tuple[Flow, ...]]
    other: Mapping[str, Flow]


def _sale(running: Platform, merchant: str, method: str, name: str) -> str:
    return running.pay(method, name, merchant=merchant)


def _held(running: Platform, merchant: str, method: str, name: str) -> str:
    return running.pay(method, name, merchant=merchant, capture="manual")


def _settled(running: Platform, merchant: str, method: str, name: str) -> str:
    payment_id = _sale(running, merchant, method, name)
    _settle(running, merchant, payment_id, name)
    return payment_id


def _settle(_running: Platform, _merchant: str, payment_id: str, name: str) -> None:
    message = f'{{"detail": {{"object": "{payment_id}"}}}}'
    answer = load("settle_payment")({"Records": [{"messageId": name, "body": message}]}, Context())
    if answer["batchItemFailures"]:
        raise RuntimeError(f"{payment_id} was not settled")


def _act(path: str, form: Mapping[str, str]) -> Callable[[Platform, str, str, str], None]:
    def act(running: Platform, merchant: str, payment_id: str, name: str) -> None:
        named = {key: value.format(payment=payment_id) for key, value in form.items()}
        running.post(path.format(payment=payment_id), named, f"{name}-then", merchant=merchant)

    return act


_INTENT = "/v1/payment_intents/{payment}"
_CAPTURE = _act(f"{_INTENT}/capture", {})
_REFUND = _act("/v1/refunds", {"payment_intent": "{payment}"})
_Given = Callable[[Platform, str, str, str], str] | None
_When = Callable[[Platform, str, str, str], Any]

# Each flow: what must be there before it, and what is recorded.
FLOWS: Mapping[str, tuple[_Given, _When]] = {
    PAY: (None, _sale),
    SETTLE: (_sale, _settle),
    "pay, manual capture": (None, _held),
    "capture": (_held, _CAPTURE),
    "partial capture": (_held, _act(f"{_INTENT}/capture", {"amount_to_capture": "700"})),
    "refund": (_sale, _REFUND),
    REFUND_SETTLED: (_settled, _REFUND),
    "cancel": (_held, _act(f"{_INTENT}/cancel", {})),
}


def recorded(flows: Sequence[str] = tuple(FLOWS)) -> Recorded:
    """Records flows in a process of their own: a process composes its clients once."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_recorded_here, flows).result()


def _recorded_here(flows: Sequence[str]) -> Recorded:
    with platform() as running:
        for saga in ("pay", "capture", "cancel", "refund"):
            for name in step_names(saga):
                load(name)
        # The first payment fills the caches, as any that follows finds them.
        for merchant in (KEY, OTHER_KEY):
            _record(running, PAY, merchant, "warm-up")
        own = {
            flow: tuple(
                _record(running, flow, KEY, f"{flow}-{number}") for number in range(PAYMENTS)
            )
            for flow in flows
        }
        other = {flow: _record(running, flow, OTHER_KEY, flow) for flow in flows}
    return Recorded(own, other)


def _record(running: Platform, flow: str, merchant: str, name: str) -> Flow:
    given, when = FLOWS[flow]
    # Each payment has a card of its own, as most have.
    method = running.tokenize(f"{name}-card", merchant=merchant)
    subject = method if given is None else given(running, merchant, method, name)
    running.recorder.calls.clear()
    when(running, merchant, subject, name)
    return tuple(call for call in running.recorder.calls if call.service == "dynamodb")
