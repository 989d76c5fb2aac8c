"""One JSON object a line on standard output, a correlation id across every hop, and a last look for secrets.

A line of a request: {"at", "level", "kind": "request", "operation", "code", "correlation_id", "ms", ...}.
A line of the audit log has "kind": "audit" and is written by adapters/json_audit.py.
"""

import atexit
import json
import logging
import os
import random
import re
import sys
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from math import isfinite
from typing import Any, TextIO

from keyrail.domain.key_format import ANY_SECRET, imported_keys_pattern
from keyrail.held_lines import HeldLines, Line

correlation_id: ContextVar[str] = ContextVar("correlation_id", default="")
noted: ContextVar[dict[str, Any] | None] = ContextVar("noted", default=None)
trace_ids: Callable[[], dict[str, str]] | None = None  # tracing.py sets it, where traces are collected
_held: HeldLines | None = None

_TRACEPARENT = re.compile(  # W3C Trace Context, section 3.2: neither version ff nor an id of zeros is valid
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
_CORRELATION_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{7,63}")
_VAULT_TOKEN = re.compile(r"(?:hv[sbr]|(?<![0-9A-Za-z])[sbr])\.[0-9A-Za-z_-]{20,}")
_LIKE_A_VAULT_TOKEN = re.compile(r"\.[0-9A-Za-z_-]{20}")  # finds all of them, in JSON too, in a tenth of the time

_imported_key = imported_keys_pattern(())  # of this process's deployment: configure_logging sets it
_like_secrets: tuple[re.Pattern[str], ...] = (ANY_SECRET, _LIKE_A_VAULT_TOKEN)  # with prefixes, imported keys too

REQUEST = "request"  # the kind of a request's line

_logger = logging.getLogger("keyrail")
audit_logger = logging.getLogger("keyrail.audit")


def choose_correlation_id(traceparent: str | None, given: str | None) -> str:
    """The trace id of a valid traceparent, else a valid X-Correlation-ID, else a new one of 32 hex characters."""
    trace = None if traceparent is None else _TRACEPARENT.fullmatch(traceparent)
    if trace is not None:
        return trace[1]
    if given is not None and _CORRELATION_ID.fullmatch(given) and redact(given) == given:
        return given
    return f"{random.getrandbits(128):032x}"


def redact(text: str) -> str:
    """`text` with everything cut out that has the shape of a key, an imported one included, or of a Vault token."""
    for secret in (ANY_SECRET, _imported_key, _VAULT_TOKEN):
        text = secret.sub("[redacted]", text)
    return text


def holds_imported_key(text: str) -> bool:
    return _imported_key.search(text) is not None


def note(**facts: Any) -> None:
    """Facts for the line of the request under way; no secrets, and no text of the caller's."""
    facts_so_far = noted.get()
    if facts_so_far is not None:
        facts_so_far.update(facts)


def log(level: int, kind: str, **facts: Any) -> None:
    """One line; facts that are None are left out."""
    if _logger.isEnabledFor(level):
        _logger.handle(_Line(level, kind, facts))


class RepeatedLine:
    """The line of a request that goes as others before it: encoded, and looked through for secrets, once, but for
    when it was, under which correlation id and how long it took."""

    def __init__(self, **facts: Any) -> None:
        told = {name: fact for name, fact in facts.items() if fact is not None}
        self._end = _one_line({"kind": REQUEST, **told})[1:] + "\n"

    def text(self, at: datetime, chosen: str, seconds: float) -> str:
        """`chosen` by choose_correlation_id. Empty where no such lines are logged."""
        if not _logger.isEnabledFor(logging.INFO):
            return ""
        when, ms = at.isoformat(timespec="milliseconds"), round(seconds * 1000, 3)
        return f'{{"at": "{when}", "level": "info", "correlation_id": "{chosen}", "ms": {ms}, {self._end}'


def log_soon(line: Line) -> None:
    """A whole line of a request that went well. If it is made when it is written, that is once, whatever comes."""
    if _held is not None:
        _held.add(line)
    else:
        _write(line if isinstance(line, str) else line())


class _Line(logging.LogRecord):
    """Without what no line of ours shows, such as caller, thread and process: finding that out costs more than
    deciding on a key."""

    def __init__(self, level: int, kind: str, facts: dict[str, Any]) -> None:
        self.__dict__ = {**_RECORD, "created": time.time(), "levelno": level, "msg": kind, "facts": facts}
        self.levelname = logging.getLevelName(level)


_RECORD = logging.LogRecord("keyrail", logging.INFO, __file__, 0, "", (), None).__dict__


class JsonFormatter(logging.Formatter):
    """Any library's record too: its message under "message", an exception's type and place but not its text."""

    def format(self, record: logging.LogRecord) -> str:
        facts = getattr(record, "facts", None)
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "correlation_id": correlation_id.get() or None,
        }
        if trace_ids is not None:
            line |= trace_ids()
        if facts is None:
            line |= {"kind": "log", "logger": record.name, "message": _message(record)}
        else:
            line |= {"kind": record.msg, **facts}
        if record.exc_info:
            line["exception"] = _where_it_happened(record)
        return _one_line({k: v for k, v in line.items() if v is not None})


