"""Seals what streams tell of: journals, events of payments, changes of documents.

A record that cannot be read is poison: it would stop its stream for ever, so it is set aside, an
alarm fires, and the batch goes on. So is a record under the name of a sealed one with other
contents, and what keeps a shard from being folded: balances wait for whoever repairs it, evidence
does not. A failure to write concerns every record, so it is raised and the stream repeats the
batch; that is harmless, because what is sealed is found.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from aws_lambda_powertools import Logger

from functions.seal_ledger.records import record_of
from functions.seal_ledger.sealer import Sealer, Stores
from shared import bootstrap, bootstrap_ledger
from shared.domain.evidence import Record
from shared.observability import DeadLetters, spared
from shared.observability import logger as shared_logger


class CheckpointRequests(Protocol):
    """Asks for checkpoints."""

    def ask(self) -> None:
        """Asks for one soon; those who ask within ten seconds get the same."""


class LedgerSeal:
    """Seals batches of stream records."""

    def __init__(
        self,
        sealer: Sealer,
        checkpoints: CheckpointRequests,
        dead_letters: DeadLetters,
        logger: Logger,
    ) -> None:
        self._sealer = sealer
        self._checkpoints = checkpoints
        self._dead_letters = dead_letters
        self._logger = logger

    def handle(self, batch: Mapping[str, Any], _context: object) -> dict[str, Any]:
        """Seals a batch; returns no failures, because what fails is raised or set aside."""
        read = [self._read(told) for told in batch["Records"]]
        records = [record for record in read if record is not None]
        if records:
            self._seal(records)
        self._logger.info("sealed", told=len(read), records=len(records))
        return {"batchItemFailures": []}

    def _seal(self, records: Sequence[Record]) -> None:
        sealed = self._sealer.seal(records)
        for sifted in sealed.values():
            for record in sifted.altered:
                self._set_aside(record)
        # Also for what was sealed before: whoever did may have ended before it asked.
        self._checkpoints.ask()
        for shard, error in self._sealer.fold(sealed).items():
            self._logger.error("a shard cannot be folded", shard=shard, detail=str(error))
            self._dead_letters.put({"shard": str(shard), "error": str(error)})

    def _read(self, told: Mapping[str, Any]) -> Record | None:
        failure = "a record cannot be read"
        return spared(told, record_of, self._dead_letters, failure=failure, log=self._logger)

    def _set_aside(self, record: Record) -> None:
        self._logger.error("a record is sealed with other contents", record=record.id)
        letter = {"kind": record.kind, "record": record.id, "error": "sealed with other contents"}
        self._dead_letters.put(letter)


@functools.cache
def _seal() -> LedgerSeal:
    stores = Stores(
        blocks=bootstrap_ledger.blocks(),
        pages=bootstrap_ledger.pages(),
        stripes=bootstrap_ledger.stripes(),
        ledger=bootstrap.ledger(),
        available=bootstrap_ledger.available(),
    )
    return LedgerSeal(
        Sealer(stores, bootstrap.clock()),
        bootstrap_ledger.checkpoint_requests(),
        bootstrap_ledger.seal_dead_letters(),
        shared_logger,
    )


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Handles a batch of a DynamoDB stream."""
    return _seal().handle(event, context)
