"""The sums of docs/deploy/aws.md follow from its own prices and assumptions."""

import re

import pytest
from repository import rows, section

PAGE = section("docs/deploy/aws.md", "What it costs")
TABLES = [table for table in re.split(r"\n\n+", PAGE) if table.startswith("|")]
PRICES, ASSUMED, MILLIONS, MONTHLY = ({row[0]: row for row in rows(table)} for table in TABLES)
HOURS = 730
MILLION_SECONDS = HOURS * 3600 / 1e6


def price(name: str) -> float:
    return float(PRICES[name][1])


def assumed(name: str) -> float:
    return float(ASSUMED[name][1])


def a_million(millions: int, instances: int, *, is_in_memory: bool) -> float:
    milliseconds = assumed("milliseconds, in memory" if is_in_memory else "milliseconds, read")
    compute = milliseconds * assumed("memory") * price("compute") * 1000
    keys = 0.0 if is_in_memory else assumed("units, read") * price("reads")
    feed_reads = min(millions, MILLION_SECONDS * instances)
    feed = assumed("units, feed") * price("reads") * feed_reads / millions
    return price("api") + price("invocations") + compute + keys + feed + price("logs") * assumed("log bytes") / 1000


@pytest.mark.parametrize("row", rows(TABLES[2]), ids=lambda row: " ".join(row[:3]))
def test_a_sum_is_what_the_formula_says(row: list[str]) -> None:
    millions, instances = int(row[0].split()[0]), int(row[1])
    told = a_million(millions, instances, is_in_memory={"each": True, "none": False}[row[2]])
    assert float(row[3]) == pytest.approx(told, abs=0.006)
    assert float(row[4]) == pytest.approx(told * millions, rel=0.005)


def test_the_shares_are_what_the_sums_say() -> None:
    shares = {
        "The API is half of it.": price("api"),
        "Logs are a fifth.": price("logs") * assumed("log bytes") / 1000,
        "A key in memory saves a sixth.": a_million(100, 3, is_in_memory=False) - a_million(100, 3, is_in_memory=True),
        "$ 0.02 to 0.50 a million less": 0.0,
    }
    assert all(text in PAGE for text in shares)
    whole = a_million(100, 3, is_in_memory=False)
    assert [share / whole for share in shares.values()][:3] == pytest.approx([1 / 2, 1 / 5, 1 / 6], abs=0.02)
    without_reads = a_million(1, 0, is_in_memory=True), a_million(1, 0, is_in_memory=False)
    least = a_million(100, 3, is_in_memory=True) - without_reads[0]
    most = a_million(1, 1, is_in_memory=False) - without_reads[1] + assumed("units, read") * price("reads")
    assert (least, most) == pytest.approx((0.02, 0.50), abs=0.006)


def test_what_each_month_costs_is_what_the_prices_say() -> None:
    told = [float(re.search(r"[\d.]+", row[1])[0]) for row in rows(TABLES[3])]  # type: ignore[index]
    calls = HOURS * 60 / 1e6
    ticks = calls * (
        price("invocations") + 100 * assumed("memory") * price("compute") * 1000 + 8 * 0.5 * price("reads")
    )
    use = 1000 * HOURS / 1e6 * (price("reads") + price("writes"))
    assert told == pytest.approx([ticks, price("secret"), price("key"), use, 3 * price("writes")], abs=0.006)
    assert f"{calls * price('secret reads'):.2f} an instance" in TABLES[3]
