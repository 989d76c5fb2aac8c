"""The sums of docs/deploy/gcp.md follow from its own formulas, and these from its prices and from functions/."""

import re

import pytest
import yaml
from repository import ROOT, rows, section

PAGE = section("docs/deploy/gcp.md", "What it costs")
PRICES, SUMS = (rows(table) for table in re.split(r"\n\n+", PAGE) if table.startswith("|"))
CPU, MEMORY, IDLE, MILLION_REQUESTS = (float(row[1]) for row in PRICES)
MANIFESTS = [yaml.safe_load(file.read_text()) for file in sorted(ROOT.glob("functions/*/function.yaml"))]


def value_of(formula: str) -> float:
    sum_alone = re.sub(r"[a-z,]", "", formula.replace("×", "*"))
    assert re.fullmatch(r"[\d.+*/() ]+", sum_alone), formula
    return float(eval(sum_alone))  # digits and signs alone


@pytest.mark.parametrize("row", SUMS, ids=lambda row: row[0])
def test_a_sum_is_what_its_formula_says(row: list[str]) -> None:
    assert float(row[2]) == pytest.approx(value_of(row[1]), abs=0.006)


def test_a_second_of_an_instance_costs_its_cpu_and_memory() -> None:
    (gibibytes,) = {each["memory_mb"] / 1024 for each in MANIFESTS}
    (told,) = re.findall(r"a second of it is ([\d.+× ]+) = ([\d.]+)\.", PAGE)
    assert value_of(told[0]) == pytest.approx(CPU + gibibytes * MEMORY)
    assert float(told[1]) == pytest.approx(value_of(told[0]), abs=5e-8)
    for row in SUMS:
        if "0.0000246" in row[1]:
            assert told[1] in row[1]
    assert f"{1 + gibibytes} × {IDLE:.7f}" in SUMS[2][1]


def test_what_is_counted_is_what_functions_say() -> None:
    schedules = [route["schedule"] for each in MANIFESTS for route in each["routes"] if route["schedule"]]
    assert f"{len(schedules)} jobs" in SUMS[3][1]
    assert f"{30 * 24 * 60:,} ×" in SUMS[3][1]
    assert "* * * * *" in schedules
    assert SUMS[4][1].startswith(f"{len(MANIFESTS)} × ")
    assert [each["name"] for each in MANIFESTS if each["min_instances"]] == ["validate_key"]


def test_the_free_part_is_as_many_as_are_told() -> None:
    (seconds, validations) = re.search(r"([\d,]+) vCPU-seconds.*?first ([\d.]+) million", PAGE, re.DOTALL).groups()  # type: ignore[union-attr]
    assert float(validations) * 1e6 * 0.1 == pytest.approx(float(seconds.replace(",", "")))


def test_requests_cost_what_the_table_says() -> None:
    assert all(f"+ {MILLION_REQUESTS:.2f}" in row[1] for row in SUMS[:2])
    assert f"{MILLION_REQUESTS / 1e6:.7f}" in SUMS[3][1]
