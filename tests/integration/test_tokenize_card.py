"""The vault's API over DynamoDB and KMS."""

import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import boto3
import pytest
from moto import mock_aws

from functions.tokenize_card import handler as tokenize_card
from shared import bootstrap, bootstrap_vault
from shared.adapters.dynamodb_documents import DynamoDocumentStore, DynamoIdempotencyStore
from shared.adapters.memory import MemoryClock
from shared.adapters.memory_signer import MemorySigner
from shared.adapters.vault_kms import KmsCardSealer, KmsVault
from shared.adapters.verification_queue import SqsVerificationDeletions
from shared.domain import idempotency
from shared.domain.errors import TransientError
from shared.edge import documents
from shared.edge.params import canonical, decode
from shared.observability import logger as platform_logger
from tests.support.aws import REGION, create_table, create_vault_keys, create_vault_tables
from tests.support.vault_api import CARD, CVC, DEVELOPMENT, METHOD, NUMBER, VaultApi

EVENTS = Path(__file__).parents[2] / "events"


class Subject(VaultApi):
    def __init__(self) -> None:
        clock = MemoryClock()
        self.dynamodb: Any = boto3.client("dynamodb", region_name=REGION)
        self.sqs: Any = boto3.client("sqs", region_name=REGION)
        kms = boto3.client("kms", region_name=REGION)
        create_table(self.dynamodb, "objects")
        create_table(self.dynamodb, "idempotency", has_sort_key=False)
        data_key, mac_key = create_vault_keys(kms)
        self.queue_url = self.sqs.create_queue(QueueName="verifications")["QueueUrl"]
        common: dict[str, Any] = {
            "dynamodb": self.dynamodb,
            "kms": kms,
            **create_vault_tables(self.dynamodb),
            "data_key_id": data_key,
            "clock": clock,
        }
        deletions = SqsVerificationDeletions(sqs=self.sqs, queue_url=self.queue_url)
        sealer = KmsCardSealer(fingerprint_key_id=mac_key, deletions=deletions, **common)
        self.vault = KmsVault(has_sandbox_cards=True, **common)
        documents = DynamoDocumentStore(
            self.dynamodb, "objects", "idempotency", MemorySigner(clock)
        )
        self.claims = DynamoIdempotencyStore(self.dynamodb, "idempotency", "objects", clock)
        self.logs = _captured_logs()
        super().__init__(sealer, documents, self.claims, clock, DEVELOPMENT)

    def rows(self, table: str) -> list[dict[str, Any]]:
        return list(self.dynamodb.scan(TableName=table)["Items"])

    def messages(self) -> int:
        attributes = self.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=["All"])[
            "Attributes"
        ]
        return int(attributes["ApproximateNumberOfMessagesDelayed"])


@pytest.fixture
def subject(monkeypatch: pytest.MonkeyPatch) -> Iterator[Subject]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws():
        yield Subject()


def _captured_logs() -> io.StringIO:
    """Captures every line of every logger, the platform's formatted as in production."""
    logs = io.StringIO()
    for logger in (platform_logger, logging.getLogger()):
        handler = logging.StreamHandler(logs)
        if logger is platform_logger:
            handler.setFormatter(platform_logger.registered_formatter)
        logger.addHandler(handler)
    return logs


@pytest.fixture(autouse=True)
def _restored_loggers() -> Iterator[None]:
    root = logging.getLogger()
    before = list(root.handlers), list(platform_logger.handlers)
    yield
    root.handlers[:], platform_logger.handlers[:] = before


def _holds_card_data(text: str) -> bool:
    """Tells whether a text holds the number, or the security code as a word of its own."""
    code = re.search(rf"(?<![0-9A-Za-z]){CVC}(?![0-9A-Za-z])", text)
    return NUMBER in text or code is not None


def test_payment_method_names_a_card_that_the_vault_opens(subject: Subject) -> None:
    document = subject.stored(subject.method().body["id"])
    opened = subject.vault.open(document.data["card"]["vault_token"], "acct_1")
    assert (opened.number, opened.cvc) == (NUMBER, CVC)
    assert subject.messages() == 1


def test_card_data_stays_out_of_logs_answers_and_every_table(subject: Subject) -> None:
    # given all that can happen to a card
    answers = [
        subject.method(idempotency_key="k1"),
        subject.method(idempotency_key="k1"),
        subject.method({**METHOD, "card[exp_month]": "13"}, idempotency_key="k1"),
        subject.method({**METHOD, "card[exp_month]": "13"}),
        subject.method({**METHOD, "card[cvc]": CVC + "1"}),
        subject.method({**METHOD, "card[nonsense]": "1"}),
        subject.method({**METHOD, "metadata[card]": NUMBER}),
        subject.method({**METHOD, f"card[{NUMBER}]": "1"}),
        subject.method({**METHOD, "card[number]": NUMBER + " x"}),
        subject.token(idempotency_key="k2"),
        subject.post("/v1/tokens/elsewhere", CARD),
    ]
    subject.dynamodb.delete_table(TableName="vault")
    answers.append(subject.method(idempotency_key="k3"))
    # then
    assert [answer.status for answer in answers] == [
        *(200, 200, 400, 402, 402, 400, 400, 400, 402, 200, 400),
        500,
    ]
    for answer in answers:
        assert not _holds_card_data(json.dumps([answer.body, dict(answer.headers)]))
    for table in ("objects", "idempotency"):
        assert not _holds_card_data(repr(subject.rows(table)))
    logs = subject.logs.getvalue()
    assert logs.count('"message":"request"') == len(answers)
    assert not _holds_card_data(logs)


