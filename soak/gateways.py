"""Clients show keys to nginx and to Envoy while these are issued, rotated and revoked without pause.

nginx asks two instances of validate_key by auth_request; Envoy asks two containers by ext_authz.
"""

import tempfile
from pathlib import Path

from canary import Canary
from deployed import Deployment
from gateway_storm import GatewayStorm, Tally
from gateway_world import Gateway, echo_service
from guarded import asking_by_grpc, asking_by_http
from storm import FRESH_SECONDS

from keyrail.dev.openbao import OpenBao
from soak.figures import Figure, Options, Progress, judged

SECONDS = 300
FUNCTIONS = ("issue_key", "rotate", "revoke_key", "validate_key", "validate_key")


def run(options: Options) -> list[Figure]:
    with tempfile.TemporaryDirectory() as name, OpenBao(Path(name) / "openbao") as vault, echo_service() as service:
        folder = Path(name)
        deployment = Deployment(vault, folder / "deployment", Canary())
        try:
            deployment.start(*FUNCTIONS)
            with asking_by_http(deployment, folder / "http", service, ("nginx",)) as gateways:
                figures = _stormed("nginx", deployment, gateways["nginx"], options)
            with asking_by_grpc(deployment, folder / "grpc", service) as (envoy, _):
                return figures + _stormed("Envoy", deployment, envoy, options)
        finally:
            deployment.stop()


def _stormed(name: str, deployment: Deployment, gateway: Gateway, options: Options) -> list[Figure]:
    seconds = options.of(SECONDS)
    progress = Progress(f"seconds behind {name}", seconds)
    return _told(name, GatewayStorm(deployment.api, gateway, options.seed).rage(seconds, progress.at))


def _told(name: str, tally: Tally) -> list[Figure]:
    asked, seen = f"{tally.live + tally.ended:,} asked", tally.changes
    changes = f"{seen['issued']:,} / {seen['rotated']:,} / {seen['revoked']:,}"
    wrong = sorted(f"{count:,} x {what}" for what, count in tally.wrong.items())
    return [
        judged(f"{name}: wrong answers", asked, tally.wrong.total(), "=", 0),
        judged(
            f"{name}: let through after its end, at most",
            f"{tally.ended:,} asked",
            tally.longest_past_end,
            "<=",
            FRESH_SECONDS,
            "s",
        ),
        Figure(f"{name}: issued / rotated / revoked meanwhile", "", changes),
        *(Figure(f"{name}: a wrong answer", asked, each) for each in wrong),
    ]
