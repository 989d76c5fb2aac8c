"""OpenBao beside the Lambdas: how they log in there, and `keyrail bootstrap` as an administrator runs it."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from keyrail.adapters.private_files import write_private
from keyrail.dev.openbao import OpenBao

NAME = "keyrail-{function}"  # of a function's role, as of the policy that bootstrap makes for it
TOKEN_SECONDS = 24 * 3600


class BootstrapError(Exception):
    """`keyrail bootstrap` failed; the message is what it said."""


def let_in(bao: OpenBao, functions: list[str], file: Path) -> None:
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


def bootstrap(bao: OpenBao, functions: Path, folder: Path, env: Mapping[str, str]) -> str:
    """The admin key. Raises: BootstrapError."""
    file = folder / "admin.key"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("VAULT_", "KEYRAIL_", "AWS_"))}
    own = {"VAULT_ADDR": bao.address, "VAULT_TOKEN": bao.root_token, **env}
    command = [sys.executable, "-c", "from keyrail.triggers.cli import main; main()", "bootstrap"]
    command += ["--functions", str(functions), "--admin-key-file", str(file)]
    done = subprocess.run(command, env=clean | own, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BootstrapError(f"keyrail bootstrap: {done.stderr}")
    return file.read_text().strip()
