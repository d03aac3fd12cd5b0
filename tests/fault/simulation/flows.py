"""The flows: what a client asks for, one request after the other, and what may come of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from tests.fault.simulation.clients import Client, Order, Patience
from tests.fault.simulation.world import SimulatedWorld
from tests.support.world import Merchant

AMOUNT = 2000
PART = 1500
# Less than half, so that the network has no reason to refuse the same refund again.
REFUND = 800
BEFORE_EXPIRY_MS = 20_000
PAY = "/v1/payment_intents"
REFUNDS = "/v1/refunds"

APPROVED, DECLINED, BLOCKED, AUTHENTICATED = (
    "pm_card_visa",
    "pm_card_chargeDeclined",
    "pm_card_radarBlock",
    "pm_card_authenticationRequired",
)
REFUND_PENDING, REFUND_FAILED = "pm_card_pendingRefund", "pm_card_refundFail"

Result = tuple[int, str | None]
SUCCEEDED, CANCELED, FAILED = (200, "succeeded"), (200, "canceled"), (402, "processing_error")

# What a payment may be answered with: what the card's issuer says, or that it was given up.
OF_CARD: Mapping[str, Result] = {
    APPROVED: SUCCEEDED,
    REFUND_PENDING: SUCCEEDED,
    REFUND_FAILED: SUCCEEDED,
    DECLINED: (402, "card_declined"),
    BLOCKED: (402, "card_declined"),
    AUTHENTICATED: (200, "requires_action"),
}


@dataclass(frozen=True)
class Case:
    """A flow, with the circumstances that matter to it."""

    flow: str
    card: str
    has_sale: bool
    patience: Patience

    def __str__(self) -> str:
        sale = "sale" if self.has_sale else "two_calls"
        return f"{self.flow}-{self.card.removeprefix('pm_card_')}-{sale}-{self.patience}"


def payment_order(card: str, *, capture_method: str = "automatic") -> dict[str, Any]:
    """Returns the parameters of a payment."""
    return {
        "amount": AMOUNT,
        "currency": "usd",
        "payment_method": card,
        "confirm": "true",
        "capture_method": capture_method,
    }


def _pay(client: Client, _world: SimulatedWorld, _merchant: Merchant, card: str) -> None:
    client.order(PAY, payment_order(card))


def _authorize_and_capture(
    client: Client, _world: SimulatedWorld, _merchant: Merchant, card: str
) -> None:
    held = client.order(PAY, payment_order(card, capture_method="manual"))
    if held.result == (200, "requires_capture"):
        client.order(f"{PAY}/{held.object_id}/capture", {})


def _held(world: SimulatedWorld, merchant: Merchant, card: str) -> str:
    with world.boundaries.paused():
        return str(world.pay(merchant, payment_method=card, capture_method="manual").body["id"])


def _rival(world: SimulatedWorld, client: Client, path: str, params: Mapping[str, Any]) -> None:
    """Has another program of the merchant ask for something too, when a fault says so."""
    world.rival = lambda: client.rival(path, params)


def _capture_part(client: Client, world: SimulatedWorld, merchant: Merchant, card: str) -> None:
    held = _held(world, merchant, card)
    _rival(world, client, f"{PAY}/{held}/cancel", {})
    client.order(f"{PAY}/{held}/capture", {"amount_to_capture": PART})


def _increment(client: Client, world: SimulatedWorld, merchant: Merchant, card: str) -> None:
    held = _held(world, merchant, card)
    _rival(world, client, f"{PAY}/{held}/capture", {})
    client.order(f"{PAY}/{held}/increment_authorization", {"amount": AMOUNT + PART})


def _capture_late(client: Client, world: SimulatedWorld, merchant: Merchant, card: str) -> None:
    """Captures when the authorization is about to expire, so that the sweeper gets in between."""
    held = _held(world, merchant, card)
    with world.boundaries.paused():
        capture_before_ms = world.load(held).latest_charge.capture_before_ms
        assert capture_before_ms is not None
        world.settle_down(capture_before_ms - world.clock.now_ms() - BEFORE_EXPIRY_MS)
        world.wait(capture_before_ms - world.clock.now_ms() - BEFORE_EXPIRY_MS)
    client.order(f"{PAY}/{held}/capture", {})


def _cancel(client: Client, world: SimulatedWorld, merchant: Merchant, card: str) -> None:
    held = _held(world, merchant, card)
    _rival(world, client, f"{PAY}/{held}/capture", {})
    client.order(f"{PAY}/{held}/cancel", {})


def _paid(world: SimulatedWorld, merchant: Merchant, card: str) -> str:
    with world.boundaries.paused():
        paid = str(world.pay(merchant, payment_method=card).body["id"])
        world.settle_down()
    return paid


def _refund(client: Client, world: SimulatedWorld, merchant: Merchant, card: str) -> None:
    paid = _paid(world, merchant, card)
    _rival(world, client, REFUNDS, {"payment_intent": paid, "amount": PART})
    client.order(REFUNDS, {"payment_intent": paid, "amount": REFUND})


def _refund_twice(client: Client, world: SimulatedWorld, merchant: Merchant, card: str) -> None:
    """Asks for more than there is, in two refunds, each of which there would be enough for."""
    paid = _paid(world, merchant, card)
    client.order(REFUNDS, {"payment_intent": paid, "amount": PART})
    client.order(REFUNDS, {"payment_intent": paid, "amount": PART})


Flow = Callable[[Client, SimulatedWorld, Merchant, str], None]
FLOWS: Mapping[str, Flow] = {
    "pay": _pay,
    "authorize_and_capture": _authorize_and_capture,
    "increment": _increment,
    "capture_part": _capture_part,
    "capture_late": _capture_late,
    "cancel": _cancel,
    "refund": _refund,
    "refund_twice": _refund_twice,
}
CARDS: Mapping[str, tuple[str, ...]] = {
    "pay": (APPROVED, DECLINED, BLOCKED, AUTHENTICATED, REFUND_PENDING, REFUND_FAILED),
    "authorize_and_capture": (APPROVED, DECLINED, AUTHENTICATED),
    "increment": (APPROVED,),
    "capture_part": (APPROVED, REFUND_PENDING, REFUND_FAILED),
    "capture_late": (APPROVED,),
    "cancel": (APPROVED, REFUND_PENDING, REFUND_FAILED),
    "refund": (APPROVED, REFUND_PENDING, REFUND_FAILED),
    "refund_twice": (APPROVED, REFUND_PENDING, REFUND_FAILED),
}


def cases() -> list[Case]:
    """Returns every flow with every card, kind of provider and client.

    Whether there is a sale call makes a difference only to an automatic payment.
    """
    return [
        Case(flow, card, has_sale, patience)
        for flow, patience in product(FLOWS, Patience)
        for card in CARDS[flow]
        for has_sale in ((True, False) if flow == "pay" else (True,))
    ]


def expected(order: Order, case: Case, *, has_rival: bool) -> set[Result]:
    """Returns what the client may be told in the end.

    Args: has_rival: whether somebody else asked for something that excludes it.
    """
    refused: set[Result] = set()
    if has_rival or case.flow == "capture_late":
        refused = {(400, "payment_intent_unexpected_state"), (400, None)}
    if order.path == PAY:
        usual = OF_CARD[case.card]
        if usual == SUCCEEDED and order.params["capture_method"] == "manual":
            usual = (200, "requires_capture")
        return {usual, FAILED}
    if order.path.endswith("/cancel"):
        return {CANCELED, FAILED} | refused
    if order.path.endswith("/increment_authorization"):
        # A rival may have captured what it was incremented to.
        return {(200, "requires_capture"), FAILED} | ({SUCCEEDED} | refused if has_rival else set())
    if order.path.endswith("/capture"):
        return {SUCCEEDED, FAILED} | refused
    results: set[Result] = {SUCCEEDED, (200, "failed"), (200, "pending")} | refused
    # The second of two refunds that are too much together.
    return results | {(400, None)} if order.params["amount"] == PART else results
