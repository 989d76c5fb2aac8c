"""The leader of three OpenBao nodes is killed again and again, while keys are issued, rotated, revoked and validated.

Every mutation is repeated, under one Idempotency-Key, until it is acknowledged; from then on it must stay done. What
the functions are told of the cluster is the address of a balancer that sends to the active node (docs/operations.md).
"""

import tempfile
import time
from pathlib import Path

from canary import Canary
from deployed import Deployment
from raft_cluster import RaftCluster
from storm import MAX_STALE_SECONDS, SETTINGS, Storm, Truth

from soak.figures import Figure, Options, Progress, judged, spread

KILLS = 10
BACK_SECONDS = 6.0
CALM_SECONDS = 2.0  # of storm on a whole cluster, before each kill
FUNCTIONS = ("issue_key", "rotate", "revoke_key", "validate_key", "validate_key")


def run(options: Options) -> list[Figure]:
    kills = options.of(KILLS)
    with tempfile.TemporaryDirectory() as folder, RaftCluster(Path(folder) / "cluster") as cluster:
        deployment = Deployment(cluster, Path(folder) / "deployment", Canary())  # type: ignore[arg-type]  # as one server
        try:
            deployment.start(*FUNCTIONS, **SETTINGS)
            storm = Storm(deployment, options.seed)
            with storm.raging():
                elections = [_kill_one(cluster, storm, number, kills) for number in range(kills)]
                time.sleep(CALM_SECONDS)
            return _told(kills, elections, storm, storm.truth())
        finally:
            deployment.stop()


def _kill_one(cluster: RaftCluster, storm: Storm, number: int, kills: int) -> float:
    """How long nobody led."""
    time.sleep(CALM_SECONDS)
    node = cluster.kill_leader()
    began_at = storm.begins_an_outage()
    cluster.wait_for_leader()
    elected_in = time.monotonic() - began_at
    storm.wait_until_back()
    cluster.restart(node)
    Progress("leaders killed", kills).at(number + 1)
    return elected_in


def _told(kills: int, elections: list[float], storm: Storm, truth: Truth) -> list[Figure]:
    asked = f"{kills} kills of the leader"
    operations = f"{truth.acknowledged:,} acknowledged"
    back = storm.back_seconds()
    return [
        judged("cluster: operations lost", operations, len(truth.lost), "=", 0),
        judged("cluster: revoked keys accepted", f"{truth.revoked:,} revoked", len(truth.accepted), "=", 0),
        judged("cluster: VALID after its revocation", f"{storm.refusals:,} asked", storm.longest_valid, "<=", MAX_STALE_SECONDS, "s"),
        judged("cluster: cached validations refused", f"{storm.validations:,} asked", len(storm.refused), "=", 0),
        Figure("cluster: until a leader was elected", asked, spread(elections, "s")),
        Figure("cluster: until mutations were back", asked, spread(back, "s")),
        judged("cluster: mutations back, the slowest", asked, max(back), "<=", BACK_SECONDS, "s"),
    ]
