"""Conservation of money in the sandbox network, whatever it is asked in whatever order."""

from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.memory import MemoryClock
from shared.adapters.memory_provider import MemoryProvider
from shared.domain.cards import CardNumber
from shared.domain.providers import AuthorizationRequest, ProviderStatus
from shared.domain.sandbox_network import (
    FollowUp,
    Operation,
    Transaction,
    answer_of_json,
    answer_to_json,
    request_fingerprint,
    transaction_id,
    transaction_sort_key,
)

NUMBERS = st.sampled_from(["4242424242424242", "4000000000000002", "4000002760003184"])
AMOUNTS = st.integers(1, 300)
ACTIONS = st.one_of(
    st.tuples(st.just("authorize"), NUMBERS, AMOUNTS, st.booleans()),
    st.tuples(st.just("increment"), AMOUNTS),
    st.tuples(st.just("capture"), AMOUNTS),
    st.tuples(st.just("refund"), AMOUNTS),
    st.tuples(st.just("void")),
)


def run(provider: MemoryProvider, number: int, action: tuple[object, ...]) -> ProviderStatus:
    key = f"key_{number}"
    match action:
        case ("authorize", str(card), int(amount), bool(capture)):
            request = AuthorizationRequest(
                "acct_1",
                "pi_1",
                "ch_1",
                key,
                CardNumber(card, 12, 2040, None),
                amount,
                "usd",
                capture,
            )
            return provider.authorize(request).status
        case ("increment", int(amount)):
            return provider.increment("ch_1", amount, key).status
        case ("capture", int(amount)):
            return provider.capture("ch_1", amount, key).status
        case ("refund", int(amount)):
            return provider.refund("ch_1", f"re_{number}", amount, key).status
        case _:
            return provider.void("ch_1", key).status


def total(transactions: list[Transaction]) -> int:
    return sum(transaction.amount_minor for transaction in transactions)


@given(st.lists(ACTIONS, max_size=12))
def test_network_never_gives_back_more_than_it_took(actions: list[tuple[object, ...]]) -> None:
    provider = MemoryProvider(MemoryClock())
    for number, action in enumerate(actions):
        run(provider, number, action)
    begins = Operation.AUTHORIZATION, Operation.SALE, Operation.INCREMENT
    reserved = total(provider.effects(*begins))
    taken = total(provider.effects(Operation.CAPTURE, Operation.SALE))
    given_back = total(provider.effects(Operation.REFUND))
    voided = provider.effects(Operation.VOID)
    assert taken <= reserved
    assert given_back <= taken
    assert len(provider.effects(Operation.AUTHORIZATION, Operation.SALE)) <= 1
    assert total(voided) + given_back <= reserved
    assert len(voided) <= 1


@given(st.lists(ACTIONS, max_size=8))
def test_network_repeats_every_answer_without_another_effect(
    actions: list[tuple[object, ...]],
) -> None:
    provider = MemoryProvider(MemoryClock())
    first = [run(provider, number, action) for number, action in enumerate(actions)]
    effects = provider.effects()
    assert [run(provider, number, action) for number, action in enumerate(actions)] == first
    assert provider.effects() == effects


@given(st.lists(ACTIONS, min_size=1, max_size=5))
def test_answers_survive_their_json(actions: list[tuple[object, ...]]) -> None:
    provider = MemoryProvider(MemoryClock())
    for number, action in enumerate(actions):
        run(provider, number, action)
    answer = provider.void("ch_1", "another")
    assert answer_of_json(answer_to_json(answer)) == answer


@given(st.integers(0, 10**13 - 1), st.integers(0, 10**13 - 1))
def test_transactions_sort_by_time(earlier: int, later: int) -> None:
    earlier, later = sorted((earlier, later))
    if earlier != later:
        first, second = (transaction_id("k", created_ms) for created_ms in (earlier, later))
        assert transaction_sort_key(first) < transaction_sort_key(second)


def test_fingerprint_holds_no_digest_of_the_card_number() -> None:
    def request(number: str, cvc: str | None) -> AuthorizationRequest:
        card = CardNumber(number, 12, 2040, cvc)
        return AuthorizationRequest("acct_1", "pi_1", "ch_1", "k", card, 1, "usd", capture=True)

    # Two numbers with the same last digits cannot be told apart by what is stored.
    first = request_fingerprint(request("4000000000004242", "123"))
    assert first == request_fingerprint(request("4242424242424242", None))
    assert first != request_fingerprint(request("4000000000000002", None))
    assert first != request_fingerprint(FollowUp(Operation.VOID, "ch_1", "k"))
