"""Random lives of payments on the whole platform in one process; after each move it adds up."""

from collections.abc import Iterable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from shared.domain.accounts import account_type
from shared.domain.available import FLOOR_MINOR
from shared.domain.errors import ProviderUnavailableError, UnknownOutcomeError
from shared.domain.evidence import SHARDS, RecordKind, shard_of
from shared.domain.idempotency import LEASE_MS
from shared.domain.ledger import Balance, Journal, book_of, check_trial_balance, trial_balance
from shared.domain.payment import Payment, PaymentStatus
from tests.support.faults import (
    CrashError,
    crash_after,
    crash_before,
    deliver_twice,
    fail_provider,
)
from tests.support.world import Answer, Merchant, World

FINAL = {PaymentStatus.CANCELED, PaymentStatus.SUCCEEDED}
CARDS = st.sampled_from(
    [
        "pm_card_visa",
        "pm_card_visa",
        "pm_card_mastercard",
        "pm_card_chargeDeclined",
        "pm_card_visa_chargeDeclinedInsufficientFunds",
        "pm_card_authenticationRequired",
        "pm_card_riskLevelHighest",
        "pm_card_riskLevelElevated",
        "pm_card_br",
        "pm_card_pendingRefund",
        "pm_card_refundFail",
    ]
)
AMOUNTS = st.one_of(st.integers(1, 50), st.integers(1, 99_999_999))
CURRENCIES = st.sampled_from(["usd", "jpy", "kwd"])
METHODS = st.sampled_from(["automatic", "automatic_async", "manual"])
STEPS = [
    "validate_payment",
    "reserve_funds",
    "score_fraud",
    "authorize_payment",
    "capture_payment",
    "increment_authorization",
    "void_authorization",
    "refund_capture",
    "release_funds",
]


