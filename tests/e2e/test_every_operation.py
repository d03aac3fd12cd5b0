"""Every operation through Stripe's Python and Node SDKs, and the table of what is served."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import stripe

from local.build import ROOT
from tests.e2e.conftest import Platform
from tests.support.live import TIMEOUT_S, CheckedClient, eventually
from tests.support.loopback import Received, Reply, serve
from tests.support.operations import anonymous
from tests.support.published import Published
from tests.support.tour import Recorder, Served, coverage

pytestmark = pytest.mark.e2e

NODE_TIMEOUT_S = 300
# Searches follow within a minute.
FOLLOWS_S_MAX = 60
STEPS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("tour.json").read_text())
TABLE = ROOT / "docs" / "api-coverage.md"
_NAMED = re.compile(r"\$([a-z_]+(?:\.[a-z_]+)*)")


@dataclass(frozen=True)
class Mail:
    """The webhooks that came to an address."""

    url: str
    received: list[dict[str, str]]


@contextmanager
def mailbox() -> Iterator[Mail]:
    """Receives webhooks; shows them, as JSON, to whoever asks for the same address."""
    received: list[dict[str, str]] = []

    def answer(request: Received) -> Reply:
        if request.method == "GET":
            return Reply(200, json.dumps(received).encode())
        signature = request.headers["stripe-signature"]
        received.append({"body": request.body.decode(), "signature": signature})
        return Reply(200)

    with serve(answer) as url:
        yield Mail(f"{url}/webhooks", received)


class Tour:
    """Walks through the steps with the Python SDK."""

    def __init__(self, client: stripe.StripeClient, mail: "Mail") -> None:
        self.client = client
        self.mail = mail
        self.known: dict[str, Any] = {"webhooks": mail.url}

    def take(self, step: Mapping[str, Any]) -> None:
        """Calls an operation and holds its answer against what the step expects."""
        if "verifies" in step:
            self._verify(self._filled(step["verifies"]))
            return
        if "refused" in step:
            with pytest.raises(stripe.StripeError) as refused:
                self._call(step)
            error = refused.value
            decline = getattr(error.error, "decline_code", None)
            facts = {"code": error.code, "status": error.http_status, "decline_code": decline}
            assert {name: facts[name] for name in step["refused"]} == step["refused"]
            return
        result = self._find(step) if "finds" in step else self._call(step)
        for path, value in step.get("expect", {}).items():
            assert _at(result, path) == value, path
        if "as" in step:
            self.known[step["as"]] = result

    def _call(self, step: Mapping[str, Any]) -> Any:
        arguments = [self._filled(argument) for argument in step.get("with", ())]
        if "own" in step:
            method, path = self._filled(step["own"]).split(" ")
            params = arguments[0] if arguments else {}
            raw = self.client.raw_request(method.lower(), path, **params)
            return self.client.deserialize(raw, api_mode="V1")
        found: Any = self.client.v1
        for name in step["call"].split("."):
            found = getattr(found, name)
        return found(*arguments)

    def _find(self, step: Mapping[str, Any]) -> Any:
        """Asks until what is wanted is there: some lists and searches follow a moment later."""
        wanted = self._filled(step["finds"])

        def found() -> Any:
            answer = self._call(step)
            items = answer.data if "own" in step else answer.auto_paging_iter()
            return next((item for item in items if wanted in ("", item.id)), None)

        return eventually(found, lambda item: item is not None, within_s=FOLLOWS_S_MAX)

    def _verify(self, secret: str) -> None:
        """Waits for a webhook, and has the SDK verify all that came."""
        eventually(lambda: self.mail.received, bool)
        for sent in list(self.mail.received):
            stripe.Webhook.construct_event(sent["body"], sent["signature"], secret)

    def _filled(self, value: Any) -> Any:
        if isinstance(value, str):
            return _NAMED.sub(lambda match: str(_at(self.known, match[1])), value)
        if isinstance(value, list):
            return [self._filled(item) for item in value]
        if isinstance(value, dict):
            return {name: self._filled(item) for name, item in value.items()}
        return value


def _at(root: Any, path: str) -> Any:
    for name in path.split("."):
        root = root[name]
    return root


def _python(merchant: Mapping[str, Any], base: str) -> None:
    with mailbox() as mail:
        client = stripe.StripeClient(
            merchant["secret_key"],
            base_addresses={"api": base},
            http_client=CheckedClient(timeout=TIMEOUT_S),
            max_network_retries=2,
        )
        tour = Tour(client, mail)
        for step in STEPS:
            tour.take(step)


def _node(merchant: Mapping[str, Any], base: str) -> None:
    node = shutil.which("node")
    assert node is not None, "Node.js is needed"
    with mailbox() as mail:
        told = {"api_base": base, "secret_key": merchant["secret_key"], "webhooks": mail.url}
        bounds = {"follows_ms": FOLLOWS_S_MAX * 1000}
        done = subprocess.run(
            [node, str(Path(__file__).with_name("tour.mjs"))],
            cwd=ROOT,
            input=json.dumps({**told, **bounds, "steps": STEPS}),
            capture_output=True,
            text=True,
            check=False,
            timeout=NODE_TIMEOUT_S,
        )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def served(platform: Platform) -> Mapping[str, Served]:
    """What each SDK was answered, having asked again where the answer was lost."""
    found = {}
    for name, tour in (("Python SDK", _python), ("Node SDK", _node)):
        recorder = Recorder(platform.base)
        with serve(recorder) as base:
            tour(platform.merchant(), base)
        assert recorder.lost, "no answer was lost"
        assert recorder.replays == recorder.lost, "a lost answer is given again, word for word"
        found[name] = recorder.served(Published().routes())
    return found


def test_every_operation_is_served_to_both_sdks(served: Mapping[str, Served]) -> None:
    registered = {(route.method, anonymous(route.template)) for route in Published().routes()}
    for name, answered in served.items():
        assert registered - answered.keys() == set(), f"not in tour.json for the {name}"


def test_table_of_what_is_served_is_what_ran(served: Mapping[str, Served]) -> None:
    table = coverage(Published().routes(), served)
    if not TABLE.exists() or TABLE.read_text() != table:
        TABLE.write_text(table)
        pytest.fail(f"{TABLE.name} was not what ran; it is written anew: look at it, commit it")
