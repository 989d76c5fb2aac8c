"""telemetry.py: keys that were made elsewhere are cut out as ours are, where the deployment names their prefixes."""

import json
import logging
import string
from collections.abc import Iterator
from typing import Any

import pytest
from builders import KEY_ID, key_text
from hypothesis import given
from hypothesis import strategies as st

from keyrail.telemetry import JsonFormatter, choose_correlation_id, holds_imported_key, redact, redact_imported_keys

KEY = "sk-proj-" + "a1B2c3D4" * 4
LETTERS = string.ascii_letters + string.digits + "._-"
NOT_GLUED = st.text().filter(lambda text: not text or not (text[-1].isascii() and text[-1].isalnum()))


@pytest.fixture(autouse=True, scope="module")
def prefixes() -> Iterator[None]:
    redact_imported_keys(("sk-", "pk_"))
    yield
    redact_imported_keys(())


def line_of(**facts: Any) -> str:
    record = logging.LogRecord("keyrail", logging.WARNING, "x.py", 1, "request", (), None)
    record.facts = facts
    return JsonFormatter().format(record)


@given(NOT_GLUED, st.text(LETTERS, min_size=18, max_size=240), st.text())
def test_none_is_left_in_a_text(before: str, rest: str, after: str) -> None:
    shown = redact(f"{before}pk_{rest}{after}")
    assert f"pk_{rest}" not in shown
    assert "[redacted]" in shown


@pytest.mark.parametrize("around", ["", " ", "\n", "\t", "\x00", "\\", '"', "é", "\u2028", "/", ".", "_", "="])
def test_none_is_left_in_a_line(around: str) -> None:
    for facts in ({"detail": around + KEY}, {around + KEY: 1}, {"many": [around + KEY + around]}):
        line = line_of(**facts)
        assert "a1B2c3D4" not in line
        assert json.loads(line)["level"] == "warning"


def test_a_longer_text_than_a_key_may_be_is_cut_out_whole() -> None:
    assert redact("sk-" + "a" * 5000) == "[redacted]"


@pytest.mark.parametrize(
    "text", ["sk-", "sk-short", "task-runner-of-the-night-shift", KEY_ID, "SK-" + "a" * 30, "qk_" + "a" * 30]
)
def test_ordinary_text_is_left_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_our_own_keys_are_cut_out_as_ever() -> None:
    assert redact(f"{KEY} {key_text()}") == "[redacted] krl_live[redacted]"


def test_none_becomes_a_correlation_id() -> None:
    assert choose_correlation_id(None, KEY) != KEY


def test_it_is_found_in_a_url() -> None:
    assert holds_imported_key(f"/v1/keys/{KEY}/rotate")
    assert not holds_imported_key("/v1/keys/0Keyrail0Unit0Id/rotate")


def test_without_prefixes_nothing_is_taken_for_one() -> None:
    redact_imported_keys(())
    try:
        assert redact(KEY) == KEY
        assert not holds_imported_key(KEY)
    finally:
        redact_imported_keys(("sk-", "pk_"))
