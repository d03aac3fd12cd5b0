"""THE STEP TABLE: what each saga does, in which order, and how it is undone. Data only.

Readers: the construct that renders it as Amazon States Language, the tests that walk it, the
steps themselves for their outcome names.

Every step is a Lambda that takes the saga's state and returns {"outcome": ..., ...}. An outcome
in `proceed` goes to the next stage; one in `undo_from` enters the undo chain at the named step;
any other ends the saga with the step's output as its answer. An error that a step did not expect
(a crash, a timeout) leaves its effect unknown, so it enters the chain at the step's own undo.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """What a step may answer; each is business, not an error."""

    VALID = "valid"
    REFUSED = "refused"
    RESERVED = "reserved"
    CONFLICT = "conflict"
    KEY_IN_USE = "key_in_use"
    ALLOW = "allow"
    BLOCK = "block"
    AUTHORIZED = "authorized"
    UNAVAILABLE = "unavailable"
    UNDOING = "undoing"
    UNDONE = "undone"
    DONE = "done"
    PARKED = "parked"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Step:
    """One Lambda of a saga.

    Args: name: function and state. proceed: outcomes that go on. undo: where an unexpected error
    enters the undo chain, None to park. undo_from: business outcomes that enter it, and where,
    None to park. again: an outcome after which the step runs once more, at its output's `due_at`.
    timeout_s: of the task. attempts_max: of service errors before an effect (each step is
    idempotent, so sending it again is safe). asks_provider: what it answers when the provider
    cannot be reached holds only if it did not run before, so it is sent again only where it
    certainly did not; an undo needs no such care, because it raises then. check: where a step of
    a side-by-side stage leaves its output, under `checks` in the saga's state; None when it
    crashed. Other steps leave theirs at `result`.
    """

    name: str
    proceed: tuple[Outcome, ...] = ()
    undo: str | None = None
    undo_from: Mapping[Outcome, str | None] = field(default_factory=dict)
    timeout_s: int = 5
    attempts_max: int = 3
    asks_provider: bool = False
    check: str | None = None
    again: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Saga:
    """Stages in order (steps of one stage run side by side) and the undo chain.

    Args: undo_chain: steps in the order they undo; entering at one runs it and those after it.
    is_lasting: nobody waits for its answer, and it may go on for days (a Standard workflow).
    """

    name: str
    stages: tuple[tuple[Step, ...], ...]
    undo_chain: tuple[Step, ...] = ()
    is_lasting: bool = False


_PROVIDER_TIMEOUT_S = 12

RELEASE_FUNDS = Step("release_funds", proceed=(Outcome.UNDONE,))
VOID_AUTHORIZATION = Step(
    "void_authorization", proceed=(Outcome.UNDONE,), timeout_s=_PROVIDER_TIMEOUT_S
)
REFUND_CAPTURE = Step("refund_capture", proceed=(Outcome.UNDONE,), timeout_s=_PROVIDER_TIMEOUT_S)

PAY = Saga(
    "pay",
    stages=(
        (Step("validate_payment", proceed=(Outcome.VALID,), undo="release_funds"),),
        (
            Step(
                "reserve_funds",
                proceed=(Outcome.RESERVED,),
                undo="release_funds",
                # An earlier run of the request began to undo, and stopped on the way.
                undo_from={Outcome.UNDOING: "refund_capture"},
                check="reserve",
            ),
            Step(
                "score_fraud",
                check="risk",
                proceed=(Outcome.ALLOW,),
                undo="release_funds",
                # Nothing was sent, unless by an earlier run of the request; the step knows.
                undo_from={Outcome.BLOCK: "void_authorization"},
            ),
        ),
        (
            Step(
                "authorize_payment",
                proceed=(Outcome.AUTHORIZED,),
                undo="void_authorization",
                undo_from={Outcome.UNAVAILABLE: "release_funds"},
                timeout_s=_PROVIDER_TIMEOUT_S,
                asks_provider=True,
            ),
        ),
        # Reached only where the provider has no sale call: otherwise one call did both.
        (
            Step(
                "capture_payment",
                undo="refund_capture",
                undo_from={Outcome.REFUSED: "refund_capture"},
                timeout_s=_PROVIDER_TIMEOUT_S,
                asks_provider=True,
            ),
        ),
    ),
    undo_chain=(REFUND_CAPTURE, VOID_AUTHORIZATION, RELEASE_FUNDS),
)

CAPTURE = Saga(
    "capture",
    stages=((Step("capture_payment", timeout_s=_PROVIDER_TIMEOUT_S, asks_provider=True),),),
)

INCREMENT = Saga(
    "increment",
    stages=((Step("increment_authorization", timeout_s=_PROVIDER_TIMEOUT_S, asks_provider=True),),),
)

CANCEL = Saga(
    "cancel",
    stages=(
        (
            Step(
                "void_authorization",
                proceed=(Outcome.UNDONE,),
                timeout_s=_PROVIDER_TIMEOUT_S,
                asks_provider=True,
            ),
        ),
        (Step("release_funds"),),
    ),
)

REFUND = Saga(
    "refund",
    stages=(
        (Step("reserve_funds", proceed=(Outcome.RESERVED,)),),
        (
            Step(
                "refund_capture",
                undo_from={Outcome.UNAVAILABLE: "release_funds"},
                timeout_s=_PROVIDER_TIMEOUT_S,
                asks_provider=True,
            ),
        ),
    ),
    undo_chain=(RELEASE_FUNDS,),
)

# Looks after what the others left open. The provider may be asked a few times in one run.
RESOLVE = Saga(
    "resolve",
    stages=(
        (
            Step(
                "resolve_payment",
                undo_from={Outcome.PARKED: None},
                timeout_s=30,
                again=Outcome.WAITING,
            ),
        ),
    ),
    is_lasting=True,
)

# Verifies a card that is to be charged later. No money moves, so there is nothing to undo; the
# attempt is durable before it begins.
SETUP = Saga(
    "setup",
    stages=((Step("verify_card", timeout_s=_PROVIDER_TIMEOUT_S, asks_provider=True),),),
)

# Looks up what became of it where that was not heard.
LOOKUP = Saga(
    "lookup",
    stages=((Step("verify_card", timeout_s=_PROVIDER_TIMEOUT_S, again=Outcome.WAITING),),),
    is_lasting=True,
)

SAGAS: Mapping[str, Saga] = {
    saga.name: saga for saga in (PAY, INCREMENT, CAPTURE, CANCEL, REFUND, RESOLVE, SETUP, LOOKUP)
}

# Runs off the stream after the answer; it is a step of the payment, not of the request.
SETTLE_STEP = Step("settle_payment", timeout_s=30)
