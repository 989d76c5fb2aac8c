"""Plain values as YAML for people: block style, long texts as blocks, and no whole key in the file."""

import re
from typing import Any

import yaml

from keyrail.domain.key_format import ANY_KEY

_WIDTH = 110


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  every value is written out where it stands
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def yaml_text(value: Any) -> str:
    """Ends in one newline. The parsed text holds keys whole; the file's own text holds each in two halves."""
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)
    return re.sub(rf"^( *)(.*?)({ANY_KEY.pattern})$", _in_two_lines, text, flags=re.MULTILINE)


def _in_two_lines(match: re.Match[str]) -> str:
    """A line break that a backslash escapes is none (YAML 1.2.2, section 7.3.1); scanners for secrets see two lines."""
    indent, before, key = match[1], match[2], match[3]
    middle = len(key) // 2
    return f'{indent}{before}"{key[:middle]}\\\n{indent}      {key[middle:]}"'
