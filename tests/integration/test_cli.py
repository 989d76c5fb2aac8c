"""The command line as a person uses it, against the whole system as `keyrail dev` runs it."""

import json
from collections.abc import Callable

import pytest
from dev_process import Running, eventually, keyrail

from keyrail.domain.key_format import ANY_KEY

Issue = Callable[..., dict[str, str]]


@pytest.fixture
def issue(system: Running) -> Issue:
    def issued(*more: str, tenant: str = "acme") -> dict[str, str]:
        done = system.cli("issue", "--tenant", tenant, "--owner", "ml-team", "--name", "a key", *more, "--json")
        assert done.returncode == 0, done.stderr
        made: dict[str, str] = json.loads(done.stdout)
        return made

    return issued


def code_of(system: Running, key: str) -> tuple[int, str]:
    done = system.cli("validate", "--json", stdin=key)
    return done.returncode, json.loads(done.stdout)["code"]


def test_the_whole_life_of_a_key(system: Running, issue: Issue) -> None:
    issued = issue("--scope", "ml:infer")
    key_id, old = issued["key_id"], issued["key"]
    assert code_of(system, old) == (0, "VALID")

    rotated = system.cli("rotate", key_id, "--grace", "10m", "--json")
    new = json.loads(rotated.stdout)["key"]
    assert code_of(system, new) == (0, "VALID")
    assert code_of(system, old) == (0, "VALID")

    assert system.cli("update", key_id, "--disable", "--reason", "a drill").returncode == 0
    assert eventually(lambda: code_of(system, new) == (1, "DISABLED"), 5)
    assert system.cli("update", key_id, "--enable").returncode == 0
    assert eventually(lambda: code_of(system, new) == (0, "VALID"), 5)

    revoked = system.cli("revoke", key_id, "--reason", "the drill is over")
    assert "the drill is over" in revoked.stdout
    assert eventually(lambda: code_of(system, new) == code_of(system, old) == (1, "REVOKED"), 5)


def test_as_a_process_of_its_own_it_does_the_same(system: Running, issue: Issue) -> None:
    env = {"KEYRAIL_URL": system.url, "KEYRAIL_KEY": system.admin_key}
    asked = keyrail("validate", stdin=issue()["key"], **env)
    assert (asked.returncode, asked.stderr) == (0, "")
    assert "VALID" in asked.stdout
    assert keyrail("validate", stdin="nonsense", **env).returncode == 1
    assert keyrail("get", "0123456789abcdef", **env).returncode == 1
    assert keyrail("get", **env).returncode == 2
    assert keyrail("list", **{**env, "KEYRAIL_URL": "http://127.0.0.1:1"}).returncode == 3


def test_issue_shows_the_key_once_in_a_table_and_says_so(system: Running) -> None:
    done = system.cli("issue", "--tenant", "acme", "--owner", "ml-team", "--name", "shown", "--label", "stage=prod")
    assert done.returncode == 0
    name, key = done.stdout.splitlines()[0].split()
    assert name == "key"
    assert ANY_KEY.fullmatch(key)
    assert 'labels            {"stage": "prod"}' in done.stdout
    assert "shown this once" in done.stderr


def test_every_option_of_issue_reaches_the_record(system: Running, issue: Issue) -> None:
    made = issue(
        *("--scope", "ml:infer", "--scope", "data:read", "--role", "service", "--lifetime", "30d"),
        *("--not-before", "2030-01-01T00:00:00Z", "--label", "a=b=c", "--cidr", "10.0.0.0/8", "--audience", "api"),
        *("--rate", "100/1m", "--quota", "5000/1d", "--grace", "2h", "--lifetime", "9d"),
        *("--not-before", "2020-01-01T00:00:00Z"),
    )
    assert (made["scopes"], made["roles"]) == (["ml:infer", "data:read"], ["service"])
    assert made["lifetime_seconds"] == 9 * 24 * 3600
    assert made["not_before"].startswith("2020-01-01")
    assert made["labels"] == {"a": "b=c"}
    assert made["context"] == {"cidrs": ["10.0.0.0/8"], "audiences": ["api"]}
    assert made["rate"] == {"requests": 100, "window_seconds": 60}
    assert made["quota"] == {"requests": 5000, "window_seconds": 86400}
    assert made["rotation"]["grace_seconds"] == 7200


def test_the_same_idempotency_key_makes_no_second_key(system: Running, issue: Issue) -> None:
    first, second = issue("--idempotency-key", "once"), issue("--idempotency-key", "once")
    assert first["key_id"] == second["key_id"]
    assert "key" not in second


def test_what_a_key_is_asked_for_decides(system: Running, issue: Issue) -> None:
    key = issue("--scope", "ml:infer", "--audience", "api")["key"]
    fine = ("validate", "--scopes", "ml:infer or ml:train", "--audience", "api", "--tenant", "acme", "--ip", "10.1.1.1")
    assert system.cli(*fine, stdin=key).returncode == 0
    for wrong in (("--scopes", "ml:train", "--audience", "api"), ("--audience", "web"), ("--tenant", "globex")):
        assert system.cli("validate", *wrong, stdin=key).returncode == 1


def test_the_key_to_validate_may_come_in_the_environment(system: Running, issue: Issue) -> None:
    key = issue()["key"]
    done = system.cli("validate", KEYRAIL_VALIDATE_KEY=key)
    assert (done.returncode, done.stderr) == (0, "")
    assert "VALID" in done.stdout
    assert key not in done.stdout


