import pytest

from shared.edge.permissions import FAMILIES, Access, Permission, family_of, permission_for


@pytest.mark.parametrize(
    ("method", "template", "name"),
    [
        ("GET", "/v1/payment_intents", "rak_payment_intent_read"),
        ("GET", "/v1/payment_intents/search", "rak_payment_intent_read"),
        ("POST", "/v1/payment_intents/{id}/confirm", "rak_payment_intent_write"),
        ("POST", "/v1/refunds", "rak_charge_write"),
        ("GET", "/v1/charges/{id}", "rak_charge_read"),
        ("DELETE", "/v1/customers/{id}", "rak_customer_write"),
        ("GET", "/v1/customers/{customer}/payment_methods/{id}", "rak_payment_method_read"),
        ("GET", "/v1/customers/{customer}/balance_transactions", "rak_customer_read"),
        ("GET", "/v1/balance", "rak_balance_read"),
        ("GET", "/v1/balance_transactions/{id}", "rak_balance_transaction_read"),
        ("POST", "/v1/webhook_endpoints", "rak_webhook_write"),
        ("GET", "/v1/ledger/payment_intents/{id}", "rak_ledger_read"),
        ("GET", "/v1/test_helpers/network_transactions", "rak_test_helper_read"),
        ("POST", "/v1/tokens", "rak_token_write"),
    ],
)
def test_permission_for_operation_is_its_familys(method: str, template: str, name: str) -> None:
    permission = permission_for(method, template)
    assert permission.name == name
    assert permission.family in FAMILIES


@pytest.mark.parametrize("kind", ["refund", "payment_method", "balance_transaction", "customer"])
def test_family_of_kind_of_object_is_its_paths(kind: str) -> None:
    assert permission_for("GET", f"/v1/{kind}s").family == family_of(kind)


@pytest.mark.parametrize(
    ("granted", "reads", "writes"),
    [
        ({}, False, False),
        ({"charge": Access.WRITE}, False, False),
        ({"customer": Access.NONE}, False, False),
        ({"customer": Access.READ}, True, False),
        ({"customer": Access.WRITE}, True, True),
    ],
)
def test_permission_is_held_where_its_family_is_granted_that_much(
    granted: dict[str, Access], reads: bool, writes: bool
) -> None:
    assert Permission("customer", Access.READ).is_in(granted) is reads
    assert Permission("customer", Access.WRITE).is_in(granted) is writes
