"""When keys were last used, as the logs tell."""

from typing import Any

import pytest

from ops.key_usage import DAYS, last_used
from ops.stages import OperatorError

NOW_S = 1_790_000_000


class Logs:
    """CloudWatch Logs that give these answers in turn, the last one for ever."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.asked: dict[str, Any] = {}
        self._answers = list(answers)

    def start_query(self, **asked: Any) -> dict[str, str]:
        self.asked = asked
        return {"queryId": "query"}

    def get_query_results(self, *, queryId: str) -> dict[str, Any]:
        assert queryId == "query"
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def found(*rows: dict[str, str]) -> dict[str, Any]:
    cells = [[{"field": name, "value": value} for name, value in row.items()] for row in rows]
    return {"status": "Complete", "results": cells}


def test_last_used_is_the_newest_line_of_each_key() -> None:
    # given
    used = {"key": "key:0123456789abcdef", "used": "2026-11-22 19:16:57.015"}
    logs, waited = Logs({"status": "Running", "results": []}, found(used)), list[float]()
    # when
    answer = last_used(logs, ["group"], "acct_1", NOW_S, waited.append)
    # then
    assert answer == {used["key"]: used["used"]}
    assert len(waited) == 1
    assert logs.asked["endTime"] - logs.asked["startTime"] == DAYS * 86_400
    assert 'account = "acct_1"' in logs.asked["queryString"]


def test_last_used_of_keys_that_nobody_used_is_nothing() -> None:
    assert last_used(Logs(found()), ["group"], "acct_1", NOW_S) == {}


@pytest.mark.parametrize("status", ["Failed", "Cancelled", "Running"])
def test_last_used_where_the_logs_do_not_answer_says_so(status: str) -> None:
    logs, waited = Logs({"status": status, "results": []}), list[float]()
    with pytest.raises(OperatorError, match=status):
        last_used(logs, ["group"], "acct_1", NOW_S, waited.append)
    assert len(waited) <= 60
