"""telemetry.py: a log line is one line of JSON, and holds no secret."""

import json
import logging
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NoReturn

import pytest
from builders import KEY_ID, NOW, key_text
from hypothesis import given
from hypothesis import strategies as st

from keyrail.telemetry import JsonFormatter, RepeatedLine, configure_logging, correlation_id, log, note, noted

KEY = key_text(62**31)
SECRET = KEY[-38:-6]
TOKEN = "hvs." + "a1B2c3D4" * 4
SECRETS = {"key": KEY, "token": TOKEN, "old token": "s." + "a1B2c3D4" * 3}
AROUND = ["", " ", "\n", "\t", "\r", "\b", "\x00", "\\", '"', "é", "\u2028", "𝟎", "n", "_", "/", "."]


class Shown(Exception):
    """Whose text must not be shown."""


def line_of(message: object, *args: Any, facts: dict[str, Any] | None = None, error: bool = False) -> dict[str, Any]:
    record = logging.LogRecord(
        "some.library", logging.WARNING, "x.py", 1, message, args, sys.exc_info() if error else None
    )
    if facts is not None:
        record.facts = facts
    return parsed(JsonFormatter().format(record))


def parsed(text: str) -> dict[str, Any]:
    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} is no JSON")

    assert len(text.splitlines()) == 1
    assert text.isascii()
    line = json.loads(text, parse_constant=refuse)
    assert isinstance(line, dict)
    return line


class TestForm:
    def test_a_line_of_ours_holds_its_facts(self) -> None:
        line = line_of("request", facts={"operation": "get_key", "ms": 0.4, "key_id": KEY_ID, "tenant": None})
        assert datetime.fromisoformat(line.pop("at")).utcoffset() == timedelta(0)
        assert line == {"level": "warning", "kind": "request", "operation": "get_key", "ms": 0.4, "key_id": KEY_ID}

    def test_a_line_of_a_library_holds_its_message(self) -> None:
        line = line_of("%s of %d", "one", 2)
        assert (line["kind"], line["logger"], line["message"]) == ("log", "some.library", "one of 2")

    def test_a_line_holds_the_correlation_id_of_its_request(self) -> None:
        token = correlation_id.set("0af7651916cd43dd")
        try:
            assert line_of("hello")["correlation_id"] == "0af7651916cd43dd"
        finally:
            correlation_id.reset(token)
        assert "correlation_id" not in line_of("hello")

    @given(st.text())
    def test_any_message_is_one_line(self, message: str) -> None:
        assert line_of("%s", message)["message"] == message
        assert line_of("kind", facts={"text": message})["text"] == message

    def test_lone_surrogates_and_control_characters_are_no_hindrance(self) -> None:
        for message in ("\ud800", "\x00\x1f\x7f", "\u2028\u2029\x85\x0b\x0c", "a\r\nb"):
            assert line_of("%s", message)["message"] == message

    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
        )
    )
    def test_any_facts_are_one_line(self, fact: Any) -> None:
        line_of("kind", facts={"fact": fact})

    @pytest.mark.parametrize(
        ("fact", "shown"),
        [
            (NOW, str(NOW)),
            (float("nan"), "nan"),
            (float("-inf"), "-inf"),
            ({(1, 2): 3}, {"(1, 2)": 3}),
            ([NOW, float("nan"), None], [str(NOW), "nan", None]),
            (("a", 1, True), ["a", 1, True]),
            (b"a\xff", "a\\xff"),
        ],
    )
    def test_what_json_does_not_know_is_shown_as_text(self, fact: object, shown: object) -> None:
        assert line_of("kind", facts={"fact": fact})["fact"] == shown

    @pytest.mark.parametrize(
        ("message", "args"), [("%d", ("x",)), ("%s %s", ("x",)), ("100%", ("x",)), ("%(a)s", ({"b": 1},))]
    )
    def test_arguments_that_do_not_fit_cost_no_line(self, message: str, args: tuple[Any, ...]) -> None:
        """logging would else print the arguments, as they are, on standard error."""
        assert line_of(message, *args)["message"].startswith(message)


