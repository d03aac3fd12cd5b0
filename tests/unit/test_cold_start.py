"""What each function imports at a cold start, counted in a fresh process: a budget without clock.

Import time is cost and latency; it was measured per library, and these are the ones that a
function must not load, and how many modules it may load.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FUNCTIONS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/handler.py"))
CONSUMERS = {
    "audit_invariants",
    "delete_card_verification",
    "deliver_webhook",
    "detect_duplicates",
    "receive_notices",
    "relay_events",
    "sandbox_network",
    "seal_ledger",
    "settle_payment",
    "sign_checkpoint",
}
# What composes a vault costs the modules of `cryptography`; what only deletes from one does not.
CARD_SCOPE = {"authorize_payment", "tokenize_card", "verify_card"}
PURE = {"score_fraud", "validate_payment"}
NEVER = {"aws_cdk", "aws_xray_sdk", "jsonschema", "moto", "requests", "stripe"}
STEP_MODULES_MAX, CONSUMER_MODULES_MAX, API_MODULES_MAX = 470, 540, 650
CRYPTOGRAPHY_MODULES_MAX = 30

PROBE = """
import importlib, json, sys
for module in {modules}:
    importlib.import_module(module)
print(json.dumps(sorted(sys.modules)))
"""


def is_api(function: str) -> bool:
    return function.startswith("api_") or function == "tokenize_card"


def probe(function: str) -> str:
    """Writes a program that imports what the function imports, its composition included."""
    composed = [] if function in PURE else ["shared.adapters.event_keys"]
    composed += ["shared.adapters.vault_kms"] if function in CARD_SCOPE else []
    return PROBE.format(modules=[f"functions.{function}.handler", *composed])


def modules_max(function: str) -> int:
    if is_api(function):
        return API_MODULES_MAX
    if function in CONSUMERS:
        return CONSUMER_MODULES_MAX
    return STEP_MODULES_MAX + (CRYPTOGRAPHY_MODULES_MAX if function in CARD_SCOPE else 0)


@pytest.fixture(scope="module")
def imported() -> dict[str, set[str]]:
    """Returns the modules of each function; the processes run side by side."""
    processes = {
        function: subprocess.Popen(
            [sys.executable, "-c", probe(function)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for function in FUNCTIONS
    }
    modules = {}
    for function, process in processes.items():
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        modules[function] = set(json.loads(output))
    return modules


@pytest.mark.parametrize("function", FUNCTIONS)
def test_function_loads_no_library_that_it_cannot_afford(
    function: str, imported: dict[str, set[str]]
) -> None:
    # given
    refused = NEVER | (set() if is_api(function) else {"pydantic"})
    refused |= set() if function in CARD_SCOPE else {"cryptography"}
    # then
    assert not refused & imported[function]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_function_loads_no_more_modules_than_its_budget(
    function: str, imported: dict[str, set[str]]
) -> None:
    assert len(imported[function]) <= modules_max(function)


@pytest.mark.parametrize("function", sorted(PURE))
def test_function_that_talks_to_nobody_loads_no_client(
    function: str, imported: dict[str, set[str]]
) -> None:
    # given: powertools registers itself with botocore's first module, which loads no other
    clients = {
        name for name in imported[function] if name.partition(".")[0] in {"boto3", "botocore"}
    }
    # then
    assert clients <= {"botocore"}


def test_budgets_name_functions_that_exist() -> None:
    assert set(FUNCTIONS) >= CONSUMERS | CARD_SCOPE | PURE
