"""Over how many shards lists are spread."""

import pytest

from shared.domain.documents import Document
from shared.domain.errors import InvariantError
from shared.domain.lists import STRIPES_MAX, shard_of_row, stripes_of, with_stripes


def account(**data: object) -> Document:
    return Document("acct_1", "account", "acct_1", False, 1, 0, data)


def test_stripes_of_an_account_that_nobody_raised_are_one() -> None:
    assert [stripes_of(account(country="US"), livemode=mode) for mode in (True, False)] == [1, 1]
    assert stripes_of(None, livemode=True) == 1


def test_stripes_raised_are_of_one_mode_and_keep_the_rest() -> None:
    # when
    raised = account(**with_stripes(account(country="US"), 8, livemode=True))
    # then
    assert (stripes_of(raised, livemode=True), stripes_of(raised, livemode=False)) == (8, 1)
    assert raised.data["country"] == "US"


def test_stripes_never_become_fewer() -> None:
    # given
    wide = account(**with_stripes(account(), 64, livemode=False))
    # when
    narrower = account(**with_stripes(wide, 2, livemode=False))
    # then
    assert stripes_of(narrower, livemode=False) == 64


@pytest.mark.parametrize("count", [0, -1, STRIPES_MAX + 1])
def test_stripes_out_of_bounds_are_refused(count: int) -> None:
    with pytest.raises(InvariantError):
        with_stripes(account(), count, livemode=False)


@pytest.mark.parametrize("collection", ["customer", "charge/cus_1", "webhook_endpoint"])
def test_row_of_a_list_that_is_not_spread_is_in_the_first_shard(collection: str) -> None:
    shards = {shard_of_row(collection, f"x_{number}", 64) for number in range(100)}
    assert shards == {0}


@pytest.mark.parametrize("stripes", [1, 2, 64, STRIPES_MAX])
def test_rows_of_a_spread_list_reach_every_shard_and_no_other(stripes: int) -> None:
    shards = {shard_of_row("charge", f"ch_{number}", stripes) for number in range(40 * stripes)}
    assert shards == set(range(stripes))
