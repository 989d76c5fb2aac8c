"""Directories = catalogue = pages = operation ids = policies: nothing is added by half."""

import ast
import inspect
import re
import sys

import pytest
import yaml
from repository import NAMES, ROOT, names_in, rows, section, text_of

from keyrail.dev.openapi_examples import PATH_FIELDS
from keyrail.operations.catalogue import CATALOGUE
from keyrail.operations.operation import Operation

FILES_OF_A_FUNCTION = {"main.py", "function.yaml", "policy.hcl"}
FUNCTIONS = sorted(path.name for path in (ROOT / "functions").iterdir() if path.is_dir())
for_each_function = pytest.mark.parametrize("function", FUNCTIONS)
for_each = pytest.mark.parametrize("operation", CATALOGUE, ids=NAMES)


def offered_by(function: str) -> list[Operation]:
    """The operations in the call of entry_points, in their order."""
    *_, assignment = ast.parse(text_of(f"functions/{function}/main.py")).body
    assert isinstance(assignment, ast.Assign)
    assert isinstance(assignment.value, ast.Call)
    return [CATALOGUE[NAMES.index(ast.literal_eval(argument))] for argument in assignment.value.args]


def test_every_operation_is_offered_by_one_function_and_every_function_is_named_by_its_first() -> None:
    offered = [operation.name for function in FUNCTIONS for operation in offered_by(function)]
    assert sorted(offered) == sorted(NAMES)
    assert [offered_by(function)[0].name for function in FUNCTIONS] == FUNCTIONS


def test_every_operation_has_its_page() -> None:
    assert {page.stem for page in (ROOT / "docs/operations").iterdir()} == set(NAMES)


def test_every_operation_is_in_the_api_description() -> None:
    paths = yaml.safe_load(text_of("docs/openapi.yaml"))["paths"]
    described = {
        (each["operationId"], method.upper(), path)
        for path, methods in paths.items()
        for method, each in methods.items()
    }
    assert described == {(operation.name, operation.method, operation.path) for operation in CATALOGUE}


@for_each_function
def test_a_functions_directory_holds_everything_it_needs_and_nothing_else(function: str) -> None:
    found = {path.name for path in (ROOT / "functions" / function).iterdir() if path.name != "__pycache__"}
    assert found == FILES_OF_A_FUNCTION


@for_each_function
def test_function_yaml_says_what_its_operations_say(function: str) -> None:
    told = yaml.safe_load(text_of(f"functions/{function}/function.yaml"))
    assert (told["name"], told["entry_point"]) == (function, "handler")
    assert [(route["operation"], route["method"], route["path"]) for route in told["routes"]] == [
        (operation.name, operation.method, operation.path) for operation in offered_by(function)
    ]


@for_each_function
def test_function_yaml_has_every_field_that_the_contract_names_and_no_other(function: str) -> None:
    contract = text_of("functions/README.md").partition("`function.yaml`:")[2]
    own, of_route = (
        {name for row in rows(part) for name in names_in(row[0])} for part in contract.split("An entry of `routes`:")
    )
    told = yaml.safe_load(text_of(f"functions/{function}/function.yaml"))
    assert set(told) == own
    for route in told["routes"]:
        assert set(route) == of_route


@for_each_function
def test_a_function_ends_no_tick_before_its_time(function: str) -> None:
    """What the clock calls has a budget, and its platform must give it that."""
    told = yaml.safe_load(text_of(f"functions/{function}/function.yaml"))
    for operation in offered_by(function):
        budget = operation.request.model_fields.get("budget_seconds")
        assert budget is None or budget.default < told["timeout_seconds"]


def test_the_clock_calls_what_takes_its_events() -> None:
    scheduled = {
        route["operation"]
        for function in FUNCTIONS
        for route in yaml.safe_load(text_of(f"functions/{function}/function.yaml"))["routes"]
        if route["schedule"] is not None
    }
    assert scheduled == {operation.name for operation in CATALOGUE if operation.takes_events}


@for_each_function
def test_main_py_has_no_logic(function: str) -> None:
    module = ast.parse(text_of(f"functions/{function}/main.py"))
    docstring, *statements = module.body
    assert isinstance(docstring, ast.Expr)
    names = ", ".join(repr(operation.name) for operation in offered_by(function))
    assert [ast.unparse(each) for each in statements] == [
        "from keyrail.triggers.entry_points import entry_points",
        f"handler, lambda_handler = entry_points({names})",
    ]


@for_each_function
def test_main_py_names_each_route_and_page(function: str) -> None:
    told = ast.get_docstring(ast.parse(text_of(f"functions/{function}/main.py"))) or ""
    for operation in offered_by(function):
        assert f"{operation.method} {operation.path}: " in told
        assert f"docs/operations/{operation.name}.md" in told


@for_each
def test_an_operation_names_its_page(operation: Operation) -> None:
    page = f"docs/operations/{operation.name}.md"
    assert (inspect.getdoc(sys.modules[operation.run.__module__]) or "").endswith(page)


@for_each
def test_a_page_names_title_route_scope_fields_and_codes(operation: Operation) -> None:
    page = f"docs/operations/{operation.name}.md"
    text = text_of(page)
    assert text.startswith(f"# {operation.name}\n")
    assert f"`{operation.method} {operation.path}` · scope `{operation.scope}`" in text
    fields = {name for row in rows(section(page, "Request")) for name in names_in(row[0])}
    assert fields == set(operation.request.model_fields)
    codes = {name for row in rows(section(page, "Errors of its own")) for name in names_in(row[0])}
    assert codes == set(operation.codes)


@for_each
def test_the_example_of_a_page_asks_for_what_the_operation_takes(operation: Operation) -> None:
    example = section(f"docs/operations/{operation.name}.md", "Example")
    path = re.escape(operation.path).replace(r"\{key_id\}", r"\$KEY_ID").replace(r"\{name\}", PATH_FIELDS["name"])
    assert re.search(rf"http://127\.0\.0\.1:8080{path}(\?|'|\s)", example)
    sent = re.search("-X ([A-Z]+)", example)
    method = sent[1] if sent else "POST" if " -d '" in example else "GET"
    assert method == operation.method


@for_each
def test_an_operation_names_its_scope_as_a_noun_and_a_verb(operation: Operation) -> None:
    assert re.fullmatch(r"(keys|config|rotation):[a-z]+", operation.scope)
