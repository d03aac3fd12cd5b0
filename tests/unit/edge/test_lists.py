import pytest

from shared.domain.documents import PageQuery
from shared.domain.errors import RejectedError
from shared.edge.fields import CreatedRange, ListParams
from shared.edge.lists import created_bounds_ms, list_reply, page_query


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
