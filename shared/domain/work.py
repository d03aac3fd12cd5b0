"""The state of a saga: what was asked, by whom, and under which idempotency key."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from shared.domain.changes import Context, PaymentChange
from shared.domain.errors import (
    ConflictError,
    InvariantError,
    KeyInUseError,
    PaymentError,
    RejectedError,
    VersionConflictError,
)
from shared.domain.idempotency import Claim
from shared.domain.payment import Payment, PendingOperation, Refund
from shared.domain.resolution import take_over
from shared.domain.saga import RESOLVE, Outcome

if TYPE_CHECKING:
    from shared.domain.ports import PaymentStore

_COMMIT_ATTEMPTS_MAX = 5


@dataclass(frozen=True, slots=True)
class Work:
    """What every saga's input carries.

    Args: saga: name. payment_id, account, livemode: whose payment. request_id, idempotency_key:
    of the API call. claim: to be made with the first write. order: the saga's own parameters.
    resumed: an earlier run of this request died; what it did at the provider is unknown.
    """

    saga: str
    payment_id: str
    account: str
    livemode: bool
    request_id: str
    idempotency_key: str | None
    actor: str
    claim: Claim | None
    order: Mapping[str, Any]
    resumed: bool = False

    @property
    def operation_key(self) -> str | None:
        """Names the request to its retries; None without an idempotency key."""
        return None if self.claim is None else self.claim.use

    def context(self, now_ms: int) -> Context:
        """Returns who asks, and when."""
        return Context(now_ms, self.request_id, self.idempotency_key, self.actor)

    def to_dict(self) -> dict[str, Any]:
        """Returns the JSON that starts a saga."""
        return asdict(self)

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> "Work":
        """Reads a saga's state; the results of its steps beside the input are ignored."""
        claim = state["claim"]
        return cls(
            saga=state["saga"],
            payment_id=state["payment_id"],
            account=state["account"],
            livemode=state["livemode"],
            request_id=state["request_id"],
            idempotency_key=state["idempotency_key"],
            actor=state["actor"],
            claim=Claim(**claim) if claim else None,
            order=state["order"],
            resumed=state["resumed"],
        )


def resolve_input(payment_id: str) -> dict[str, Any]:
    """Returns the JSON that starts the saga `resolve`, on nobody's request."""
    return {
        "saga": RESOLVE.name,
        "payment_id": payment_id,
        "account": None,
        "request_id": None,
    }


def is_same_request(payment: Payment, work: Work) -> bool:
    """Tells whether this very request was carried out, or begun, before: it is seen again."""
    return payment.knows(work.operation_key) or is_same_run(payment, work)


def is_same_run(payment: Payment, work: Work) -> bool:
    """Tells whether this very run made the newest change: one of its steps came twice."""
    return payment.last_request["id"] == work.request_id


def owns(operation: PendingOperation | Refund | None, work: Work) -> bool:
    """Tells whether an operation is still this run's, so that nobody else may have sent it."""
    return operation is not None and operation.run == work.request_id


def may_have_been_sent(state: Mapping[str, Any]) -> bool:
    """Tells whether an earlier run of the request may have reached the provider.

    Where it may, that the provider is not reached now says nothing about what it did before.
    """
    reserved = check_of(state, "reserve") or state.get("result") or {}
    return bool(state["resumed"] or reserved.get("resumed"))


