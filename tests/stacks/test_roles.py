"""What each role may do: as little as its function needs."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from tests.support.synthesis import REGION, Platform

ROLE = "AWS::IAM::Role"
POLICY = "AWS::IAM::Policy"
READ = {"GetItem", "BatchGetItem", "Query"}
SIGNING = {
    "Evidence": {"GetItem", "PutItem"},
    "EventKey": {"GenerateDataKey", "Decrypt"},
}
PAYMENT_CHANGE = {
    "Payments": {"GetItem", "PutItem"},
    "Ledger": {"PutItem"},
    "Balances": {"UpdateItem"},
    **SIGNING,
}
LISTED = {"Objects": {"PutItem"}}
SAVED = {"Objects": {"GetItem", "PutItem"}}
CLAIMED = {"Idempotency": {"PutItem"}}
CLAIMS = {"Idempotency": {"BatchGetItem", "PutItem", "UpdateItem"}}
DOCUMENTS = {"Objects": READ | {"PutItem", "DeleteItem"}, **CLAIMS}
COUNTED = {"Idempotency": {"UpdateItem"}}
NETWORK = {"secret": {"GetSecretValue"}}
FOLLOWED = {"DescribeStream", "GetRecords", "GetShardIterator"}
SET_ASIDE = {"SendMessage", "GetQueueAttributes", "GetQueueUrl"}
FOLDED = {"Query", "PutItem", "UpdateItem"}
CONSUMED = {
    "ReceiveMessage",
    "ChangeMessageVisibility",
    "GetQueueUrl",
    "DeleteMessage",
    "GetQueueAttributes",
}

# Beside its own log group and trace segments. A transaction needs the rights of its operations.
RIGHTS: Mapping[str, Mapping[str, set[str]]] = {
    "ApiPayments": {
        **PAYMENT_CHANGE,
        "Payments": {"GetItem", "BatchGetItem", "PutItem"},
        "Ledger": {"PutItem", "Query", "BatchGetItem"},
        **DOCUMENTS,
        "PaySaga": {"StartSyncExecution"},
        "IncrementSaga": {"StartSyncExecution"},
        "CaptureSaga": {"StartSyncExecution"},
        "CancelSaga": {"StartSyncExecution"},
        "RefundSaga": {"StartSyncExecution"},
        "ResolveSaga": {"StartExecution"},
        "TokenizeCard": {"InvokeFunction"},
    },
    "ApiCustomers": {**DOCUMENTS, **SIGNING, "TokenizeCard": {"InvokeFunction"}},
    "ApiSetupIntents": {
        **DOCUMENTS,
        **SIGNING,
        "SetupSaga": {"StartSyncExecution"},
        "LookupSaga": {"StartExecution"},
        "TokenizeCard": {"InvokeFunction"},
    },
    "ApiEvents": {**DOCUMENTS, **SIGNING},
    "ApiLedger": {
        "Objects": READ,
        "Payments": READ,
        "Ledger": {"Query", "BatchGetItem"},
        "Balances": {"Query"},
        "Evidence": READ,
        **COUNTED,
    },
    "ApiDefault": {"Objects": {"GetItem"}, **COUNTED},
    "TokenizeCard": {
        **DOCUMENTS,
        **SIGNING,
        "Vault": {"PutItem"},
        "Verifications": {"PutItem"},
        "CardKey": {"GenerateDataKey"},
        "FingerprintKey": {"GenerateMac"},
        "VerificationsQueue": {"SendMessage"},
    },
    "DeleteCardVerification": {"Verifications": {"DeleteItem"}, "VerificationsQueue": CONSUMED},
    "ValidatePayment": {},
    "ScoreFraud": {},
    "ReserveFunds": {**PAYMENT_CHANGE, **LISTED, **CLAIMED},
    "ReleaseFunds": {**PAYMENT_CHANGE, **LISTED},
    "AuthorizePayment": {
        **PAYMENT_CHANGE,
        **SAVED,
        **NETWORK,
        "Vault": {"BatchGetItem"},
        "Verifications": {"BatchGetItem", "DeleteItem"},
        "CardKey": {"Decrypt"},
    },
    "VerifyCard": {
        **SIGNING,
        **NETWORK,
        "Objects": {"BatchGetItem", "PutItem", "DeleteItem"},
        "Vault": {"BatchGetItem"},
        "Verifications": {"BatchGetItem", "DeleteItem"},
        "CardKey": {"Decrypt"},
    },
    "CapturePayment": {**PAYMENT_CHANGE, **CLAIMED, **NETWORK},
    "IncrementAuthorization": {**PAYMENT_CHANGE, **CLAIMED, **NETWORK},
    "VoidAuthorization": {**PAYMENT_CHANGE, **CLAIMED, **NETWORK},
    "RefundCapture": {**PAYMENT_CHANGE, **NETWORK},
    "ResolvePayment": {
        **PAYMENT_CHANGE,
        **SAVED,
        **NETWORK,
        "Verifications": {"DeleteItem"},
    },
    "SweepDue": {
        "Payments": {"Query"},
        "Objects": {"Query"},
        "ResolveSaga": {"StartExecution"},
        "LookupSaga": {"StartExecution"},
    },
    "SettlePayment": {**PAYMENT_CHANGE, "SettlementsQueue": CONSUMED},
    "DetectDuplicates": {
        "Payments": {"GetItem"},
        "RecentPayments": {"PutItem", "Query", "UpdateItem"},
        "ComparisonsQueue": CONSUMED,
    },
    "RelayEvents": {
        "Objects": {"Query", "BatchGetItem", "BatchWriteItem"},
        "Payments stream": FOLLOWED,
        "Objects stream": FOLLOWED,
        "RelayDeadLettersQueue": SET_ASIDE,
        "Bus": {"PutEvents"},
    },
    "DeliverWebhook": {
        "Objects": {"GetItem", "BatchGetItem", "PutItem", "UpdateItem"},
        **SIGNING,
        "DeliveriesQueue": CONSUMED | {"SendMessage"},
        "DeliveriesAsideQueue": CONSUMED | {"SendMessage"},
    },
    "SealLedger": {
        "Ledger": {"BatchGetItem"},
        "Evidence": FOLDED | {"GetItem", "BatchGetItem"},
        "Balances": FOLDED,
        "Ledger stream": FOLLOWED,
        "Payments stream": FOLLOWED,
        "Objects stream": FOLLOWED,
        "SealDeadLettersQueue": SET_ASIDE,
        "CheckpointRequestsQueue": {"SendMessage"},
    },
    "SignCheckpoint": {
        "Evidence": {"Query", "PutItem"},
        "CheckpointKey": {"Sign", "Verify"},
        "Checkpoints": {"GetObject", "PutObject", "PutObjectRetention", "ListBucket"},
        "CheckpointRequestsQueue": CONSUMED,
    },
    # It changes nothing but its place.
    "AuditInvariants": {
        "Payments": {"GetItem", "Query", "Scan"},
        "Ledger": {"Query"},
        "Objects": {"BatchGetItem"},
        "Place": {"GetItem", "PutItem"},
    },
}

# Roles of schedules, each of which may invoke its function.
SCHEDULES = ("SweepRole", "WalkRole")

# Actions that AWS has no resource for.
UNBOUND = {
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "dynamodb:ListStreams",
    "logs:CreateLogDelivery",
    "logs:GetLogDelivery",
    "logs:UpdateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:DescribeResourcePolicies",
    "logs:DescribeLogGroups",
}
OWN_LOG = {"logs:CreateLogStream", "logs:PutLogEvents"}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(platform: Platform) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields the statements of all policies, with the logical id of the one role of each."""
    for policy in platform.of_type(POLICY).values():
        (role,) = policy["Properties"]["Roles"]
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            yield role["Ref"], statement


