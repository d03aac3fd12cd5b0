"""Every code and status that an error can have is in docs/errors.md, and no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.support.openapi import STATUSES

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"[a-z]+(_[a-z]+)*")


def trees() -> Iterator[ast.AST]:
    for folder in ("functions", "shared"):
        for path in (ROOT / folder).rglob("*.py"):
            yield ast.parse(path.read_text())


def texts(node: ast.AST) -> Iterator[str]:
    """Yields the texts that an expression may come to; those that only look something up do not."""
    if isinstance(node, ast.Subscript | ast.Call | ast.Compare):
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    for child in ast.iter_child_nodes(node):
        yield from texts(child)


def codes_of(node: ast.AST) -> Iterator[str]:
    """Yields what a node of the code makes an error code of."""
    if isinstance(node, ast.keyword) and node.arg == "code":
        yield from texts(node.value)
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        for key, value in pairs:
            if isinstance(key, ast.Constant) and key.value == "code":
                yield from texts(value)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Decline":
        yield from texts(node.args[0])
    # The words of failed checks have their codes in a table.
    if isinstance(node, ast.Constant) and str(node.value).startswith("parameter_"):
        yield str(node.value)


def codes() -> set[str]:
    found = {code for tree in trees() for node in ast.walk(tree) for code in codes_of(node)}
    return {code for code in found if CODE.fullmatch(code)}


def test_documented_codes_are_those_of_the_code() -> None:
    listed = (ROOT / "docs/errors.md").read_text().partition("\n## Codes\n")[2]
    documented = set(re.findall(r"^\| `(\w+)` \|", listed, re.MULTILINE))
    # What a webhook's attempt failed for is told with its deliveries.
    deliveries = (ROOT / "docs/webhooks.md").read_text()
    missing = {code for code in codes() - documented if f"`{code}`" not in deliveries}
    assert not missing
    assert not documented - codes()


def test_documented_statuses_are_those_of_the_published_interface() -> None:
    table = (ROOT / "docs/errors.md").read_text().partition("\n## Codes\n")[0]
    rows = re.findall(r"^\| ([0-9, ]+) \|", table, re.MULTILINE)
    assert {int(status) for row in rows for status in row.split(",")} == set(STATUSES)
