"""The file of `keyrail import`: CSV with a head, or JSON lines; each line one key, checked as the service would.

Columns: `key` or `sha256`, and `owner`, `name`, `scopes`, `tenant`, `expires_at`, `metadata`. In CSV the scopes are
separated by spaces, metadata is JSON, and an empty cell is one that is not given.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keyrail.domain.errors import InvalidArgument
from keyrail.domain.key_format import hash_of_imported, imported_key_id, may_be_imported
from keyrail.operations.import_key import ImportRequest
from keyrail.triggers.cli_root import USAGE, CliError
from keyrail.triggers.request_models import as_request
from keyrail.triggers.strict_json import parse_object

COLUMNS = ("key", "sha256", "owner", "name", "scopes", "tenant", "expires_at", "metadata")
SHOWN_PROBLEMS = 20


@dataclass(frozen=True)
class Line:
    """`body` is what the service is sent; it may hold a key."""

    number: int
    key_id: str
    body: dict[str, Any] = field(repr=False)


def read_import_file(path: Path, tenant: str | None) -> list[Line]:
    """All of it, or CliError that tells what is wrong by line, without any value. `tenant` where a line has none."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"{path} can't be read: {type(error).__name__}", exit_code=USAGE) from None
    lines: list[Line] = []
    problems: list[str] = []
    first_seen: dict[str, int] = {}
    for number, given in _rows(text):
        line, found = _checked(number, given, tenant)
        if line is not None and first_seen.setdefault(line.key_id, number) != number:
            found = [f"line {number}: the same key as in line {first_seen[line.key_id]}"]
        problems += found
        lines += [] if line is None else [line]
    if problems:
        more = [f"... and {len(problems) - SHOWN_PROBLEMS} more"] if len(problems) > SHOWN_PROBLEMS else []
        advice = "\n".join(problems[:SHOWN_PROBLEMS] + more)
        raise CliError(f"{path} has {len(problems)} mistakes; nothing was imported.", advice=advice, exit_code=USAGE)
    return lines


def _rows(text: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Line number and fields, or what is wrong with the line."""
    return _json_lines(text) if text.lstrip().startswith("{") else _csv(text)


def _json_lines(text: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield number, parse_object(line.encode())
        except InvalidArgument as error:
            yield number, error.public.replace("The body", "the line")


def _csv(text: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        head = [name.strip() for name in next(rows, [])]
        if not set(head) <= set(COLUMNS) or len(set(head)) < len(head):
            yield 1, f"the columns must be some of {', '.join(COLUMNS)}"
            return
        for row in rows:
            if len(row) not in (0, len(head)):
                yield rows.line_num, f"has {len(row)} cells, and the head has {len(head)}"
            elif row:
                yield rows.line_num, _fields(dict(zip(head, row, strict=True)))
    except csv.Error:
        yield rows.line_num, "is no CSV"


def _fields(cells: dict[str, str]) -> dict[str, Any] | str:
    given: dict[str, Any] = {name: cell.strip() for name, cell in cells.items() if cell.strip()}
    if "scopes" in given:
        given["scopes"] = given["scopes"].split()
    if "metadata" in given:
        try:
            given["metadata"] = parse_object(given["metadata"].encode())
        except InvalidArgument:
            return "metadata: is no JSON object"
    return given


def _checked(number: int, given: dict[str, Any] | str, tenant: str | None) -> tuple[Line | None, list[str]]:
    if isinstance(given, str):
        return None, [f"line {number}: {given}"]
    if not given.keys() <= set(COLUMNS):
        return None, [f"line {number}: the fields must be some of {', '.join(COLUMNS)}"]
    body = {name: value for name, value in ({"tenant": tenant} | given).items() if value is not None}
    try:
        request = as_request(ImportRequest, body)
    except InvalidArgument as error:
        wrong = [": ".join(filter(None, (each["field"], each["problem"]))) for each in error.fields]
        return None, [f"line {number}: {each}" for each in wrong]
    assert isinstance(request, ImportRequest)  # noqa: S101  what as_request was asked for
    text = request.key.get_secret_value() if request.key is not None else None
    if text is not None and not may_be_imported(text):
        return None, [f"line {number}: key: has not the form of a key that can be imported"]
    key_hash = request.sha256 or hash_of_imported(text or "")
    return Line(number, imported_key_id(key_hash), body), []