class TestSecrets:
    @pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
    @pytest.mark.parametrize("around", AROUND, ids=ascii)
    def test_are_cut_out_wherever_they_stand(self, secret: str, around: str) -> None:
        around = "" if around + secret[:2] == "ns." else around  # "...ns." may end any word
        text = around + secret + around
        for line in (
            line_of(text.replace("%", "%%")),
            line_of("%s", text),
            line_of("kind", facts={"fact": text}),
            line_of("kind", facts={"fact": [{"deep": (text,)}]}),
            line_of("kind", facts={"fact": {text: 1}}),
            line_of("kind", facts={"fact": text.encode("utf-8", "surrogatepass")}),
            line_of("kind", facts={"fact": {1, text}}),
        ):
            assert secret[8:] not in json.dumps(line)
            assert "[redacted]" in json.dumps(line)

    @given(st.text(), st.text())
    def test_are_cut_out_of_any_text_and_nothing_else_is(self, before: str, after: str) -> None:
        line = line_of("%s", f"{before} {KEY} {after}")
        assert line["message"] == f"{before} krl_live[redacted] {after}"

    @pytest.mark.parametrize("text", ["\n_", "é_", "\\_", "\t_", "\b.", "\r.", '".'])
    def test_cutting_never_breaks_an_escape(self, text: str) -> None:
        for tail in (KEY[9:], "a1B2c3D4" * 4):
            line_of("%s", text + tail)


class TestExceptions:
    def test_show_their_class_and_place_and_not_their_text(self) -> None:
        try:
            fail()
        except Shown:
            line = line_of("kind", facts={}, error=True)
        assert line["exception"].startswith("Shown at test_log_lines.py:")
        assert " fail < test_log_lines.py:" in line["exception"]
        assert "the secret thing" not in json.dumps(line)

    def test_show_no_text_of_their_cause_either(self) -> None:
        try:
            try:
                fail()
            except Shown as shown:
                raise ValueError("another secret") from shown
        except ValueError:
            line = line_of("failed", error=True)
        assert line["exception"].startswith("ValueError at ")
        assert "secret" not in json.dumps(line)

    @pytest.mark.parametrize(
        "line",
        [
            lambda: line_of("kind", facts={"error": Shown("the secret thing")}),
            lambda: line_of("kind", facts={"errors": [{"error": Shown("the secret thing")}]}),
            lambda: line_of("kind", facts={"errors": {"error": Shown("the secret thing"), "ms": float("nan")}}),
            lambda: line_of("failed: %s", Shown("the secret thing")),
            lambda: line_of("failed: %r", Shown("the secret thing")),
            lambda: line_of("failed: %(error)s", {"error": Shown("the secret thing")}),
            lambda: line_of(Shown("the secret thing")),
        ],
    )
    def test_show_no_text_where_they_are_logged_as_values(self, line: Any) -> None:
        shown = json.dumps(line())
        assert "Shown" in shown
        assert "secret" not in shown

    def test_without_one_is_no_hindrance(self) -> None:
        assert line_of("failed", error=True)["exception"] == "? at "


def fail() -> NoReturn:
    raise Shown("the secret thing")


class TestConfiguredLogging:
    @pytest.fixture(autouse=True)
    def _restored(self) -> Iterator[None]:
        root, ours = logging.getLogger(), logging.getLogger("keyrail")
        before = root.handlers[:], root.level, ours.level
        yield
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        ours.setLevel(before[2])

    def test_everything_goes_to_standard_output_one_line_each(self, capsys: pytest.CaptureFixture[str]) -> None:
        configure_logging()
        configure_logging()
        log(logging.INFO, "request", operation="get_key", tenant=None)
        logging.getLogger("some.library").warning("careful, %s", KEY)
        out, err = capsys.readouterr()
        ours, theirs = map(parsed, out.splitlines())
        assert ours["operation"] == "get_key"
        assert "tenant" not in ours
        assert theirs["message"] == "careful, krl_live[redacted]"
        assert err == ""

    def test_libraries_say_only_what_matters_and_we_what_is_asked(self, capsys: pytest.CaptureFixture[str]) -> None:
        configure_logging("WARNING")
        log(logging.INFO, "request")
        logging.getLogger("some.library").info("chatter")
        assert capsys.readouterr() == ("", "")


class TestNotes:
    def test_are_kept_for_the_request_under_way(self) -> None:
        token = noted.set({})
        try:
            note(key_id=KEY_ID)
            note(reason="valid", key_id="other")
            assert noted.get() == {"key_id": "other", "reason": "valid"}
        finally:
            noted.reset(token)

    def test_outside_a_request_are_dropped(self) -> None:
        note(key_id=KEY_ID)
        assert noted.get() is None


class TestRepeatedLine:
    @pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
    def test_says_what_a_line_of_its_own_would_say(self, secret: str, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "keyrail")
        facts = {"operation": "validate_key", "code": "VALID", "actor": KEY_ID, "detail": None, "name": f"é {secret}"}
        whole = line_of("request", facts=facts | {"ms": 0.25})
        repeated = parsed(RepeatedLine(**facts).text(NOW, "0af7651916cd43dd", 0.00025).removesuffix("\n"))
        assert datetime.fromisoformat(repeated.pop("at")) == NOW
        assert repeated.pop("correlation_id") == "0af7651916cd43dd"
        assert repeated | {"level": "", "at": ""} == whole | {"level": "", "at": ""}
        assert secret not in str(repeated)
