from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from shared.domain.documents import Scope
from shared.edge.expand import plan_expansions, take_expansions
from shared.edge.load import Loader
from shared.edge.params import decode
from shared.wire.errors import RequestError

SCOPE = Scope("acct_1", livemode=False)
OBJECTS: Mapping[str, Mapping[str, Any]] = {
    "cus_1": {
        "id": "cus_1",
        "object": "customer",
        "invoice_settings": {"default_payment_method": "pm_1"},
    },
    "pm_1": {"id": "pm_1", "object": "payment_method", "customer": "cus_1"},
    "ch_1": {"id": "ch_1", "object": "charge", "customer": "cus_1", "payment_intent": "pi_1"},
}


def loader() -> Loader:
    def read(ids: Sequence[str], _scope: Scope) -> dict[str, Mapping[str, Any]]:
        return {object_id: OBJECTS[object_id] for object_id in ids if object_id in OBJECTS}

    return Loader({"cus": read, "pm": read, "ch": read})


def expanded(body: Mapping[str, Any], *paths: str, returns: str, is_list: bool = False) -> Any:
    return plan_expansions(paths, returns, is_list=is_list).apply(body, loader(), SCOPE)


def test_expand_id_becomes_object() -> None:
    body = {"id": "pm_2", "customer": "cus_1"}
    assert expanded(body, "customer", returns="payment_method")["customer"] == OBJECTS["cus_1"]
    assert body["customer"] == "cus_1"


def test_expand_path_through_hash_and_object_becomes_objects() -> None:
    body = {"id": "pi_1", "latest_charge": "ch_1"}
    path = "latest_charge.customer.invoice_settings.default_payment_method"
    charge = expanded(body, path, returns="payment_intent")["latest_charge"]
    method = charge["customer"]["invoice_settings"]["default_payment_method"]
    assert method == OBJECTS["pm_1"]


def test_expand_list_expands_each() -> None:
    body = {"object": "list", "data": [{"customer": "cus_1"}, {"customer": None}]}
    data = expanded(body, "data.customer", returns="payment_method", is_list=True)["data"]
    assert [item["customer"] for item in data] == [OBJECTS["cus_1"], None]


def test_expand_object_that_is_gone_stays_an_id() -> None:
    body = {"customer": "cus_gone", "payment_method": "src_unknown"}
    assert expanded(body, "customer", "payment_method", returns="payment_intent") == body


@pytest.mark.parametrize(
    ("path", "returns", "is_list", "message"),
    [
        ("foo", "customer", False, "This property cannot be expanded (foo)."),
        ("id", "payment_method", False, "This property cannot be expanded (id)."),
        ("", "payment_method", False, "This property cannot be expanded ()."),
        ("customer", None, False, "This property cannot be expanded (customer)."),
        ("data", "payment_method", True, "This property cannot be expanded (data)."),
        (
            "customer",
            "payment_method",
            True,
            "This property cannot be expanded (customer). You may want to try expanding"
            " 'data.customer' instead.",
        ),
        (
            "payment_intent.latest_charge.customer.default_source.x",
            "charge",
            False,
            "You cannot expand more than 4 levels of a property"
            " (payment_intent.latest_charge.customer.default_source.x).",
        ),
    ],
)
def test_plan_bad_path_is_refused(
    path: str, returns: str | None, is_list: bool, message: str
) -> None:
    with pytest.raises(RequestError) as refused:
        plan_expansions([path], returns, is_list=is_list)
    assert refused.value.message == message
    assert refused.value.param == "expand"


def test_take_expansions_removes_them_from_the_parameters() -> None:
    tree = decode("expand[]=a&expand[]=b&c=1", b"")
    assert take_expansions(tree) == ["a", "b"]
    assert tree == {"c": "1"}


@pytest.mark.parametrize("form", ["expand=a", "expand[0][a]=b"])
def test_take_expansions_no_list_is_refused(form: str) -> None:
    with pytest.raises(RequestError) as refused:
        take_expansions(decode(form, b""))
    assert refused.value.message == "Invalid array"