def _one_line(facts: dict[str, Any]) -> str:
    """Redacted value by value, since in JSON a secret can be glued to an escape, or a cut can break one.

    Most lines hold nothing that could be a secret; to see that in the whole line is several times cheaper.
    """
    try:
        line = _encode(facts)
    except (TypeError, ValueError):
        return json.dumps(_clean(facts))
    return json.dumps(_clean(facts)) if _may_hold_a_secret(line) else line


def _may_hold_a_secret(line: str) -> bool:
    """Of every line: a pattern that can match nothing would cost more than the others together."""
    return any(secret.search(line) for secret in _like_secrets)


def _clean(value: Any) -> Any:
    """`value` in JSON's types, redacted."""
    match value:
        case str():
            return redact(value)
        case dict():
            return {redact(str(_plain(name))): _clean(each) for name, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_clean(each) for each in value]
        case None | bool() | int():
            return value
        case float() if isfinite(value):
            return value
    return redact(str(_plain(value)))


def _plain(value: object) -> object:
    """What stands for a value in a text. An exception's own text may hold a value from the store, so it stays out."""
    match value:
        case BaseException():
            return type(value).__name__
        case bytes():
            return value.decode(errors="backslashreplace")
        case set() | frozenset():
            return [*value]
    return str(value)


def _message(record: logging.LogRecord) -> str:
    """As logging puts it together, but where the arguments don't fit, logging would print them on standard error."""
    message = str(_unless_exception(record.msg))
    args: Any = record.args
    if isinstance(args, Mapping):
        args = {name: _unless_exception(each) for name, each in args.items()}
    elif args:
        args = tuple(_unless_exception(each) for each in args)
    try:
        return message % args if args else message
    except (TypeError, ValueError, KeyError):
        return f"{message} (its arguments do not fit)"


def _unless_exception(value: object) -> object:
    return _plain(value) if isinstance(value, BaseException) else value


_encode = json.JSONEncoder(default=_plain, allow_nan=False).encode


def _where_it_happened(record: logging.LogRecord) -> str:
    """Exception class and frames, the innermost first."""
    kind, _, trace = record.exc_info or (None, None, None)
    frames = []
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return f"{kind.__name__ if kind else '?'} at " + " < ".join(reversed(frames))


class LineHandler(logging.Handler):
    """Each line is one system call, which the kernel keeps apart from others'; so no thread waits for a lock that
    another one holds while it writes. A stream without a file below it is written to as it is."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        try:
            self._file: int | None = stream.fileno()
        except OSError:
            self._file = None

    def handle(self, record: logging.LogRecord) -> bool:
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._put(record, self.format(record) + "\n")
        except Exception:  # noqa: BLE001 - as every handler of logging: it tells standard error, and nobody fails
            self.handleError(record)

    def _put(self, record: logging.LogRecord, line: str) -> None:
        """Of what is held nothing is overtaken."""
        if _held is None:
            self.write(line)
        elif record.levelno == logging.INFO and record.msg == REQUEST:
            _held.add(line)
        else:
            _held.flush()
            self.write(line)

    def write(self, line: str) -> None:
        if self._file is None:
            self._stream.write(line)
            return
        data = line.encode()
        while data:
            data = data[os.write(self._file, data) :]


def redact_imported_keys(prefixes: tuple[str, ...]) -> None:
    """From now on, in this process: those with one of `prefixes`, and no others, are cut out as keys of ours are."""
    global _imported_key, _like_secrets
    like_one = imported_keys_pattern(prefixes)  # in JSON it may be glued to an escape
    _imported_key = re.compile(rf"(?<![0-9A-Za-z])(?:{like_one.pattern})[0-9A-Za-z._-]*")
    _like_secrets = (ANY_SECRET, _LIKE_A_VAULT_TOKEN, *([like_one] if prefixes else ()))


def hold_request_lines() -> None:
    """From now on, in this process, lines of requests that went well are written together, HELD_SECONDS later at most.
    Audit lines, warnings and errors never wait. For a process that ends by itself, not for one that is frozen."""
    global _held
    _held = HeldLines(_write)
    atexit.register(_held.flush)


def _write(text: str) -> None:
    for handler in logging.getLogger().handlers:
        if isinstance(handler, LineHandler):
            handler.write(text)


def configure_logging(level: str = "INFO", imported_prefixes: tuple[str, ...] = ()) -> None:
    """Every logger of the process writes through our formatter to standard output. May be called again."""
    redact_imported_keys(imported_prefixes)
    sys.stdout.flush()
    handler = LineHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    _logger.setLevel(level)
    audit_logger.setLevel(logging.INFO)  # whatever `level` says: nobody turns the audit log off by the way
