"""`keyrail tick`, `sweep`, `keys due` and `config` as a person uses them, against the whole system."""

import json
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from dev_process import Running, eventually

from keyrail.domain.key_format import ANY_KEY


def issue(system: Running, tenant: str, sink: str, *, name: str = "a key") -> dict[str, Any]:
    """A key that rotates into `sink`; the first tick brings it there."""
    rotation = {"grace_seconds": 60, "interval_seconds": 3600, "sink": sink}
    body = json.dumps({"tenant": tenant, "owner": "ml-team", "name": name, "rotation": rotation}).encode()
    headers = {"Authorization": f"Bearer {system.admin_key}", "Content-Type": "application/json"}
    asked = urllib.request.Request(f"{system.url}/v1/keys", body, headers)
    with urllib.request.urlopen(asked, timeout=20) as answer:
        made: dict[str, Any] = json.load(answer)
    return made


def due_at_once(system: Running, tenant: str) -> list[str]:
    told = json.loads(system.cli("keys", "due", "--within", "0", "--tenant", tenant, "--json").stdout)
    return [key["key_id"] for key in told["keys"]]


def test_a_tick_rotates_what_is_due_and_says_so(system: Running) -> None:
    made = issue(system, "tick", "vault:tick/gateway")
    assert due_at_once(system, "tick") == [made["key_id"]]
    time.sleep(1)  # a hint is of the second that follows
    report = json.loads(system.cli("tick", "--budget", "20s", "--json").stdout)
    assert (report["rotated"], report["failed"]) == (1, 0)
    assert len(json.loads(system.cli("get", made["key_id"], "--json").stdout)["generations"]) == 2

    again = system.cli("tick")
    assert again.returncode == 0
    head, counts = again.stdout.splitlines()
    assert head.split()[:2] == ["ROTATED", "RESUMED"]
    assert counts.split()[:2] == ["0", "0"]


def test_keys_due_shows_the_next_one_first(system: Running) -> None:
    ids = [issue(system, "due", f"vault:due/{name}", name=name)["key_id"] for name in ("one", "two", "three")]
    assert eventually(lambda: system.cli("tick").returncode == 0 and due_at_once(system, "due") == [], 10)
    assert system.cli("keys", "due", "--within", "30m", "--tenant", "due").stdout.splitlines()[1:] == []
    shown = system.cli("keys", "due", "--within", "2h", "--tenant", "due")
    head, *lines = shown.stdout.splitlines()
    assert head.split()[:2] == ["KEY", "ID"]
    assert sorted(line.split()[0] for line in lines) == sorted(ids)
    next_at = [line.split()[3] for line in lines]
    assert next_at == sorted(next_at)
    assert all("vault:due/" in line for line in lines)


def test_a_tick_that_fails_is_told_in_its_exit_code(system: Running) -> None:
    made = issue(system, "failing", "file:failing/nowhere")  # these functions have no folder for file: sinks
    time.sleep(1)
    done = system.cli("tick")
    assert done.returncode == 3
    assert f"{made['key_id']}  DELIVERY_FAILED" in done.stdout
    assert system.cli("revoke", made["key_id"]).returncode == 0
    assert system.cli("tick").returncode == 0


def test_a_sweep_looks_at_every_key(system: Running) -> None:
    issue(system, "swept", "vault:swept/gateway")
    report = json.loads(system.cli("sweep", "--budget", "20s", "--json").stdout)
    assert report["looked_at"] >= 2
    assert report["failed"] == 0
    assert sum(report["by_pepper_version"].values()) >= 2
    shown = system.cli("sweep", "--unused-days", "1")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "looked at" in shown.stdout


@pytest.mark.parametrize("command", [("tick", "--budget", "2d"), ("sweep", "--budget", "0")])
def test_a_budget_that_no_function_has_is_refused(system: Running, command: tuple[str, ...]) -> None:
    done = system.cli(*command)
    assert (done.returncode, done.stdout) == (2, "")
    assert "budget_seconds: " in done.stderr