def label(resource: Any) -> str:
    """Names a resource by the construct that it is."""
    text = json.dumps(resource)
    if "secretsmanager" in text or "FnGetAttSecret" in text:
        return "secret"
    reference = re.search(r'FnGetAtt(\w+?)[0-9A-F]{8}(Stream)?Arn|"([A-Z]\w+?)[0-9A-F]{8}"', text)
    assert reference is not None, text
    name = re.sub(r"(Machine|Function)$", "", reference[1] or reference[3])
    return f"{name} stream" if reference[2] else name


def rights(platform: Platform) -> dict[str, dict[str, set[str]]]:
    """Returns what the functions of the first region may do, by function and resource."""
    found: dict[str, dict[str, set[str]]] = {}
    for stack in ("Payments", "Events", "Ledger", "Audit"):
        template = platform.stack(stack)
        for policy in template.of_type(POLICY).values():
            role = policy["Properties"]["Roles"][0]["Ref"]
            if "Saga" in role or role.startswith(SCHEDULES):
                continue
            mine: dict[str, set[str]] = defaultdict(set)
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
                actions = set(listed(statement["Action"])) - UNBOUND - OWN_LOG
                for resource in listed(statement["Resource"]) if actions else ():
                    mine[label(resource)] |= {action.partition(":")[2] for action in actions}
            found[re.sub(r"Role[0-9A-F]{8}$", "", role)] = dict(mine)
    return found


def test_role_of_every_function_may_do_exactly_this(production: Platform) -> None:
    assert rights(production) == RIGHTS


def test_role_belongs_to_one_function(platform: Platform) -> None:
    functions = platform.of_type("AWS::Lambda::Function")
    roles = [
        (stack, function["Properties"]["Role"]["Fn::GetAtt"][0])
        for (stack, _), function in functions.items()
    ]

    assert len(set(roles)) == len(functions)


def test_role_has_no_managed_policy(platform: Platform) -> None:
    for where, role in platform.of_type(ROLE).items():
        assert "ManagedPolicyArns" not in role["Properties"], where


