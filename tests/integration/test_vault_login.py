"""Becoming somebody in Vault: each auth method against the real server, and when a login is made anew."""

import base64
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import hvac
import pytest

from keyrail.adapters.vault_config import VaultConfig
from keyrail.adapters.vault_login import FAILED_SECONDS, REFUSED_AGAIN_SECONDS, Token, TokenHolder
from keyrail.adapters.vault_paths import FEED_HEAD, PEPPER
from keyrail.adapters.vault_replies import Denied
from keyrail.adapters.vault_session import VaultSession, Versioned
from keyrail.adapters.vault_transport import Deadline
from keyrail.domain.errors import Unavailable
from vault_mount import Mount, RecordedMetrics
from vault_servers import answering, reply

CALLERS = 24
READ_FEED = 'path "MOUNT/data/feed/head" { capabilities = ["read"] }'
READ_PEPPER = 'path "MOUNT/data/pepper" { capabilities = ["read"] }'


@pytest.fixture
def auth(mount: Mount) -> Iterator[Callable[[str], str]]:
    """Enables an auth method of the given kind at a path of this test alone, and says where."""
    made: list[str] = []

    def enable(kind: str) -> str:
        made.append(f"{kind}-{mount.name}")
        mount.root.sys.enable_auth_method(kind, path=made[-1])
        return made[-1]

    mount.put("feed/head", {"seq": 0})
    yield enable
    for path in made:
        mount.root.sys.disable_auth_method(path)


class AppRole:
    """A role of its own auth mount, and the file that holds its secret id."""

    def __init__(self, mount: Mount, path: str, folder: Path) -> None:
        self._mount, self._path = mount, path
        self.file = folder / "secret-id"
        self.allow(READ_FEED)
        self.role_id = mount.root.read(f"auth/{path}/role/fn/role-id")["data"]["role_id"]
        self.new_secret_id()

    def allow(self, rules: str, ttl: str = "5m") -> None:
        self._write(
            "role/fn",
            token_type="batch",
            token_ttl=ttl,
            token_policies=[self._mount.policy(rules)],
            token_no_default_policy=True,
        )

    def new_secret_id(self) -> None:
        self.file.write_text(self._write("role/fn/secret-id")["data"]["secret_id"] + "\n")

    def config(self, **changes: Any) -> VaultConfig:
        return self._mount.config(
            auth="approle", auth_mount=self._path, role_id=self.role_id, secret_id_file=str(self.file), **changes
        )

    def _write(self, path: str, **data: Any) -> Any:
        return self._mount.root.write_data(f"auth/{self._path}/{path}", data=data)


@pytest.fixture
def approle(mount: Mount, auth: Callable[[str], str], tmp_path: Path) -> AppRole:
    return AppRole(mount, auth("approle"), tmp_path)


def test_an_approle_logs_in_once_for_many_calls_and_leaves_no_lease(
    mount: Mount, approle: AppRole, metrics: RecordedMetrics
) -> None:
    session = VaultSession(approle.config(), metrics)
    assert metrics.calls == [], "nothing is opened before the first call"
    for _ in range(5):
        assert session.read(FEED_HEAD) == Versioned({"seq": 0}, 1)
    assert metrics.calls == [("login", "ok")] + [("read", "ok")] * 5
    assert mount.root.list(f"sys/leases/lookup/auth/{approle.config().auth_mount}/login") is None


def test_first_callers_at_once_share_one_login(approle: AppRole, metrics: RecordedMetrics) -> None:
    session = VaultSession(approle.config(), metrics)
    with ThreadPoolExecutor(CALLERS) as pool:
        assert all(pool.map(lambda _: session.read(FEED_HEAD), range(CALLERS)))
    assert metrics.count("login") == 1


def test_a_new_token_is_taken_before_the_old_one_ends(approle: AppRole, metrics: RecordedMetrics) -> None:
    approle.allow(READ_FEED, ttl="3s")
    session = VaultSession(approle.config(), metrics)
    ends_at = time.monotonic() + 5
    while time.monotonic() < ends_at:
        session.read(FEED_HEAD)
        time.sleep(0.02)
    assert metrics.count("read", "denied") == 0
    assert 3 <= metrics.count("login") <= 4


