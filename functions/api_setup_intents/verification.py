"""Having a card verified, and answering with what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.domain import setups
from shared.domain.documents import Document, DocumentWrite
from shared.domain.errors import TransientError, UnknownOutcomeError
from shared.domain.ports import Clock, DocumentStore, SagaRunner
from shared.domain.saga import LOOKUP, SETUP
from shared.domain.setups import Setup, Silence
from shared.edge.api import Reply, Request
from shared.observability import logger
from shared.wire.errors import error_body
from shared.wire.setups import attempt_error, setup_intent

_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Verification:
    """Runs the sagas of setups."""

    runner: SagaRunner
    documents: DocumentStore
    clock: Clock

    def run(self, request: Request[Any], setup: Setup) -> Reply:
        """Has an attempt that was made durable carried out, unless it is over, and answers.

        The answer of an open one is not kept for retries: a retry goes on where this stopped.
        """
        if setup.is_open:
            setup = self._carried_out(request, setup)
        if setup.is_open:
            self.look_after(setup, f"{setup.attempt.id}-{setup.attempt.version}")
        error = attempt_error(setup.attempt)
        body = setup_intent(setup.intent)
        if error is None:
            return Reply(200, body, began=not setup.is_open)
        facts = {name: fact for name, fact in error.items() if name not in {"type", "message"}}
        refusal = error_body(error["type"], error["message"], **facts, setup_intent=body)
        return Reply(402 if error["type"] == "card_error" else 400, refusal, began=True)

    def _carried_out(self, request: Request[Any], setup: Setup) -> Setup:
        state = setups.setup_input(setup, request.context, resumed=request.resumed)
        try:
            self.runner.run(SETUP.name, state)
        except UnknownOutcomeError:
            logger.warning("the outcome of a setup is not known yet", setup=setup.intent.id)
        except TransientError:
            if not request.resumed:
                return self._given_up(request, setup)
        setup, _ = setups.load(self.documents, setup.names)
        return setup

    def _given_up(self, request: Request[Any], setup: Setup) -> Setup:
        """Ends an attempt that was never sent, because nobody could be asked to send it."""

        def decide(current: Setup, method: Document) -> Sequence[DocumentWrite]:
            return setups.record(current, Silence.NEVER_CAME, method, request.context)

        return setups.commit_open(self.documents, setup.names, decide)

    def look_after(self, setup: Setup, name: str) -> None:
        """Has what is open looked up behind the request's back; once for each name."""
        try:
            self.runner.start(LOOKUP.name, name, setups.lookup_input(setup))
        except TransientError:
            # Whoever reads the intent has it looked after again.
            logger.warning("nobody looks after a setup yet", setup=setup.intent.id)

    def look_after_forgotten(self, intent: Document) -> None:
        """Has an intent looked after that nobody looked after in time.

        Who started it died, or could not start what looks up; there is no other net below.
        """
        if intent.data["status"] != setups.SetupStatus.PROCESSING:
            return
        now_ms = self.clock.now_ms()
        attempt = self.documents.get(intent.data["latest_attempt"])
        if attempt is None or not Setup(intent, attempt).is_forgotten(now_ms):
            return
        # A name that this minute's other requests give it too, and a later minute's do not.
        self.look_after(Setup(intent, attempt), f"{attempt.id}-{now_ms // _MINUTE_MS}")
