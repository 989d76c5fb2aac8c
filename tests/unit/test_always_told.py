"""What an operator is told whatever the settings say: audit events, and which setting is wrong."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from keyrail import bootstrap
from keyrail.adapters.json_audit import JsonAuditLog
from keyrail.domain.errors import Internal
from keyrail.telemetry import configure_logging, log


@pytest.fixture(autouse=True)
def _logging_left_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING", "ERROR"])
def test_audit_events_are_written_at_every_log_level(level: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(level)
    JsonAuditLog().write("key.issued", key_id="0Keyrail0Unit0Id", tenant="acme")
    (line,) = lines(capsys)
    assert (line["kind"], line["event"], line["key_id"]) == ("audit", "key.issued", "0Keyrail0Unit0Id")


def test_request_lines_follow_the_log_level(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("WARNING")
    log(logging.INFO, "request", operation="get_key")
    assert lines(capsys) == []


@pytest.mark.parametrize(
    ("name", "value"), [("KEYRAIL_PREFIX", "NOT-A-LABEL"), ("VAULT_ADDR", "ftp://vault"), ("VAULT_SKIP_VERIFY", "true")]
)
def test_a_wrong_setting_is_named_in_the_log_without_its_value(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap, "_built", None)
    monkeypatch.setenv("VAULT_ADDR", "https://vault.example.com:8200")
    monkeypatch.setenv("VAULT_TOKEN", "a-token")
    monkeypatch.setenv(name, value)
    with pytest.raises(Internal):
        bootstrap.process_services()
    (line,) = lines(capsys)
    assert (line["kind"], line["level"], line["code"]) == ("settings", "error", "INTERNAL")
    assert name in line["detail"]
    assert value not in line["detail"] or value == "true"
