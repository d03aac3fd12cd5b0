"""What is done after a deployment for the emulator's sake."""

from pathlib import Path
from urllib.parse import urlsplit

from local import after_deploy
from local.home import Home, regions
from tests.support.loopback import Received, Reply, serve


def test_checkpoints_of_every_region_are_locked(tmp_path: Path) -> None:
    # given
    home = Home(tmp_path)
    stacks = {region: f"Farthing-local-{region}-Data" for region in regions()}
    home.write(
        "outputs.json",
        {stack: {"CheckpointBucket": f"kept-{region}"} for region, stack in stacks.items()},
    )
    received: list[Received] = []

    def answer(request: Received) -> Reply:
        received.append(request)
        return Reply(body=b"")

    # when
    with serve(answer) as url:
        after_deploy.apply(home, urlsplit(url).port or 0)
    # then
    assert [(request.method, request.target) for request in received] == [
        ("PUT", f"/kept-{region}?object-lock") for region in regions()
    ]
    for request in received:
        assert b"<ObjectLockEnabled>Enabled</ObjectLockEnabled>" in request.body
        assert b"<Mode>COMPLIANCE</Mode><Days>2557</Days>" in request.body
