"""A client of one AWS service. boto3 finds region, credentials and endpoint as it always does."""

import os
import threading
from typing import Any

CONNECT_SECONDS = 0.5
POOL = 32  # connections: as many threads as gunicorn or gRPC are run with


class AwsClient:
    """`endpoint_url` None: what boto3 finds."""

    def __init__(self, service: str, deadline_seconds: float, endpoint_url: str | None = None) -> None:
        self._service, self._deadline_seconds, self._endpoint_url = service, deadline_seconds, endpoint_url
        self._made: tuple[int, Any] | None = None
        self._lock = threading.Lock()

    def get(self) -> Any:
        """boto3's, of this process: connections must not be shared over a fork. Raises: what boto3 raises."""
        made = self._made
        if made is None or made[0] != os.getpid():
            with self._lock:
                if self._made is None or self._made[0] != os.getpid():
                    self._made = (os.getpid(), self._new())
                made = self._made
        return made[1]

    def _new(self) -> Any:
        """boto3's own retries are off: a write that it repeats would meet itself, and look like a lost race."""
        from botocore.config import Config

        config = Config(
            retries={"total_max_attempts": 1},
            connect_timeout=min(CONNECT_SECONDS, self._deadline_seconds),
            read_timeout=self._deadline_seconds,
            max_pool_connections=POOL,
        )
        with _sessions_lock:
            return _session().client(self._service, config=config, endpoint_url=self._endpoint_url)


_session_made: tuple[int, Any] | None = None
_sessions_lock = threading.Lock()  # a session may be used by one thread at a time, what it makes by all


def _session() -> Any:
    """boto3's, one a process: the second client of a session is made in a fifth of the time of the first."""
    global _session_made
    if _session_made is None or _session_made[0] != os.getpid():
        import boto3

        _session_made = (os.getpid(), boto3.session.Session())
    return _session_made[1]
