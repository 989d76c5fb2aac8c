"""Directories = catalogue = pages = operation ids = policies: nothing is added by half."""

import ast
import inspect
import re
import sys

import pytest
import yaml
from repository import NAMES, ROOT, names_in, rows, section, text_of

from keyrail.operations.catalogue import CATALOGUE
from keyrail.operations.operation import Operation

FILES_OF_A_FUNCTION = {"main.py", "function.yaml", "policy.hcl"}
for_each = pytest.mark.parametrize("operation", CATALOGUE, ids=NAMES)


def test_every_function_has_an_operation_and_every_operation_a_function() -> None:
    folders = {path.name for path in (ROOT / "functions").iterdir() if path.is_dir()}
    assert folders == set(NAMES)


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


@for_each
def test_a_functions_directory_holds_everything_it_needs_and_nothing_else(operation: Operation) -> None:
    found = {path.name for path in (ROOT / "functions" / operation.name).iterdir() if path.name != "__pycache__"}
    assert found == FILES_OF_A_FUNCTION


@for_each
def test_function_yaml_says_what_the_operation_says(operation: Operation) -> None:
    told = yaml.safe_load(text_of(f"functions/{operation.name}/function.yaml"))
    assert (told["name"], told["method"], told["route"]) == (operation.name, operation.method, operation.path)
    assert told["entry_point"] == "handler"


@for_each
def test_function_yaml_has_every_field_that_the_contract_names_and_no_other(operation: Operation) -> None:
    contract = text_of("functions/README.md").partition("`function.yaml`:")[2]
    known = {name for row in rows(contract) for name in names_in(row[0])}
    assert set(yaml.safe_load(text_of(f"functions/{operation.name}/function.yaml"))) == known


@for_each
def test_main_py_has_no_logic(operation: Operation) -> None:
    module = ast.parse(text_of(f"functions/{operation.name}/main.py"))
    docstring, *statements = module.body
    assert isinstance(docstring, ast.Expr)
    assert [ast.unparse(each) for each in statements] == [
        "from keyrail.triggers.http import http_function",
        f"handler = http_function('{operation.name}')",
    ]


@for_each
def test_main_py_and_the_operation_name_route_and_page(operation: Operation) -> None:
    told = ast.get_docstring(ast.parse(text_of(f"functions/{operation.name}/main.py")))
    page = f"docs/operations/{operation.name}.md"
    assert told is not None
    assert told.startswith(f"{operation.method} {operation.path}: ")
    assert told.endswith(page)
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
    path = re.escape(operation.path).replace(r"\{key_id\}", r"\$KEY_ID")
    assert re.search(rf"http://127\.0\.0\.1:8080{path}(\?|'|\s)", example)
    method = "PATCH" if "-X PATCH" in example else "POST" if " -d '" in example else "GET"
    assert method == operation.method


@for_each
def test_an_operation_names_its_scope_as_a_noun_and_a_verb(operation: Operation) -> None:
    assert re.fullmatch(r"keys:[a-z]+", operation.scope)