class Payments(RuleBasedStateMachine):
    """Moves of merchants, and of trouble."""

    intents = Bundle("intents")

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.merchants: list[Merchant] = []
        self.unanswered: list[tuple[str, dict[str, Any], Merchant, str]] = []
        self.keys = 0

    @initialize(has_sale=st.booleans())
    def start(self, has_sale: bool) -> None:
        self.world = World(has_sale=has_sale)
        self.merchants = [self.world.merchant("one"), self.world.merchant("two")]

    def post(self, path: str, params: dict[str, Any], who: int) -> Answer:
        """Sends a request under a key of its own; one whose outcome is open may be retried."""
        self.keys += 1
        key, merchant = f"key-{self.keys}", self.merchants[who]
        answer = self.world.call("POST", path, params, merchant=merchant, key=key)
        self.judge(answer)
        if answer.status == 500 or answer.body.get("status") in {"processing", "pending"}:
            self.unanswered.append((path, params, merchant, key))
        return answer

    def judge(self, answer: Answer) -> None:
        assert answer.status in {200, 400, 402, 404, 429} or (
            answer.status in {500, 409} and answer.headers["Stripe-Should-Retry"] == "true"
        ), answer.text
        assert answer.headers["Request-Id"].startswith("req_")

    @rule(
        target=intents,
        amount=AMOUNTS,
        currency=CURRENCIES,
        method=METHODS,
        card=st.one_of(st.none(), CARDS),
        confirm=st.booleans(),
        who=st.integers(0, 1),
    )
    def create(
        self,
        amount: int,
        currency: str,
        method: str,
        card: str | None,
        confirm: bool,
        who: int,
    ) -> tuple[int, str]:
        params: dict[str, Any] = {"amount": amount, "currency": currency, "capture_method": method}
        if card is not None:
            params |= {"payment_method": card, "confirm": str(confirm).lower()}
        body = self.post("/v1/payment_intents", params, who).body
        intent = body.get("id") or body["error"].get("payment_intent", {}).get("id", "pi_lost")
        return who, str(intent)

    @rule(intent=intents, card=CARDS)
    def confirm(self, intent: tuple[int, str], card: str) -> None:
        who, name = intent
        self.post(f"/v1/payment_intents/{name}/confirm", {"payment_method": card}, who)

    @rule(intent=intents, amount=AMOUNTS)
    def increment(self, intent: tuple[int, str], amount: int) -> None:
        who, name = intent
        self.post(f"/v1/payment_intents/{name}/increment_authorization", {"amount": amount}, who)

    @rule(intent=intents, amount=st.one_of(st.none(), st.integers(1, 60)))
    def capture(self, intent: tuple[int, str], amount: int | None) -> None:
        who, name = intent
        params = {} if amount is None else {"amount_to_capture": amount}
        self.post(f"/v1/payment_intents/{name}/capture", params, who)

    @rule(intent=intents)
    def cancel(self, intent: tuple[int, str]) -> None:
        who, name = intent
        self.post(f"/v1/payment_intents/{name}/cancel", {}, who)

    @rule(intent=intents, amount=st.one_of(st.none(), st.integers(1, 60)))
    def refund(self, intent: tuple[int, str], amount: int | None) -> None:
        who, name = intent
        params = {} if amount is None else {"amount": amount}
        self.post("/v1/refunds", {"payment_intent": name, **params}, who)

    @rule(
        intent=intents,
        changes=st.fixed_dictionaries(
            {},
            optional={
                "amount": AMOUNTS,
                "currency": CURRENCIES,
                "payment_method": st.sampled_from(["", "pm_card_visa"]),
                "description": st.sampled_from(["", "a book"]),
            },
        ),
    )
    def update(self, intent: tuple[int, str], changes: dict[str, Any]) -> None:
        who, name = intent
        self.post(f"/v1/payment_intents/{name}", changes, who)

    @rule(intent=intents)
    def settle(self, intent: tuple[int, str]) -> None:
        if intent[1] in self.world.database.payments:
            self.world.settle(intent[1])

    @rule(intent=intents)
    def meddle(self, intent: tuple[int, str]) -> None:
        who, name = intent
        before = dict(self.world.database.payments)
        stranger = self.merchants[1 - who]
        for path in ("", "/confirm", "/capture", "/cancel"):
            params = {"amount": 1} if path == "" else {}
            target = f"/v1/payment_intents/{name}{path}"
            answer = self.world.call("POST", target, params, merchant=stranger)
            assert answer.status == 404
        assert self.world.database.payments == before

    @rule(
        step=st.sampled_from(STEPS),
        trouble=st.sampled_from(["before", "after", "twice", "unavailable", "lost", "dies"]),
    )
    def break_next(self, step: str, trouble: str) -> None:
        """Arms one fault, which hits whoever comes first."""
        world = self.world
        if trouble == "before":
            crash_before(world, step)
        elif trouble == "after":
            crash_after(world, step)
        elif trouble == "twice":
            deliver_twice(world, step)
        elif trouble == "unavailable":
            fail_provider(world, None, "before_send", ProviderUnavailableError("down"))
        elif trouble == "lost":
            fail_provider(world, None, "after_effect", UnknownOutcomeError("lost"))
        elif trouble == "dies":
            fail_provider(world, None, "after_effect", CrashError("died"))

    @rule()
    def retry(self) -> None:
        """The clients of open requests try again, after the leases are over."""
        self.world.clock.advance(LEASE_MS + 1)
        self.world.deliver_notices()
        again, self.unanswered = self.unanswered, []
        for path, params, merchant, key in again:
            answer = self.world.call("POST", path, params, merchant=merchant, key=key)
            self.judge(answer)
            if answer.status == 500 or answer.body.get("status") in {"processing", "pending"}:
                self.unanswered.append((path, params, merchant, key))

    @invariant()
    def adds_up(self) -> None:
        self.world.check()

    @invariant()
    def final_payments_hold_nothing(self) -> None:
        for payment in self.payments():
            if payment.status in FINAL:
                assert payment.pending is None
                assert payment.amount_capturable_minor == 0

    @invariant()
    def no_charge_was_made_twice(self) -> None:
        for payment in self.payments():
            taken = [charge for charge in payment.charges if charge.captured]
            assert len(taken) <= 1
            assert payment.amount_received_minor == sum(c.amount_captured_minor for c in taken)
            assert payment.amount_received_minor <= payment.amount_minor
            assert len({charge.id for charge in payment.charges}) == len(payment.charges)
            assert payment.attempts >= len(payment.charges)

    @invariant()
    def balances_are_what_is_owed(self) -> None:
        self.world.seal()
        for merchant in self.merchants:
            owed: dict[str, int] = {}
            for payment in self.payments():
                if payment.account == merchant.account:
                    fees = sum(charge.platform_fee_minor for charge in payment.charges)
                    net = payment.amount_received_minor - payment.refunded_minor - fees
                    owed[payment.currency] = owed.get(payment.currency, 0) + net
            answer = self.world.call("GET", "/v1/balance", merchant=merchant).body
            told: dict[str, int] = {}
            for funds in (*answer["available"], *answer["pending"]):
                told[funds["currency"]] = told.get(funds["currency"], 0) + funds["amount"]
            assert {k: v for k, v in told.items() if v} == {k: v for k, v in owed.items() if v}

    @invariant()
    def balances_are_their_journals_at_every_page(self) -> None:
        self.world.seal()
        for merchant in self.merchants:
            book = book_of(merchant.account, livemode=False)
            posted = [j for j in self.world.database.journals.values() if j.book == book]
            counted: list[Journal] = []
            # A book of one stripe is in one shard.
            for page in self.world.pages.pages(book, shard_of(book, "", 1)):
                names = [one.id for one in page.records if one.kind is RecordKind.JOURNAL]
                counted += [self.world.database.journals[name] for name in names]
                assert dict(page.closing) == trial_balance(counted)
            assert sorted(journal.id for journal in counted) == sorted(j.id for j in posted)
            available = {item.account: item for item in self.world.available.of_book(book)}
            for account, held in trial_balance(posted).items():
                if account_type(account).is_guarded:
                    assert available[account].available_minor == -held.net_minor
                    assert available[account].floor_minor == FLOOR_MINOR

    @invariant()
    def totals_of_all_shards_balance(self) -> None:
        self.world.seal()
        tails = [tail for shard in range(SHARDS) if (tail := self.world.blocks.tail(shard))]
        for tail in tails:
            check_trial_balance({name: Balance(*total) for name, total in tail.totals.items()})

    def payments(self) -> Iterable[Payment]:
        return self.world.database.payments.values()

    def teardown(self) -> None:
        """When trouble is over and everybody retried, nothing is left open."""
        if not self.merchants:
            return
        self.world.provider.fault = lambda moment, command: None
        for _ in range(3):
            self.disarm()
            self.retry()
        self.adds_up()
        for payment in self.payments():
            assert payment.pending is None, payment
            assert all(refund.status != "pending" for refund in payment.refunds), payment

    def disarm(self) -> None:
        """Puts the real steps back."""
        self.world.steps.update(self.world.real_steps())


TestPayments = Payments.TestCase
TestPayments.settings = settings(
    derandomize=True,
    deadline=None,
    max_examples=100,
    stateful_step_count=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
