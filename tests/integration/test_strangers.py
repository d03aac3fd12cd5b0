"""Two merchants, and two modes of one: nobody reads, changes or uses what is another's.

Every operation of every function is asked, with everything that is another's, in its path and in
its parameters; operations that are added are asked as well.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from shared.domain.documents import Scope
from shared.edge.api import Route
from tests.support.strangers import (
    OBJECT_ID,
    PLACEHOLDER,
    Platform,
    State,
    belongings,
    client_secrets,
    functions_with_operations,
    id_params,
    ids_of,
    live_of,
    newest,
    nobodys,
    own_ids,
    own_path,
    paths_to,
    place_of,
    required_params,
    said,
    settle_in,
    settle_in_live,
)
from tests.support.world import Answer, Merchant

# Paths that no id of an object is part of: accounts of the books and numbers of checkpoints,
# corrections, which operators make, and mandates, which no card has.
UNNAMED = {
    "/v1/ledger/accounts/{}",
    "/v1/ledger/checkpoints/{}",
    "/v1/ledger/journals/{}/{}/{}/{}",
    "/v1/mandates/{}",
}
THEIRS, OURS = "markoftheirs", "markofours"


@dataclass(frozen=True)
class Scene:
    """A merchant with one of each object, and a stranger with some of their own.

    Args: theirs: state when only the merchant's objects were there. begun: with the stranger's.
    """

    world: Platform
    merchant: Merchant
    stranger: Merchant
    known: tuple[str, ...]
    own: dict[str, str]
    theirs: State
    begun: State

    def ask(
        self, route: Route, path: str, params: dict[str, Any], *, publishable: bool = False
    ) -> Answer:
        """Asks as the stranger; what that changes of their own is put back.

        Args: publishable: with the stranger's publishable key.
        """
        world, asker = self.world, self.stranger
        if publishable:
            asker = replace(asker, secret_key=asker.publishable_key)
        answer = world.call(route.method, path, params, merchant=asker)
        where = f"{route.method} {path} {params}: {answer.status} {answer.text}"
        assert answer.status < 500, where
        told = _ids_in(answer.text) - _ids_in(f"{path} {params}")
        assert not told & set(self.known), where
        assert THEIRS not in answer.text, where
        state = world.state()
        if state != self.begun:
            self._require_untouched(state, where)
            world.restore(self.begun)
        return answer

    def _require_untouched(self, state: State, where: str) -> None:
        for name, table in self.theirs.items():
            found = {key: state[name].get(key) for key in table}
            assert found == table, f"{where} changed {name}"
        assert belongings(state, self.merchant) == belongings(self.theirs, self.merchant), where

    def walk(self) -> Iterator[tuple[Route, str]]:
        """Yields every operation on an id with the merchant's."""
        for route in self.world.routes():
            for known in newest(self.known, 3) if PLACEHOLDER.search(route.template) else ():
                yield route, known


def _ids_in(text: str) -> set[str]:
    return {found[0] for found in OBJECT_ID.finditer(text)}


@pytest.fixture(scope="module", params=["another account", "the other mode"])
def scene(request: pytest.FixtureRequest) -> Scene:
    world = Platform()
    merchant = world.merchant("one")
    settle_in(world, merchant, THEIRS)
    known, theirs = ids_of(world, merchant, merchant.scope), world.state()
    if request.param == "another account":
        stranger = world.merchant("two")
        settle_in(world, stranger, OURS)
        mine = ids_of(world, stranger, stranger.scope)
    else:
        stranger = live_of(world, merchant)
        settle_in_live(world, stranger, OURS)
        mine = ids_of(world, stranger, Scope(stranger.account, livemode=True))
    own = dict(own_ids(world, stranger, mine))
    return Scene(world, merchant, stranger, known, own, theirs, world.state())


def test_every_function_with_operations_is_walked(scene: Scene) -> None:
    walked = {route.operation.__module__.split(".")[1] for route in scene.world.routes()}
    assert walked == functions_with_operations()


def test_every_operation_on_an_id_finds_the_merchants_own(scene: Scene) -> None:
    """What strangers do not find is there: each path that reads one object is read."""
    found = own_ids(scene.world, scene.merchant, scene.known)
    places = {
        place_of(route)
        for route in scene.world.routes()
        if route.method == "GET" and route.template.endswith("}")
    }
    assert places - found.keys() == UNNAMED


