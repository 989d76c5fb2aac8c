"""SIGTERM: what is in flight is completed, readiness says so to whoever is still connected, and the process ends."""

import http.client
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from deployed import Deployment, Instance
from http_api import Api
from vault_proxy import Asked, proxy_to

IN_FLIGHT = 6
VAULT_SECONDS = 0.5  # each of an issue's writes takes so long: two of them
END_SECONDS = 10.0  # far below the 30 that gunicorn would allow


@pytest.fixture
def slow(deployment: Deployment) -> Iterator[tuple[Instance, list[str]]]:
    """A function that issues slowly, and the paths of the writes that have begun."""
    writes: list[str] = []

    def delay(asked: Asked) -> None:
        if asked.is_write:
            writes.append(asked.path)
            time.sleep(VAULT_SECONDS)

    with proxy_to(deployment.vault.address) as proxy:
        (instance,) = deployment.start("issue_key", vault_address=proxy.address, THREADS=str(IN_FLIGHT + 2))
        proxy.before = delay
        yield instance, writes
        deployment.stop(instance)


def _until(is_so: Callable[[], bool], seconds: float) -> None:
    ends_at = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < ends_at
        time.sleep(0.01)


def _kept_alive(instance: Instance) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", instance.function.port, timeout=5)
    assert _readiness(connection) == (200, "ready\n")
    return connection


def _readiness(connection: http.client.HTTPConnection) -> tuple[int, str]:
    connection.request("GET", "/readyz")
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_all_in_flight_is_completed_while_readiness_says_draining(
    deployment: Deployment, slow: tuple[Instance, list[str]]
) -> None:
    instance, writes = slow
    api = Api(deployment.canary, deployment.admin_key, lambda _: instance.url, tenant="in-flight")
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        issues = [pool.submit(api.try_issue) for _ in range(IN_FLIGHT)]
        _until(lambda: len(writes) >= IN_FLIGHT, 10)
        connection = _kept_alive(instance)
        os.kill(instance.function.process.pid, signal.SIGTERM)
        stopped_at = time.monotonic()
        time.sleep(0.1)
        assert _readiness(connection) == (503, "not ready: draining\n")
        made = {issue.result().ok()["key_id"] for issue in issues}
    _until(lambda: not instance.function.process.is_running(), END_SECONDS)
    print(f"\nended {time.monotonic() - stopped_at:.2f} s after SIGTERM, {len(made)} issues in flight completed")
    assert instance.function.process._process.returncode == 0
    assert {view["key_id"] for view in deployment.api.of_tenant("in-flight").list_all()} == made
