"""Payments: the merchant API, the sagas and their steps, and the functions of the vault."""

from dataclasses import dataclass

from aws_cdk import Duration
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from constructs import Construct

from shared.domain.saga import LOOKUP, RESOLVE, SAGAS, SETUP
from stacks.base import FarthingStack
from stacks.constructs import asl
from stacks.constructs.alarms import alarm_on, line_metric
from stacks.constructs.api import DEFAULT_ROUTE, FarthingApi
from stacks.constructs.function import FarthingFunction, FunctionMaker
from stacks.constructs.queue import WorkQueue
from stacks.constructs.saga import SagaMachine
from stacks.constructs.schedule import Schedule
from stacks.constructs.tables import BATCH_GET, GET
from stacks.data import Books
from stacks.network import (
    NOTICES_BATCH,
    NOTICES_TIMEOUT_S,
    SandboxNetworkStack,
    operators_network,
)
from stacks.stage import Assets, StageConfig
from stacks.vault import VaultStack

# Below API Gateway's own 30 s, so that the function answers, not the gateway.
API_TIMEOUT_S = 29
VERIFICATION_TIMEOUT_S = 10
VERIFICATION_RETENTION = Duration.minutes(10)

RESOLVE_STEP = "resolve_payment"
SWEEP_INTERVAL_MINUTES = 1
SWEEP_TIMEOUT_S = 55
# Steps that change the books, and those of them that ask the card network. The others,
# validate_payment and score_fraud, decide on the saga's state alone and may do nothing.
BOOK_STEPS = frozenset(
    {
        "reserve_funds",
        "authorize_payment",
        "capture_payment",
        "increment_authorization",
        "release_funds",
        "void_authorization",
        "refund_capture",
        RESOLVE_STEP,
    }
)
# The step that changes no books: setups are objects, and no money moves.
SETUP_STEP = "verify_card"
NETWORK_STEPS = (BOOK_STEPS - {"reserve_funds", "release_funds"}) | {SETUP_STEP}
UNRESOLVED_METRIC = "UnresolvedOperations"
LIMITS_METRIC = "LimitsNotEnforced"
# Steps whose transactions make payments, charges or refunds findable, and those that are a
# request's first write, which claims its idempotency key.
LISTING_STEPS = frozenset({"reserve_funds", "authorize_payment", "release_funds", RESOLVE_STEP})
CLAIMING_STEPS = frozenset(
    {"reserve_funds", "capture_payment", "increment_authorization", "void_authorization"}
)
VAULT_STEPS = frozenset({"authorize_payment", SETUP_STEP})
# Steps that record an authorization, and attach a card that is to be saved with it.
SAVING_STEPS = frozenset({"authorize_payment", RESOLVE_STEP})


@dataclass(frozen=True)
class Surroundings:
    """What the payments stack is given by the others; a sandbox network in some stages only."""

    books: Books
    vault: VaultStack
    sandbox: SandboxNetworkStack | None
    alarms: sns.ITopic


