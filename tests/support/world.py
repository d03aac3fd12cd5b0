"""The whole platform in one process: memory adapters, the real handlers, the real step table."""

import contextlib
import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlencode

from functions.api_customers import handler as api_customers
from functions.api_events import handler as api_events
from functions.api_ledger import handler as api_ledger
from functions.api_ledger.stores import Stores as BookStores
from functions.api_payments import handler as api_payments
from functions.api_setup_intents import handler as api_setup_intents
from functions.authorize_payment import handler as authorize_payment
from functions.capture_payment import handler as capture_payment
from functions.increment_authorization import handler as increment_authorization
from functions.receive_notices import handler as receive_notices
from functions.refund_capture import handler as refund_capture
from functions.release_funds import handler as release_funds
from functions.reserve_funds import handler as reserve_funds
from functions.resolve_payment import handler as resolve_payment
from functions.score_fraud import handler as score_fraud
from functions.seal_ledger.sealer import Sealer
from functions.seal_ledger.sealer import Stores as SealerStores
from functions.settle_payment import handler as settle_payment
from functions.sweep_due import handler as sweep_due
from functions.tokenize_card import handler as tokenize_card
from functions.tokenize_card.tokenization import StagePolicy, Tokenizer
from functions.validate_payment import handler as validate_payment
from functions.verify_card import handler as verify_card
from functions.void_authorization import handler as void_authorization
from shared.adapters.memory import (
    MemoryAvailableStore,
    MemoryClock,
    MemoryDatabase,
    MemoryDocumentStore,
    MemoryDueIndex,
    MemoryEntropy,
    MemoryIdempotencyStore,
    MemoryLedgerStore,
    MemoryPaymentStore,
)
from shared.adapters.memory_audit import MemoryChangeStore
from shared.adapters.memory_blocks import MemoryBlockStore, MemoryStripeStore
from shared.adapters.memory_checkpoints import (
    MemoryCheckpointArchive,
    MemoryCheckpointKey,
    MemoryCheckpointLog,
)
from shared.adapters.memory_deliveries import MemoryDeliveryLog
from shared.adapters.memory_pages import MemoryPageStore
from shared.adapters.memory_provider import MemoryProvider
from shared.adapters.memory_saga import MemorySagaRunner, StepFunction
from shared.adapters.memory_vault import MemoryVault
from shared.domain.cards import CardSummary
from shared.domain.checkpoints import CheckpointArchive, CheckpointSigner
from shared.domain.documents import LIMIT_MAX, Document, PageQuery, Scope
from shared.domain.errors import UnknownOutcomeError
from shared.domain.evidence import Record as Evidence
from shared.domain.invariants import (
    JournalFacts,
    Movement,
    Observation,
    PaymentFacts,
    Record,
    unbalanced,
    violations,
)
from shared.domain.ledger import Journal, trial_balance
from shared.domain.payment import Payment
from shared.domain.ports import (
    ChangeStore,
    DocumentStore,
    DueIndex,
    IdempotencyStore,
    LedgerStore,
    PaymentStore,
    SignedEvents,
)
from shared.domain.records import change_record, event_record, journal_record
from shared.domain.risk import RulesScorer
from shared.domain.saga import LOOKUP, RESOLVE
from shared.domain.sandbox_network import REFUND_ENDS_AFTER_MS
from shared.edge.api import Api, ApiPorts
from shared.edge.auth import key_record_id
from shared.edge.payments import sources
from shared.wire.payments import charge, payment_intent, refund
from tests.support.documents import audited

REGION = "us-east-1"
CARD = {"number": "4242424242424242", "exp_month": "12", "exp_year": "2034", "cvc": "123"}


@dataclass(frozen=True)
class Answer:
    """An answer of the API."""

    status: int
    body: Any
    headers: Mapping[str, str]
    text: str