class TestConfig:
    def test_a_value_comes_on_stdin_and_goes_to_stdout_alone(self, system: Running) -> None:
        put = system.cli("config", "put", "models/openai", "--tenant", "acme", "--json", stdin='{"token": "hush"}')
        assert put.returncode == 0, put.stderr
        assert (json.loads(put.stdout)["version"], json.loads(put.stdout)["etag"]) == (1, '"1"')
        got = system.cli("config", "get", "models/openai", "--tenant", "acme")
        assert json.loads(got.stdout) == {"token": "hush"}
        assert 'version 1, etag "1"' in got.stderr
        assert "hush" not in got.stderr + put.stdout + put.stderr

    def test_overwriting_takes_the_etag_that_was_read(self, system: Running, tmp_path: Path) -> None:
        (tmp_path / "value").write_text("second\n")
        name = ("models/text", "--tenant", "acme")
        assert system.cli("config", "put", *name, "--text", stdin="first\n").returncode == 0
        refused = system.cli("config", "put", *name, "--text", "--file", str(tmp_path / "value"))
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "--if-match" in refused.stderr
        written = ("--text", "--file", str(tmp_path / "value"), "--if-match", '"1"')
        assert 'etag        "2"' in system.cli("config", "put", *name, *written).stdout
        assert 'etag        "2"' in system.cli("config", "put", *name, *written).stdout  # as if the reply was lost
        stale = system.cli("config", "put", *name, "--text", "--if-match", '"1"', stdin="third\n")
        assert "[ETAG_MISMATCH]" in stale.stderr
        assert system.cli("config", "get", *name, "--raw").stdout == "second"
        assert system.cli("config", "get", *name, "--raw", "--version", "1").stdout == "first"
        assert system.cli("config", "get", *name).stdout == '"second"\n'

    def test_history_tells_who_wrote_what_when_and_no_value(self, system: Running) -> None:
        name = ("models/history", "--tenant", "acme")
        system.cli("config", "put", *name, stdin='"hush"')
        system.cli("config", "put", *name, "--if-match", '"1"', stdin='"hush again"')
        head, newest, oldest = system.cli("config", "history", *name).stdout.splitlines()
        assert head.split() == ["VERSION", "WRITTEN", "AT", "WRITTEN", "BY", "HOW", "STATE"]
        assert (newest.split()[0], oldest.split()[0]) == ("2", "1")
        assert newest.split()[-2:] == ["written", "live"]
        assert "hush" not in system.cli("config", "history", *name, "--json").stdout

    def test_schema_and_rotation_come_from_files(self, system: Running, tmp_path: Path) -> None:
        (tmp_path / "schema").write_text('{"type": "object", "required": ["token"]}')
        (tmp_path / "rotation").write_text('{"kind": "generated", "interval_seconds": 3600, "field": "token"}')
        name = ("models/rotating", "--tenant", "acme")
        files = ("--schema", str(tmp_path / "schema"), "--rotation", str(tmp_path / "rotation"))
        put = system.cli("config", "put", *name, *files, "--json", stdin='{"token": "x"}')
        assert json.loads(put.stdout)["rotation"]["kind"] == "generated"
        wrong = system.cli("config", "put", *name, "--if-match", '"1"', stdin='{"other": "hush"}')
        assert (wrong.returncode, "hush" in wrong.stderr) == (2, False)

    def test_without_a_key_in_the_environment_no_line_of_the_value_is_sent_as_one(self, system: Running) -> None:
        done = system.cli("config", "put", "models/x", "--tenant", "acme", "--text", stdin="hush", KEYRAIL_KEY="")
        assert (done.returncode, done.stdout) == (2, "")
        assert "KEYRAIL_KEY" in done.stderr

    @pytest.mark.parametrize(
        ("arguments", "stdin", "exit_code", "told"),
        [
            (("get", "models/none"), "", 1, "CONFIG_NOT_FOUND"),
            (("get", "../keys"), "", 2, "models/openai"),
            (("put", "models/x"), "{hush", 2, "line 1, column 2"),
            (("put", "models/x"), "", 2, "no JSON"),
            (("put", "models/x", "value"), "", 2, "unexpected extra argument"),
            (("history", "models/none"), "", 1, "CONFIG_NOT_FOUND"),
        ],
    )
    def test_a_failure_is_told_without_the_value(
        self, system: Running, arguments: tuple[str, ...], stdin: str, exit_code: int, told: str
    ) -> None:
        done = system.cli("config", *arguments, "--tenant", "acme", stdin=stdin)
        assert (done.returncode, done.stdout) == (exit_code, ""), done.stderr
        assert told in done.stderr
        assert "hush" not in done.stderr

    def test_a_key_in_a_value_is_kept_and_given_back(self, system: Running) -> None:
        """That is what configs are for; only arguments must hold none."""
        key = json.loads(system.cli("issue", "--tenant", "acme", "--owner", "o", "--name", "n", "--json").stdout)["key"]
        system.cli("config", "put", "models/key", "--tenant", "acme", "--text", stdin=key)
        got = system.cli("config", "get", "models/key", "--tenant", "acme", "--raw").stdout
        assert ANY_KEY.fullmatch(got)
        assert got == key


def test_a_schedule_is_set_changed_and_taken_away(system: Running) -> None:
    given = ["--tenant", "paced", "--owner", "ml-team", "--name", "a key", "--grace", "10m"]
    made = json.loads(system.cli("issue", *given, "--sink", "vault:paced/app", "--rotate-every", "1h", "--json").stdout)

    def rotation(*options: str) -> dict[str, Any]:
        told = system.cli("update", made["key_id"], *options, "--json")
        assert told.returncode == 0, told.stderr
        return {name: json.loads(told.stdout)["rotation"].get(name) for name in made["rotation"] if name != "next_at"}

    expected = {name: value for name, value in made["rotation"].items() if name != "next_at"}
    assert (expected["interval_seconds"], expected["sink"], expected["grace_seconds"]) == (3600, "vault:paced/app", 600)
    assert rotation("--rotate-every", "2h") == expected | {"interval_seconds": 7200}
    assert rotation("--grace", "5m", "--silent", "2m")["sink"] == "vault:paced/app"
    assert rotation("--clear", "schedule") == expected | {
        "grace_seconds": 300,
        "interval_seconds": None,
        "sink": None,
    }


def test_a_schedule_without_a_sink_is_refused(system: Running) -> None:
    refused = system.cli(
        "issue", "--tenant", "paced", "--owner", "o", "--name", "n", "--rotate-every", "1d", "--grace", "1h"
    )
    assert refused.returncode == 2
    assert "interval_seconds needs a sink" in refused.stderr