def test_the_callers_own_key_may_come_on_stdin(system: Running) -> None:
    done = system.cli("list", "--tenant", "system", stdin=f"{system.admin_key}\n", KEYRAIL_KEY="")
    assert done.returncode == 0
    assert "admin key of keyrail bootstrap" in done.stdout


def test_get_and_list_show_no_key(system: Running, issue: Issue) -> None:
    made = issue(tenant="get-and-list")
    shown = system.cli("get", made["key_id"], "--json").stdout
    shown += system.cli("list", "--tenant", "get-and-list").stdout
    assert shown.count(made["key_id"]) == 2
    assert ANY_KEY.search(shown) is None


def test_list_pages_and_filters(system: Running, issue: Issue) -> None:
    made = {issue(tenant="pages")["key_id"] for _ in range(3)}
    page = system.cli("list", "--tenant", "pages", "--limit", "2")
    assert len(page.stdout.splitlines()) == 1 + 2
    cursor = page.stderr.split("--cursor ")[1].strip()
    rest = json.loads(system.cli("list", "--tenant", "pages", "--cursor", cursor, "--json").stdout)
    assert len(rest["keys"]) == 1
    every = json.loads(system.cli("list", "--tenant", "pages", "--limit", "2", "--all", "--json").stdout)
    assert {key["key_id"] for key in every["keys"]} == made
    assert len(system.cli("list", "--tenant", "pages", "--state", "revoked").stdout.splitlines()) == 1
    assert len(system.cli("list", "--tenant", "pages", "--owner", "ml-team").stdout.splitlines()) == 1 + 3


def test_update_changes_what_is_named_and_clears_what_is_said(system: Running, issue: Issue) -> None:
    made = issue("--scope", "ml:infer", "--rate", "9/1m", "--label", "a=b")
    changed = ("--name", "new name", "--scope", "ml:train", "--quota", "10/1d", "--clear", "rate", "--clear", "labels")
    done = system.cli("update", made["key_id"], *changed, "--if-match", made["etag"], "--json")
    after = json.loads(done.stdout)
    assert (after["name"], after["scopes"], after["owner"]) == ("new name", ["ml:train"], "ml-team")
    assert ("rate" in after, after["labels"], after["quota"]["requests"]) == (False, {}, 10)

    stale = system.cli("update", made["key_id"], "--name", "newer", "--if-match", made["etag"])
    assert (stale.returncode, stale.stdout) == (1, "")
    assert "[ETAG_MISMATCH]" in stale.stderr
    assert "correlation id: " in stale.stderr


@pytest.mark.parametrize(
    ("arguments", "env", "exit_code", "told"),
    [
        (("get", "0123456789abcdef"), {}, 1, "KEY_NOT_FOUND"),
        (("list",), {"KEYRAIL_KEY": "no-key-at-all"}, 1, "MALFORMED"),
        (("list",), {"KEYRAIL_KEY": ""}, 2, "Your key is missing"),
        (("list",), {"KEYRAIL_KEY": "two words"}, 2, "no key"),
        (("list",), {"KEYRAIL_URL": ""}, 2, "--url"),
        (("list",), {"KEYRAIL_URL": "http://127.0.0.1:1"}, 3, "Is it up?"),
        (("list",), {"KEYRAIL_URL": "http://keys.example.com"}, 2, "in the clear"),
        (("list", "--limit", "0"), {}, 2, "--limit"),
        (("get", "../../sys"), {}, 2, "16 letters and digits"),
        (("update", "0123456789abcdef"), {}, 2, "at least one field"),
        (("issue", "--owner", "two words", "--name", "x", "--tenant", "acme"), {}, 2, "owner: "),
        (("issue", "--owner", "x", "--name", "x", "--lifetime", "soon"), {}, 2, "30m"),
        (("issue", "--owner", "x", "--name", "x", "--rate", "fast"), {}, 2, "100/1m"),
        (("issue", "--owner", "x", "--name", "x", "--label", "nothing"), {}, 2, "name=value"),
        (("validate",), {}, 2, "The key to validate is missing"),
        (("no-such-command",), {}, 2, "No such command"),
    ],
)
def test_a_failure_goes_to_stderr_with_what_to_do(
    system: Running, arguments: tuple[str, ...], env: dict[str, str], exit_code: int, told: str
) -> None:
    done = system.cli(*arguments, **env)
    assert (done.returncode, done.stdout) == (exit_code, ""), done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["validate", "get", "revoke", "issue --name", "list --url"])
def test_a_key_among_the_arguments_is_refused_and_never_repeated(system: Running, issue: Issue, command: str) -> None:
    key = issue()["key"]
    done = keyrail(*command.split(), f"http://127.0.0.1/{key}" if "url" in command else key)
    assert (done.returncode, done.stdout) == (2, "")
    assert "rotate that key" in done.stderr
    assert key not in done.stderr
    assert key.rsplit("_", 1)[1] not in done.stderr


def test_a_key_without_the_right_is_told_which_it_lacks(system: Running, issue: Issue) -> None:
    weak = issue("--scope", "ml:infer")["key"]
    done = system.cli("issue", "--tenant", "acme", "--owner", "me", "--name", "x", KEYRAIL_KEY=weak)
    assert done.returncode == 1
    assert "keys:issue" in done.stderr
    assert "[INSUFFICIENT_SCOPE]" in done.stderr
