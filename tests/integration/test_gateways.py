"""Real gateways with the files of infra/gateways before real functions: one decision, whichever gateway asks."""

import http.client
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from canary import Canary
from deployed import Deployment, Instance
from gateway_smuggling import CORPUS, let_in, send
from gateway_vectors import NEEDS, Row, States, wait_until_expired
from gateway_world import Gateway, Seen, echo_service
from grpc_container import Client, running, wait_until
from guarded import BY_GRPC, EVERY, asking_by_grpc, asking_by_http
from http_api import Api, Key
from http_gateways import FILES, NAMES, HttpGateway, http_gateway

from keyrail.dev.openbao import OpenBao

GATEWAYS = pytest.mark.parametrize("name", EVERY)
MANAGEMENT = ("issue_key", "rotate", "revoke_key", "update_key")


@pytest.fixture(scope="module")
def world(own_vault: OpenBao, canary: Canary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    made = Deployment(own_vault, tmp_path_factory.mktemp("gateways"), canary)
    try:
        made.start(*MANAGEMENT, "validate_key", "validate_key")
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def api(world: Deployment) -> Api:
    return world.api


@pytest.fixture(scope="module")
def validators(world: Deployment) -> list[Instance]:
    return world.all_of("validate_key")


@pytest.fixture(scope="module")
def seen() -> list[Seen]:
    """What reached the service behind all gateways."""
    return []


@pytest.fixture(scope="module")
def service(seen: list[Seen]) -> Iterator[int]:
    with echo_service(seen) as port:
        yield port


@pytest.fixture(scope="module")
def gateways(
    world: Deployment, service: int, validators: list[Instance], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, HttpGateway]]:
    """Those that ask the validators."""
    with asking_by_http(world, tmp_path_factory.mktemp("http"), service) as made:
        yield made


@pytest.fixture(scope="module")
def every(
    gateways: dict[str, HttpGateway], world: Deployment, service: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Gateway]]:
    """These, and Envoy that asks a container."""
    with asking_by_grpc(world, tmp_path_factory.mktemp("grpc"), service, count=1) as (envoy, _):
        yield {**gateways, BY_GRPC: envoy}


# -- one set of vectors ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rows(api: Api, validators: list[Instance], every: dict[str, Gateway]) -> list[Row]:
    """Limits are used up at each instance and at Envoy's container, since each counts for itself."""
    states = States(api)
    for key in states.limited:
        for instance in validators:
            assert api.code_of(key.text, at=instance.url) == "VALID"
        assert every[BY_GRPC].get("/any", ("X-API-Key", key.text)).status == 200
    wait_until_expired()
    made = states.rows()
    assert len(made) > 500
    return made


def test_the_vectors_are_what_validate_says(api: Api, rows: list[Row], validators: list[Instance]) -> None:
    def code_of(row: Row, at: str) -> str:
        return api.code_of(str(row.key), at=at, ip="127.0.0.1", **NEEDS[row.path])

    asked = {(row.key, row.path): row for row in rows if row.key is not None}
    assert [row.name for row in asked.values() for at in validators if code_of(row, at.url) != row.code] == []


@GATEWAYS
def test_every_gateway_decides_as_validate_does(every: dict[str, Gateway], rows: list[Row], name: str) -> None:
    started = time.monotonic()
    wrong = [fault for row in rows if (fault := row.wrong(every[name].get(row.path, *row.headers)))]
    print(f"\n{name}: {len(rows)} rows, {len(wrong)} wrong, {time.monotonic() - started:.1f} s")
    assert wrong == []


def test_grpc_decides_alike(world: Deployment, rows: list[Row]) -> None:
    """The container has counters of its own: their keys are used up there first."""
    with running(world) as plain, grpc.insecure_channel(plain.address) as channel:
        client = Client(channel, world.admin_key)
        for key in {str(row.key) for row in rows if row.name.startswith("used up")}:
            client.code_of(key)
        asked = {(row.key, row.path): row for row in rows if row.key is not None}
        codes = {row.name: client.code_of(str(row.key), ip="127.0.0.1", **NEEDS[row.path]) for row in asked.values()}
        assert codes == {row.name: row.code for row in asked.values()}


def test_a_retiring_keys_client_is_told(every: dict[str, Gateway], api: Api) -> None:
    """All but Traefik, which hands nothing of such an answer to the client."""
    made = api.issue()
    api.rotate(made.key_id, grace_seconds=600).ok()
    for name in sorted({*EVERY} - {"traefik"}):
        headers = every[name].get("/any", ("X-API-Key", made.text)).headers
        assert (headers.get("deprecation", "")[:1], headers.get("sunset", "")[-3:]) == ("@", "GMT"), name
        fresh = every[name].get("/any", ("X-API-Key", api.issue().text)).headers
        assert not {"deprecation", "sunset"} & fresh.keys(), name


@GATEWAYS
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_body_and_a_query_reach_the_service_as_they_were_sent(
    every: dict[str, Gateway], api: Api, seen: list[Seen], name: str, chunked: bool
) -> None:
    key, path = api.issue(), "/infer/v2?file=..%2f..%2fa//b&x=%69"
    seen.clear()
    connection = http.client.HTTPConnection("127.0.0.1", every[name].port, timeout=20)
    body = iter([b"x" * 50_000] * 4) if chunked else b"x" * 200_000
    connection.request("POST", path, body, {"X-API-Key": key.text}, encode_chunked=chunked)
    assert connection.getresponse().status == 200
    connection.close()
    assert [(each.path, each.body_bytes) for each in seen] == [(path, 200_000)]


# -- nothing is let in that should not be -----------------------------------------------------------------------------