@dataclass
class Merchant:
    """A merchant and their keys."""

    account: str
    secret_key: str
    publishable_key: str

    @property
    def scope(self) -> Scope:
        """What the merchant's test keys may see."""
        return Scope(self.account, livemode=False)


@dataclass(eq=False)
class World:
    """A platform. Replace an entry of `steps` to break a step; see MemoryProvider for faults."""

    has_sale: bool = True
    clock: MemoryClock = field(default_factory=MemoryClock)
    entropy: MemoryEntropy = field(default_factory=MemoryEntropy)
    database: MemoryDatabase = field(default_factory=MemoryDatabase)
    steps: dict[str, StepFunction] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.open_stores()
        self.open_books()
        self._open_sealing()
        self.provider = MemoryProvider(self.clock, has_sale=self.has_sale)
        self.vault = MemoryVault(self.clock)
        self._tokenizer = Tokenizer(
            self.vault, self.documents, StagePolicy(takes_live_cards=False, has_sandbox_cards=True)
        )
        self.steps.update(self.real_steps())
        # Made at their first use: most tests need one of them.
        self._apis = {
            "/v1/payment_intents": self._payments_api,
            "/v1/charges": self._payments_api,
            "/v1/refunds": self._payments_api,
            "/v1/balance": self._ledger_api,
            "/v1/ledger": self._ledger_api,
            "/v1/customers": self._customers_api,
            "/v1/payment_methods/": self._customers_api,
            "/v1/payment_method_configurations": self._customers_api,
            "/v1/payment_method_domains": self._customers_api,
            "/v1/payment_methods": self._vault_api,
            "/v1/tokens": self._vault_api,
            "/v1/confirmation_tokens": self._customers_api,
            "/v1/setup_intents": self._setups_api,
            "/v1/setup_attempts": self._setups_api,
            "/v1/mandates": self._setups_api,
            "/v1/events": self._events_api,
            "/v1/webhook_endpoints": self._events_api,
        }

    def open_stores(self) -> None:
        """Opens the stores; on tables instead of memory in a subclass."""
        self.documents: DocumentStore = MemoryDocumentStore(self.database)
        self.idempotency: IdempotencyStore = MemoryIdempotencyStore(self.database, self.clock)
        self.payments: PaymentStore = MemoryPaymentStore(self.database)
        self.ledger: LedgerStore = MemoryLedgerStore(self.database)
        self.due_payments: DueIndex = MemoryDueIndex(self.database.payments)
        self.due_documents: DueIndex = MemoryDueIndex(self.database.documents)

    def open_books(self) -> None:
        """Opens what the books are read from, and what is sealed and folded of them, in memory."""
        self.events: SignedEvents = MemoryPaymentStore(self.database)
        self.changes: ChangeStore = MemoryChangeStore(self.database)
        self.blocks = MemoryBlockStore()
        self.pages = MemoryPageStore()
        self.stripes = MemoryStripeStore()
        self.available = MemoryAvailableStore(self.database)
        self.checkpoints = MemoryCheckpointLog()
        self.checkpoint_key = MemoryCheckpointKey()
        self.archive: CheckpointArchive = MemoryCheckpointArchive()

    def _open_sealing(self) -> None:
        stores = SealerStores(self.blocks, self.pages, self.stripes, self.ledger, self.available)
        self._sealer = Sealer(stores, self.clock)
        self._signer = CheckpointSigner(
            blocks=self.blocks,
            key=self.checkpoint_key,
            archive=self.archive,
            log=self.checkpoints,
            clock=self.clock,
            region=REGION,
        )

    def seal(self) -> None:
        """Seals all that was written, folds it, and signs a checkpoint."""
        records = sorted(self.written(), key=lambda record: record.at_ms)
        assert not self._sealer.fold(self._sealer.seal(records))
        self._signer.sign_next()

    def written(self) -> list[Evidence]:
        """Returns the records of all that was written; read from tables in a subclass."""
        journals = [journal_record(journal) for journal in self.database.journals.values()]
        events = [
            event_record(signed, payment.book)
            for payment in self.database.payments.values()
            for signed in self.events.signed_events(payment.id)
        ]
        changes = [
            change_record(record.to_dict(), record.change.book)
            for history in self.database.changes.values()
            for record in history
        ]
        return [*events, *journals, *changes]

    def real_steps(self) -> dict[str, StepFunction]:
        """Returns the steps as they are deployed, for repairing what a test broke."""
        payments, provider, clock = self.payments, self.provider, self.clock
        scorer = RulesScorer()
        return {
            "validate_payment": validate_payment.run,
            "reserve_funds": lambda s: reserve_funds.run(s, payments, clock),
            "score_fraud": lambda s: score_fraud.run(s, scorer),
            "authorize_payment": lambda s: authorize_payment.run(
                s, payments, self.documents, self.vault, provider, clock
            ),
            "capture_payment": lambda s: capture_payment.run(s, payments, provider, clock),
            "increment_authorization": lambda s: increment_authorization.run(
                s, payments, provider, clock
            ),
            "void_authorization": lambda s: void_authorization.run(s, payments, provider, clock),
            "refund_capture": lambda s: refund_capture.run(s, payments, provider, clock),
            "release_funds": lambda s: release_funds.run(s, payments, clock),
            "resolve_payment": lambda s: resolve_payment.run(
                s, payments, self.documents, provider, clock
            ),
            "verify_card": lambda s: verify_card.run(
                s, self.documents, self.vault, self.vault, provider, clock
            ),
        }

    def _ports(self) -> ApiPorts:
        return ApiPorts.of(
            self.documents,
            self.idempotency,
            self.clock,
            self.entropy,
            REGION,
            sources(self.payments, self.ledger),
        )

    @functools.cache  # noqa: B019 - a world lives as long as its test
    def _payments_api(self) -> Api:
        return api_payments.build(self._ports(), self.payments, self.documents, self.sagas(), self)

    @functools.cache  # noqa: B019
    def sagas(self) -> MemorySagaRunner:
        """Returns what runs the sagas."""
        return self.runner({name: self._step(name) for name in self.steps})

    def sweep(self) -> None:
        """Has everything past its date looked after, once, as the schedule does."""
        sagas = self.sagas()
        sweep_due.run(RESOLVE.name, self.due_payments, sagas, self.clock)
        sweep_due.run(LOOKUP.name, self.due_documents, sagas, self.clock)
        started, sagas.started = sagas.started, {}
        for saga, saga_input in started.values():
            with contextlib.suppress(UnknownOutcomeError):
                sagas.run(saga, saga_input)

    def runner(self, steps: Mapping[str, StepFunction]) -> MemorySagaRunner:
        """Makes what runs the sagas; a state machine in a subclass."""
        return MemorySagaRunner(steps)

    def _step(self, name: str) -> StepFunction:
        # Looked up at each call, so that a test may replace a step at any time; through JSON, as
        # the state machine passes it.
        def call(state: Mapping[str, Any]) -> Mapping[str, Any]:
            output: Mapping[str, Any] = json.loads(
                json.dumps(self.steps[name](json.loads(json.dumps(state))))
            )
            return output

        return call

    @functools.cache  # noqa: B019
    def _vault_api(self) -> Api:
        return tokenize_card.make_api(self._ports(), self._tokenizer, self.vault)

    @functools.cache  # noqa: B019
    def _ledger_api(self) -> Api:
        stores = BookStores(
            payments=self.payments,
            events=self.events,
            changes=self.changes,
            journals=self.ledger,
            available=self.available,
            pages=self.pages,
            stripes=self.stripes,
            checkpoints=self.checkpoints,
        )
        return api_ledger.build(self._ports(), stores)

    @functools.cache  # noqa: B019
    def _customers_api(self) -> Api:
        return api_customers.build(self._ports(), self.documents, lambda: self)

    @functools.cache  # noqa: B019
    def _setups_api(self) -> Api:
        return api_setup_intents.build(self._ports(), self.documents, self.sagas(), lambda: self)

    @functools.cache  # noqa: B019
    def _events_api(self) -> Api:
        deliveries = MemoryDeliveryLog(self.database)
        return api_events.build(self._ports(), self.documents, deliveries)

    def describe(self, alias: str, account: str) -> CardSummary | None:
        """Implements SandboxCards."""
        described = self._tokenizer.describe_alias(alias, account)
        return CardSummary.of(described) if described else None

    def merchant(self, name: str = "one", *, home: str = REGION) -> Merchant:
        """Creates a merchant."""
        merchant = Merchant(f"acct_{name}", f"sk_test_{name}00000000", f"pk_test_{name}00000000")
        account = {"home_region": home, "country": "US", "default_currency": "usd"}
        facts = {"account": merchant.account, "livemode": False, "home_region": home}
        documents = [Document(merchant.account, "account", merchant.account, False, 1, 0, account)]
        for kind, key in (
            ("secret", merchant.secret_key),
            ("publishable", merchant.publishable_key),
        ):
            data = {**facts, "kind": kind, "expires_at_s": None, "revoked": False}
            record = key_record_id(key)
            documents.append(Document(record, "api_key", merchant.account, False, 1, 0, data))
        self.documents.commit([audited(document) for document in documents])
        return merchant

    def call(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        merchant: Merchant,
        key: str | None = None,
    ) -> Answer:
        """Sends a request as an SDK would."""
        form = urlencode(_flat(params or {}))
        is_post = method == "POST"
        headers = {
            "authorization": f"Bearer {merchant.secret_key}",
            "content-type": "application/x-www-form-urlencoded",
        }
        if key is not None:
            headers["idempotency-key"] = key
        event = {
            "version": "2.0",
            "rawPath": path,
            "rawQueryString": "" if is_post else form,
            "headers": headers,
            "requestContext": {"http": {"method": method, "path": path}},
            "body": form if is_post else None,
            "isBase64Encoded": False,
        }
        return self.respond(event)

    def post(self, merchant: Merchant, path: str, **params: Any) -> dict[str, Any]:
        """Sends an order that must be taken; returns its object."""
        answer = self.call("POST", path, params, merchant=merchant)
        assert answer.status == 200, answer.text
        body: dict[str, Any] = answer.body
        return body

    def respond(self, event: Mapping[str, Any]) -> Answer:
        """Answers an API Gateway event, as the function that its path is routed to."""
        reply = self.api_of(event["rawPath"]).handle(event, None)
        text = reply["body"]
        return Answer(reply["statusCode"], json.loads(text), reply["headers"], text)

    def api_of(self, path: str) -> Api:
        """Returns the API that a path is routed to; one that no route names goes to payments."""
        found = [api for prefix, api in self._apis.items() if path.startswith(prefix)]
        return (found[0] if found else self._payments_api)()

    def pay(self, merchant: Merchant, *, key: str | None = None, **params: Any) -> Answer:
        """Creates and confirms a payment of 20.00 USD with a Visa test card."""
        order = {
            "amount": 2000,
            "currency": "usd",
            "payment_method": "pm_card_visa",
            "confirm": "true",
            **params,
        }
        return self.call("POST", "/v1/payment_intents", order, merchant=merchant, key=key)

    def settle(self, payment_id: str) -> None:
        """Runs the settlement of a payment."""
        assert self.settle_batch([payment_id]) == []

    def settle_batch(self, payment_ids: Sequence[str]) -> list[Mapping[str, str]]:
        """Runs the settlement of a batch; returns what failed, by position."""
        records = [
            {"messageId": str(index), "body": json.dumps({"detail": {"object": payment_id}})}
            for index, payment_id in enumerate(payment_ids)
        ]
        answer = settle_payment.run({"Records": records}, self.payments, self.clock)
        failures: list[Mapping[str, str]] = answer["batchItemFailures"]
        return failures

    def deliver_notices(self) -> None:
        """Lets some time go by, and the platform hear what the network has to tell."""
        self.clock.advance(REFUND_ENDS_AFTER_MS)
        notices, self.provider.notices = self.provider.notices, []
        records = [
            {"messageId": str(index), "body": json.dumps(asdict(notice))}
            for index, notice in enumerate(notices)
        ]
        answer = receive_notices.run({"Records": records}, self.payments, self.provider, self.clock)
        assert answer == {"batchItemFailures": []}

    def load(self, payment_id: str) -> Payment:
        """Reads a payment that must exist."""
        payment = self.payments.load(payment_id)
        assert payment is not None
        return payment

    def check(self) -> None:
        """Asserts what must hold after everything: see Invariants in docs/ledger.md."""
        books = [JournalFacts.of(journal) for journal in self.database.journals.values()]
        found = list(unbalanced(books))
        for payment_id, payment in self.database.payments.items():
            found += violations(self.observe(payment_id))
            self._check_rendering(payment)
        assert not found, "\n".join(str(violation) for violation in found)

    def observe(self, payment_id: str) -> Observation:
        """Looks at a payment from everywhere but its event objects, which nobody makes here."""
        payment = self.load(payment_id)
        journals = self.ledger.of_subject(payment_id)
        return Observation(
            payment=PaymentFacts.of(payment),
            now_ms=self.clock.now_ms(),
            record=Record(payment, self.payments.events(payment_id)),
            journals=tuple(JournalFacts.of(journal) for journal in journals),
            network=tuple(
                Movement(
                    key=transaction.idempotency_key,
                    operation=transaction.type,
                    reference=transaction.reference,
                    amount_minor=transaction.amount_minor,
                    currency=transaction.currency,
                    refund=transaction.refund,
                )
                for transaction in self.provider.effects()
                if transaction.payment_intent == payment_id
            ),
        )

    @staticmethod
    def _check_rendering(payment: Payment) -> None:
        """Whatever became of a payment can be told: one that cannot fails every list it is in."""
        assert payment_intent(payment)["id"] == payment.id
        assert [charge(payment, item)["id"] for item in payment.charges] == [
            item.id for item in payment.charges
        ]
        assert [refund(payment, item)["id"] for item in payment.refunds] == [
            item.id for item in payment.refunds
        ]

    def balances(self, merchant: Merchant) -> dict[str, int]:
        """Returns credits minus debits of every account of the merchant's books."""
        rows = trial_balance(self.journals(merchant))
        return {name: -row.net_minor for name, row in rows.items() if row.net_minor}

    def pending(self, merchant: Merchant) -> dict[str, int]:
        """Returns what holds are still open, by account."""
        rows = trial_balance(self.journals(merchant))
        return {name: -row.pending_net_minor for name, row in rows.items() if row.pending_net_minor}

    def journals(self, merchant: Merchant) -> list[Journal]:
        """Returns the journals of the merchant's newest payments."""
        page = self.documents.page(merchant.scope, "payment_intent", PageQuery(limit=LIMIT_MAX))
        return [journal for name in page.ids for journal in self.ledger.of_subject(name)]


def _flat(params: Mapping[Any, Any], prefix: str = "") -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in params.items():
        path = f"{prefix}[{name}]" if prefix else str(name)
        if isinstance(value, list):
            pairs += _flat(dict(enumerate(value)), path)
        elif isinstance(value, Mapping):
            pairs += _flat(value, path)
        else:
            pairs.append((path, str(value)))
    return pairs


def as_json(value: Any) -> Any:
    """Returns a dataclass as JSON."""
    return json.loads(json.dumps(asdict(value)))
