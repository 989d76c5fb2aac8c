"""Does a config's value keep to its JSON Schema (draft 2020-12)? What is told of one that does not names the place and
the rule, never what was there.

Both come from a caller, so the work is bounded: nothing is ever fetched, expressions are RE2's, which take time in
proportion to the text, and after MAX_STEPS rules the check ends. Needs jsonschema and google-re2: keyrail[config].
"""

import json
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from keyrail.domain.errors import InvalidArgument

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MAX_STEPS = 20_000  # rules looked at, each time again where a reference leads; about a second
MAX_PROBLEMS = 20
PATTERN_BYTES = 256 * 1024  # of memory for one expression
_ELSEWHERE = ("$id", "$vocabulary", "patternProperties")  # the last one is evaluated in places that we don't bound

Check = Callable[[Any, Any, Any, Any], Iterator[Any]]


class _TooManySteps(Exception):
    pass


def require_schema(schema: dict[str, Any]) -> None:
    """Raises: InvalidArgument BAD_SCHEMA, SCHEMA_UNSUPPORTED."""
    if schema.get("$schema", DIALECT) != DIALECT:
        raise _bad("A schema is of draft 2020-12.")
    for name, value in _keywords(schema):
        if name in ("$ref", "$dynamicRef") and not str(value).startswith("#"):
            raise _bad("A schema refers to nothing outside itself.")
        if name in _ELSEWHERE:
            raise _bad(f"A schema here has no {', '.join(_ELSEWHERE)}; for names there is propertyNames.")
        if name == "pattern" and isinstance(value, str):
            _expression(value)
    jsonschema = _package("jsonschema")
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except (jsonschema.SchemaError, RecursionError) as error:
        raise _bad("This is no JSON Schema of draft 2020-12.") from error


def require_valid(value: Any, schema: dict[str, Any]) -> None:
    """Raises: InvalidArgument INVALID_VALUE, whose fields name place and rule; BAD_SCHEMA, SCHEMA_UNSUPPORTED."""
    referencing = _package("referencing")
    validator = _bounded_validator()(schema, registry=referencing.Registry())  # its own one would fetch
    known = {name for keyword, names in _keywords(schema) if keyword == "properties" for name in names}
    try:
        problems = [_problem(error, known) for error in islice(validator.iter_errors(value), MAX_PROBLEMS)]
    except (referencing.exceptions.Unresolvable, RecursionError) as error:
        raise _bad("A reference in the schema leads nowhere, or round and round.") from error
    except _TooManySteps as error:
        raise _bad(f"To check this value takes more than {MAX_STEPS} steps.") from error
    if problems:
        text = "The value does not keep to its schema; see errors."
        raise InvalidArgument(text, code="INVALID_VALUE", fields=tuple(problems))


def _problem(error: Any, known: set[str]) -> dict[str, str]:
    """A name that the schema does not have may be anything, even a secret."""
    names = [str(part) if isinstance(part, int) or part in known else "(name)" for part in error.absolute_path]
    return {"field": ".".join(["value", *names]), "problem": f"breaks the rule {error.validator}"}


def _keywords(schema: Any) -> Iterator[tuple[str, Any]]:
    """Every name with its value, however deep; also what only looks like a keyword, such as a property's name."""
    if isinstance(schema, dict):
        yield from schema.items()
    for inner in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from _keywords(inner)


def _bounded_validator() -> Any:
    """The dialect's own, but for what could take long. A class for each value: it counts."""
    jsonschema = _package("jsonschema")
    dialect, steps = jsonschema.Draft202012Validator, iter(range(MAX_STEPS))
    rules: dict[str, Check] = {**dialect.VALIDATORS, "pattern": _pattern, "uniqueItems": _unique_items}

    def counted(check: Check) -> Check:
        def checked(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Any]:
            if next(steps, None) is None:
                raise _TooManySteps
            yield from check(validator, wanted, instance, schema) or ()

        return checked

    return jsonschema.validators.extend(dialect, {keyword: counted(check) for keyword, check in rules.items()})


def _pattern(_validator: Any, pattern: Any, instance: Any, _schema: Any) -> Iterator[Any]:
    if isinstance(instance, str) and _expression(pattern).search(instance) is None:
        yield _package("jsonschema").ValidationError("")


def _unique_items(_validator: Any, wanted: Any, instance: Any, _schema: Any) -> Iterator[Any]:
    """The package's own compares each with each where they can't be sorted."""
    if wanted and isinstance(instance, list) and len({_canonical(item) for item in instance}) < len(instance):
        yield _package("jsonschema").ValidationError("")


def _canonical(item: Any) -> str:
    """The same text for values that JSON Schema calls equal: 1 and 1.0 are, 1 and true are not."""
    return json.dumps(_whole(item), sort_keys=True)


def _whole(item: Any) -> Any:
    match item:
        case float() if item.is_integer():
            return int(item)
        case dict():
            return {name: _whole(each) for name, each in item.items()}
        case list():
            return [_whole(each) for each in item]
    return item


def _expression(pattern: str) -> Any:
    re2 = _package("re2")
    options = re2.Options()
    options.log_errors = False  # it would print the expression
    options.max_mem = PATTERN_BYTES
    try:
        return re2.compile(pattern, options=options)
    except re2.error as error:
        raise _bad("A pattern is none of RE2's, or too large: it has no back references and no lookaround.") from error


def _package(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        text = "This deployment can't check values by a schema: it needs keyrail[config]."
        raise InvalidArgument(text, code="SCHEMA_UNSUPPORTED") from error


def _bad(public: str) -> InvalidArgument:
    return InvalidArgument(public, code="BAD_SCHEMA")
