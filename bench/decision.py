"""A presented key to a decision, its record cached: CPU time, beside the bare cryptography."""

import hmac
import time
from collections.abc import Callable

from bench.figures import Section, at_most
from bench.options import Options
from bench.world import FORMAT, a_key
from keyrail.bootstrap import build_services
from keyrail.domain.decisions import Need
from keyrail.domain.scopes import parse_expression
from keyrail.ports import Services
from keyrail.settings import load_settings
from keyrail.validation import check_key

KEYS = 1_000
EXPRESSION = "ml:infer and (data:read or data:admin)"


def measure(options: Options) -> Section:
    section = Section("2  The decision itself, CPU", beside="HMAC-SHA256 + dict")
    services = build_services(load_settings({"KEYRAIL_STORE": "memory"}))
    keys = _stored(services)
    decide, look_up = _decisions(services, keys), _bare_lookups(services, keys)
    ours, beside = [], []
    for _ in range(options.rounds):
        ours.append(_cpu_us_a_key(decide))
        beside.append(_cpu_us_a_key(look_up))
    section.value("check_key with a scope expression", "us", ours, at_most(25), beside)
    section.notes.append(f"{KEYS} keys in turn, in a loop that does nothing else, metrics on.")
    return section


def _stored(services: Services) -> list[str]:
    keys = []
    for _ in range(KEYS):
        key, record = a_key(services.lookup.peppers())
        services.keys.create(record)
        keys.append(key)
    return keys


def _decisions(services: Services, keys: list[str]) -> Callable[[], None]:
    need = Need("acme", parse_expression(EXPRESSION))

    def decide() -> None:
        for key in keys:
            if not check_key(key, need, services):
                raise RuntimeError("a good key was refused")

    decide()  # now all of them are in memory
    return decide


def _bare_lookups(services: Services, keys: list[str]) -> Callable[[], None]:
    peppers = services.lookup.peppers()
    pepper = peppers.by_version[peppers.current]
    bodies = [FORMAT.parse(key).body for key in keys]
    known = {hmac.digest(pepper, body, "sha256"): body for body in bodies}

    def look_up() -> None:
        for body in bodies:
            if hmac.digest(pepper, body, "sha256") not in known:
                raise RuntimeError("a good key was not found")

    return look_up


def _cpu_us_a_key(of_all: Callable[[], None]) -> float:
    started = time.thread_time()
    of_all()
    return (time.thread_time() - started) / KEYS * 1e6
