import json

import pytest

from shared.domain.documents import PageQuery
from shared.domain.errors import RejectedError
from shared.edge.fields import CreatedRange, ListParams
from shared.edge.lists import (
    ANSWER_BYTES_MAX,
    created_bounds_ms,
    fitting,
    list_reply,
    page_query,
)
from shared.wire.json import dump


def test_page_query_cursor_becomes_position() -> None:
    params = ListParams(limit=3, starting_after="cus_1")
    query = page_query(params, lambda _: 5_000, noun="customer")
    assert query == PageQuery(limit=3, after=(5_000, "cus_1"))


def test_page_query_unknown_cursor_is_refused() -> None:
    with pytest.raises(RejectedError) as refused:
        page_query(ListParams(ending_before="cus_1"), lambda _: None, noun="customer")
    assert refused.value.message == "No such customer: 'cus_1'"
    assert (refused.value.code, refused.value.param) == ("resource_missing", "ending_before")


def test_page_query_both_cursors_are_refused() -> None:
    params = ListParams(starting_after="cus_1", ending_before="cus_2")
    with pytest.raises(RejectedError) as refused:
        page_query(params, lambda _: 1, noun="customer")
    assert refused.value.code == "parameters_exclusive"


@pytest.mark.parametrize(
    ("created", "bounds"),
    [
        (None, (None, None)),
        (CreatedRange(gte=5, lte=5), (5_000, 5_999)),
        (CreatedRange(gt=5), (6_000, None)),
        (CreatedRange(lt=5), (None, 4_999)),
        (CreatedRange(gt=5, gte=9, lt=12, lte=20), (9_000, 11_999)),
    ],
)
def test_created_bounds_of_seconds_are_milliseconds(
    created: CreatedRange | None, bounds: tuple[int | None, int | None]
) -> None:
    assert created_bounds_ms(created) == bounds


def test_list_reply_is_stripes_list() -> None:
    reply = list_reply("/v1/customers", [{"id": "cus_1"}], has_more=True)
    assert reply == {
        "object": "list",
        "data": [{"id": "cus_1"}],
        "has_more": True,
        "url": "/v1/customers",
    }


@pytest.mark.parametrize(
    ("backwards", "kept"), [(False, list(range(50))), (True, list(range(50, 100)))]
)
def test_list_longer_than_can_be_sent_is_shortened_next_to_its_cursor(
    backwards: bool, kept: list[int]
) -> None:
    # given: a hundred objects whose text is one and a half times what may be sent
    note = "💳" * (ANSWER_BYTES_MAX * 3 // 2 // 100 // 12)
    data = [{"id": number, "note": note} for number in range(100)]
    # when
    text = fitting(list_reply("/v1/x", data, has_more=False), dump, backwards=backwards)
    # then
    body = json.loads(text)
    assert [item["id"] for item in body["data"]] == kept
    assert body["has_more"]
    assert len(json.dumps(text)) <= ANSWER_BYTES_MAX


def test_list_that_can_be_sent_is_sent_as_it_is() -> None:
    body = list_reply("/v1/x", [{"id": 1}, {"id": 2}], has_more=False)
    assert json.loads(fitting(body, dump, backwards=False)) == body
