"""What each function costs to import: CPU time of a fresh process, and how many modules it loads.

Every figure is the minimum of five rounds, interleaved; the ratio is to a base handler (logger,
metrics, boto3 and one DynamoDB client) of the same rounds. Milliseconds are this machine's,
ratios carry over. The gate that fails a build is deterministic: tests/unit/test_cold_start.py.
"""

import subprocess
import sys
from pathlib import Path

from local.build import ROOT

ROUNDS = 5
API_RATIO_MAX, STEP_RATIO_MAX, VAULT_RATIO_MAX = 1.6, 1.15, 1.2
# What composes a vault loads `cryptography` too, at its first use.
VAULT = {"authorize_payment", "tokenize_card", "verify_card"}
BASE = (
    "import aws_lambda_powertools, boto3; aws_lambda_powertools.Logger();"
    "aws_lambda_powertools.Metrics(namespace='base');"
    "boto3.Session().client('dynamodb', region_name='us-east-1')"
)
PROBE = (
    "import resource, sys; {statement};"
    "usage = resource.getrusage(resource.RUSAGE_SELF);"
    "print(round((usage.ru_utime + usage.ru_stime) * 1000), len(sys.modules))"
)
COMPOSED = (
    "import botocore.session; import functions.{name}.handler{composed};"
    "botocore.session.get_session().create_client('dynamodb', region_name='us-east-1')"
)


def main() -> bool:
    """Prints a row per function; tells whether APIs and steps keep their ratio to the base."""
    names = sorted(path.parent.name for path in (ROOT / "functions").glob("*/handler.py"))
    statements = {"(base handler)": BASE}
    for name in names:
        pure = name in {"validate_payment", "score_fraud"}
        statement = f"import functions.{name}.handler" if pure else _composed(name)
        statements[name] = statement
    best: dict[str, tuple[int, int]] = {}
    for _ in range(ROUNDS):
        for name, statement in statements.items():
            measured = _measure(statement)
            best[name] = min(best.get(name, measured), measured)
    base = best["(base handler)"][0]
    print(f"{'function':28} {'cpu ms':>7} {'ratio':>6} {'modules':>8}")
    for name, (milliseconds, modules) in best.items():
        print(f"{name:28} {milliseconds:7} {milliseconds / base:6.2f} {modules:8}")
    slow = [name for name, (cost, _) in best.items() if cost / base > _bound(name)]
    if slow:
        print(f"over its bound: {', '.join(slow)}")
    return not slow


def _composed(name: str) -> str:
    composed = ", shared.adapters.vault_kms" if name in VAULT else ""
    return COMPOSED.format(name=name, composed=composed)


def _bound(name: str) -> float:
    is_api = name.startswith("api_") or name == "tokenize_card"
    if is_api:
        return API_RATIO_MAX
    return VAULT_RATIO_MAX if name in VAULT else STEP_RATIO_MAX


def _measure(statement: str) -> tuple[int, int]:
    command = [sys.executable, "-c", PROBE.format(statement=statement)]
    output = subprocess.run(command, cwd=Path(ROOT), capture_output=True, text=True, check=True)
    milliseconds, modules = output.stdout.split()
    return int(milliseconds), int(modules)
