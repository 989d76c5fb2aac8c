"""Objects and blocks of Terraform's language with their attributes, as they are written: nothing is computed."""

import re
from collections.abc import Iterator

_ATTRIBUTE = re.compile(r'\s*"?([\w-]+)"?\s*[=:](?![=>])\s*(.+)', re.DOTALL)
_OPENING, _CLOSING = "{[(", "}])"


def objects(text: str) -> Iterator[dict[str, str]]:
    """Every `{...}` of it, the innermost first, as names and the source of their values."""
    begun: list[int] = []
    text = without_comments(text)
    for position, char in _outside_of_strings(text):
        if char == "{":
            begun.append(position)
        elif char == "}" and begun:
            yield attributes(text[begun.pop() + 1 : position])


def attributes(body: str) -> dict[str, str]:
    matches = (_ATTRIBUTE.fullmatch(part) for part in parts(body))
    return {match[1]: match[2].strip() for match in matches if match is not None}


def parts(body: str) -> Iterator[str]:
    """Of a list or an object: split at commas and line ends that are in no bracket of its own."""
    depth, begin = 0, 0
    for position, char in _outside_of_strings(body):
        depth += (char in _OPENING) - (char in _CLOSING)
        if depth == 0 and char in ",\n":
            yield body[begin:position]
            begin = position + 1
    yield body[begin:]


def strings(value: str) -> list[str]:
    """The literals in an expression, templates included."""
    found, position = [], 0
    while (begin := value.find('"', position)) >= 0:
        position = _end_of_string(value, begin)
        found.append(value[begin + 1 : position - 1])
    return found


def without_comments(text: str) -> str:
    kept, begin, position = [], 0, 0
    while position < len(text):
        if text[position] == '"':
            position = _end_of_string(text, position)
        elif text[position] == "#" or text.startswith("//", position):
            kept.append(text[begin:position])
            begin = position = _found(text, "\n", position)
        elif text.startswith("/*", position):
            kept.append(text[begin:position])
            begin = position = _found(text, "*/", position) + 2
        else:
            position += 1
    return "".join([*kept, text[begin:]])


def _outside_of_strings(text: str) -> Iterator[tuple[int, str]]:
    position = 0
    while position < len(text):
        if text[position] == '"':
            position = _end_of_string(text, position)
        else:
            yield position, text[position]
            position += 1


def _end_of_string(text: str, begin: int) -> int:
    """Behind its closing quote; what stands in `${...}` may have strings of its own."""
    position = begin + 1
    while position < len(text) and text[position] != '"':
        if text.startswith("${", position) and not text.startswith("$${", position - 1):
            position = _end_of_interpolation(text, position + 2)
        else:
            position += 2 if text[position] == "\\" else 1
    return position + 1


def _end_of_interpolation(text: str, begin: int) -> int:
    depth = 1
    for position, char in _outside_of_strings(text[begin:]):
        depth += (char == "{") - (char == "}")
        if depth == 0:
            return begin + position + 1
    return len(text)


def _found(text: str, what: str, begin: int) -> int:
    position = text.find(what, begin)
    return len(text) if position < 0 else position
