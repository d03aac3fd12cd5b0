"""Every function answers its sample event, as `make invoke` runs it."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.invoke import invoke
from tests.support.composition import forget_composition

ROOT = Path(__file__).parents[2]
FUNCTIONS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/handler.py"))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(os, "environ", os.environ.copy())
    forget_composition()
    yield
    forget_composition()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_invoke_sample_event_is_answered(function: str) -> None:
    # given
    event = json.loads((ROOT / "events" / f"{function}.json").read_text())
    # when
    answer: Any = invoke(function, event)
    # then
    assert isinstance(answer, dict)
    assert answer.get("statusCode", 200) < 500
    json.dumps(answer)


def test_invoke_unknown_function_names_the_known_ones() -> None:
    with pytest.raises(LookupError, match="api_payments"):
        invoke("no_such_function", {})
