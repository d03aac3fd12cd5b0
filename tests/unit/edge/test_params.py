from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from shared.domain.errors import PaymentError
from shared.edge.fields import (
    Boolean,
    Clearable,
    CreatedRange,
    Integer,
    Items,
    ListParams,
    Metadata,
    Text,
    merge_metadata,
)
from shared.edge.params import Params, canonical, decode, leaves, parse
from shared.wire.errors import RequestError


class Card(Params):
    exp_month: Integer


class Everything(Params):
    amount: Annotated[Integer, Field(ge=1, le=99_999_999)] = 1
    card: Card | None = None
    capture_method: Literal["automatic", "manual"] = "automatic"
    confirm: Boolean = False
    description: Clearable[Text] = None
    name: Text | None = None
    metadata: Metadata = Field(default_factory=dict)
    tags: Items[Text] = Field(default_factory=list)


class Required(Params):
    amount: Integer
    card: Card


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("", {}),
        ("a=1&b=", {"a": "1", "b": ""}),
        ("a[b][c]=1&a[b][d]=2", {"a": {"b": {"c": "1", "d": "2"}}}),
        ("a[0]=x&a[1]=y", {"a": {"0": "x", "1": "y"}}),
        ("a[]=x&a[]=y", {"a": {"0": "x", "1": "y"}}),
        ("a[][b]=1&a[][c]=2&a[][b]=3", {"a": {"0": {"b": "1", "c": "2"}, "1": {"b": "3"}}}),
        ("a%5Bb%5D=caf%C3%A9+au+lait", {"a": {"b": "café au lait"}}),
        ("a=1&a=2", {"a": "2"}),
        ("a", {"a": ""}),
    ],
)
def test_decode_form_returns_tree(text: str, tree: dict[str, Any]) -> None:
    assert decode("", text.encode()) == tree
    assert decode(text, b"") == tree


@pytest.mark.parametrize(
    "raw",
    [
        b"a=%zz",
        b"a=%4",
        b"a=%ff",
        b"a=\xff",
        b"a=%00",
        b"a[b=1",
        b"a]b=1",
        b"[a]=1",
        b"=1",
        b"a[b]c=1",
        b"a=1&a[b]=2",
        b"a[b]=1&a=2",
        b"a" + b"[b]" * 8 + b"=1",
        b"&".join(b"a%d=1" % i for i in range(1_001)),
    ],
)
def test_decode_malformed_form_is_refused(raw: bytes) -> None:
    with pytest.raises(RequestError) as refused:
        decode("", raw)
    assert refused.value.status == 400


@given(st.binary(max_size=200))
def test_decode_any_bytes_is_decoded_or_refused(raw: bytes) -> None:
    try:
        tree = decode("", raw)
    except RequestError:
        return
    assert all(isinstance(value, str) for _, value in leaves(tree))


def test_canonical_other_order_is_the_same_text() -> None:
    assert canonical(decode("", b"a=1&b[c]=2")) == canonical(decode("", b"b[c]=2&a=1"))


@pytest.mark.parametrize(
    ("model", "text", "code", "param", "message"),
    [
        (Everything, "foo=1", "parameter_unknown", "foo", "Received unknown parameter: foo"),
        (
            Everything,
            "card[foo]=1&card[exp_month]=x&bar=1",
            "parameter_unknown",
            "card[foo]",
            "Received unknown parameters: card[foo], bar",
        ),
        (
            Required,
            "card[exp_month]=1",
            "parameter_missing",
            "amount",
            "Missing required param: amount.",
        ),
        (
            Required,
            "amount=1&card[x]=",
            "parameter_unknown",
            "card[x]",
            "Received unknown parameter: card[x]",
        ),
        (Everything, "amount=abc", "parameter_invalid_integer", "amount", "Invalid integer: abc"),
        (Everything, "amount=1.5", "parameter_invalid_integer", "amount", "Invalid integer: 1.5"),
        (Everything, "amount=1_0", "parameter_invalid_integer", "amount", "Invalid integer: 1_0"),
        (
            Everything,
            "amount=0",
            "parameter_invalid_integer",
            "amount",
            "This value must be greater than or equal to 1.",
        ),
        (
            Everything,
            "amount=100000000",
            "parameter_invalid_integer",
            "amount",
            "This value must be less than or equal to 99999999.",
        ),
        (
            Everything,
            "amount=",
            "parameter_invalid_empty",
            "amount",
            "You passed an empty string for 'amount'. We assume empty values are an attempt to"
            " unset a parameter; however 'amount' cannot be unset. You should remove 'amount' from"
            " your request or supply a non-empty value.",
        ),
        (Everything, "name=", "parameter_invalid_empty", "name", None),
        (
            Everything,
            "card[exp_month]=x",
            "parameter_invalid_integer",
            "card[exp_month]",
            "Invalid integer: x",
        ),
        (Everything, "card=x", None, "card", "Invalid object"),
        (
            Everything,
            "capture_method=later",
            None,
            "capture_method",
            "Invalid capture_method: must be one of automatic or manual",
        ),
        (Everything, "confirm=yes", None, "confirm", "Invalid boolean: yes"),
        (Everything, "tags=x", None, "tags", "Invalid array"),
        (Everything, "tags[a]=x", None, "tags", "Invalid array"),
        (Everything, "tags[0][a]=x", None, "tags[0]", "Invalid string"),
        (Everything, "description[a]=x", None, "description", "Invalid string"),
        (
            Everything,
            f"description={'x' * 5001}",
            None,
            "description",
            "Invalid string: must be at most 5000 characters",
        ),
        (Everything, "metadata[a][b]=x", None, "metadata", None),
        (Everything, f"metadata[{'k' * 41}]=x", None, "metadata", None),
        (Everything, f"metadata[k]={'v' * 501}", None, "metadata", None),
        (Everything, "metadata=x", None, "metadata", "Invalid hash"),
    ],
)
def test_parse_bad_parameter_is_refused_in_stripes_words(
    model: type[Params], text: str, code: str | None, param: str, message: str | None
) -> None:
    with pytest.raises(RequestError) as refused:
        parse(model, decode("", text.encode()))
    assert refused.value.code == code
    assert refused.value.param == param
    assert message in {None, refused.value.message}


def test_parse_sent_parameters_tells_unset_from_absent() -> None:
    params = parse(Everything, decode("", b"description=&tags[1]=b&tags[0]=a&confirm=true"))
    assert params.sent() == {"description": None, "tags": ["a", "b"], "confirm": True}


@pytest.mark.parametrize(
    ("text", "created"),
    [
        ("created=5", CreatedRange(gte=5, lte=5)),
        ("created[gt]=5&created[lte]=9", CreatedRange(gt=5, lte=9)),
    ],
)
def test_parse_created_returns_range(text: str, created: CreatedRange) -> None:
    assert parse(ListParams, decode(text, b"")).created == created


def test_merge_metadata_empty_value_unsets_its_key() -> None:
    assert merge_metadata({"a": "1", "b": "2"}, {"a": "", "c": "3"}) == {"b": "2", "c": "3"}
    assert merge_metadata({"a": "1"}, {}) == {"a": "1"}
    assert merge_metadata({"a": "1"}, None) == {}


def test_merge_metadata_too_many_keys_is_refused() -> None:
    stored = {f"k{i}": "v" for i in range(50)}
    with pytest.raises(PaymentError) as refused:
        merge_metadata(stored, {"one_more": "v"})
    assert refused.value.param == "metadata"
