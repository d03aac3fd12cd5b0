"""AWS Solutions rules. The fixtures of production and dev synthesize under them, so that a
finding fails every test of those stages; these tests show that a finding does fail.
"""

from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_sqs as sqs

from stacks import nag
from tests.support.synthesis import Platform


def test_nag_finding_without_a_reason_fails_synthesis(tmp_path: Path) -> None:
    # given a queue without dead letters, in plain HTTP
    app = cdk.App(outdir=str(tmp_path), analytics_reporting=False)
    sqs.Queue(cdk.Stack(app, "Stack"), "Queue")
    nag.check(app)

    # then
    with pytest.raises(RuntimeError, match="does not have a DLQ enabled"):
        app.synth()


def test_nag_finds_nothing_in_what_is_deployed_to_aws(production: Platform, dev: Platform) -> None:
    assert len(production.templates) == 7 * len(production.stage.regions)
    assert len(dev.templates) == 8


def test_nag_exceptions_carry_their_reasons() -> None:
    for rule, reason in nag.REASONS.items():
        assert len(reason) > 40, rule