def check_of(state: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """Returns what a step of a side-by-side stage left; None when it crashed or did not run."""
    output: Mapping[str, Any] | None = (state.get("checks") or {}).get(name)
    return output


def was_blocked(state: Mapping[str, Any]) -> bool:
    """Tells whether the risk score blocked the payment."""
    score = check_of(state, "risk")
    return score is not None and score["outcome"] == Outcome.BLOCK


def done(payment: Payment | None, outcome: Outcome = Outcome.DONE) -> dict[str, Any]:
    """Returns a step's output with the payment's state."""
    return {"outcome": outcome, "payment": payment.to_dict() if payment else None}


def refused(error: PaymentError, *, began: bool = False) -> dict[str, Any]:
    """Returns the output of a step that refuses, as data.

    Args: began: whether something was recorded before, so that the answer is final.
    """
    return {
        "outcome": Outcome.REFUSED,
        "began": began,
        "error": {"message": error.message, "code": error.code, "param": error.param},
    }


def conflicting(error: ConflictError) -> dict[str, Any]:
    """Returns the output of a step that another writer was faster than."""
    in_use = isinstance(error, KeyInUseError)
    return {"outcome": Outcome.KEY_IN_USE if in_use else Outcome.CONFLICT}


def written_by_this_run(payments: "PaymentStore", work: Work) -> Payment | None:
    """Returns the payment when this run wrote it last, so that its step was delivered twice."""
    payment = payments.load(work.payment_id)
    return payment if payment is not None and is_same_run(payment, work) else None


def load_payment(payments: "PaymentStore", payment_id: str) -> Payment:
    """Reads a payment that must exist.

    Raises: InvariantError when it does not.
    """
    payment = payments.load(payment_id)
    if payment is None:
        raise InvariantError(f"{payment_id} does not exist")
    return payment


def commit_latest(
    payments: "PaymentStore",
    payment: Payment,
    decide: Callable[[Payment], PaymentChange | None],
) -> Payment:
    """Commits what `decide` makes of the state, deciding again when another writer was first.

    Args: payment: the state as last read. decide: returns None when nothing is left to do.
    Returns: the state after the change, or as it is.
    Raises: VersionConflictError when other writers win too often; KeyInUseError.
    """
    for _ in range(_COMMIT_ATTEMPTS_MAX):
        change = decide(payment)
        if change is None:
            return payment
        try:
            payments.commit(change)
        except VersionConflictError:
            payment = load_payment(payments, payment.id)
        else:
            return change.payment
    raise VersionConflictError(f"{payment.id} changes too often; try again")


def commit_pending(
    payments: "PaymentStore",
    payment: Payment,
    decide: Callable[[Payment], PaymentChange | None],
) -> Payment:
    """Commits as `commit_latest` does, as long as the operation that is open on it stays open."""
    pending = payment.pending
    return commit_latest(
        payments,
        payment,
        lambda current: decide(current) if pending and pending.is_same(current.pending) else None,
    )


def carry_out(
    payments: "PaymentStore",
    payment: Payment,
    work: Work,
    now_ms: int,
    request: Callable[[], PaymentChange],
    send: Callable[[Payment], dict[str, Any]],
) -> dict[str, Any]:
    """Makes an operation durable, Tx1, and has it sent.

    Args: payment: the state the caller saw; a second operation finds another and is refused.
    request: checks the state and makes the change, or raises RejectedError. send: asks the
    provider, with the operation pending.
    Returns: a step's output: what `send` returns, or why the operation did not begin.
    """
    try:
        begun = _begin(payments, payment, work, now_ms, request)
    except RejectedError as error:
        return refused(error)
    except ConflictError as error:
        written = written_by_this_run(payments, work)
        if written is None:
            return conflicting(error)
        begun = written
    return send(begun)


def _begin(
    payments: "PaymentStore",
    payment: Payment,
    work: Work,
    now_ms: int,
    request: Callable[[], PaymentChange],
) -> Payment:
    """Makes an operation durable, or takes it over where an earlier run of it did."""
    if is_same_request(payment, work):
        context = work.context(now_ms)
        return commit_pending(
            payments, payment, lambda current: take_over(current, context, claim=work.claim)
        )
    change = request()
    payments.commit(change)
    return change.payment


def refuse_unsent(
    payments: "PaymentStore",
    payment: Payment,
    work: Work,
    error: RejectedError,
    record: Callable[[Payment, str, Context], PaymentChange],
    context: Context,
) -> dict[str, Any]:
    """Ends an operation that could not be sent, unless another run may have sent it meanwhile.

    Args: payment: with the operation pending. record: makes the change of a refusal.
    Returns: a step's output: refused, or the payment as it is when another run is or was at it.
    """

    def unsent(current: Payment) -> PaymentChange | None:
        return record(current, error.message, context) if owns(current.pending, work) else None

    after = commit_pending(payments, payment, unsent)
    return refused(error, began=True) if is_same_run(after, work) else done(after)
