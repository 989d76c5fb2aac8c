"""Who we are on Google Cloud: a token that Google signs for the function's service account, for Vault's JWT method.

The instance's metadata server gives one to whoever asks from within, so that no secret lies anywhere. Its claims `sub`
and `email` name the service account, and `aud` is what we ask for: our Vault, so that nobody else can use it.
https://docs.cloud.google.com/docs/authentication/get-id-token#metadata-server
https://developer.hashicorp.com/vault/docs/auth/jwt
"""

import time
from urllib.parse import quote

from keyrail.adapters.vault_transport import Deadline, Transport, TransportFault
from keyrail.adapters.web_server import WebServer
from keyrail.domain.errors import Unavailable

METADATA_SECONDS = 1.0  # it is on the same machine
_PATH = "/computeMetadata/v1/instance/service-accounts/default/identity?format=full&audience="  # full: with `email`
_HEADERS = {"Metadata-Flavor": "Google"}  # it answers nobody without: a header that no redirect or link can send


def service_account_token(metadata_host: str, audience: str) -> str:
    """Good for an hour. Raises: Unavailable where this is not Google Cloud, or the account has no token."""
    server = WebServer(f"http://{metadata_host}{_PATH}{quote(audience, safe='')}", "GCE_METADATA_HOST")
    transport = Transport(server, time.monotonic)
    try:
        reply = transport.exchange("GET", server.target, _HEADERS, b"", Deadline(METADATA_SECONDS))
    except TransportFault as fault:
        raise Unavailable(f"Google's metadata server can't be asked for a token: {fault.cause}") from fault
    finally:
        transport.close()
    if reply.status != 200:
        raise Unavailable(f"Google's metadata server gives no token: {reply.status}")
    return reply.body.decode("ascii", "replace").strip()