@GATEWAYS
def test_nothing_gets_in_beside_the_decision(every: dict[str, Gateway], api: Api, seen: list[Seen], name: str) -> None:
    made = api.issue(scopes=[])
    assert smuggled(every[name], made, seen) == {}
    assert every[name].get("/any", ("X-API-Key", made.text)).status == 200


def smuggled(gateway: Gateway, poor: Key, seen: list[Seen]) -> dict[str, list[str]]:
    faults: dict[str, list[str]] = {}
    for title, request in CORPUS.items():
        seen.clear()
        answer = send(gateway.port, request, poor.text)
        if found := let_in(seen, poor.key_id):
            faults[title] = [*found, answer[:60].decode("latin-1")]
    return faults


@GATEWAYS
def test_what_is_large_gets_in_by_no_other_rule(
    every: dict[str, Gateway], api: Api, seen: list[Seen], name: str
) -> None:
    """A body of 5 MiB, and headers beyond what any of them takes. A gateway may hang up before it has read all."""
    poor, body, port = api.issue(scopes=[]), b"x" * 5 * 1024 * 1024, every[name].port
    seen.clear()
    assert posted(port, "/infer", body, {"X-API-Key": poor.text}) in (403, None)
    assert posted(port, "/any", body, {}) in (401, None)
    for header in ("X-Filler", "Authorization", "X-API-Key", "X-Keyrail-Scopes"):
        for length in (300_000, 2_000_000):
            sent = {"X-API-Key": poor.text} | {header: "x" * length}
            assert posted(port, "/infer", b"", sent) in (400, 401, 403, 413, 431, None), (header, length)
    assert seen == []
    assert posted(port, "/any", body, {"X-API-Key": poor.text}) == 200
    assert [each.body_bytes for each in seen] == [len(body)]


def posted(port: int, path: str, body: bytes, headers: dict[str, str]) -> int | None:
    """The status, or None where the gateway hung up."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", path, body, headers)
        return connection.getresponse().status
    except (BrokenPipeError, ConnectionResetError, http.client.RemoteDisconnected):
        return None
    finally:
        connection.close()


# -- nothing passes where Keyrail can't answer ------------------------------------------------------------------------


def answers_of(gateways: dict[str, HttpGateway], key: Key) -> dict[str, tuple[int, str, str | None]]:
    """Status, code and Retry-After of each gateway, asked side by side."""

    def ask(gateway: HttpGateway) -> tuple[int, str, str | None]:
        answer = gateway.get("/any", ("X-API-Key", key.text))
        code = answer.code if answer.text.startswith("{") else ""
        return answer.status, code, answer.headers.get("retry-after")

    with ThreadPoolExecutor(len(gateways)) as pool:
        return dict(zip(gateways, pool.map(ask, gateways.values()), strict=True))


def test_a_lost_vault_is_keyrails_own_503(gateways: dict[str, HttpGateway], api: Api, world: Deployment) -> None:
    made = api.issue()
    world.vault.kill()
    try:
        assert answers_of(gateways, made) == dict.fromkeys(NAMES, (503, "UNAVAILABLE", "1"))
    finally:
        world.vault.start()
    wait_until(lambda: {answer[0] for answer in answers_of(gateways, made).values()} == {200})


@contextmanager
def stopped(instances: list[Instance]) -> Iterator[None]:
    """They take connections and answer nothing."""
    pids = [instance.function.process.pid for instance in instances]
    for pid in pids:
        os.killpg(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.killpg(pid, signal.SIGCONT)


def test_a_keyrail_that_does_not_answer_lets_nothing_pass(
    gateways: dict[str, HttpGateway], api: Api, validators: list[Instance]
) -> None:
    made = api.issue()
    started = time.monotonic()
    with stopped(validators):
        answers = answers_of(gateways, made)
    seconds = time.monotonic() - started
    print(f"\nno answer: {answers} after {seconds:.1f} s")
    assert {name: (answer[0], answer[2]) for name, answer in answers.items()} == dict.fromkeys(NAMES, (503, "1"))
    assert seconds < 10
    wait_until(lambda: {answer[0] for answer in answers_of(gateways, made).values()} == {200})


def test_a_keyrail_that_is_away_lets_nothing_pass(
    gateways: dict[str, HttpGateway], api: Api, validators: list[Instance]
) -> None:
    made = api.issue()
    for instance in validators:
        instance.kill()
    try:
        answers = answers_of(gateways, made)
        print(f"\naway: {answers}")
        assert {name: (answer[0], answer[2]) for name, answer in answers.items()} == dict.fromkeys(NAMES, (503, "1"))
    finally:
        for instance in validators:
            instance.restart()
    wait_until(lambda: {answer[0] for answer in answers_of(gateways, made).values()} == {200})


def test_a_route_of_envoy_without_a_question_of_its_own_lets_nothing_pass(
    api: Api, validators: list[Instance], service: int, tmp_path: Path
) -> None:
    made, gateways_key = api.issue(), api.of_tenant("system").issue(scopes=["keys:validate"])
    indent = " " * 24
    last = f"{indent}- match: {{prefix: /}}\n"
    new = f"{indent}- match: {{prefix: /new}}\n{indent}  route: {{cluster: inference}}\n"
    ports = [instance.function.port for instance in validators]
    with http_gateway("envoy", tmp_path, ports, service, gateways_key.text, {last: new + last}) as gateway:
        assert gateway.get("/any", ("X-API-Key", made.text)).status == 200
        assert gateway.get("/new", ("X-API-Key", made.text)).status == 503


@GATEWAYS
def test_a_path_that_is_open_asks_nobody(every: dict[str, Gateway], name: str) -> None:
    assert every[name].get("/healthz").status == 200


def test_no_gateways_key_lies_in_its_configuration() -> None:
    assert not [file for file in FILES.iterdir() if "krl_" in file.read_text()]
