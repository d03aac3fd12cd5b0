"""The running platform's evidence, projections and reports, as operators and outsiders see them."""

import subprocess
import sys
from pathlib import Path

import pytest

from local.build import ROOT
from local.demo import await_folded, read, take_payment
from local.home import STAGE, aws_environment
from local.ministack import NAME as MINISTACK
from tests.e2e.conftest import Platform
from tests.support.hledger import hledger
from tests.support.live import eventually

pytestmark = pytest.mark.e2e

COMMAND_TIMEOUT_S = 600
# What other tests left behind may still be settled or signed.
QUIET_S = 120


def run(platform: Platform, *command: str) -> subprocess.CompletedProcess[str]:
    environment = aws_environment(platform.home.read("ports.json")[MINISTACK])
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**environment, "FARTHING_HOME": str(platform.home.folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_TIMEOUT_S,
    )


@pytest.fixture(scope="module")
def paid(platform: Platform) -> dict[str, str]:
    """A merchant with a payment and a refund that are folded."""
    merchant = platform.merchant()
    client = platform.client(merchant)
    payment = take_payment(client)
    client.v1.refunds.create({"payment_intent": payment.id, "amount": 500})
    newest = read(client, f"/v1/ledger/journals?payment_intent={payment.id}")["data"][0]["id"]
    await_folded(client, newest)
    return merchant


def test_evidence_of_the_running_platform_is_verified(
    platform: Platform, paid: dict[str, str]
) -> None:
    # when
    done = eventually(
        lambda: run(platform, "local.verify_running"),
        lambda found: found.returncode == 0,
        within_s=QUIET_S,
    )
    # then
    assert "events and changes carry the platform's signature" in done.stdout


def test_projections_are_what_follows_from_the_events(
    platform: Platform, paid: dict[str, str]
) -> None:
    done = eventually(
        lambda: run(platform, "ops.ledger", "rebuild", "--stage", STAGE),
        lambda found: found.returncode == 0,
        within_s=QUIET_S,
    )
    assert (done.stdout, done.stderr.strip()) == ("", "no difference")


def test_hledger_accepts_the_books_of_a_merchant(
    platform: Platform, paid: dict[str, str], tmp_path: Path
) -> None:
    # given
    book = ("--stage", STAGE, "--account", paid["account"], "--mode", "test")
    # when
    done = run(platform, "ops.ledger", "report", "general-ledger", *book, "--format", "hledger")
    # then
    assert done.returncode == 0, done.stderr
    path = tmp_path / "books.journal"
    path.write_text(done.stdout)
    checked = hledger(path, "check", "--strict")
    assert (checked.returncode, checked.stderr) == (0, "")


def test_checkpoints_are_told_to_merchants(platform: Platform, paid: dict[str, str]) -> None:
    client = platform.client(paid)
    listed = eventually(lambda: read(client, "/v1/ledger/checkpoints")["data"], bool)
    assert read(client, f"/v1/ledger/checkpoints/{listed[0]['id']}") == listed[0]
