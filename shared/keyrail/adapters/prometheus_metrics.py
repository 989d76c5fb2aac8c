"""Metrics in Prometheus's text format, one registry a process. Names and labels: docs/operations.md "Metrics"."""

from collections.abc import Callable

_LATENCY_BUCKETS_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class PrometheusMetrics:
    def __init__(self, elapsed_seconds: Callable[[], float]) -> None:
        import prometheus_client as prometheus

        self._prometheus = prometheus
        self._registry = registry = prometheus.CollectorRegistry()
        prometheus.ProcessCollector(registry=registry)
        self._requests = prometheus.Counter(
            "keyrail_requests", "Requests by operation and outcome code.", ["operation", "code"], registry=registry
        )
        self._latency = prometheus.Histogram(
            "keyrail_request_seconds",
            "From the parsed call to the reply, in seconds.",
            ["operation"],
            buckets=_LATENCY_BUCKETS_SECONDS,
            registry=registry,
        )
        self._cache = prometheus.Counter(
            "keyrail_cache_lookups", "Validation cache: hit or miss.", ["outcome"], registry=registry
        )
        self._vault = prometheus.Histogram(
            "keyrail_vault_call_seconds",
            "Calls to Vault by verb and outcome, in seconds.",
            ["verb", "outcome"],
            buckets=_LATENCY_BUCKETS_SECONDS,
            registry=registry,
        )
        self._breaker = prometheus.Gauge(
            "keyrail_vault_breaker_open", "1 while calls to Vault are refused at once.", registry=registry
        )
        self._grace_still_used = prometheus.Counter(
            "keyrail_grace_still_used",
            "Retiring generations found in use with a tenth of their grace left.",
            registry=registry,
        )
        self._events_sent = prometheus.Counter(
            "keyrail_events_sent", "Lifecycle events that their receiver has taken.", registry=registry
        )
        self._outbox_waiting = prometheus.Gauge(
            "keyrail_outbox_waiting", "Lifecycle events in the outbox, when they were sent last.", registry=registry
        )
        staleness = prometheus.Gauge(
            "keyrail_feed_age_seconds", "Since the change feed was last read; NaN before.", registry=registry
        )
        self._feed_read_at = float("nan")
        staleness.set_function(lambda: elapsed_seconds() - self._feed_read_at)
        self._children: dict[tuple[str, ...], tuple[Callable[[], None], Callable[[float], None]]] = {}
        self._cache_children: dict[str, Callable[[], None]] = {}

    def request(self, operation: str, code: str, seconds: float) -> None:
        child = self._children.get((operation, code))
        if child is None:
            child = (self._requests.labels(operation, code).inc, self._latency.labels(operation).observe)
            self._children[operation, code] = child
        child[0]()
        child[1](seconds)

    def cache(self, outcome: str) -> None:
        child = self._cache_children.get(outcome)
        if child is None:
            child = self._cache_children.setdefault(outcome, self._cache.labels(outcome).inc)
        child()

    def feed_read(self, at_elapsed_seconds: float) -> None:
        self._feed_read_at = at_elapsed_seconds

    def vault_call(self, verb: str, outcome: str, seconds: float) -> None:
        self._vault.labels(verb, outcome).observe(seconds)

    def breaker(self, is_open: bool) -> None:
        self._breaker.set(is_open)

    def grace_still_used(self) -> None:
        self._grace_still_used.inc()

    def events_sent(self, count: int) -> None:
        self._events_sent.inc(count)

    def outbox_waiting(self, count: int) -> None:
        self._outbox_waiting.set(count)

    def exposition(self) -> tuple[bytes, str]:
        return self._prometheus.generate_latest(self._registry), self._prometheus.CONTENT_TYPE_LATEST
