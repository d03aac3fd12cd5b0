import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.edge.card_guard import holds_card_number, refuse_card_data
from shared.edge.params import decode
from shared.wire.errors import RequestError


@pytest.mark.parametrize(
    "text",
    [
        "4242424242424242",
        "4242 4242 4242 4242",
        "4242-4242-4242-4242",
        "4242.4242.4242.4242",
        "4242  4242  4242  4242",
        "3782 822463 10005",
        "my card is 5555555555554444, thanks",
        "1234 4242 4242 4242 4242",
        "+4242424242424242",
        "４２４２４２４２４２４２４２４２",  # noqa: RUF001 digits of another script
        "order_4000000000000002",
        "card:4000000000000002;",
        "a1 4242 4242 4242 4242 b2",
        "30569309025904",
        "6200000000000005",
    ],
)
def test_holds_card_number_card_in_text_is_found(text: str) -> None:
    assert holds_card_number(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4242424242424241",
        "1795341600000",
        "+4915123456789",
        "42424242424242424242424242",
        "2026-11-22 10:00:00",
        "pi_3PgafmB7WZ01zgkW6dKueIc5",
        "0000000000000000",
        "x4000000000000002y",
        "42424242-4242-4242-8242-a00000000000",
        "stripe-node-retry-42424242-4242-4242-8242-123456789012",
    ],
)
def test_holds_card_number_other_text_is_not(text: str) -> None:
    assert not holds_card_number(text)


@pytest.mark.parametrize(
    "form",
    [
        "metadata[a]=4242424242424242",
        "metadata[4242424242424242]=a",
        "card[number]=1",
        "card[cvc]=123",
        "payment_method_data[card][number]=1",
        "description=4242+4242+4242+4242",
    ],
)
def test_refuse_card_data_in_parameters_is_refused_without_an_echo(form: str) -> None:
    with pytest.raises(RequestError) as refused:
        refuse_card_data([], decode(form, b""), is_vault=False)
    assert refused.value.code == "card_data_refused"
    assert "4242" not in f"{refused.value.message}{refused.value.param}"


@pytest.mark.parametrize(
    "text", ["/v1/customers/4242424242424242", "/v1/x/4242%204242%204242%204242"]
)
def test_refuse_card_data_in_path_or_header_is_refused(text: str) -> None:
    with pytest.raises(RequestError):
        refuse_card_data([text], {}, is_vault=True)


def test_refuse_card_data_vault_takes_the_card_and_nothing_else() -> None:
    card = decode("card[number]=4242424242424242&card[cvc]=123", b"")
    refuse_card_data([], card, is_vault=True)
    with pytest.raises(RequestError):
        refuse_card_data([], {**card, "metadata": {"a": "4242424242424242"}}, is_vault=True)


@given(st.binary(max_size=64))
def test_holds_card_number_hexadecimal_hash_is_not(data: bytes) -> None:
    assert not holds_card_number(hashlib.sha256(data).hexdigest())


@given(st.text())
def test_holds_card_number_any_text_is_judged(text: str) -> None:
    assert holds_card_number(text) in {True, False}
