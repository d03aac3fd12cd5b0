"""The merchant API's pipeline: from an API Gateway event to Stripe's answer.

Order of the checks: who asks, how often, and whether the key may; what was sent (size, encoding,
card data), route, parameters, expansions, idempotency key; then the operation runs.
"""

import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, TypeVar

from shared.domain.changes import Context
from shared.domain.documents import Document, Scope
from shared.domain.errors import KeyInUseError, PaymentError, RejectedError
from shared.domain.idempotency import Answer, Claim
from shared.domain.ids import derive_id, owner_of
from shared.domain.limits import Asked
from shared.domain.ports import Clock, DocumentStore, Entropy, IdempotencyStore
from shared.edge.auth import ApiKey, KeyDirectory, authenticate, require_permission
from shared.edge.card_guard import refuse_card_data
from shared.edge.clients import check_client
from shared.edge.documents import is_id, storable
from shared.edge.expand import Plan, plan_expansions, take_expansions
from shared.edge.http import HttpRequest
from shared.edge.idempotency import Claimed, checked_key, claim_key, key_in_use
from shared.edge.limits import RateLimiter, Unlimited
from shared.edge.lists import fitting
from shared.edge.load import Json, Loader, Source, document_sources
from shared.edge.params import Params, Tree, canonical, decode, parse
from shared.edge.permissions import Permission, permission_for, reading
from shared.observability import logger
from shared.wire.clients import for_client
from shared.wire.errors import (
    ECHO_LENGTH_MAX,
    RateLimitError,
    RequestError,
    WireError,
    unexpected_error,
    wire_error,
)
from shared.wire.json import dump
from shared.wire.objects import API_VERSION

REQUEST_ID_LENGTH = 14
ID_LENGTH = 24

_VERSION_FORM = re.compile(r"[0-9A-Za-z.\-]{1,64}")
# A change of what is here is one of a payment.
_PAYMENTS = ("/v1/payment_intents/", "/v1/charges/", "/v1/refunds/")
_METHODS = frozenset({"GET", "POST", "DELETE"})
_GUARDED_HEADERS = ("idempotency-key", "stripe-version", "stripe-account", "stripe-context")

M = TypeVar("M", bound=Params)
# Replaces card data by a keyed digest, so that it can be compared and not recovered.
Conceal = Callable[[str], str]
# Names the documents that an operation needs of its parameters alone; None where there is none.
References = Callable[[M, Scope], Sequence[str | None]]


@dataclass(frozen=True, slots=True)
class ApiPorts:
    """What the pipeline needs of the outside.

    Args: region: this deployment's, compared with an account's home.
    """

    keys: KeyDirectory
    documents: DocumentStore
    idempotency: IdempotencyStore
    clock: Clock
    entropy: Entropy
    region: str
    load: Loader
    limiter: RateLimiter | Unlimited

    @classmethod
    def of(
        cls,
        documents: DocumentStore,
        idempotency: IdempotencyStore,
        clock: Clock,
        entropy: Entropy,
        region: str,
        sources: Mapping[str, Source] | None = None,
        limiter: RateLimiter | None = None,
    ) -> "ApiPorts":
        """Composes the ports.

        Args: sources: of objects that are not documents, by id prefix, for expansion. limiter:
        none in simulations, whose clocks stand still.
        """
        return cls(
            keys=KeyDirectory(documents, clock),
            documents=documents,
            idempotency=idempotency,
            clock=clock,
            entropy=entropy,
            region=region,
            load=Loader({**document_sources(documents), **(sources or {})}),
            limiter=limiter or Unlimited(),
        )


@dataclass(frozen=True, slots=True)
class Reply:
    """What an operation answers.

    Args: began: the operation changed something and the answer is not stored yet: the pipeline
    stores it for retries. An answer stored by `Request.answered` needs no second store.
    unchanged: the operation had nothing to change, and this is its answer, stored likewise.
    """

    status: int
    body: Json
    began: bool = False
    unchanged: bool = False


class Render(Protocol):
    """Writes a body as it is sent, expanded."""

    def __call__(self, body: Json) -> str:
        """Returns JSON text."""


