"""Having a card verified, and answering with what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.domain import setups
from shared.domain.documents import Document, DocumentWrite
from shared.domain.errors import TransientError, UnknownOutcomeError
from shared.domain.ports import DocumentStore, SagaRunner
from shared.domain.saga import LOOKUP, SETUP
from shared.domain.setups import Setup, Silence
from shared.edge.api import Reply, Request
from shared.observability import logger
from shared.wire.errors import error_body
from shared.wire.setups import attempt_error, setup_intent


@dataclass(frozen=True, slots=True)
class Verification:
    """Runs the sagas of setups."""

    runner: SagaRunner
    documents: DocumentStore

    def run(self, request: Request[Any], setup: Setup) -> Reply:
        """Has an attempt that was made durable carried out, unless it is over, and answers.

        The answer of an open one is not kept for retries: a retry goes on where this stopped.
        """
        if setup.is_open:
            setup = self._carried_out(request, setup)
        if setup.is_open:
            self._look_after(setup.attempt)
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

    def _look_after(self, attempt: Document) -> None:
        """Has what is open looked up behind the request's back; once for each version."""
        name = f"{attempt.id}-{attempt.version}"
        try:
            self.runner.start(LOOKUP.name, name, setups.lookup_input(attempt.id))
        except TransientError:
            # The sweeper finds it by its date.
            logger.warning("nobody looks after a setup yet", attempt=attempt.id)
