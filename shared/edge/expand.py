"""Expansion: ids in an answer replaced by the objects they name.

Source: Stripe API reference, "Expanding responses".
"""

from collections.abc import Iterable, Mapping
from typing import Any

from shared.domain.documents import Scope
from shared.edge.load import Json, Loader
from shared.edge.params import Tree
from shared.wire.errors import ECHO_LENGTH_MAX, RequestError

LEVELS_MAX = 4
PATHS_MAX = 50

# By kind of object: the properties that hold an id, and the kind it names. A property inside a
# hash is written with a dot. What nothing is kept of here, such as an application, is null.
EXPANDABLE: Mapping[str, Mapping[str, str]] = {
    "balance_transaction": {"source": "charge"},
    "charge": {
        "application": "application",
        "application_fee": "application_fee",
        "balance_transaction": "balance_transaction",
        "customer": "customer",
        "failure_balance_transaction": "balance_transaction",
        "on_behalf_of": "account",
        "outcome.rule": "rule",
        "payment_intent": "payment_intent",
        "payment_method_details.card.mandate": "mandate",
        "refunds.data": "refund",
        "review": "review",
        "source_transfer": "transfer",
        "transfer": "transfer",
        "transfer_data.destination": "account",
    },
    "confirmation_token": {
        "payment_method_preview.card.generated_from.setup_attempt": "setup_attempt",
        "payment_method_preview.customer": "customer",
    },
    "customer": {
        "default_source": "source",
        "invoice_settings.default_payment_method": "payment_method",
        "test_clock": "test_clock",
    },
    "customer_balance_transaction": {
        "checkout_session": "checkout.session",
        "credit_note": "credit_note",
        "customer": "customer",
        "invoice": "invoice",
    },
    "payment_intent": {
        "amount_details.line_items": "line_items",
        "application": "application",
        "customer": "customer",
        "latest_charge": "charge",
        "on_behalf_of": "account",
        "payment_method": "payment_method",
        "payment_record": "payment_record",
        "review": "review",
        "source": "source",
        "transfer_data.destination": "account",
    },
    "payment_method": {
        "card.generated_from.setup_attempt": "setup_attempt",
        "customer": "customer",
    },
    "refund": {
        "balance_transaction": "balance_transaction",
        "charge": "charge",
        "customer": "customer",
        "failure_balance_transaction": "balance_transaction",
        "payment_intent": "payment_intent",
        "payment_method": "payment_method",
        "source_transfer_reversal": "transfer_reversal",
        "transfer_reversal": "transfer_reversal",
    },
    "setup_attempt": {
        "application": "application",
        "customer": "customer",
        "on_behalf_of": "account",
        "payment_method": "payment_method",
        "setup_intent": "setup_intent",
    },
    "setup_intent": {
        "application": "application",
        "customer": "customer",
        "latest_attempt": "setup_attempt",
        "mandate": "mandate",
        "on_behalf_of": "account",
        "payment_method": "payment_method",
        "single_use_mandate": "mandate",
    },
}

# Lists that are left out of an object unless they are asked for: the prefix of the id that each is
# loaded by, before the object's own.
INCLUDED: Mapping[str, str] = {"amount_details.line_items": "lines"}


class Plan:
    """The expansions of one request, checked before anything is done.

    Args: steps: properties to expand, parents first, each a path from the answer's top. kinds: of
    the objects that are shown by that.
    """

    def __init__(self, steps: Iterable[tuple[str, ...]] = (), kinds: Iterable[str] = ()) -> None:
        self._steps = sorted(set(steps), key=lambda step: (len(step), step))
        self.kinds = sorted(set(kinds))

    def apply(self, body: Json, loader: Loader, scope: Scope) -> Json:
        """Returns the body with the planned objects in it; one batch of reads per property.

        An id whose object is gone stays an id.
        """
        if not self._steps:
            return body
        expanded: dict[str, Any] = _copy(body)
        for step in self._steps:
            included = INCLUDED.get(".".join(step[-2:]))
            if included is not None:
                _include(expanded, step, included, loader, scope)
                continue
            holders = [
                (holder, step[-1])
                for holder in _walk(expanded, step[:-1])
                if isinstance(holder.get(step[-1]), str)
            ]
            found = loader.load_many([holder[key] for holder, key in holders], scope)
            for holder, key in holders:
                holder[key] = _copy(found.get(holder[key], holder[key]))
        return expanded


def _include(body: Json, step: tuple[str, ...], prefix: str, loader: Loader, scope: Scope) -> None:
    """Puts a list into each of the objects that a step names; one batch of reads."""
    owners = [(f"{prefix}_{owner['id']}", owner) for owner in _walk(body, step[:-2])]
    found = loader.load_many([name for name, _ in owners], scope)
    for name, owner in owners:
        if name in found:
            owner[step[-2]][step[-1]] = _copy(found[name])


def take_expansions(tree: Tree) -> list[str]:
    """Removes `expand` from the parameters and returns its paths.

    Raises: RequestError when it is no list of texts.
    """
    wanted = tree.pop("expand", {})
    if wanted == "":
        return []
    if not isinstance(wanted, dict) or any(isinstance(path, dict) for path in wanted.values()):
        raise RequestError("Invalid array", param="expand")
    if len(wanted) > PATHS_MAX:
        raise RequestError(f"At most {PATHS_MAX} properties can be expanded.", param="expand")
    return list(wanted.values())


def plan_expansions(paths: Iterable[str], returns: str | None, *, is_list: bool) -> Plan:
    """Checks paths against what the operation returns.

    Args: returns: kind of object, a key of EXPANDABLE, or None when nothing can be expanded.
    Raises: RequestError naming the first path that cannot be expanded.
    """
    steps: dict[tuple[str, ...], str] = {}
    for path in paths:
        parts = path.split(".")
        if len(parts) > LEVELS_MAX:
            raise RequestError(
                f"You cannot expand more than {LEVELS_MAX} levels of a property"
                f" ({path[:ECHO_LENGTH_MAX]}).",
                param="expand",
            )
        if is_list and parts[0] != "data":
            raise _not_expandable(path, f" You may want to try expanding 'data.{path}' instead.")
        start = 1 if is_list else 0
        steps |= _steps(parts, start, returns, path)
    return Plan(steps, steps.values())


def _steps(parts: list[str], start: int, kind: str | None, path: str) -> dict[tuple[str, ...], str]:
    """Returns the properties on a path, with the kinds of objects that they hold."""
    steps: dict[tuple[str, ...], str] = {}
    position = start
    while position < len(parts):
        properties = EXPANDABLE.get(kind or "", {})
        for end in range(position + 1, len(parts) + 1):
            kind = properties.get(".".join(parts[position:end]))
            if kind is not None:
                break
        else:
            raise _not_expandable(path)
        position = end
        steps[tuple(parts[:end])] = kind
    if not steps:
        raise _not_expandable(path)
    return steps


def _not_expandable(path: str, hint: str = "") -> RequestError:
    shown = path[:ECHO_LENGTH_MAX]
    hint = hint[: 2 * ECHO_LENGTH_MAX]
    return RequestError(f"This property cannot be expanded ({shown}).{hint}", param="expand")


def _walk(node: Any, path: tuple[str, ...]) -> list[dict[str, Any]]:
    """Finds the hashes at a path, through lists and objects already expanded."""
    nodes: list[Any] = [node]
    for part in path:
        children = [current.get(part) for current in nodes if isinstance(current, dict)]
        nodes = []
        for child in children:
            nodes += child if isinstance(child, list) else [child]
    return [current for current in nodes if isinstance(current, dict)]


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_copy(item) for item in value]
    return value