@dataclass(frozen=True, slots=True)
class Request(Generic[M]):
    """A checked request.

    Args: actor: the API key, as records name it. path: values of the path's placeholders.
    references: the documents that the route names, by id, of any scope and without those that
    there are not. claim: to be made in the transaction that first changes anything, None without
    an idempotency key. resumed: an earlier run of this request died after its first write.
    publishable: asked with a publishable key, which `shared.edge.clients` says more of.
    """

    scope: Scope
    actor: str
    request_id: str
    params: M
    path: Mapping[str, str]
    references: Mapping[str, Document]
    now_ms: int
    idempotency_key: str | None
    claim: Claim | None
    resumed: bool
    entropy: Entropy
    render: Render
    publishable: bool

    @property
    def context(self) -> Context:
        """When it came, and from whom."""
        return Context(self.now_ms, self.request_id, self.idempotency_key, self.actor)

    def answered(self, reply: Reply) -> Claim | None:
        """Returns the claim with its answer inside, for a commit that does the whole request."""
        if self.claim is None:
            return None
        return replace(self.claim, answer=Answer(reply.status, self.render(reply.body)))

    def new_id(self, prefix: str) -> str:
        """Names a new object; a resumed request gets the same name again."""
        if self.claim is None or self.idempotency_key is None:
            return f"{prefix}_{self.entropy.token(ID_LENGTH)}"
        # The expiry tells this use of the key from one more than a day later.
        use = str(self.claim.expires_at_s)
        return derive_id(prefix, self.scope.account, self.scope.mode, self.idempotency_key, use)

    def document(
        self,
        object_id: str,
        kind: str,
        data: Mapping[str, Any],
        expires_at_s: int | None = None,
    ) -> Document:
        """Makes the first version of an object of whoever asks.

        Raises: RejectedError when it is too large.
        """
        account, livemode, stored = self.scope.account, self.scope.livemode, storable(data)
        return Document(
            object_id, kind, account, livemode, 1, self.now_ms, stored, expires_at_s=expires_at_s
        )


Operation = Callable[[Request[M]], Reply]


@dataclass(frozen=True, slots=True)
class Route:
    """An operation and the path it is reached by."""

    method: str
    template: str
    pattern: re.Pattern[str]
    model: type[Params]
    operation: Callable[[Request[Any]], Reply]
    returns: str | None
    is_list: bool
    publishable: bool
    conceal: Conceal | None
    references: References[Any] | None

    @property
    def permission(self) -> Permission:
        """What a restricted key needs for it."""
        return permission_for(self.method, self.template)

    def asked(self, scope: Scope, path: Mapping[str, str]) -> Asked:
        """Tells the limits what is asked for. Args: path: values of the placeholders."""
        named = next(iter(path.values()), "")
        changes = self.method == "POST" and self.template.startswith(_PAYMENTS)
        return Asked(
            scope,
            f"{self.method} {self.template}",
            is_search=self.template.endswith("/search"),
            payment=owner_of(named) if changes else None,
        )


@dataclass(slots=True)
class _LogLine:
    """The facts of the one line that an invocation logs."""

    method: str = "OTHER"
    route: str = "none"
    account: str | None = None
    livemode: bool | None = None
    actor: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


