"""What Prometheus gets of a process in which everything was counted that can be."""

from keyrail.adapters.prometheus_metrics import PrometheusMetrics


def scrape() -> str:
    metrics = PrometheusMetrics(lambda: 1.0)
    metrics.request("get_key", "OK", 0.1)
    metrics.cache("hit")
    metrics.vault_call("read", "ok", 0.1)
    metrics.dynamodb_call("GetItem", "ok", 0.1)
    metrics.ticked("rotated", 1)
    return metrics.exposition()[0].decode()
