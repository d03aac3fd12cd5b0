"""What all functions have in common, and which may see what."""

import json
from typing import Any

from shared.domain.saga import SAGAS, SETTLE_STEP
from stacks.constructs import asl
from tests.support.synthesis import ROOT, Platform

FUNCTION = "AWS::Lambda::Function"
VAULT_FUNCTIONS = {
    "tokenize_card",
    "authorize_payment",
    "delete_card_verification",
    "resolve_payment",
    "verify_card",
}
SANDBOX_FUNCTIONS = {"sandbox_network", "api_test_helpers", "receive_notices"}


def functions(platform: Platform) -> dict[str, dict[str, Any]]:
    """Returns the properties of the functions of the first region, by function name."""
    region = platform.stage.regions[0]
    return {
        resource["Properties"]["Description"]: dict(resource["Properties"])
        for (stack, _), resource in platform.of_type(FUNCTION).items()
        if f"-{region}-" in stack
    }


def test_stage_deploys_every_function_that_there_is(platform: Platform) -> None:
    folders = {path.parent.name for path in (ROOT / "functions").glob("*/handler.py")}

    expected = folders if platform.stage.sandbox_network else folders - SANDBOX_FUNCTIONS

    assert set(functions(platform)) == expected


def test_function_is_arm64_python313_traced_and_bounded(platform: Platform) -> None:
    for name, function in functions(platform).items():
        assert function["Architectures"] == ["arm64"], name
        assert function["Runtime"] == "python3.13", name
        assert function["Handler"] == f"functions.{name}.handler.handler"
        assert function["TracingConfig"] == {"Mode": "Active"}, name
        assert function["MemorySize"] == 512, name
        assert 1 <= function["Timeout"] <= 60, name
        assert len(function["Layers"]) == 1, name
        assert "LogGroup" in function["LoggingConfig"], name


def test_function_log_has_retention_and_a_stated_end(platform: Platform) -> None:
    kept = platform.stage.is_production
    for where, log in platform.of_type("AWS::Logs::LogGroup").items():
        assert log["Properties"]["RetentionInDays"] == (365 if kept else 7), where
        assert log["DeletionPolicy"] == ("Retain" if kept else "Delete"), where


def test_function_timeouts_of_steps_are_the_tables(production: Platform) -> None:
    made = functions(production)
    table = {name: step for saga in SAGAS.values() for name, step in asl.steps(saga).items()}
    for name, step in {**table, SETTLE_STEP.name: SETTLE_STEP}.items():
        assert made[name]["Timeout"] == step.timeout_s, name


def test_function_environment_names_only_what_it_needs(production: Platform) -> None:
    books = {
        "PAYMENTS_TABLE",
        "OBJECTS_TABLE",
        "LEDGER_TABLE",
        "IDEMPOTENCY_TABLE",
        "EVIDENCE_TABLE",
        "BALANCES_TABLE",
        "EVENT_KEY_ARN",
    }
    objects = {"OBJECTS_TABLE", "IDEMPOTENCY_TABLE"}
    audited = objects | {"EVIDENCE_TABLE", "EVENT_KEY_ARN"}
    network = {"NETWORK_URL", "NETWORK_SECRET_ARN"}
    opening = {"VAULT_TABLE", "VERIFICATIONS_TABLE", "VAULT_KEY_ARN"}
    machines = {f"{name.upper()}_MACHINE_ARN" for name in SAGAS}
    setups = {"SETUP_MACHINE_ARN", "LOOKUP_MACHINE_ARN"}

    found = {
        name: set(function["Environment"]["Variables"]) - {"FARTHING_STAGE"}
        for name, function in functions(production).items()
    }

    assert found == {
        "api_payments": books | (machines - setups) | {"TOKENIZE_FUNCTION_NAME"},
        "api_setup_intents": audited | setups | {"TOKENIZE_FUNCTION_NAME"},
        "api_customers": audited | {"TOKENIZE_FUNCTION_NAME"},
        "api_events": audited,
        "api_ledger": books,
        "api_default": objects,
        "tokenize_card": audited | opening | {"FINGERPRINT_KEY_ARN", "VERIFICATION_QUEUE_URL"},
        "delete_card_verification": {"VERIFICATIONS_TABLE"},
        "validate_payment": set(),
        "score_fraud": set(),
        "reserve_funds": books,
        "release_funds": books,
        "authorize_payment": books | network | opening,
        "verify_card": audited | network | opening,
        "capture_payment": books | network,
        "increment_authorization": books | network,
        "void_authorization": books | network,
        "refund_capture": books | network,
        "resolve_payment": books | network | {"VERIFICATIONS_TABLE"},
        "sweep_due": {
            "PAYMENTS_TABLE",
            "OBJECTS_TABLE",
            "RESOLVE_MACHINE_ARN",
            "LOOKUP_MACHINE_ARN",
        },
        "settle_payment": books,
        "audit_invariants": books | {"AUDIT_TABLE"},
        "detect_duplicates": books | {"RECENT_PAYMENTS_TABLE"},
        "relay_events": objects | {"EVENT_BUS_NAME", "RELAY_DEAD_LETTERS_URL"},
        "deliver_webhook": audited | {"DELIVERY_QUEUE_URL", "DELIVERY_ASIDE_QUEUE_URL"},
        "seal_ledger": {
            "LEDGER_TABLE",
            "EVIDENCE_TABLE",
            "BALANCES_TABLE",
            "CHECKPOINT_QUEUE_URL",
            "SEAL_DEAD_LETTERS_URL",
        },
        "sign_checkpoint": {"EVIDENCE_TABLE", "CHECKPOINT_KEY_ARN", "CHECKPOINT_BUCKET"},
    }


def test_function_outside_the_local_stage_may_not_use_loopback(dev: Platform) -> None:
    for name, function in functions(dev).items():
        assert "LOCAL_LOOPBACK" not in function["Environment"]["Variables"], name


def test_card_data_is_known_to_the_vaults_functions_alone(platform: Platform) -> None:
    vault = platform.stack("Vault").name
    for template in platform.templates.values():
        resources = template.body["Resources"]
        for name, resource in resources.items():
            if f"{vault}:" in json.dumps(resource):
                owner = next(f for f in VAULT_FUNCTIONS if name.startswith(pascal(f)))
                assert resource["Type"] in {FUNCTION, "AWS::IAM::Policy"}, (owner, name)


def test_vault_code_is_given_to_the_vaults_functions_alone(production: Platform) -> None:
    made = functions(production)
    codes = {name: json.dumps(function["Code"]) for name, function in made.items()}

    with_vault_code = {n for n, code in codes.items() if code == codes["tokenize_card"]}

    assert with_vault_code == VAULT_FUNCTIONS


def pascal(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def test_sandbox_is_absent_where_real_money_moves(production: Platform) -> None:
    text = json.dumps([template.body for template in production.templates.values()])

    assert not [name for name in production.templates if name.endswith("SandboxNetwork")]
    assert "test_helpers" not in text
    assert "sandbox_network" not in text
