"""Stripe's Node SDK against the platform, as it comes from its registry."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from local.build import ROOT
from tests.e2e.conftest import Platform

pytestmark = pytest.mark.e2e

TIMEOUT_S = 120


def test_node_sdk_takes_captures_refunds_and_reads_a_decline(platform: Platform) -> None:
    # given
    node = shutil.which("node")
    assert node is not None, "Node.js is needed"
    merchant = {**platform.merchant(), "api_base": platform.base}
    # when
    done = subprocess.run(
        [node, str(Path(__file__).with_name("flow.mjs"))],
        cwd=ROOT,
        input=json.dumps(merchant),
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    # then
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "authorized": "requires_capture",
        "captured": "succeeded",
        "received": 4000,
        "refund": "succeeded",
        "listed": ["order", "intent"],
        "customer": "jenny@example.com",
        "refunded_once": True,
        "declined": {
            "type": "StripeCardError",
            "code": "card_declined",
            "decline_code": "generic_decline",
        },
    }
