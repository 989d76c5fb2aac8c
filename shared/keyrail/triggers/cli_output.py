"""What a person reads: one record as two columns, many as a table."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import click

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")  # a name must not steer a terminal


def echo_json(document: Any) -> None:
    click.echo(json.dumps(document, indent=2))


def echo_record(fields: Mapping[str, Any]) -> None:
    """Left out: what is not set."""
    rows = [(name.replace("_", " "), text_of(value)) for name, value in fields.items() if value not in (None, [], {})]
    width = max((len(name) for name, _ in rows), default=0)
    for name, text in rows:
        click.echo(f"{name:<{width}}  {text}".rstrip())


def echo_table(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    table = [[column.replace("_", " ").upper() for column in columns]]
    table += [[text_of(value) for value in row] for row in rows]
    widths = [max(len(row[n]) for row in table) for n in range(len(table[0]))]
    for row in table:
        click.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def text_of(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
        return _UNPRINTABLE.sub("?", " ".join(value))
    if isinstance(value, list | tuple | dict):
        return _UNPRINTABLE.sub("?", json.dumps(value, ensure_ascii=False))
    return _UNPRINTABLE.sub("?", str(value))
