"""New secret ids under a running deployment, on a real OpenBao, and killed at every step."""

import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hvac
import pytest

from keyrail.adapters import vault_identity_rotation
from keyrail.adapters.private_files import write_private
from keyrail.adapters.setup_documents import Step
from keyrail.adapters.vault_admin import AdminVault
from keyrail.adapters.vault_config import VaultConfig
from keyrail.adapters.vault_identities import read_identity, write_identities
from keyrail.adapters.vault_identity_rotation import rotate_identities
from keyrail.adapters.vault_paths import PEPPER
from keyrail.adapters.vault_session import VaultSession
from keyrail.adapters.vault_setup import Plan, set_up
from keyrail.dev.openbao import OpenBao
from keyrail.domain.errors import InvalidArgument
from vault_mount import Mount

READ_PEPPER = 'path "keyrail/data/pepper" { capabilities = ["read"] }'
FUNCTIONS = ("issue_key", "rotate")


class Killed(BaseException):
    pass


class Identities:
    def __init__(self, openbao: OpenBao, mount: Mount, folder: Path) -> None:
        self.folder, self.root, self.address = folder, mount.root, openbao.address
        self.vault = AdminVault(VaultConfig(address=openbao.address, token=openbao.root_token))
        self.plan = Plan({function: READ_PEPPER for function in FUNCTIONS}, mount.name)
        assert list(set_up(self.vault, self.plan))
        assert list(write_identities(self.vault, self.plan, folder))

    def rotate(self, sleep: Callable[[float], None] = lambda seconds: None) -> list[Step]:
        return list(rotate_identities(self.vault, self.plan, self.folder, sleep=sleep))

    def secret_id(self, function: str) -> str:
        return (self.folder / f"{function}.secret-id").read_text().strip()

    def can_log_in(self, function: str, secret_id: str | None = None) -> bool:
        role_id = read_identity(self.folder, function)["KEYRAIL_VAULT_ROLE_ID"]
        try:
            hvac.Client(self.address).auth.approle.login(role_id, secret_id or self.secret_id(function))
        except hvac.exceptions.InvalidRequest:
            return False
        return True

    def accessors(self, function: str) -> list[str]:
        found = self.root.auth.approle.list_secret_id_accessors(self.plan.name_of(function))
        return list(found["data"]["keys"])

    def files(self) -> set[str]:
        return {file.name for file in self.folder.iterdir()}


@pytest.fixture
def identities(openbao: OpenBao, mount: Mount, tmp_path: Path) -> Identities:
    return Identities(openbao, mount, tmp_path / "identities")


def test_each_function_gets_a_new_one_and_the_old_one_ends_after_its_grace(identities: Identities) -> None:
    before, files = {name: identities.secret_id(name) for name in FUNCTIONS}, identities.files()
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        for name in FUNCTIONS:
            assert identities.secret_id(name) != before[name]
            assert identities.can_log_in(name)
            assert identities.can_log_in(name, before[name])

    steps = identities.rotate(sleep)
    assert [step.outcome for step in steps] == ["made", "made", "mended", "mended"]
    assert slept == [vault_identity_rotation.GRACE_SECONDS]
    for name in FUNCTIONS:
        assert identities.can_log_in(name)
        assert not identities.can_log_in(name, before[name])
        assert len(identities.accessors(name)) == 1
        assert stat.S_IMODE((identities.folder / f"{name}.secret-id").stat().st_mode) == 0o600
    assert identities.files() == files
    told = "".join(f"{step.what}{step.note}" for step in steps)
    assert not [name for name in FUNCTIONS if before[name] in told or identities.secret_id(name) in told]


def test_a_running_process_logs_in_with_the_new_one(identities: Identities, openbao: OpenBao) -> None:
    env = read_identity(identities.folder, "rotate")
    config = VaultConfig(
        address=openbao.address,
        auth="approle",
        role_id=env["KEYRAIL_VAULT_ROLE_ID"],
        secret_id_file=env["KEYRAIL_VAULT_SECRET_ID_FILE"],
        mount=identities.plan.mount,
    )
    session = VaultSession(config)
    assert session.read(PEPPER) is not None
    identities.rotate()
    assert session.read(PEPPER) is not None  # its token outlives the secret id
    session.close()
    assert session.read(PEPPER) is not None
    session.close()


def test_other_identities_of_the_same_role_are_left_alone(identities: Identities) -> None:
    made = identities.root.auth.approle.generate_secret_id(identities.plan.name_of("rotate"))["data"]["secret_id"]
    identities.rotate()
    assert identities.can_log_in("rotate", made)


def test_only_functions_with_an_identity_here_get_another(identities: Identities) -> None:
    (identities.folder / "rotate.secret-id").unlink()
    before = identities.accessors("rotate")
    assert len(identities.rotate()) == 2
    assert identities.accessors("rotate") == before
    assert "rotate.secret-id" not in identities.files()


def test_a_folder_without_identities_is_an_error(identities: Identities, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument):
        list(rotate_identities(identities.vault, identities.plan, tmp_path / "nothing"))


def test_a_secret_id_that_vault_does_not_know_is_replaced(identities: Identities) -> None:
    (identities.folder / "rotate.secret-id").write_text("made-up\n")
    identities.rotate()
    assert identities.can_log_in("rotate")


@pytest.fixture
def effects(identities: Identities, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """Counts what the rotation does to Vault and to files; at `kill` it is ended before, or after, it did that."""
    state = {"done": 0, "kill": -1, "after": 0}

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            state["done"] += 1
            is_the_end = state["done"] == state["kill"]
            if is_the_end and not state["after"]:
                raise Killed
            found = real(*args, **named)
            if is_the_end:
                raise Killed
            return found

        return call

    monkeypatch.setattr(identities.vault, "put", counted(identities.vault.put))
    monkeypatch.setattr(vault_identity_rotation, "write_private", counted(write_private))
    for name in ("replace", "unlink"):
        monkeypatch.setattr(Path, name, counted(getattr(Path, name)))
    yield state
    monkeypatch.undo()


def test_killed_at_any_step_it_stays_usable_and_the_next_run_ends_it(
    identities: Identities, effects: dict[str, int]
) -> None:
    files, step, killed = identities.files(), 0, 0
    while True:
        step += 1
        before = {name: identities.secret_id(name) for name in FUNCTIONS}
        for after in (0, 1):
            effects.update(done=0, kill=step, after=after)
            try:
                identities.rotate()
                is_complete = True
            except Killed:
                killed += 1
                is_complete = False
            effects["kill"] = -1
            assert all(identities.can_log_in(name) for name in FUNCTIONS), (step, after)
            identities.rotate()
            for name in FUNCTIONS:
                assert identities.can_log_in(name), (step, after)
                assert len(identities.accessors(name)) == 1, (step, after)
                assert not identities.can_log_in(name, before[name]), (step, after)
            assert identities.files() == files, (step, after)
        if is_complete:
            break
    assert killed > 20