class PaymentsStack(FarthingStack):
    """Answers merchants; stateless."""

    def __init__(
        self,
        scope: Construct,
        *,
        stage: StageConfig,
        region: str,
        assets: Assets,
        given: Surroundings,
    ) -> None:
        super().__init__(scope, "Payments", stage=stage, region=region)
        self._given = given
        self._network = given.sandbox.network if given.sandbox else operators_network(self)
        self._make = FunctionMaker(self, stage, assets)
        self._api_functions: list[FarthingFunction] = []
        self.api = FarthingApi(self, "Api", stage=stage, local_name="api", serves_pages=True)
        machines = self._machines(self._steps())
        self._sweep_due({name: machines[name] for name in (RESOLVE.name, LOOKUP.name)})
        tokenize = self._tokenize_card()
        setups = {name: machines.pop(name) for name in (SETUP.name, LOOKUP.name)}
        self._api_payments(machines, tokenize)
        self._api_setup_intents(setups, tokenize)
        self._api_families(tokenize)
        if given.sandbox is not None:
            self._receive_notices(given.sandbox.notices)
        self._alarm_on_limits(self._api_functions)
        self.tell("ApiId", self.api.api.api_id)
        self.tell("ApiUrl", self.api.base_url)
        self.tell("TokenizeFunctionName", tokenize.function.function_name)
        for name, machine in {**machines, **setups}.items():
            self.tell(f"{name.capitalize()}MachineArn", machine.machine.state_machine_arn)

    def _steps(self) -> dict[str, FarthingFunction]:
        """Makes the function of every step that a saga names."""
        table = {name: step for saga in SAGAS.values() for name, step in asl.steps(saga).items()}
        undo = {step.name for saga in SAGAS.values() for step in saga.undo_chain}
        functions = {name: self._step(name, step.timeout_s) for name, step in table.items()}
        for name in sorted(undo):
            self._alarm_on_undo(functions[name])
        self._alarm_on_unresolved([functions[name] for name in sorted(NETWORK_STEPS)])
        return functions

    def _step(self, name: str, timeout_s: int) -> FarthingFunction:
        given = self._given
        environment = self._step_environment(name)
        code = "vault" if name in VAULT_STEPS | {RESOLVE_STEP} else "platform"
        step = self._make.make(name, timeout_s=timeout_s, environment=environment, code=code)
        if name in BOOK_STEPS:
            given.books.change_payments(step)
        if name in LISTING_STEPS:
            given.books.list_new(step)
        if name in SAVING_STEPS:
            step.allow(GET, given.books.objects.table_arn)
        if name in CLAIMING_STEPS:
            given.books.claim_keys(step)
        if name in NETWORK_STEPS:
            self._network.allow_calls(step)
        if name == SETUP_STEP:
            step.allow(BATCH_GET, given.books.objects.table_arn)
            given.books.write_objects(step)
            given.books.sign_events(step)
        if name in VAULT_STEPS:
            given.vault.allow_opening(step)
        if name == RESOLVE_STEP:
            given.vault.allow_deleting(step)
        return step

    def _step_environment(self, name: str) -> dict[str, str]:
        given = self._given
        environment: dict[str, str] = {}
        if name in BOOK_STEPS:
            environment |= given.books.environment
        if name == SETUP_STEP:
            environment |= given.books.objects_environment
        if name in NETWORK_STEPS:
            environment |= self._network.environment
        if name in VAULT_STEPS:
            environment |= given.vault.opening_environment
        if name == RESOLVE_STEP:
            environment |= given.vault.deleting_environment
        return environment

    def _alarm_on_undo(self, function: FarthingFunction) -> None:
        metric = function.function.metric_errors(period=Duration.minutes(1), statistic="Sum")
        what = f"{function.name} failed: a payment was not undone and waits for a person."
        alarm_on(function, "Errors", metric, self._given.alarms, what)

    def _alarm_on_unresolved(self, steps: list[FarthingFunction]) -> None:
        """Counts the operations that a card network did not answer; see shared.observability."""
        pattern = logs.FilterPattern.boolean_value("$.unresolved", value=True)
        metric = line_metric(steps, UNRESOLVED_METRIC, pattern, Duration.minutes(1))
        what = "A card network did not answer: look up what is past its due date there."
        alarm_on(self, "Unresolved", metric, self._given.alarms, what)

    def _machines(self, steps: dict[str, FarthingFunction]) -> dict[str, SagaMachine]:
        return {
            name: SagaMachine(
                self, saga, stage=self.stage_config, functions=steps, alarms=self._given.alarms
            )
            for name, saga in SAGAS.items()
        }

    def _sweep_due(self, machines: dict[str, SagaMachine]) -> None:
        """Has every payment and setup past its date looked after, whoever forgot it."""
        books = self._given.books
        function = self._make.make(
            "sweep_due",
            timeout_s=SWEEP_TIMEOUT_S,
            environment={
                "PAYMENTS_TABLE": books.payments.table_name,
                "OBJECTS_TABLE": books.objects.table_name,
                **_arns(machines),
                **self._local_only_environment(),
            },
        )
        books.find_due(function)
        for machine in machines.values():
            machine.allow_start(function)
        Schedule(self, "Sweep", function=function, minutes=SWEEP_INTERVAL_MINUTES)
        metric = function.function.metric_errors(period=Duration.minutes(1), statistic="Sum")
        what = "What is past its date is not looked after: repair the sweeper."
        alarm_on(function, "Errors", metric, self._given.alarms, what, threshold=1, periods=3)

    def _api_payments(self, machines: dict[str, SagaMachine], tokenize: FarthingFunction) -> None:
        """Makes the caller of the sagas of payments; it also commits what needs no card network."""
        books = self._given.books
        function = self._api_function(
            "api_payments",
            "ANY /v1/payment_intents",
            "ANY /v1/payment_intents/{proxy+}",
            "ANY /v1/charges",
            "ANY /v1/charges/{proxy+}",
            "ANY /v1/refunds",
            "ANY /v1/refunds/{proxy+}",
            environment={
                **books.environment,
                **_arns(machines),
                "TOKENIZE_FUNCTION_NAME": tokenize.function.function_name,
                **self._local_only_environment(),
            },
        )
        books.read_objects(function)
        books.write_objects(function)
        books.read_payments(function)
        books.read_ledger(function)
        books.change_payments(function)
        books.keep_idempotency(function)
        for machine in machines.values():
            machine.allow_start(function)
        function.allow(["lambda:InvokeFunction"], tokenize.function.function_arn)

    def _api_setup_intents(
        self, machines: dict[str, SagaMachine], tokenize: FarthingFunction
    ) -> None:
        books = self._given.books
        function = self._api_function(
            "api_setup_intents",
            "ANY /v1/setup_intents",
            "ANY /v1/setup_intents/{proxy+}",
            "ANY /v1/setup_attempts",
            "ANY /v1/mandates/{proxy+}",
            environment={
                **books.objects_environment,
                **_arns(machines),
                "TOKENIZE_FUNCTION_NAME": tokenize.function.function_name,
                **self._local_only_environment(),
            },
        )
        books.read_objects(function)
        books.write_objects(function)
        books.sign_events(function)
        books.keep_idempotency(function)
        for machine in machines.values():
            machine.allow_start(function)
        function.allow(["lambda:InvokeFunction"], tokenize.function.function_arn)

    def _api_families(self, tokenize: FarthingFunction) -> None:
        books = self._given.books
        describes_cards = {"TOKENIZE_FUNCTION_NAME": tokenize.function.function_name}
        objects = {name: books.environment[name] for name in ("OBJECTS_TABLE", "IDEMPOTENCY_TABLE")}
        customers = self._api_function(
            "api_customers",
            "ANY /v1/customers",
            "ANY /v1/customers/{proxy+}",
            "GET /v1/payment_methods",
            "ANY /v1/payment_methods/{proxy+}",
            "GET /v1/tokens/{proxy+}",
            "GET /v1/confirmation_tokens/{proxy+}",
            "ANY /v1/payment_method_configurations",
            "ANY /v1/payment_method_configurations/{proxy+}",
            "ANY /v1/payment_method_domains",
            "ANY /v1/payment_method_domains/{proxy+}",
            environment={**objects, **books.signing_environment, **describes_cards},
        )
        customers.allow(["lambda:InvokeFunction"], tokenize.function.function_arn)
        events = self._api_function(
            "api_events",
            "ANY /v1/events",
            "ANY /v1/events/{proxy+}",
            "ANY /v1/webhook_endpoints",
            "ANY /v1/webhook_endpoints/{proxy+}",
            environment={**objects, **books.signing_environment},
        )
        for function in (customers, events):
            books.read_objects(function)
            books.write_objects(function)
            books.sign_events(function)
            books.keep_idempotency(function)
        ledger = self._api_function(
            "api_ledger",
            "ANY /v1/balance",
            "ANY /v1/balance_transactions",
            "ANY /v1/balance_transactions/{proxy+}",
            "ANY /v1/ledger/{proxy+}",
            environment=books.environment,
        )
        books.read_objects(ledger)
        books.count_requests(ledger)
        books.read_books(ledger)
        default = self._api_function(
            "api_default", DEFAULT_ROUTE, environment=objects, code="reference"
        )
        books.read_keys(default)
        books.count_requests(default)
        if self.stage_config.sandbox_network:
            self._api_test_helpers(tokenize, {**objects, **describes_cards})

    def _api_test_helpers(self, tokenize: FarthingFunction, environment: dict[str, str]) -> None:
        books = self._given.books
        function = self._api_function(
            "api_test_helpers",
            "ANY /v1/test_helpers/{proxy+}",
            environment={
                **environment,
                **books.signing_environment,
                **self._network.environment,
            },
        )
        books.read_objects(function)
        books.write_objects(function)
        books.sign_events(function)
        books.keep_idempotency(function)
        function.allow(["lambda:InvokeFunction"], tokenize.function.function_arn)
        self._network.allow_calls(function)

    def _api_function(
        self, name: str, *routes: str, environment: dict[str, str], code: str = "platform"
    ) -> FarthingFunction:
        function = self._make.make(
            name,
            code=code,
            timeout_s=API_TIMEOUT_S,
            environment=environment,
            concurrency_max=self.stage_config.api_concurrency.get(name),
        )
        self.api.route(function, *routes)
        self._api_functions.append(function)
        return function

    def _alarm_on_limits(self, functions: list[FarthingFunction]) -> None:
        """Counts how often limits could not be asked for; see shared.edge.limits."""
        pattern = logs.FilterPattern.boolean_value("$.limiter_failed", value=True)
        metric = line_metric(functions, LIMITS_METRIC, pattern, Duration.minutes(1))
        what = "Requests are served without limits: the table of the claims does not answer."
        alarm_on(self, "Limits", metric, self._given.alarms, what)

    def _tokenize_card(self) -> FarthingFunction:
        """Makes the only function that card numbers are sent to, with its two routes.

        What it stores of a security code is deleted by a function of its own when time is up.
        """
        books, vault = self._given.books, self._given.vault
        queue = WorkQueue(
            self,
            "Verifications",
            holds="security codes that were not deleted in time",
            consumer_timeout=Duration.seconds(VERIFICATION_TIMEOUT_S),
            alarms=self._given.alarms,
            delay=VERIFICATION_RETENTION,
        )
        function = self._make.make(
            "tokenize_card",
            code="vault",
            timeout_s=API_TIMEOUT_S,
            environment={
                "OBJECTS_TABLE": books.objects.table_name,
                "IDEMPOTENCY_TABLE": books.idempotency.table_name,
                **books.signing_environment,
                "VERIFICATION_QUEUE_URL": queue.queue.queue_url,
                **vault.sealing_environment,
            },
            concurrency_max=self.stage_config.api_concurrency.get("tokenize_card"),
        )
        self._api_functions.append(function)
        self.api.route(function, "POST /v1/payment_methods", "POST /v1/tokens")
        vault.allow_sealing(function)
        books.read_objects(function)
        books.write_objects(function)
        books.sign_events(function)
        books.keep_idempotency(function)
        function.allow(["sqs:SendMessage"], queue.queue.queue_arn)
        self._delete_card_verification(queue)
        self.tell("VerificationQueueUrl", queue.queue.queue_url)
        return function

    def _delete_card_verification(self, queue: WorkQueue) -> None:
        function = self._make.make(
            "delete_card_verification",
            code="vault",
            timeout_s=VERIFICATION_TIMEOUT_S,
            environment=self._given.vault.deleting_environment,
        )
        self._given.vault.allow_deleting(function)
        function.function.add_event_source(
            sources.SqsEventSource(queue.queue, batch_size=10, report_batch_item_failures=True)
        )

    def _receive_notices(self, notices: WorkQueue) -> None:
        function = self._make.make(
            "receive_notices",
            timeout_s=NOTICES_TIMEOUT_S,
            environment={**self._given.books.environment, **self._network.environment},
        )
        self._given.books.change_payments(function)
        self._network.allow_calls(function)
        function.function.add_event_source(
            sources.SqsEventSource(
                notices.queue, batch_size=NOTICES_BATCH, report_batch_item_failures=True
            )
        )

    def _local_only_environment(self) -> dict[str, str]:
        """Lets loopback addresses stand for webhook endpoints and AWS, in the local stage alone."""
        return {"LOCAL_LOOPBACK": "1"} if self.stage_config.is_local else {}


def _arns(machines: dict[str, SagaMachine]) -> dict[str, str]:
    """Returns where the sagas are, as their callers' settings."""
    return {
        f"{name.upper()}_MACHINE_ARN": machine.machine.state_machine_arn
        for name, machine in machines.items()
    }
