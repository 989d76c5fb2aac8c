"""One real OpenBao for the run (one a worker under pytest-xdist), and a mount of its own for each test that asks; the
same for DynamoDB and its tables."""

from collections.abc import Iterator

import hvac
import pytest

from counted_table import CountedTable, new_table
from keyrail.adapters.vault_session import VaultSession
from keyrail.dev.aws import CREDENTIALS, aws_server
from keyrail.dev.openbao import OpenBao
from vault_mount import Mount, RecordedMetrics


@pytest.fixture(scope="session")
def openbao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBao]:
    """Shared: a test that stops, seals or breaks a server starts one of its own."""
    with OpenBao(tmp_path_factory.mktemp("openbao"), audit=True) as server:
        yield server


@pytest.fixture(scope="session")
def root(openbao: OpenBao) -> hvac.Client:
    """For what a test prepares; what it tests has a token with a policy."""
    return hvac.Client(openbao.address, openbao.root_token)


@pytest.fixture
def mount(openbao: OpenBao, root: hvac.Client) -> Iterator[Mount]:
    made = Mount.make(openbao, root)
    yield made
    root.sys.disable_secrets_engine(made.name)


@pytest.fixture
def metrics() -> RecordedMetrics:
    return RecordedMetrics()


@pytest.fixture
def vault_session(mount: Mount, metrics: RecordedMetrics) -> Iterator[VaultSession]:
    session = VaultSession(mount.config(), metrics)
    yield session
    session.close()


@pytest.fixture(scope="session")
def aws_endpoint() -> Iterator[str]:
    with aws_server() as endpoint:
        yield endpoint


@pytest.fixture
def aws_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 looks for them first thing: those of whoever runs the tests must not be used."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def dynamo_table(aws_endpoint: str, aws_credentials: None) -> CountedTable:
    return new_table(aws_endpoint)
