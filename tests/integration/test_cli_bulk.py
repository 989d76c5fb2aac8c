"""`keyrail revoke --owner`, `rotate --filter` and `import` over many keys, killed half-way and run again."""

import json
import secrets
import stat
import subprocess
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from dev_process import KEYRAIL, Running, clean_environment, eventually

from keyrail.triggers import cli_bulk_keys
from keyrail.triggers.cli_report import append_line

MANY = 40


def issue(system: Running, tenant: str, owner: str = "ml-team", *more: str) -> dict[str, Any]:
    done = system.cli("issue", "--tenant", tenant, "--owner", owner, "--name", "a key", "--json", *more)
    made: dict[str, Any] = json.loads(done.stdout)
    return made


def keys_of(system: Running, tenant: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(system.cli("list", "--tenant", tenant, "--all", "--json").stdout)["keys"]
    return found


def states(system: Running, tenant: str) -> Counter[str]:
    return Counter(key["state"] for key in keys_of(system, tenant))


def lines_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def codes(system: Running, keys: list[str]) -> set[str]:
    return {json.loads(system.cli("validate", "--json", stdin=key).stdout)["code"] for key in keys}


def killed_when(system: Running, has_come_so_far: Callable[[], bool], *arguments: str) -> None:
    """The command as a process of its own, ended with SIGKILL in the middle of its work."""
    env = clean_environment() | {"KEYRAIL_URL": system.url, "KEYRAIL_KEY": system.admin_key}
    with subprocess.Popen([*KEYRAIL, *arguments], env=env, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        try:
            assert eventually(lambda: has_come_so_far() or run.poll() is not None, 30)
            assert run.poll() is None, "it ended before it could be killed"
        finally:
            run.kill()


class TestRevoke:
    def test_all_keys_of_an_owner_and_no_others(self, system: Running) -> None:
        mine = [issue(system, "revoking")["key"] for _ in range(3)]
        other = issue(system, "revoking", "somebody-else")["key"]
        many = ("revoke", "--owner", "ml-team", "--tenant", "revoking")

        listed = system.cli(*many, "--dry-run")
        assert (listed.returncode, len(listed.stdout.splitlines())) == (0, 1 + 3)
        refused = system.cli(*many, stdin="n\n")
        assert (refused.returncode, "Revoke 3 keys of ml-team for good?" in refused.stderr) == (1, True)
        assert states(system, "revoking") == {"active": 4}

        done = system.cli(*many, "--reason", "they left", stdin="y\n")
        assert (done.returncode, done.stdout) == (0, "revoked  3\nleft     0\n")
        assert states(system, "revoking") == {"revoked": 3, "active": 1}
        assert eventually(lambda: codes(system, mine) == {"REVOKED"}, 5)
        assert codes(system, [other]) == {"VALID"}
        assert system.cli(*many).stdout == "left  0\n", "nothing is left, so nothing is asked"

    def test_ones_own_key_goes_last(self, system: Running) -> None:
        for _ in range(4):
            issue(system, "leaving", "ana")
        own = issue(system, "leaving", "ana", "--role", "operator")["key"]
        done = system.cli("revoke", "--owner", "ana", "--yes", "--json", KEYRAIL_KEY=own)
        assert (done.returncode, json.loads(done.stdout)["revoked"]) == (0, 5)
        assert states(system, "leaving") == {"revoked": 5}

    def test_a_report_names_each_key_once_over_two_runs(self, system: Running, tmp_path: Path) -> None:
        ids = {issue(system, "killed", "bo")["key_id"] for _ in range(MANY)}
        report = tmp_path / "report"
        command = ("revoke", "--owner", "bo", "--tenant", "killed", "--yes", "--report", str(report))
        killed_when(system, lambda: report.exists() and len(report.read_text().splitlines()) > MANY // 4, *command)
        done_before = {line["key_id"] for line in lines_of(report)[1:]}
        assert 0 < len(done_before) < MANY
        assert system.cli(*command).returncode == 0
        assert states(system, "killed") == {"revoked": MANY}
        assert sorted(line["key_id"] for line in lines_of(report)[1:]) == sorted(ids)

    @pytest.mark.parametrize("arguments", [(), ("0123456789abcdef", "--owner", "x")])
    def test_one_or_many_but_not_both(self, system: Running, arguments: tuple[str, ...]) -> None:
        done = system.cli("revoke", *arguments)
        assert (done.returncode, "one of the two" in done.stderr) == (2, True)

    def test_without_the_right_it_stops_at_once(self, system: Running) -> None:
        for _ in range(3):
            issue(system, "weak")
        weak = issue(system, "weak", "x", "--scope", "keys:read")["key"]
        done = system.cli("revoke", "--owner", "ml-team", "--yes", KEYRAIL_KEY=weak)
        assert (done.returncode, done.stdout) == (1, "left  3\n")
        assert "[INSUFFICIENT_SCOPE]" in done.stderr

    def test_where_nobody_answers_the_rest_is_left(self, system: Running, tmp_path: Path) -> None:
        done = system.cli("revoke", "--owner", "x", "--yes", KEYRAIL_URL="http://127.0.0.1:1")
        assert (done.returncode, done.stdout) == (3, "")


class TestRotate:
    def test_what_fits_into_sinks_and_a_file(self, system: Running, tmp_path: Path) -> None:
        prod = [issue(system, "filtered", "ml-team", "--label", "stage=prod") for _ in range(2)]
        issue(system, "filtered", "ml-team", "--label", "stage=test")
        issue(system, "filtered", "other", "--label", "stage=prod")
        chosen = ("--filter", "tenant=filtered", "--filter", "owner=ml-team", "--filter", "label=stage=prod")

        no_sink = system.cli("rotate", *chosen, "--yes")
        assert (no_sink.returncode, no_sink.stdout) == (0, "without a sink  2\nleft            0\n")
        file = tmp_path / "new-keys"
        done = system.cli("rotate", *chosen, "--yes", "--grace", "10m", "--new-keys", str(file))
        assert (done.returncode, done.stdout) == (0, "rotated  2\nleft     0\n")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        new = {line["key_id"]: line["key"] for line in lines_of(file)}
        assert new.keys() == {key["key_id"] for key in prod}
        assert codes(system, [*new.values(), *(key["key"] for key in prod)]) == {"VALID"}
        assert not any(key in done.stdout + done.stderr for key in new.values())

        for report in ((), ("--report", str(tmp_path / "a-new-report"))):
            again = system.cli("rotate", *chosen, "--yes", "--new-keys", str(file), *report)
            assert (again.returncode, "is there already" in again.stderr) == (2, True)
        assert not (tmp_path / "a-new-report").exists()
        nowhere = system.cli("rotate", *chosen, "--yes", "--new-keys", str(tmp_path / "nowhere" / "new-keys"))
        assert (nowhere.returncode, "can't be written" in nowhere.stderr) == (2, True)
        again = system.cli("rotate", *chosen, "--yes", "--new-keys", str(file))
        assert (again.returncode, "is there already" in again.stderr) == (2, True)
        in_grace = system.cli("rotate", *chosen, "--yes", "--new-keys", str(tmp_path / "others"))
        assert (in_grace.returncode, in_grace.stdout) == (1, "failed  2\nleft    0\n")
        assert in_grace.stderr.count("ROTATION_IN_PROGRESS") == 2

    def test_by_name_with_a_star_and_by_state(self, system: Running) -> None:
        for name in ("gateway-1", "gateway-2", "batch"):
            system.cli("issue", "--tenant", "named", "--owner", "o", "--name", name)
        disabled = issue(system, "named")["key_id"]
        system.cli("update", disabled, "--disable")

        def fits(*filters: str) -> int:
            options = [part for each in ("tenant=named", *filters) for part in ("--filter", each)]
            return len(system.cli("rotate", *options, "--dry-run", "--new-keys", "x").stdout.splitlines()) - 1

        assert [fits(), fits("name=gateway-*"), fits("name=gateway"), fits("state=disabled")] == [4, 2, 0, 1]
        assert fits("state=active", "name=b*") == 1
        assert not Path("x").exists()

    @pytest.mark.parametrize("wrong", ["tenant", "colour=red", "owner=", "state=gone"])
    def test_a_filter_that_is_none_is_refused(self, system: Running, wrong: str) -> None:
        done = system.cli("rotate", "--filter", wrong, "--yes")
        assert (done.returncode, done.stdout) == (2, "")

    def test_killed_half_way_no_key_is_lost(self, system: Running, tmp_path: Path) -> None:
        old = {made["key_id"]: made["key"] for made in (issue(system, "rotating") for _ in range(MANY))}
        report, file = tmp_path / "report", tmp_path / "new-keys"
        command = ("rotate", "--filter", "tenant=rotating", "--new-keys", str(file), "--report", str(report), "--yes")
        killed_when(system, lambda: file.exists() and len(file.read_text().splitlines()) > MANY // 4, *command)
        first = lines_of(file)
        assert 0 < len(first) < MANY
        done = system.cli(*command, "--json")
        told = json.loads(done.stdout)
        assert (done.returncode, told["failures"], told["left"]) == (0, [], 0)
        assert told["done before"] + told["rotated"] == MANY
        assert lines_of(file)[: len(first)] == first, "what was done is not done again"
        new = {line["key_id"]: line["key"] for line in lines_of(file)}
        assert new.keys() == old.keys()
        assert eventually(lambda: codes(system, [*new.values(), *old.values()]) == {"VALID"}, 5)
        assert not any(key in report.read_text() for key in new.values())

    def test_a_secret_that_was_lost_on_its_way_is_replaced(
        self, system: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The service has rotated the key, and the command ends before the new one is on disk."""
        old = [issue(system, "lost")["key"] for _ in range(3)]
        file = tmp_path / "new-keys"
        command = ("rotate", "--filter", "tenant=lost", "--yes", "--report", str(tmp_path / "report"))
        command += ("--new-keys", str(file))

        def interrupted(path: Path, line: dict[str, Any]) -> None:
            if path == file and lines_of(file):
                raise KeyboardInterrupt
            append_line(path, line)

        with monkeypatch.context() as patch:
            patch.setattr(cli_bulk_keys, "append_line", interrupted)
            cut_off = system.cli(*command)
        assert (cut_off.returncode, cut_off.stdout) == (130, "rotated  1\nleft     2\n")
        assert system.cli(*command).stdout == "done before  1\nrotated      2\nleft         0\n"
        generations = sorted(line["generation"] for line in lines_of(file))
        assert generations == [2, 2, 3]
        assert eventually(lambda: codes(system, [*old, *(line["key"] for line in lines_of(file))]) == {"VALID"}, 5)


class TestImport:
    @staticmethod
    def csv(tmp_path: Path, keys: list[str]) -> Path:
        rows = [f"{sha256(key.encode()).hexdigest()},ml-team,from before,ml:infer data:read" for key in keys]
        (tmp_path / "keys.csv").write_text("\n".join(["sha256,owner,name,scopes", *rows]) + "\n")
        return tmp_path / "keys.csv"

    def test_hashes_in_csv(self, system: Running, tmp_path: Path) -> None:
        keys = [f"sk-{secrets.token_hex(20)}" for _ in range(3)]
        command = ("import", str(self.csv(tmp_path, keys)), "--tenant", "imported")
        checked = system.cli(*command, "--dry-run")
        assert checked.stdout.splitlines()[1].split() == ["imported", "ml-team", "3"]
        assert codes(system, keys) == {"NOT_FOUND"}
        assert system.cli(*command, "--yes").stdout == "imported  3\nleft      0\n"
        assert codes(system, keys) == {"VALID"}
        assert {tuple(key["scopes"]) for key in keys_of(system, "imported")} == {("ml:infer", "data:read")}
        assert system.cli(*command, "--yes").stdout == "kept  3\nleft  0\n"

    def test_whole_keys_in_json_lines(self, system: Running, tmp_path: Path) -> None:
        key = f"pk_{secrets.token_hex(20)}"
        line = {"key": key, "owner": "ana", "name": "laptop", "tenant": "lines", "metadata": {"plan": "pro"}}
        (tmp_path / "keys.jsonl").write_text(json.dumps(line) + "\n")
        done = system.cli("import", str(tmp_path / "keys.jsonl"), "--yes", "--json")
        assert json.loads(done.stdout) == {"imported": 1, "left": 0, "failures": []}
        assert key not in done.stdout + done.stderr
        assert codes(system, [key]) == {"VALID"}
        assert keys_of(system, "lines")[0]["metadata"] == {"plan": "pro"}

    def test_one_mistake_and_nothing_is_imported(self, system: Running, tmp_path: Path) -> None:
        keys = [f"sk-{secrets.token_hex(20)}" for _ in range(2)]
        file = self.csv(tmp_path, keys)
        file.write_text(file.read_text() + "hush,ml-team,wrong,\n")
        done = system.cli("import", str(file), "--tenant", "mistaken", "--yes")
        assert (done.returncode, done.stdout) == (2, "")
        assert "line 4: sha256: " in done.stderr
        assert "hush" not in done.stderr
        assert codes(system, keys) == {"NOT_FOUND"}

    def test_what_the_service_refuses_is_told_by_key_and_stops_no_other(self, system: Running, tmp_path: Path) -> None:
        keys = [f"xx-{secrets.token_hex(20)}", f"sk-{secrets.token_hex(20)}"]
        rows = [json.dumps({"key": key, "owner": "o", "name": "n", "tenant": "refused"}) for key in keys]
        (tmp_path / "keys.jsonl").write_text("\n".join(rows))
        done = system.cli("import", str(tmp_path / "keys.jsonl"), "--yes")
        assert (done.returncode, done.stdout) == (1, "failed    1\nimported  1\nleft      0\n")
        assert "NOT_IMPORTABLE" in done.stderr
        assert codes(system, keys) == {"MALFORMED"} | {"VALID"}

    def test_killed_half_way_it_goes_on_with_what_is_left(self, system: Running, tmp_path: Path) -> None:
        keys = [f"sk-{secrets.token_hex(20)}" for _ in range(MANY)]
        report = tmp_path / "report"
        command = ("import", str(self.csv(tmp_path, keys)), "--tenant", "resumed", "--yes", "--report", str(report))
        killed_when(system, lambda: report.exists() and len(report.read_text().splitlines()) > MANY // 4, *command)
        before = len(lines_of(report)) - 1
        done = system.cli(*command, "--json")
        told = json.loads(done.stdout)
        assert (done.returncode, told["done before"]) == (0, before)
        assert told["imported"] + told.get("kept", 0) == MANY - before
        assert told.get("kept", 0) <= 1, "the one under way when it was killed"
        assert len({line["key_id"] for line in lines_of(report)[1:]}) == len(lines_of(report)) - 1 == MANY
        assert codes(system, keys) == {"VALID"}
        assert system.cli(*command).stdout == f"done before  {MANY}\nleft         0\n"

    def test_the_report_of_another_command_is_left_alone(self, system: Running, tmp_path: Path) -> None:
        file = self.csv(tmp_path, [])
        report = tmp_path / "report"
        assert system.cli("import", str(file), "--report", str(report)).returncode == 0
        kept = report.read_text()
        done = system.cli("revoke", "--owner", "x", "--report", str(report))
        assert (done.returncode, "another command" in done.stderr, report.read_text()) == (2, True, kept)