def test_path_with_anothers_id_is_answered_as_if_nobody_had_it(scene: Scene) -> None:
    asked = 0
    for route, known in scene.walk():
        missing = nobodys(known)
        paths = zip(
            paths_to(route, known, scene.own),
            paths_to(route, missing, scene.own, like=known),
            strict=True,
        )
        for (path, none), given in itertools.product(paths, (False, True)):
            params = required_params(route, scene.own) if given else {}
            if given and not params:
                continue
            # when
            answer = scene.ask(route, path, params)
            # then
            asked += 1
            assert answer.status in {400, 404}, f"{route.method} {path}: {answer.text}"
            nothing = scene.ask(route, none, params)
            assert said(answer) == said(nothing), f"{route.method} {path}: {answer.text}"
    assert asked > 500


def test_parameter_with_anothers_id_is_answered_as_if_nobody_had_it(scene: Scene) -> None:
    kinds = {document.kind for document in scene.world.database.documents.values()}
    objects = [name for name in scene.known if "/" not in name]
    asked = 0
    for route in scene.world.routes():
        path = own_path(route, scene.own)
        names = id_params(route, kinds) if path else ()
        given = required_params(route, scene.own)
        for name, known in itertools.product(names, newest(objects, 1)):
            # when
            answer = scene.ask(route, str(path), {**given, name: known})
            # then
            asked += 1
            nothing = scene.ask(route, str(path), {**given, name: nobodys(known)})
            where = f"{route.method} {path} {name}={known}: {answer.text}"
            assert said(answer) == said(nothing), where
    assert asked > 200


def test_client_secret_of_anothers_opens_nothing_to_a_publishable_key(scene: Scene) -> None:
    secrets, own = client_secrets(scene.world, scene.known), scene.own
    asked = 0
    for route, known in itertools.product(routes_for_pages(scene), newest(list(secrets), 2)):
        secret = {"client_secret": secrets[known]}
        missing = nobodys(known)
        for path, none in zip(
            paths_to(route, known, own), paths_to(route, missing, own, like=known), strict=True
        ):
            # when
            answer = scene.ask(route, path, secret, publishable=True)
            # then
            asked += 1
            assert answer.status == 404, f"{route.method} {path}: {answer.text}"
            nothing = scene.ask(route, none, secret, publishable=True)
            assert said(answer) == said(nothing), f"{route.method} {path}: {answer.text}"
        mine = scene.ask(route, str(own_path(route, own)), secret, publishable=True)
        assert mine.body["error"]["param"] == "client_secret", mine.text
    assert asked > 10


def test_publishable_key_finds_nothing_of_anothers_by_a_parameter(scene: Scene) -> None:
    objects = [name for name in scene.known if "/" not in name]
    kinds = {document.kind for document in scene.world.database.documents.values()}
    asked = 0
    for route in routes_for_pages(scene):
        path = str(own_path(route, scene.own))
        (secret,) = client_secrets(scene.world, [path.split("/")[3]]).values()
        given = {"client_secret": secret}
        for name, known in itertools.product(id_params(route, kinds), newest(objects, 1)):
            # when
            answer = scene.ask(route, path, {**given, name: known}, publishable=True)
            # then
            asked += 1
            nothing = scene.ask(route, path, {**given, name: nobodys(known)}, publishable=True)
            assert said(answer) == said(nothing), f"{route.method} {path}: {answer.text}"
    assert asked > 20


def routes_for_pages(scene: Scene) -> list[Route]:
    """Returns the operations on an intent that a publishable key may ask for, where it has one."""
    routes = [r for r in scene.world.routes() if r.publishable and PLACEHOLDER.search(r.template)]
    return [route for route in routes if own_path(route, scene.own)]


def test_lists_and_searches_have_nothing_of_anothers(scene: Scene) -> None:
    for route in scene.world.routes():
        if route.method != "GET" or "{" in route.template:
            continue
        params = {"query": "created>0"} if route.template.endswith("/search") else {}
        answer = scene.ask(route, route.template, params)
        assert answer.status in {200, 400, 403}, answer.text
