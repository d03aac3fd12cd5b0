"""AWS Solutions rules (cdk-nag), and each exception with its reason.

Synthesis fails on a finding that is not acknowledged here.
"""

from collections.abc import Mapping

from aws_cdk import Acknowledgment, App, Validations
from cdk_nag import AwsSolutionsChecks

REASONS: Mapping[str, str] = {
    "AwsSolutions-APIG4": (
        "The functions authenticate (shared/edge): an HTTP API's authorizer cannot answer 401 "
        "with Stripe's error object. The sandbox network checks its bearer secret likewise."
    ),
    "AwsSolutions-IAM5[Resource::*]": (
        "Services without resource-level permissions: X-Ray segments (every function and "
        "machine), log delivery of state machines, dynamodb:ListStreams of the relay."
    ),
    "AwsSolutions-L1": (
        "Python 3.13 is what the assets' bytecode and native wheels are built and tested for."
    ),
    "AwsSolutions-S1": (
        "Who reads checkpoints is no secret, and nobody can change them; what one proves, it "
        "proves without a log of its readers."
    ),
    "AwsSolutions-SF1": (
        "Errors are logged, without execution data: the tables keep what happened, and logging "
        "every transition would cost more than the rest of a payment together."
    ),
    "AwsSolutions-SMG4": (
        "The sandbox network's secret opens test data only; StoredSecret reads a new one when "
        "it is replaced by hand."
    ),
}


def check(app: App) -> None:
    """Has the rules checked at synthesis."""
    rules = [Acknowledgment(id=rule, reason=reason) for rule, reason in REASONS.items()]
    Validations.of(app).acknowledge(*rules)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