def test_policy_has_no_wildcard_but_where_aws_has_no_resource(platform: Platform) -> None:
    for role, statement in statements(platform):
        actions = set(listed(statement["Action"]))
        assert not [action for action in actions if "*" in action], role
        if "*" in listed(statement["Resource"]):
            assert actions <= UNBOUND, (role, actions - UNBOUND)


def conditions(platform: Platform, resource: str) -> dict[str, Any]:
    """Returns under which condition each action is allowed on the resources of that name."""
    return {
        action: statement.get("Condition")
        for _, statement in statements(platform)
        for named in listed(statement["Resource"])
        if named != "*" and label(named) == resource
        for action in listed(statement["Action"])
    }


def test_card_key_is_used_with_the_accounts_encryption_context_only(production: Platform) -> None:
    bound = conditions(production, "CardKey")

    context = {
        "StringEquals": {"kms:EncryptionContext:purpose": "card"},
        "Null": {"kms:EncryptionContext:account": "false"},
    }
    assert bound == {"kms:GenerateDataKey": context, "kms:Decrypt": context}


def test_event_key_is_used_for_a_day_of_its_stage_and_region_only(production: Platform) -> None:
    bound = conditions(production, "EventKey")

    # the last region's, of those with the same labels
    context = {
        "StringEquals": {
            "kms:EncryptionContext:purpose": "event",
            "kms:EncryptionContext:stage": "production",
            "kms:EncryptionContext:region": production.stage.regions[-1],
        },
        "Null": {"kms:EncryptionContext:day": "false"},
    }
    assert bound == {"kms:GenerateDataKey": context, "kms:Decrypt": context}


def test_function_that_signs_reaches_day_keys_and_guarded_balances_only(
    production: Platform,
) -> None:
    reached: dict[str, set[str]] = defaultdict(set)
    for role, statement in statements(production):
        if not role.startswith(("SealLedger", "SignCheckpoint", "ApiLedger")):
            for resource in listed(statement["Resource"]):
                name = re.search(r"FnGetAtt(Evidence|Balances)", json.dumps(resource))
                if name is not None:
                    keys = statement["Condition"]["ForAllValues:StringLike"]
                    reached[name[1]] |= set(keys["dynamodb:LeadingKeys"])

    assert reached == {"Evidence": {"DAYKEY"}, "Balances": {"AVAILABLE#*"}}


def test_function_without_claims_reaches_the_buckets_of_limits_only(production: Platform) -> None:
    reached = [
        statement.get("Condition")
        for role, statement in statements(production)
        if role.startswith(("ApiLedger", "ApiDefault"))
        and "FnGetAttIdempotency" in json.dumps(statement["Resource"])
    ]

    only = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["LIMIT#*"]}}
    assert reached == [only] * 2 * len(production.stage.regions)


def test_checkpoint_signer_writes_no_other_evidence(production: Platform) -> None:
    written = [
        statement.get("Condition")
        for role, statement in statements(production)
        if role.startswith("SignCheckpoint") and "dynamodb:PutItem" in listed(statement["Action"])
    ]

    only = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["CHECKPOINT"]}}
    assert written == [only] * len(production.stage.regions)


def test_no_role_may_both_seal_and_open_cards(platform: Platform) -> None:
    by_role: dict[str, set[str]] = defaultdict(set)
    for role, statement in statements(platform):
        if any("CardKey" in json.dumps(named) for named in listed(statement["Resource"])):
            by_role[role] |= set(listed(statement["Action"]))
    assert by_role

    for role, actions in by_role.items():
        assert not {"kms:GenerateDataKey", "kms:Decrypt"} <= actions, role


def test_schedule_may_invoke_its_function_only(production: Platform) -> None:
    invoked = {
        policy["Properties"]["Roles"][0]["Ref"][:-8]: [
            (statement["Action"], label(statement["Resource"]))
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        ]
        for stack in ("Payments", "Audit")
        for policy in production.stack(stack, REGION).of_type(POLICY).values()
        if policy["Properties"]["Roles"][0]["Ref"].startswith(SCHEDULES)
    }

    assert invoked == {
        "SweepRole": [("lambda:InvokeFunction", "SweepDue")],
        "WalkRole": [("lambda:InvokeFunction", "AuditInvariants")],
    }


def test_machine_may_invoke_the_functions_of_its_saga_only(production: Platform) -> None:
    template = production.stack("Payments", REGION)
    for machine in template.of_type("AWS::StepFunctions::StateMachine").values():
        role = machine["Properties"]["RoleArn"]["Fn::GetAtt"][0]
        named = {
            function["Fn::GetAtt"][0]
            for function in machine["Properties"]["DefinitionSubstitutions"].values()
        }
        invoked = {
            resource["Fn::GetAtt"][0]
            for policy in template.of_type(POLICY).values()
            if policy["Properties"]["Roles"] == [{"Ref": role}]
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]
            if statement["Action"] == "lambda:InvokeFunction"
            for resource in listed(statement["Resource"])
        }
        assert invoked == named
