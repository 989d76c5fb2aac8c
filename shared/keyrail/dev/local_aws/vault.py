"""OpenBao beside the Lambdas, and how they log in there."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from keyrail.adapters.private_files import write_private
from keyrail.dev.openbao import OpenBao

NAME = "keyrail-{function}"  # of a function's role, as of the policy that bootstrap makes for it
TOKEN_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Vault:
    """`administrator`: the environment of whoever may do everything there. `jwt_file`: what functions log in with."""

    address: str
    administrator: dict[str, str]
    jwt_file: Path


@contextmanager
def running(functions: Iterable[str], folder: Path) -> Iterator[Vault]:
    """Raises: OpenBaoError."""
    bao = OpenBao(folder / "openbao").start()
    try:
        _let_in(bao, functions, folder / "jwt")
        yield Vault(bao.address, {"VAULT_ADDR": bao.address, "VAULT_TOKEN": bao.root_token}, folder / "jwt")
    finally:
        bao.kill()


def _let_in(bao: OpenBao, functions: Iterable[str], file: Path) -> None:
    """Writes a token to `file` that lets each function log in with its own policy, and no other.

    All of them show the same one, since the module has one jwt_file: which policy, the role's name decides.
    """
    import hvac
    import jwt
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    now = int(time.time())
    claims = {"sub": "lambda", "aud": "keyrail", "iat": now, "exp": now + TOKEN_SECONDS}
    write_private(file, jwt.encode(claims, key, "ES256"))
    root = hvac.Client(bao.address, bao.root_token)
    root.sys.enable_auth_method("jwt")
    root.write_data("auth/jwt/config", data={"jwt_validation_pubkeys": [public]})
    for function in functions:
        name = NAME.format(function=function)
        role = {"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["keyrail"], "bound_subject": "lambda"}
        root.write_data(f"auth/jwt/role/{name}", data=role | {"token_policies": [name], "token_type": "batch"})
