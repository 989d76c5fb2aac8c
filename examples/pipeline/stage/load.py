"""Clients of the gateway: plain applications that hold one key, and read it anew when they are refused."""

import csv
import http.client
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from keyrail_client import ApiKey, Refused
from stage.places import PIPELINE

CLIENTS = 4
PAUSE_SECONDS = 0.03  # between a client's requests: about a hundred a second of all
REFUSALS = (403, 429)
ROUTES = ("/infer", "/infer", "/infer", "/data")
SECONDS = 10.0


@dataclass
class Seen:
    """By all clients. `failed`: no answer, another status than 200, or a wrong flower."""

    requests: int = 0
    refused: int = 0
    failed: int = 0
    guesses: Counter[bool] = field(default_factory=Counter)
    reread: int = 0
    milliseconds: list[float] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        return sorted(self.milliseconds)[int(share * (len(self.milliseconds) - 1))]


class Client(threading.Thread):
    def __init__(self, port: int, key_file: Path, species: list[str], stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.seen, self._key = Seen(), ApiKey(key_file)
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        self._species, self._stopped = species, stop

    def run(self) -> None:
        turn = 0
        while not self._stopped.wait(PAUSE_SECONDS):
            self._ask(ROUTES[turn % len(ROUTES)], 1 + turn % len(self._species))
            turn += 1
        self._connection.close()

    def _ask(self, route: str, flower: int) -> None:
        seen, began_at = self.seen, time.perf_counter()
        seen.requests += 1
        try:
            status, body = self._key.call(lambda key: self._get(f"{route}/{flower}", key))
        except Refused:
            seen.refused += 1
        except (OSError, http.client.HTTPException):
            seen.failed += 1
            self._connection.close()
        else:
            seen.milliseconds.append((time.perf_counter() - began_at) * 1000)
            self._judge(route, flower, status, body)
        seen.reread = self._key.reread

    def _get(self, path: str, key: str) -> tuple[int, bytes]:
        self._connection.request("GET", path, headers={"Authorization": f"Bearer {key}"})
        reply = self._connection.getresponse()
        body = reply.read()
        if reply.status == 401:
            raise Refused
        return reply.status, body

    def _judge(self, route: str, flower: int, status: int, body: bytes) -> None:
        told: dict[str, Any] = json.loads(body) if status == 200 else {}
        is_right = told.get("species") == self._species[flower - 1]
        self.seen.refused += status in REFUSALS
        if route == "/infer" and status == 200:
            self.seen.guesses[is_right] += 1
        elif status not in REFUSALS:
            self.seen.failed += not is_right


class Load:
    """Runs inside the block; `seen` is whole after it."""

    def __init__(self, port: int, key_file: Path) -> None:
        with (PIPELINE / "data" / "iris.csv").open() as file:
            species = [row["species"] for row in csv.DictReader(file)]
        self._stop = threading.Event()
        self._clients = [Client(port, key_file, species, self._stop) for _ in range(CLIENTS)]

    def __enter__(self) -> Self:
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for client in self._clients:
            client.join()

    @property
    def seen(self) -> Seen:
        whole = Seen()
        for each in (client.seen for client in self._clients):
            whole.requests += each.requests
            whole.refused += each.refused
            whole.failed += each.failed
            whole.guesses += each.guesses
            whole.reread += each.reread
            whole.milliseconds += each.milliseconds
        return whole
