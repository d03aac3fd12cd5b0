"""Stripe's query language for searches: what a query asks, and which objects match it.

Source: Stripe documentation, "Search query language".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from shared.domain.errors import RejectedError

QUERY_LENGTH_MAX = 2_000
CLAUSES_MAX = 10
_SUBSTRING_LENGTH_MIN = 3
# Beyond it a number is no moment that a list could be bounded by.
_NUMBER_MAX = 10**12

_QUOTED = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'"
_CLAUSE = re.compile(
    rf"(?P<minus>-)?(?P<field>[a-z][a-z0-9_.]*)(?:\[(?P<key>{_QUOTED})\])?"
    rf"\s*(?P<operator>:|~|>=|<=|>|<)\s*(?P<value>{_QUOTED}|null\b|-?\d{{1,20}}\b)",
    re.DOTALL,
)
_JOIN = re.compile(r"\s+(?:(?P<word>and|or)\s+)?", re.IGNORECASE)


class FieldKind(StrEnum):
    """How a field may be asked for. A phrase takes `~` too, a number `<` and `>`."""

    TOKEN = "token"
    PHRASE = "phrase"
    NUMBER = "number"
    METADATA = "metadata"


Fields = Mapping[str, FieldKind]

_EVERYWHERE: Fields = {"created": FieldKind.NUMBER, "metadata": FieldKind.METADATA}
_CARD = "payment_method_details.card"
PAYMENT_INTENTS: Fields = {
    **_EVERYWHERE,
    "amount": FieldKind.NUMBER,
    **dict.fromkeys(("currency", "customer", "status"), FieldKind.TOKEN),
}
CHARGES: Fields = {
    **PAYMENT_INTENTS,
    "billing_details.address.postal_code": FieldKind.TOKEN,
    **dict.fromkeys(("disputed", "refunded"), FieldKind.TOKEN),
    **dict.fromkeys((f"{_CARD}.exp_month", f"{_CARD}.exp_year"), FieldKind.NUMBER),
    **dict.fromkeys(
        (f"{_CARD}.{name}" for name in ("brand", "fingerprint", "last4")), FieldKind.TOKEN
    ),
}
CUSTOMERS: Fields = {
    **_EVERYWHERE,
    **dict.fromkeys(("email", "name", "phone"), FieldKind.PHRASE),
}

_OPERATORS: Mapping[FieldKind, frozenset[str]] = {
    FieldKind.TOKEN: frozenset({":"}),
    FieldKind.PHRASE: frozenset({":", "~"}),
    FieldKind.NUMBER: frozenset({":", "<", ">", "<=", ">="}),
    FieldKind.METADATA: frozenset({":"}),
}


@dataclass(frozen=True, slots=True)
class Clause:
    """One condition.

    Args: path: of the value inside of an object. operator: ":", "~", "<", ">", "<=" or ">=".
    value: folded text, a number, or None for what is not there.
    """

    path: tuple[str, ...]
    operator: str
    value: str | int | None
    negated: bool = False

    def matches(self, item: Mapping[str, Any]) -> bool:
        """Tells whether an object fulfils it."""
        found: Any = item
        for name in self.path:
            found = found.get(name) if isinstance(found, Mapping) else None
        return self._holds(found) is not self.negated

    def _holds(self, found: Any) -> bool:
        value = self.value
        if value is None or found is None:
            return value is None and found in (None, "")
        if isinstance(value, str):
            text = _folded(found)
            return value in text if self.operator == "~" else value == text
        return bool(
            {
                ":": found == value,
                "<": found < value,
                ">": found > value,
                "<=": found <= value,
                ">=": found >= value,
            }[self.operator]
        )


@dataclass(frozen=True, slots=True)
class Query:
    """A search.

    Args: clauses: at least one. any: one of them is enough.
    """

    clauses: tuple[Clause, ...]
    any: bool = False

    def matches(self, item: Mapping[str, Any]) -> bool:
        """Tells whether an object is among what is searched for."""
        met = (clause.matches(item) for clause in self.clauses)
        return any(met) if self.any else all(met)

    def created_ms(self) -> tuple[int | None, int | None]:
        """Returns between which moments, both inclusive, all that matches was created."""
        froms, tos = list[int](), list[int]()
        for clause in () if self.any else self.clauses:
            if clause.path != ("created",) or clause.negated or not isinstance(clause.value, int):
                continue
            second = clause.value
            if clause.operator in {":", ">", ">="}:
                froms.append(1000 * (second + (clause.operator == ">")))
            if clause.operator in {":", "<", "<="}:
                tos.append(1000 * (second + (clause.operator != "<")) - 1)
        return max(froms, default=None), min(tos, default=None)


def parse_query(text: str, fields: Fields) -> Query:
    """Reads a query.

    Raises: RejectedError that says what is wrong with it.
    """
    if len(text) > QUERY_LENGTH_MAX:
        raise _refused(f"it is longer than {QUERY_LENGTH_MAX} characters")
    text = text.strip()
    clauses, joins = list[Clause](), set[str]()
    position = 0
    while True:
        match = _CLAUSE.match(text, position)
        if match is None:
            raise _refused(f"a condition, such as status:'succeeded', is wanted at {position}")
        clauses.append(_clause(match, fields))
        position = match.end()
        if position == len(text):
            break
        join = _JOIN.match(text, position)
        if join is None:
            raise _refused(f"AND, OR or a space is wanted at {position}")
        joins.add((join["word"] or "and").lower())
        position = join.end()
    if len(clauses) > CLAUSES_MAX:
        raise _refused(f"it has more than {CLAUSES_MAX} conditions")
    if len(joins) > 1:
        raise _refused("AND and OR cannot be mixed")
    return Query(tuple(clauses), any="or" in joins)


def _clause(match: re.Match[str], fields: Fields) -> Clause:
    field, key, operator, text = match.group("field", "key", "operator", "value")
    kind = fields.get(field)
    if kind is None:
        raise _refused(f"{field[:100]} cannot be searched for")
    if (kind is FieldKind.METADATA) is (key is None):
        raise _refused('metadata is asked for by key, as in metadata["order"]:"6735", no other is')
    if operator not in _OPERATORS[kind]:
        raise _refused(f"{field} does not take {operator}")
    path = (*field.split("."), *(() if key is None else (_unquoted(key),)))
    return Clause(path, operator, _value(field, kind, operator, text), bool(match["minus"]))


def _value(field: str, kind: FieldKind, operator: str, text: str) -> str | int | None:
    is_quoted = text[0] in "\"'"
    if text == "null":
        if operator != ":":
            raise _refused(f"{field} is compared with null by : alone")
        return None
    plain = _unquoted(text) if is_quoted else text
    if kind is FieldKind.NUMBER:
        if re.fullmatch(r"-?[0-9]{1,20}", plain) is None:
            raise _refused(f"{field} is a number")
        return max(-_NUMBER_MAX, min(int(plain), _NUMBER_MAX))
    if not is_quoted:
        raise _refused(f"the value of {field} is text, in quotes")
    if operator == "~" and len(plain) < _SUBSTRING_LENGTH_MIN:
        raise _refused(f"{field} is searched for {_SUBSTRING_LENGTH_MIN} characters at least")
    return _folded(plain)


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)


def _folded(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value).casefold()


def _refused(why: str) -> RejectedError:
    return RejectedError(
        f"We were unable to parse your search query: {why}.",
        param="query",
    )
