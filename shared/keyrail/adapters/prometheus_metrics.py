"""Metrics in Prometheus's text format, one set a process. Names and labels: docs/operations.md "Metrics".

Counted in plain numbers, and put into the format by prometheus-client when somebody asks: its instruments would cost
a request as much as the decision on a key, and its import would be part of every cold start.
"""

import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

_LATENCY_BUCKETS_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class _Latency:
    """How many took up to each of the buckets' seconds and no less than the one before; the last has no end."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(_LATENCY_BUCKETS_SECONDS) + 1)
        self.seconds = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(_LATENCY_BUCKETS_SECONDS, seconds)] += 1
        self.seconds += seconds


class PrometheusMetrics:
    def __init__(self, elapsed_seconds: Callable[[], float]) -> None:
        self._elapsed_seconds = elapsed_seconds
        self._lock = threading.Lock()  # guards all below
        self._requests: dict[tuple[str, ...], int] = defaultdict(int)
        self._latency: dict[tuple[str, ...], _Latency] = defaultdict(_Latency)
        self._lookups: dict[tuple[str, ...], int] = defaultdict(int)
        self._vault: dict[tuple[str, ...], _Latency] = defaultdict(_Latency)
        self._dynamodb: dict[tuple[str, ...], _Latency] = defaultdict(_Latency)
        self._ticked: dict[tuple[str, ...], int] = defaultdict(int)
        self._breaker_is_open = False
        self._grace_still_used = self._events_sent = self._outbox_waiting = 0
        self._feed_read_at = float("nan")

    def request(self, operation: str, code: str, seconds: float) -> None:
        with self._lock:
            self._requests[operation, code] += 1
            self._latency[operation,].observe(seconds)

    def cache(self, outcome: str, times: int = 1) -> None:
        with self._lock:
            self._lookups[outcome,] += times

    def feed_read(self, at_elapsed_seconds: float) -> None:
        self._feed_read_at = at_elapsed_seconds

    def vault_call(self, verb: str, outcome: str, seconds: float) -> None:
        with self._lock:
            self._vault[verb, outcome].observe(seconds)

    def dynamodb_call(self, operation: str, outcome: str, seconds: float) -> None:
        with self._lock:
            self._dynamodb[operation, outcome].observe(seconds)

    def breaker(self, is_open: bool) -> None:
        self._breaker_is_open = is_open

    def ticked(self, outcome: str, times: int) -> None:
        with self._lock:
            self._ticked[outcome,] += times

    def grace_still_used(self) -> None:
        with self._lock:
            self._grace_still_used += 1

    def events_sent(self, count: int) -> None:
        with self._lock:
            self._events_sent += count

    def outbox_waiting(self, count: int) -> None:
        self._outbox_waiting = count

    def exposition(self) -> tuple[bytes, str]:
        import prometheus_client as prometheus

        registry = prometheus.CollectorRegistry()
        prometheus.ProcessCollector(registry=registry)
        registry.register(self)
        return prometheus.generate_latest(registry), prometheus.CONTENT_TYPE_LATEST

    def collect(self) -> Iterable["Metric"]:
        """What a registry asks of its collectors."""
        feed_age = self._elapsed_seconds() - self._feed_read_at
        with self._lock:
            return [
                _counter("keyrail_requests", "Requests by outcome code.", ["operation", "code"], self._requests),
                _histogram("keyrail_request_seconds", "From call to reply.", ["operation"], self._latency),
                _counter("keyrail_cache_lookups", "Validation cache: hit or miss.", ["outcome"], self._lookups),
                _histogram("keyrail_vault_call_seconds", "Calls to Vault.", ["verb", "outcome"], self._vault),
                _histogram(
                    "keyrail_dynamodb_call_seconds", "Calls to DynamoDB.", ["operation", "outcome"], self._dynamodb
                ),
                _gauge("keyrail_vault_breaker_open", "1 while no call to Vault is tried.", self._breaker_is_open),
                _counter("keyrail_rotations", "What ticks did.", ["outcome"], self._ticked),
                _counter(
                    "keyrail_grace_still_used", "Old secrets in use near their end.", [], {(): self._grace_still_used}
                ),
                _counter("keyrail_events_sent", "Events that were taken.", [], {(): self._events_sent}),
                _gauge(
                    "keyrail_outbox_waiting", "Events in the outbox, when it was last looked at.", self._outbox_waiting
                ),
                _gauge("keyrail_feed_age_seconds", "Since the change feed was last read; NaN before.", feed_age),
            ]


def _counter(name: str, text: str, labels: list[str], counts: dict[tuple[str, ...], int]) -> "Metric":
    from prometheus_client.metrics_core import CounterMetricFamily

    family = CounterMetricFamily(name, text, labels=labels)
    for values, count in counts.items():
        family.add_metric(values, count)
    return family


def _histogram(name: str, text: str, labels: list[str], latencies: dict[tuple[str, ...], _Latency]) -> "Metric":
    from prometheus_client.metrics_core import HistogramMetricFamily

    ends = [*map(str, _LATENCY_BUCKETS_SECONDS), "+Inf"]
    family = HistogramMetricFamily(name, text, labels=labels)
    for values, latency in latencies.items():
        buckets = list(zip(ends, accumulate(latency.counts), strict=True))
        family.add_metric(values, buckets, sum_value=latency.seconds)
    return family


def _gauge(name: str, text: str, value: float) -> "Metric":
    from prometheus_client.metrics_core import GaugeMetricFamily

    return GaugeMetricFamily(name, text, value=value)
