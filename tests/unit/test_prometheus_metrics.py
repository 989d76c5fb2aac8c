"""adapters/prometheus_metrics.py: names, labels and values as a scraper reads them."""

import math

import pytest
from prometheus_client.parser import text_string_to_metric_families

from keyrail.adapters.prometheus_metrics import PrometheusMetrics


class Scraped:
    """Metrics at a time that the test moves."""

    def __init__(self) -> None:
        self.seconds = 100.0
        self.metrics = PrometheusMetrics(lambda: self.seconds)

    def sample(self, name: str, **labels: str) -> float | None:
        return self.samples().get((name, tuple(sorted(labels.items()))))

    def samples(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        body, content_type = self.metrics.exposition()
        assert content_type.startswith("text/plain; version=")
        families = text_string_to_metric_families(body.decode())
        return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


@pytest.fixture
def scraped() -> Scraped:
    return Scraped()


def test_requests_are_counted_by_operation_and_code(scraped: Scraped) -> None:
    for operation, code in [("issue_key", "OK"), ("issue_key", "OK"), ("issue_key", "MISSING"), ("rotate", "OK")]:
        scraped.metrics.request(operation, code, 0.002)
    assert scraped.sample("keyrail_requests_total", operation="issue_key", code="OK") == 2
    assert scraped.sample("keyrail_requests_total", operation="issue_key", code="MISSING") == 1
    assert scraped.sample("keyrail_requests_total", operation="rotate", code="OK") == 1


def test_latency_is_kept_by_operation_in_seconds(scraped: Scraped) -> None:
    for seconds, code in [(0.0004, "VALID"), (0.004, "VALID"), (0.3, "NOT_FOUND"), (9.0, "UNAVAILABLE")]:
        scraped.metrics.request("validate_key", code, seconds)
    at_most = {
        bound: scraped.sample("keyrail_request_seconds_bucket", operation="validate_key", le=bound)
        for bound in ("0.0005", "0.005", "0.5", "2.5", "+Inf")
    }
    assert at_most == {"0.0005": 1, "0.005": 2, "0.5": 3, "2.5": 3, "+Inf": 4}
    total = scraped.sample("keyrail_request_seconds_sum", operation="validate_key")
    assert total == pytest.approx(9.3044)


def test_cache_lookups_are_counted_by_outcome(scraped: Scraped) -> None:
    for outcome in ("hit", "miss", "hit"):
        scraped.metrics.cache(outcome)
    assert scraped.sample("keyrail_cache_lookups_total", outcome="hit") == 2
    assert scraped.sample("keyrail_cache_lookups_total", outcome="miss") == 1


def test_calls_to_vault_are_counted_and_timed(scraped: Scraped) -> None:
    for verb, outcome in [("read", "ok"), ("read", "ok"), ("read", "absent"), ("login", "denied")]:
        scraped.metrics.vault_call(verb, outcome, 0.0015)
    assert scraped.sample("keyrail_vault_call_seconds_count", verb="read", outcome="ok") == 2
    assert scraped.sample("keyrail_vault_call_seconds_count", verb="login", outcome="denied") == 1
    assert scraped.sample("keyrail_vault_call_seconds_bucket", verb="read", outcome="ok", le="0.0025") == 2


def test_calls_to_dynamodb_are_counted_and_timed(scraped: Scraped) -> None:
    for operation, outcome in [("BatchGetItem", "ok"), ("BatchGetItem", "busy"), ("PutItem", "ok")]:
        scraped.metrics.dynamodb_call(operation, outcome, 0.0015)
    assert scraped.sample("keyrail_dynamodb_call_seconds_count", operation="BatchGetItem", outcome="busy") == 1
    assert scraped.sample("keyrail_dynamodb_call_seconds_bucket", operation="PutItem", outcome="ok", le="0.0025") == 1


def test_the_breaker_is_shut_until_it_opens(scraped: Scraped) -> None:
    states = [scraped.sample("keyrail_vault_breaker_open")]
    for is_open in (True, False):
        scraped.metrics.breaker(is_open)
        states.append(scraped.sample("keyrail_vault_breaker_open"))
    assert states == [0, 1, 0]


def test_the_age_of_the_feed_is_none_before_it_was_read_and_grows_after(scraped: Scraped) -> None:
    before = scraped.sample("keyrail_feed_age_seconds")
    assert before is not None
    assert math.isnan(before)
    scraped.metrics.feed_read(100.0)
    scraped.seconds = 107.5
    assert scraped.sample("keyrail_feed_age_seconds") == 7.5


def test_the_process_tells_of_itself(scraped: Scraped) -> None:
    names = {name for name, _ in scraped.samples()}
    assert {"process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"} <= names


def test_two_of_them_share_nothing(scraped: Scraped) -> None:
    """One registry a process: a test, or a reload, can make another."""
    other = Scraped()
    scraped.metrics.cache("hit")
    assert other.sample("keyrail_cache_lookups_total", outcome="hit") is None


def test_every_metric_says_what_it_is(scraped: Scraped) -> None:
    body, _ = scraped.metrics.exposition()
    families = [family for family in text_string_to_metric_families(body.decode()) if family.name.startswith("keyrail")]
    assert {family.name for family in families} == {
        "keyrail_requests",
        "keyrail_request_seconds",
        "keyrail_cache_lookups",
        "keyrail_vault_call_seconds",
        "keyrail_dynamodb_call_seconds",
        "keyrail_vault_breaker_open",
        "keyrail_feed_age_seconds",
        "keyrail_grace_still_used",
        "keyrail_rotations",
        "keyrail_events_sent",
        "keyrail_outbox_waiting",
    }
    assert all(family.documentation.endswith(".") for family in families)