def test_callers_refused_at_once_share_one_new_login_and_all_go_on(approle: AppRole, metrics: RecordedMetrics) -> None:
    approle.allow(READ_PEPPER)
    session = VaultSession(approle.config(), metrics)
    with pytest.raises(Denied):
        session.read(FEED_HEAD)
    approle.allow(READ_FEED)  # a batch token keeps the policies it was made with, so only a new one helps
    time.sleep(REFUSED_AGAIN_SECONDS)
    with ThreadPoolExecutor(CALLERS) as pool:
        assert all(pool.map(lambda _: session.read(FEED_HEAD), range(CALLERS)))
    assert metrics.count("login") == 2
    assert metrics.count("read", "ok") == CALLERS


def test_a_right_that_is_missing_does_not_make_every_call_log_in(approle: AppRole, metrics: RecordedMetrics) -> None:
    session = VaultSession(approle.config(), metrics)
    started_at = time.monotonic()
    for _ in range(50):
        with pytest.raises(Denied):
            session.read(PEPPER)
    seconds = time.monotonic() - started_at
    assert metrics.count("login") <= 1 + seconds / REFUSED_AGAIN_SECONDS


def test_a_wrong_secret_id_is_unavailable_and_asked_about_once(approle: AppRole, metrics: RecordedMetrics) -> None:
    approle.file.write_text("5bd0e7a5-0000-0000-0000-000000000000")
    session = VaultSession(approle.config(), metrics)

    def refused(_: int) -> str:
        with pytest.raises(Unavailable) as caught:
            session.read(FEED_HEAD)
        return caught.value.detail

    with ThreadPoolExecutor(CALLERS) as pool:
        details = list(pool.map(refused, range(CALLERS)))
    assert set(details) == {"Vault refused our approle login with 400", "logging in to Vault failed a moment ago"}
    assert metrics.calls == [("login", "fault")]


def test_a_secret_id_that_was_put_right_is_used_without_a_restart(approle: AppRole) -> None:
    approle.file.write_text("wrong")
    session = VaultSession(approle.config())
    with pytest.raises(Unavailable):
        session.read(FEED_HEAD)
    approle.new_secret_id()
    time.sleep(FAILED_SECONDS)
    assert session.read(FEED_HEAD) is not None


def test_logging_in_and_reading_takes_no_sdk(mount: Mount, approle: AppRole) -> None:
    """hvac and requests would add a third to the cold start of a function that only reads."""
    program = """
import sys
from keyrail.adapters.vault_config import VaultConfig
from keyrail.adapters.vault_paths import FEED_HEAD
from keyrail.adapters.vault_session import VaultSession
address, mount, auth_mount, role_id, file = sys.argv[1:]
config = VaultConfig(
    address=address, mount=mount, auth="approle", auth_mount=auth_mount, role_id=role_id, secret_id_file=file
)
assert VaultSession(config).read(FEED_HEAD) is not None
print(sorted({"hvac", "requests", "urllib3"} & set(sys.modules)))
"""
    config = approle.config()
    arguments = [config.address, mount.name, config.auth_mount, approle.role_id, str(approle.file)]
    ran = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


@pytest.mark.parametrize("content", [None, "", "two words", "umlaut ü", "line\nbreak"])
def test_a_secret_id_file_that_holds_none_is_unavailable_and_not_quoted(approle: AppRole, content: str | None) -> None:
    approle.file.unlink()
    if content is not None:
        approle.file.write_text(content)
    with pytest.raises(Unavailable) as caught:
        VaultSession(approle.config()).read(FEED_HEAD)
    assert "the file of the Vault login" in caught.value.detail
    assert not content or content not in caught.value.detail


