"""One JSON object a line on standard output, a correlation id across every hop, and a last look for secrets.

A line of a request: {"at", "level", "kind": "request", "operation", "code", "correlation_id", "ms", ...}.
A line of the audit log has "kind": "audit" and is written by adapters/json_audit.py.
"""

import json
import logging
import re
import secrets
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from keyrail.domain.key_format import ANY_KEY

correlation_id: ContextVar[str] = ContextVar("correlation_id", default="")
noted: ContextVar[dict[str, Any] | None] = ContextVar("noted", default=None)

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")  # W3C Trace Context, section 3.2
_CORRELATION_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{7,63}")
_VAULT_TOKEN = re.compile(r"\b(?:hv[sbr]|[sbr])\.[0-9A-Za-z_-]{20,}")

_logger = logging.getLogger("keyrail")


def choose_correlation_id(traceparent: str | None, given: str | None) -> str:
    """The trace id of a valid traceparent, else a valid X-Correlation-ID, else a new one of 32 hex characters."""
    trace = _TRACEPARENT.fullmatch(traceparent or "")
    if trace is not None and trace[1] != "0" * 32:
        return trace[1]
    if given is not None and _CORRELATION_ID.fullmatch(given) and redact(given) == given:
        return given
    return secrets.token_hex(16)


def redact(text: str) -> str:
    """`text` with everything cut out that has the shape of a key or of a Vault token."""
    return _VAULT_TOKEN.sub("[redacted]", ANY_KEY.sub("[redacted]", text))


def note(**facts: Any) -> None:
    """Facts for the line of the request under way; no secrets, and no text of the caller's."""
    facts_so_far = noted.get()
    if facts_so_far is not None:
        facts_so_far.update(facts)


def log(level: int, kind: str, **facts: Any) -> None:
    """One line; facts that are None are left out."""
    if _logger.isEnabledFor(level):
        _logger.log(level, kind, extra={"facts": facts})


class JsonFormatter(logging.Formatter):
    """Any library's record too: its message under "message", an exception's type and place but not its text."""

    def format(self, record: logging.LogRecord) -> str:
        facts = getattr(record, "facts", None)
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "correlation_id": correlation_id.get() or None,
        }
        if facts is None:
            line |= {"kind": "log", "logger": record.name, "message": record.getMessage()}
        else:
            line |= {"kind": record.msg, **facts}
        if record.exc_info:
            line["exception"] = _where_it_happened(record)
        return redact(json.dumps({k: v for k, v in line.items() if v is not None}, default=str))


def _where_it_happened(record: logging.LogRecord) -> str:
    """Exception class and frames. An exception's own text may hold a value from the store, so it stays out."""
    kind, _, trace = record.exc_info or (None, None, None)
    frames = []
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return f"{kind.__name__ if kind else '?'} at " + " < ".join(reversed(frames))


def configure_logging(level: str = "INFO") -> None:
    """Every logger of the process writes through our formatter to standard output. May be called again."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    _logger.setLevel(level)