class Api:
    """A family of operations behind one Lambda function.

    Operations are registered with `post`, `get`, `list` and `delete`; a path's placeholders are
    written `{id}`; fixed paths go before those with placeholders that match them too.
    """

    def __init__(self, ports: ApiPorts) -> None:
        self._ports = ports
        self._routes: list[Route] = []

    @property
    def routes(self) -> tuple[Route, ...]:
        """The operations, in the order in which they are tried."""
        return tuple(self._routes)

    def post(
        self,
        path: str,
        model: type[M],
        *,
        returns: str | None = None,
        publishable: bool = False,
        conceal: Conceal | None = None,
        references: References[M] | None = None,
    ) -> Callable[[Operation[M]], Operation[M]]:
        """Registers a POST operation.

        Args: returns: kind of object, for expansion. publishable: may be called with a
        publishable key. conceal: marks the vault's operations, which take `card[number]` and
        `card[cvc]`: a keyed digest that stands for the number in the idempotency fingerprint.
        references: the documents to read with the idempotency key, for `Request.references`.
        """
        return self._register(
            "POST",
            path,
            model,
            returns=returns,
            publishable=publishable,
            conceal=conceal,
            references=references,
        )

    def get(
        self,
        path: str,
        model: type[M],
        *,
        returns: str | None = None,
        publishable: bool = False,
    ) -> Callable[[Operation[M]], Operation[M]]:
        """Registers a GET operation that returns one object."""
        return self._register("GET", path, model, returns=returns, publishable=publishable)

    def list(
        self, path: str, model: type[M], *, returns: str | None = None
    ) -> Callable[[Operation[M]], Operation[M]]:
        """Registers a GET operation that returns a list of objects."""
        return self._register("GET", path, model, returns=returns, is_list=True)

    def delete(self, path: str, model: type[M]) -> Callable[[Operation[M]], Operation[M]]:
        """Registers a DELETE operation."""
        return self._register("DELETE", path, model)

    def _register(
        self,
        method: str,
        path: str,
        model: type[M],
        *,
        returns: str | None = None,
        is_list: bool = False,
        publishable: bool = False,
        conceal: Conceal | None = None,
        references: References[M] | None = None,
    ) -> Callable[[Operation[M]], Operation[M]]:
        pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))

        # Quoted, because what is not is evaluated for each of the operations of a cold start.
        def register(operation: "Operation[M]") -> "Operation[M]":
            route = Route(
                method=method,
                template=path,
                pattern=pattern,
                model=model,
                operation=operation,
                returns=returns,
                is_list=is_list,
                publishable=publishable,
                conceal=conceal,
                references=references,
            )
            self._routes.append(route)
            return operation

        return register

    def handle(self, event: Mapping[str, Any], context: object) -> dict[str, Any]:
        """Answers an API Gateway event and logs one line about it, without anything sent."""
        clock, request_id = self._ports.clock, self._new_request_id()
        started_ms = clock.now_ms()
        line = _LogLine()
        headers = {
            "Content-Type": "application/json",
            "Cache-Control": "no-cache, no-store",
            "Request-Id": request_id,
            "Stripe-Version": API_VERSION,
        }
        try:
            status, text = self._serve(HttpRequest.of(event), request_id, line, headers)
        except PaymentError as error:
            line.facts |= {"error": type(error).__name__, "error_code": error.code}
            status, text = _refused(wire_error(error), headers)
        except Exception as error:  # noqa: BLE001 whatever happens gets an answer and a log line
            line.facts |= _described(error)
            status, text = _refused(unexpected_error(), headers)
        _log(line, request_id, status, clock.now_ms() - started_ms, context)
        return {"statusCode": status, "headers": headers, "body": text, "isBase64Encoded": False}

    def _new_request_id(self) -> str:
        return f"req_{self._ports.entropy.token(REQUEST_ID_LENGTH)}"

    def _serve(
        self, http: HttpRequest, request_id: str, line: _LogLine, headers: dict[str, str]
    ) -> tuple[int, str]:
        route, path = self._match(http)
        line.method = http.method if http.method in _METHODS else "OTHER"
        line.route = route.template if route else "none"
        key = self._admit(http, route)
        line.account, line.livemode, line.actor = key.account, key.livemode, key.actor
        self._require_right(http, key, route, path)
        tree = _read_parameters(http, route)
        _echo(http, headers)
        if route is None:
            raise RequestError(
                f"Unrecognized request URL ({http.method[:10]}: {http.path[:ECHO_LENGTH_MAX]}).",
                status=404,
            )
        identity = canonical(_without_card_data(tree, route.conceal))
        paths = take_expansions(tree)
        params = parse(route.model, tree)
        if key.is_publishable:
            check_client(params, paths)
            # Its answer is another than a secret key's, and no replay of that.
            identity = f"{key.kind} {identity}"
        plan = plan_expansions(paths, route.returns, is_list=route.is_list)
        for kind in plan.kinds:
            require_permission(http, key, reading(kind))
        return self._run(_Call(http, route, path, key, params, plan, identity, request_id), headers)

    def _match(self, http: HttpRequest) -> tuple[Route | None, Mapping[str, str]]:
        for route in self._routes:
            match = route.pattern.fullmatch(http.path)
            if match is not None and route.method == http.method:
                return route, match.groupdict()
        return None, {}

    def _admit(self, http: HttpRequest, route: Route | None) -> ApiKey:
        key = authenticate(
            http,
            self._ports.keys,
            region=self._ports.region,
            now_ms=self._ports.clock.now_ms(),
            publishable=route is None or route.publishable,
        )
        if http.header("stripe-account") or http.header("stripe-context"):
            raise RequestError(
                "This platform has no connected accounts: the Stripe-Account and Stripe-Context"
                " headers are not accepted.",
                status=403,
                code="connected_accounts_unsupported",
            )
        return key

    def _require_right(
        self, http: HttpRequest, key: ApiKey, route: Route | None, path: Mapping[str, str]
    ) -> None:
        """Refuses what the account asks for too often, and what a restricted key may not.

        Before the idempotency key is looked at: a refusal for today is no answer to keep.
        """
        asked = route.asked(key.scope, path) if route else Asked(key.scope, None)
        reason = self._ports.limiter.admit(asked, key.limits)
        if reason is not None:
            raise RateLimitError(reason)
        if route is not None:
            require_permission(http, key, route.permission)

    def _run(self, call: "_Call", headers: dict[str, str]) -> tuple[int, str]:
        now_ms = self._ports.clock.now_ms()
        key = checked_key(call.http.header("idempotency-key"))
        if call.route.method != "POST" or key is None:
            return self._operate(call, None, None, now_ms)
        claimed = self._claim(call, key, now_ms, call.object_ids)
        if claimed.answer is not None:
            return _replayed(claimed.answer, headers)
        try:
            return self._operate(call, key, claimed, now_ms)
        except KeyInUseError as error:
            # A twin of this request took the key in between; its answer may be there already.
            answer = self._claim(call, key, now_ms).answer
            if answer is None:
                raise key_in_use(key) from error
            return _replayed(answer, headers)
        except RejectedError as error:
            # What it was refused for may be its twin's own work, such as the capture it asks for.
            found = self._claim(call, key, self._ports.clock.now_ms(), call.object_ids)
            if found.answer is not None:
                return _replayed(found.answer, headers)
            if found.resumed and not claimed.resumed:
                # The twin died, or stopped with something open: this request goes on with it.
                return self._operate(call, key, found, now_ms)
            if error.is_answer:
                refusal = wire_error(error)
                self._keep(claimed.claim, refusal.status, dump(refusal.body))
            raise

    def _keep(self, claim: Claim, status: int, text: str) -> None:
        self._ports.idempotency.keep(replace(claim, answer=Answer(status, text)))

    def _claim(
        self, call: "_Call", key: str, now_ms: int, object_ids: Sequence[str] = ()
    ) -> Claimed:
        store, endpoint = self._ports.idempotency, call.http.path
        return claim_key(store, call.key.scope, key, endpoint, call.identity, now_ms, object_ids)

    def _operate(
        self, call: "_Call", key: str | None, claimed: Claimed | None, now_ms: int
    ) -> tuple[int, str]:
        scope, claim = call.key.scope, claimed.claim if claimed else None
        documents = self._ports.documents
        references = claimed.documents if claimed else documents.get_many(call.object_ids)
        publishable = call.key.is_publishable
        render = _Rendering(call.plan, self._ports.load, scope, publishable=publishable)
        request: Request[Any] = Request(
            scope=scope,
            actor=call.key.actor,
            request_id=call.request_id,
            params=call.params,
            path=call.path,
            references=references,
            now_ms=now_ms,
            idempotency_key=key,
            claim=claim,
            resumed=claimed is not None and claimed.resumed,
            entropy=self._ports.entropy,
            render=render,
            publishable=publishable,
        )
        reply = _carry_out(call.route, request)
        if call.route.is_list:
            backwards = getattr(call.params, "ending_before", None) is not None
            return reply.status, fitting(reply.body, render, backwards=backwards)
        text = render(reply.body)
        if reply.began and claim is not None:
            self._ports.idempotency.answer(claim, Answer(reply.status, text))
        if reply.unchanged and claim is not None:
            self._keep(claim, reply.status, text)
        return reply.status, text