class Signer:
    """Makes RS256 JWTs with a key that never leaves Vault's transit engine."""

    def __init__(self, root: hvac.Client, mount: str) -> None:
        self._root, self._mount = root, mount
        root.sys.enable_secrets_engine("transit", path=mount)
        root.secrets.transit.create_key("jwt", key_type="rsa-2048", mount_point=mount)
        keys = root.secrets.transit.read_key("jwt", mount_point=mount)["data"]["keys"]
        self.public_key = keys["1"]["public_key"]

    def jwt(self, **claims: Any) -> str:
        now = int(time.time())
        parts = [{"alg": "RS256", "typ": "JWT"}, {"iat": now, "exp": now + 300, **claims}]
        signed = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
        made = self._root.secrets.transit.sign_data(
            "jwt",
            hash_input=base64.b64encode(signed.encode()).decode(),
            hash_algorithm="sha2-256",
            signature_algorithm="pkcs1v15",
            marshaling_algorithm="jws",
            mount_point=self._mount,
        )
        return f"{signed}.{made['data']['signature'].split(':')[2]}"


@pytest.fixture
def signer(mount: Mount) -> Iterator[Signer]:
    path = f"transit-{mount.name}"
    yield Signer(mount.root, path)
    mount.root.sys.disable_secrets_engine(path)


def test_a_jwt_logs_in_and_one_for_another_audience_does_not(
    mount: Mount, auth: Callable[[str], str], signer: Signer, tmp_path: Path
) -> None:
    path = auth("jwt")
    mount.root.write_data(f"auth/{path}/config", data={"jwt_validation_pubkeys": [signer.public_key]})
    role = {
        "role_type": "jwt",
        "user_claim": "sub",
        "bound_audiences": ["keyrail"],
        "token_type": "batch",
        "token_ttl": "5m",
        "token_policies": [mount.policy(READ_FEED)],
    }
    mount.root.write_data(f"auth/{path}/role/validate-key", data=role)
    file = tmp_path / "jwt"
    config = mount.config(auth="jwt", auth_mount=path, role="validate-key", jwt_file=str(file))
    file.write_text(signer.jwt(sub="validate-key", aud="keyrail"))
    assert VaultSession(config).read(FEED_HEAD) is not None
    file.write_text(signer.jwt(sub="validate-key", aud="another"))
    with pytest.raises(Unavailable) as caught:
        VaultSession(config).read(FEED_HEAD)
    assert caught.value.detail == "Vault refused our jwt login with 400"


class TokenReviews:
    """The one endpoint of the Kubernetes API that Vault's kubernetes method asks (authentication.k8s.io/v1)."""

    ACCOUNT = "system:serviceaccount:keyrail:validate-key"

    def __init__(self) -> None:
        self.is_authenticated = True
        self.asked: list[dict[str, Any]] = []
        reviews = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/apis/authentication.k8s.io/v1/tokenreviews"
                review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                reviews.asked.append(review)
                body = json.dumps(reviews.answer(review)).encode()
                self.send_response(201)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, review: dict[str, Any]) -> dict[str, Any]:
        status: dict[str, Any] = {"authenticated": False, "error": "token is expired"}
        if self.is_authenticated:
            user = {"username": self.ACCOUNT, "uid": "u-1", "groups": ["system:serviceaccounts"]}
            status = {"authenticated": True, "user": user, "audiences": review["spec"]["audiences"]}
        return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status}

    def __enter__(self) -> "TokenReviews":
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_a_pods_service_account_logs_in_as_long_as_kubernetes_says_so(
    mount: Mount, auth: Callable[[str], str], signer: Signer, tmp_path: Path
) -> None:
    account = {"namespace": "keyrail", "serviceaccount": {"name": "validate-key", "uid": "u-1"}}
    file = tmp_path / "token"
    file.write_text(signer.jwt(sub=TokenReviews.ACCOUNT, aud=["vault"], **{"kubernetes.io": account}))
    path = auth("kubernetes")
    with TokenReviews() as reviews:
        config = {"kubernetes_host": reviews.address, "disable_local_ca_jwt": True, "kubernetes_ca_cert": a_ca(mount)}
        mount.root.write_data(f"auth/{path}/config", data=config)
        role = {
            "bound_service_account_names": ["validate-key"],
            "bound_service_account_namespaces": ["keyrail"],
            "audience": "vault",
            "token_type": "batch",
            "token_ttl": "5m",
            "token_policies": [mount.policy(READ_FEED)],
        }
        mount.root.write_data(f"auth/{path}/role/validate-key", data=role)
        ours = mount.config(auth="kubernetes", auth_mount=path, role="validate-key", jwt_file=str(file))
        assert VaultSession(ours).read(FEED_HEAD) is not None
        assert reviews.asked[0]["spec"]["token"] == file.read_text()
        reviews.is_authenticated = False
        with pytest.raises(Unavailable) as caught:
            VaultSession(ours).read(FEED_HEAD)
    assert caught.value.detail == "Vault refused our kubernetes login with 403"


