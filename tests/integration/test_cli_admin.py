"""`keyrail pepper`, `identities` and `events` against a real OpenBao, as an administrator runs them."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from bootstrapping import FUNCTIONS, Place

from event_receiver import receiving
from keyrail.adapters.pepper_admin import PepperAdmin
from keyrail.bootstrap import build_services
from keyrail.dev.openbao import OpenBao
from keyrail.domain.events import LifecycleEvent
from keyrail.settings import load_settings
from keyrail.triggers import cli_pepper


@pytest.fixture(scope="module")
def place(openbao: OpenBao, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place.make(openbao)
    made.bootstrap(identities=tmp_path_factory.mktemp("admin") / "ids")
    yield made
    made.remove()


def keys_by_version(place: Place) -> dict[str, int]:
    found: dict[str, int] = json.loads(place.keyrail_here("pepper", "status", "--json").stdout)["keys_by_version"]
    return found


def test_the_pepper_is_replaced_step_by_step(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    assert keys_by_version(place) == {"1": 1}  # the admin key
    rotated = place.keyrail_here("pepper", "rotate")
    assert (rotated.returncode, rotated.stdout) == (0, "made    pepper  (version 2 is current)\n")
    shown = place.keyrail_here("pepper", "status").stdout.splitlines()
    assert [line.split() for line in shown] == [["VERSION", "KEYS"], ["1", "1"], ["2", "0", "current"]]

    fresh = place.keyrail_here("pepper", "drop", "1", "--yes")
    assert (fresh.returncode, fresh.stdout) == (1, "")
    assert "Wait" in fresh.stderr
    monkeypatch.setattr(cli_pepper, "PepperAdmin", partial(PepperAdmin, settle_seconds=-5))
    in_use = place.keyrail_here("pepper", "drop", "1", "--yes")
    assert (in_use.returncode, "[PEPPER_IN_USE]" in in_use.stderr) == (1, True)

    place.bootstrap(new_admin=True)  # the old one is revoked
    assert keys_by_version(place) == {"1": 0, "2": 1}
    asked = place.keyrail_here("pepper", "drop", "1")
    assert (asked.returncode, "--yes" in asked.stderr) == (1, True)
    assert keys_by_version(place) == {"1": 0, "2": 1}
    dropped = place.keyrail_here("pepper", "drop", "1", "--yes", "--json")
    assert json.loads(dropped.stdout) == {"what": "pepper version 1", "outcome": "mended", "note": "dropped"}
    assert keys_by_version(place) == {"2": 1}


def test_the_pepper_of_new_keys_is_not_dropped(place: Place) -> None:
    newest = max(map(int, keys_by_version(place)))
    done = place.keyrail_here("pepper", "drop", str(newest), "--yes")
    assert (done.returncode, done.stdout) == (2, "")
    assert "keyrail pepper rotate" in done.stderr


def test_every_function_gets_a_new_login(place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "ids"
    place.bootstrap(identities=folder)
    before = {file.name: file.read_text() for file in folder.glob("*.secret-id")}
    done = place.keyrail_here("identities", "rotate", str(folder), "--functions", str(FUNCTIONS), "--grace", "0")
    assert (done.returncode, done.stderr) == (0, "")
    after = {file.name: file.read_text() for file in folder.iterdir() if file.name in before}
    assert before.keys() == after.keys()
    assert not set(before.values()) & set(after.values())
    assert len(done.stdout.splitlines()) == 2 * len(before)
    assert not any(secret.strip() in done.stdout for secret in (*before.values(), *after.values()))


def test_a_folder_without_identities_is_told_as_such(place: Place, tmp_path: Path) -> None:
    done = place.keyrail_here("identities", "rotate", str(tmp_path), "--functions", str(FUNCTIONS))
    assert (done.returncode, done.stdout) == (2, "")
    assert "--identities" in done.stderr


def test_events_that_wait_are_sent_once_their_receiver_is_there(place: Place, tmp_path: Path) -> None:
    with receiving(tmp_path) as receiver:
        receiver.kill()
        place.bootstrap()
        made = place.keyrail_here("events", "flush", K_SINK=receiver.url)
        assert (made.returncode, made.stdout) == (0, "sent     0\nwaiting  0\n")
        put_an_event(place, receiver.url)

        away = place.keyrail_here("events", "flush", "--budget", "3s", "--json", K_SINK=receiver.url)
        assert away.returncode == 3
        told = json.loads(away.stdout)
        assert (told["sent"], told["waiting"]) == (0, 1)
        assert told["failure"]

        receiver.start()
        sent = place.keyrail_here("events", "flush", "--json", K_SINK=receiver.url)
        assert (sent.returncode, json.loads(sent.stdout)) == (0, {"sent": 1, "waiting": 0, "failure": None})
        assert receiver.wait_for(1)


def put_an_event(place: Place, url: str) -> None:
    services = build_services(load_settings({**place.env, "KEYRAIL_FEED_POLL": "inline", "K_SINK": url}))
    assert services.outbox is not None
    services.outbox.put(LifecycleEvent("e" * 32, "key.issued", services.clock.now(), "acme", "0Keyrail0Unit0Id", {}))


def test_without_a_receiver_there_is_nothing_to_flush(place: Place) -> None:
    done = place.keyrail_here("events", "flush")
    assert (done.returncode, done.stdout) == (2, "")
    assert "K_SINK" in done.stderr


@pytest.mark.parametrize("command", [("pepper", "status"), ("events", "flush"), ("pepper", "rotate")])
def test_a_token_that_may_not_do_it_is_told_so(place: Place, command: tuple[str, ...]) -> None:
    weak = place.root.auth.token.create(policies=["default"])["auth"]["client_token"]
    done = place.keyrail_here(*command, VAULT_TOKEN=weak, K_SINK="http://127.0.0.1:9/")
    assert (done.returncode in (1, 3), "Traceback" in done.stderr) == (True, False)
    assert weak not in done.stdout + done.stderr
