"""What the command line takes, before anything is sent."""

import subprocess
import sys

import click
import pytest

from keyrail.domain.key_format import KeyFormat
from keyrail.telemetry import redact
from keyrail.triggers.cli_client import checked_url
from keyrail.triggers.cli_options import DURATION, LIMIT, pairs
from keyrail.triggers.cli_output import text_of
from keyrail.triggers.cli_root import _COMMANDS, CliError, LazyCommands, root, run

KEY = KeyFormat().assemble("0123456789abcdef", "s" * 32)
VAULT_TOKEN = "hvs." + "t" * 24


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0), ("45s", 45), ("30m", 1800), ("12h", 43200), ("90d", 7776000), ("2w", 1209600)]
)
def test_a_duration_is_seconds(text: str, seconds: int) -> None:
    assert DURATION.convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "-1s", "1.5h", "1y", "d", "1 h", "٣s"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(click.BadParameter):
        DURATION.convert(text, None, None)


def test_a_limit_is_requests_in_a_duration() -> None:
    assert LIMIT.convert("100/1m", None, None) == {"requests": 100, "window_seconds": 60}


@pytest.mark.parametrize("text", ["100", "/1m", "100/", "a/1m", "-1/1m"])
def test_anything_else_is_no_limit(text: str) -> None:
    with pytest.raises(click.BadParameter):
        LIMIT.convert(text, None, None)


def test_labels_are_name_and_value() -> None:
    assert pairs(("a=1", "b=", "c=x=y")) == {"a": "1", "b": "", "c": "x=y"}
    for wrong in ("a", "=1"):
        with pytest.raises(click.UsageError):
            pairs((wrong,))


@pytest.mark.parametrize(
    "url", ["https://keys.example.com/", "http://127.0.0.1:8080", "http://localhost", "http://[::1]:1"]
)
def test_a_url_that_hides_the_key_on_its_way_is_taken(url: str) -> None:
    assert checked_url(url) == url.rstrip("/")


@pytest.mark.parametrize("url", ["http://keys.example.com", "http://10.0.0.1", "http://127.0.0.1.example.com"])
def test_a_url_that_sends_the_key_in_the_clear_is_refused(url: str) -> None:
    with pytest.raises(CliError, match="in the clear"):
        checked_url(url)


@pytest.mark.parametrize(
    "url",
    ["", "keys.example.com", "ftp://127.0.0.1", "https://", "https://a:b@example.com", "https://example.com/?a=1"],
)
def test_any_other_url_is_refused(url: str) -> None:
    with pytest.raises(CliError) as refused:
        checked_url(url)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("secret", [KEY, VAULT_TOKEN])
@pytest.mark.parametrize("shape", ["{}", "--name={}", "http://127.0.0.1/{}", "  {}"])
@pytest.mark.parametrize("command", ["validate", "no-such-command", "--help"])
def test_a_secret_among_the_arguments_stops_everything(
    secret: str, shape: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run([command, shape.format(secret)])
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert "rotate that key" in said.err
    assert secret not in said.err


def test_an_imported_key_among_the_arguments_stops_everything_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KEYRAIL_IMPORTED_PREFIXES", "sk-,no prefix")
    with pytest.raises(SystemExit) as ended:
        run(["validate", "sk-" + "hush" * 8])
    assert (ended.value.code, "hush" in capsys.readouterr().err) == (2, False)
    monkeypatch.delenv("KEYRAIL_IMPORTED_PREFIXES")
    with pytest.raises(SystemExit):
        run(["--version"])
    assert redact("sk-" + "hush" * 8) != "[redacted]"


def test_text_from_others_can_not_steer_the_terminal() -> None:
    assert text_of("\x1b[2Jname\u202e\n") == "?[2Jname??"
    assert "\x1b" not in text_of({"a": "\x1b[2J"})
    assert text_of(["\x07a", "b"]) == "?a b"


def test_every_command_in_the_list_is_there() -> None:
    assert isinstance(root, LazyCommands)
    context = click.Context(root)
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert command.help, name
    assert set(_COMMANDS) == set(root.list_commands(context))


def python(code: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_without_click_it_says_what_to_install() -> None:
    done = python("import sys; sys.modules['click'] = None; from keyrail.triggers.cli import main; main()")
    assert done.returncode == 1
    assert done.stderr == "keyrail: the command line needs click: pip install 'keyrail[cli]'\n"


def test_a_command_loads_only_what_it_needs() -> None:
    loaded = "import keyrail.triggers.cli_keys, sys; print(*sorted(sys.modules))"
    modules = python(loaded).stdout.split()
    assert "click" in modules
    assert not {"hvac", "requests", "flask", "functions_framework", "keyrail.bootstrap"}.intersection(modules)