def a_ca(mount: Mount) -> str:
    """Some certificate: the method wants one configured, though its talk with this test's endpoint is plain HTTP."""
    path = f"pki-{mount.name}"
    mount.root.sys.enable_secrets_engine("pki", path=path)
    made = mount.root.write_data(f"{path}/root/generate/internal", data={"common_name": "test"})
    mount.root.sys.disable_secrets_engine(path)
    return str(made["data"]["certificate"])


@pytest.mark.parametrize(
    "body",
    [
        b"no JSON",
        b"{}",
        b'{"auth":null}',
        b'{"auth":{"client_token":"","lease_duration":300}}',
        b'{"auth":{"client_token":"two words","lease_duration":300}}',
        b'{"auth":{"client_token":"b.ok","lease_duration":"300"}}',
    ],
)
def test_an_answer_to_a_login_that_holds_no_token_is_unavailable(body: bytes, tmp_path: Path) -> None:
    (tmp_path / "id").write_text("x")
    with answering(lambda connection: connection.sendall(reply("200 OK", body))) as address:
        config = VaultConfig(address=address, auth="approle", role_id="r", secret_id_file=str(tmp_path / "id"))
        with pytest.raises(Unavailable):
            VaultSession(config).read(FEED_HEAD)


class Logins:
    """A clock and a login that tests turn by hand. A token lives for 100 s and is due for renewal after 80."""

    def __init__(self) -> None:
        self.now = 0.0
        self.made = 0
        self.fails = False
        self.may_end = threading.Event()
        self.may_end.set()
        self.holder = TokenHolder(self._log_in, lambda: self.now)

    def current(self) -> str:
        return self.holder.current(Deadline(5)).value

    def _log_in(self, deadline: Deadline) -> Token:
        assert self.may_end.wait(5)
        if self.fails:
            raise Unavailable("no")
        self.made += 1
        return Token(f"token-{self.made}", self.now, self.now + 80, self.now + 100)


def test_one_caller_renews_while_the_others_go_on_with_the_old_token() -> None:
    logins = Logins()
    assert logins.current() == "token-1"
    logins.now = 81
    logins.may_end.clear()
    with ThreadPoolExecutor(1) as pool:
        renewer = pool.submit(logins.current)
        time.sleep(0.05)
        assert [logins.current() for _ in range(5)] == ["token-1"] * 5
        logins.may_end.set()
        assert renewer.result(5) == "token-2"
    assert logins.current() == "token-2"


def test_a_renewal_that_fails_leaves_the_old_token_in_use_to_its_end() -> None:
    logins = Logins()
    logins.current()
    logins.now, logins.fails = 81, True
    assert logins.current() == "token-1"
    logins.now = 100
    with pytest.raises(Unavailable):
        logins.current()
    logins.now, logins.fails = 100 + FAILED_SECONDS, False
    assert logins.current() == "token-2"


def test_who_waits_for_a_login_waits_no_longer_than_its_deadline() -> None:
    logins = Logins()
    logins.may_end.clear()
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(logins.current)
        time.sleep(0.05)
        started_at = time.monotonic()
        with pytest.raises(Unavailable):
            logins.holder.current(Deadline(0.1))
        assert time.monotonic() - started_at < 0.3
        logins.may_end.set()
        assert slow.result(5) == "token-1"