def test_vault_table_holds_no_card_data_in_the_clear(subject: Subject) -> None:
    subject.method()
    for table in ("vault", "verifications"):
        (row,) = subject.rows(table)
        assert not _holds_card_data(repr(row))


def test_claim_is_fingerprinted_by_a_keyed_digest_of_the_number(subject: Subject) -> None:
    # given
    subject.method(idempotency_key="k1")
    name = idempotency.key_hash("acct_1", "test", "k1")
    # when
    claim = subject.claims.find(name).claim
    # then no plain hash of what was sent, with or without the code, leads to it
    assert claim is not None
    for left_out in ((), ("card[cvc]",)):
        form = {key: value for key, value in METHOD.items() if key not in left_out}
        tree = decode("", urlencode(form).encode())
        plain = idempotency.fingerprint("/v1/payment_methods", canonical(tree))
        assert claim.fingerprint != plain


def test_same_key_again_replays_the_first_answer(subject: Subject) -> None:
    first = subject.method(idempotency_key="k1")
    again = subject.method(idempotency_key="k1")
    assert again.body == first.body
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (len(subject.rows("vault")), len(subject.rows("verifications"))) == (1, 1)
    assert subject.messages() == 1


@pytest.mark.parametrize("spare_bytes", [0, 300])
@pytest.mark.parametrize("is_token", [False, True])
def test_card_whose_texts_cannot_be_stored_is_not_sealed(
    subject: Subject, monkeypatch: pytest.MonkeyPatch, is_token: bool, spare_bytes: int
) -> None:
    # given: texts that are too long, or would be with what is known of the card
    text = "x" * 500
    monkeypatch.setattr(documents, "DATA_BYTES_MAX", len(text) + spare_bytes)
    form = {**CARD, "card[name]": text} if is_token else {**METHOD, "metadata[order]": text}
    # when
    answer = subject.post("/v1/tokens" if is_token else "/v1/payment_methods", form)
    # then
    assert (answer.status, answer.error["code"]) == (400, "details_too_large")
    assert (subject.rows("vault"), subject.rows("verifications")) == ([], [])


def test_retry_after_a_crash_before_the_commit_finds_the_sealed_card(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a commit that fails after the card was sealed
    def fail(*_: Any, **__: Any) -> None:
        raise TransientError("The store is busy; try again.")

    with monkeypatch.context() as patched:
        patched.setattr(subject.documents, "commit", fail)
        assert subject.method(idempotency_key="k1").status == 503
    sealed = subject.rows("vault"), subject.rows("verifications")
    # when
    answer = subject.method(idempotency_key="k1")
    # then no second copy of the card is kept
    assert answer.status == 200
    assert (subject.rows("vault"), subject.rows("verifications")) == sealed


@pytest.fixture
def deployed(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> Iterator[Subject]:
    """Gives the handlers the settings their stacks would."""
    kms = boto3.client("kms", region_name=REGION)
    data_key, mac_key = create_vault_keys(kms)
    settings = {
        "AWS_REGION": REGION,
        "FARTHING_STAGE": "local",
        "OBJECTS_TABLE": "objects",
        "EVIDENCE_TABLE": "evidence",
        "IDEMPOTENCY_TABLE": "idempotency",
        "VAULT_TABLE": "vault",
        "VERIFICATIONS_TABLE": "verifications",
        "VAULT_KEY_ARN": data_key,
        "FINGERPRINT_KEY_ARN": mac_key,
        "VERIFICATION_QUEUE_URL": subject.queue_url,
        "EVENT_KEY_ARN": kms.create_key()["KeyMetadata"]["Arn"],
    }
    create_table(subject.dynamodb, "evidence")
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    _forget_composition()
    yield subject
    _forget_composition()


def _forget_composition() -> None:
    for module in (bootstrap, bootstrap_vault, tokenize_card):
        for member in vars(module).values():
            if hasattr(member, "cache_clear"):
                member.cache_clear()


def test_tokenize_card_sample_event_gives_a_payment_method(deployed: Subject) -> None:
    event = json.loads((EVENTS / "tokenize_card.json").read_text())
    answer = tokenize_card.handler(event, None)
    assert answer is not None
    assert answer["statusCode"] == 200
    method_id = json.loads(answer["body"])["id"]
    stored = deployed.stored(method_id)
    opened = bootstrap_vault.vault().open(stored.data["card"]["vault_token"], "acct_1")
    assert opened.cvc == "123"


def test_tokenize_card_invocation_describes_an_alias(deployed: Subject) -> None:
    event = {"describe_alias": "pm_card_visa", "account": "acct_1"}
    described = tokenize_card.handler(event, None)
    assert described is not None
    assert (described["brand"], described["last4"]) == ("visa", "4242")
    assert tokenize_card.handler({**event, "describe_alias": "pm_card_x"}, None) is None
