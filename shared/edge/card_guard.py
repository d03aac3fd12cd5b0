"""The guard that keeps card data out of every operation but the vault's."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from urllib.parse import unquote

from shared.domain.card_brands import brand_of
from shared.domain.cards import passes_luhn
from shared.edge.params import Tree, leaves
from shared.wire.errors import RequestError

# Groups of digits that a person would read as one number. Digits beside letters are part of a
# name or a hash: one hexadecimal SHA-256 in a thousand would pass for a card otherwise.
_RUN = re.compile(r"(?<![0-9A-Za-z])\+?[0-9]+(?:[\s.\-]{1,2}[0-9]+)*(?![0-9A-Za-z])")
# Every SDK sends one with every POST; one in sixty thousand has the digits of a card.
_UUID = re.compile(r"(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_GROUP = re.compile(r"[0-9]+")
_DIGITS_MIN, _DIGITS_MAX = 13, 19  # ISO/IEC 7812-1
# Nobody writes a number in more groups; without a bound a hostile body would take seconds.
_GROUPS_MAX = 8
_FIRST_DIGITS = frozenset("2345678")
_PHONE_DIGITS_MAX = 15  # E.164
_SECRET_FIELDS = frozenset({"number", "cvc"})
_VAULT_FIELDS = frozenset({("card", "number"), ("card", "cvc")})
_MESSAGE = (
    "Sending card data here is refused: it is accepted as card[number] and card[cvc] by"
    " POST /v1/payment_methods and POST /v1/tokens only. Create a payment method or a token there"
    " and send its id."
)


def holds_card_number(text: str) -> bool:
    """Tells whether a text holds what looks like a card number: brand, length and check digit."""
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
    without_uuids = _UUID.sub("", plain)
    return any(_holds_card_number(match[0]) for match in _RUN.finditer(without_uuids))


def refuse_card_data(texts: Iterable[str], tree: Tree, *, is_vault: bool) -> None:
    """Refuses a request that holds card data where none belongs.

    Args: texts: path and headers. tree: parameters. is_vault: whether `card[number]` and
    `card[cvc]` are what this operation is for.
    Raises: RequestError, which repeats nothing of what was sent.
    """
    for text in texts:
        _refuse_number(text)
        _refuse_number(unquote(text))
    for path, value in leaves(tree):
        if is_vault and path in _VAULT_FIELDS:
            continue
        if path[-1] in _SECRET_FIELDS and "card" in path[:-1]:
            raise RequestError(_MESSAGE, code="card_data_refused", param="card")
        for text in (*path, value):
            _refuse_number(text)


def _refuse_number(text: str) -> None:
    if holds_card_number(text):
        raise RequestError(_MESSAGE, code="card_data_refused")


def _holds_card_number(run: str) -> bool:
    groups = _GROUP.findall(run)
    if run.startswith("+") and sum(map(len, groups)) <= _PHONE_DIGITS_MAX:
        return False
    return any(
        _is_card_number(number)
        for start, group in enumerate(groups)
        if group[0] in _FIRST_DIGITS
        for number in _numbers_from(groups[start : start + _GROUPS_MAX])
    )


def _numbers_from(groups: Iterable[str]) -> Iterator[str]:
    """Yields what the groups read as, while that has a card number's length."""
    number = ""
    for group in groups:
        number += group
        if len(number) > _DIGITS_MAX:
            return
        if len(number) >= _DIGITS_MIN:
            yield number


def _is_card_number(digits: str) -> bool:
    brand = brand_of(digits)
    return brand is not None and len(digits) in brand.lengths and passes_luhn(digits)