@dataclass(frozen=True, slots=True)
class _Call:
    """A request that passed every check but that of its idempotency key."""

    http: HttpRequest
    route: Route
    path: Mapping[str, str]
    key: ApiKey
    params: Params
    plan: Plan
    identity: str
    request_id: str

    @property
    def object_ids(self) -> Sequence[str]:
        """The ids of the documents that the route names."""
        names = self.route.references
        named = names(self.params, self.key.scope) if names else ()
        return [name for name in named if name is not None and is_id(name)]


class _Rendering:
    """Expands and writes bodies; the same body again costs nothing.

    Args: publishable: for a publishable key, which is shown less.
    """

    def __init__(self, plan: Plan, loader: Loader, scope: Scope, *, publishable: bool) -> None:
        self._plan, self._loader, self._scope = plan, loader, scope
        self._publishable = publishable
        self._last: tuple[Json, str] | None = None

    def __call__(self, body: Json) -> str:
        if self._last is None or self._last[0] is not body:
            # An error object is sent as it is: it is not what the expansions were planned for.
            expands = "error" not in body
            full = self._plan.apply(body, self._loader, self._scope) if expands else body
            self._last = (body, dump(for_client(full) if self._publishable else full))
        return self._last[1]


def _carry_out(route: Route, request: Request[Any]) -> Reply:
    """Runs an operation; the intent that a refusal shows is shown as any answer would."""
    try:
        return route.operation(request)
    except RequestError as error:
        if request.publishable:
            error.show(for_client)
        raise


