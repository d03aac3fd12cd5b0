"""Card brands: which issuer identification numbers, lengths and security codes belong to whom."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Brand:
    """A card scheme, by Stripe's name for it.

    Args: lengths: of the whole number, check digit included. cvc_length: digits of the printed
    security code.
    """

    name: str
    lengths: frozenset[int]
    cvc_length: int = 3


_VISA = Brand("visa", frozenset({13, 16, 19}))
_MASTERCARD = Brand("mastercard", frozenset({16}))
_AMEX = Brand("amex", frozenset({15}), cvc_length=4)
_DISCOVER = Brand("discover", frozenset(range(16, 20)))
_DINERS = Brand("diners", frozenset(range(14, 20)))
_JCB = Brand("jcb", frozenset(range(16, 20)))
_UNIONPAY = Brand("unionpay", frozenset(range(16, 20)))

# First and last prefix of each range, both inclusive and of the same length. No two overlap.
_RANGES: tuple[tuple[str, str, Brand], ...] = (
    ("4", "4", _VISA),
    ("51", "55", _MASTERCARD),
    ("2221", "2720", _MASTERCARD),
    ("34", "34", _AMEX),
    ("37", "37", _AMEX),
    ("6011", "6011", _DISCOVER),
    ("644", "649", _DISCOVER),
    ("65", "65", _DISCOVER),
    ("300", "305", _DINERS),
    ("3095", "3095", _DINERS),
    ("36", "36", _DINERS),
    ("38", "39", _DINERS),
    ("3528", "3589", _JCB),
    ("62", "62", _UNIONPAY),
    ("81", "81", _UNIONPAY),
)


def brand_of(number: str) -> Brand | None:
    """Names the brand that issues a number, by its first digits.

    Args: number: digits only; the length is not judged here, see `Brand.lengths`.
    Returns: None when no known brand issues such numbers.
    Source: ISO/IEC 7812-1; the schemes' published IIN ranges.
    """
    return next((brand for first, last, brand in _RANGES if _within(number, first, last)), None)


def _within(number: str, first: str, last: str) -> bool:
    return len(number) >= len(first) and first <= number[: len(first)] <= last


def brands() -> Iterable[Brand]:
    """Returns every brand once."""
    return {brand.name: brand for _, _, brand in _RANGES}.values()
