"""Canonical JSON: equal values are equal bytes, and what has no one form is refused."""

from enum import StrEnum

import pytest

from shared.domain.canonical import canonical


class _Layer(StrEnum):
    POSTED = "posted"


def test_canonical_of_equal_values_in_other_order_is_equal() -> None:
    one = canonical({"b": [1, (None, True)], "a": {"d": "é", "c": _Layer.POSTED}})

    assert one == canonical({"a": {"c": "posted", "d": "é"}, "b": [1, [None, True]]})
    assert one == b'{"a":{"c":"posted","d":"\\u00e9"},"b":[1,[null,true]]}'


@pytest.mark.parametrize(
    "value", [1.0, {"a": [float("nan")]}, {1: "a"}, {None: 1}, b"a", {"a": {1, 2}}, {"a": object()}]
)
def test_canonical_of_a_value_without_one_form_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="canonical JSON has no"):
        canonical(value)