def _read_parameters(http: HttpRequest, route: Route | None) -> Tree:
    tree = decode(http.query, http.form_body())
    texts = [http.path, *(http.header(name) for name in _GUARDED_HEADERS)]
    is_vault = route is not None and route.conceal is not None
    refuse_card_data(texts, tree, is_vault=is_vault)
    return tree


def _without_card_data(tree: Tree, conceal: Conceal | None) -> Tree:
    """Returns the parameters as they may be fingerprinted and stored for a day.

    The number becomes a keyed digest: a plain hash of one is found again by trial. The CVC is
    left out, because nothing made of it may outlive its use.
    """
    card = tree.get("card")
    if conceal is None or not isinstance(card, dict):
        return tree
    plain = {key: value for key, value in card.items() if key not in {"number", "cvc"}}
    number = card.get("number")
    if isinstance(number, str):
        plain["number"] = conceal(number)
    return {**tree, "card": plain}


def _echo(http: HttpRequest, headers: dict[str, str]) -> None:
    """Sends back the headers that clients compare, where they are fit to be sent."""
    version = http.header("stripe-version")
    if _VERSION_FORM.fullmatch(version):
        headers["Stripe-Version"] = version
    key = checked_key(http.header("idempotency-key"))
    if key is not None:
        headers["Idempotency-Key"] = key


def _replayed(answer: Answer, headers: dict[str, str]) -> tuple[int, str]:
    headers["Idempotent-Replayed"] = "true"
    return answer.status, answer.body


def _refused(error: WireError, headers: dict[str, str]) -> tuple[int, str]:
    headers.update(error.headers)
    return error.status, dump(error.body)


def _described(error: Exception) -> dict[str, Any]:
    """Describes a bug by type and place; its message is left out, it may repeat what was sent."""
    frames = traceback.extract_tb(error.__traceback__)
    stack = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-20:]]
    return {"error": type(error).__name__, "stack": stack}


def _log(line: _LogLine, request_id: str, status: int, duration_ms: int, context: object) -> None:
    facts: dict[str, Any] = {
        "method": line.method,
        "route": line.route,
        "status": status,
        "account": line.account,
        "livemode": line.livemode,
        "key": line.actor,
        "request_id": request_id,
        "duration_ms": duration_ms,
        "invocation_id": getattr(context, "aws_request_id", None),
        **line.facts,
    }
    (logger.error if status >= 500 else logger.info)("request", **facts)
