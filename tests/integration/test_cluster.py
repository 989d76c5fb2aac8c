"""Three OpenBao nodes, of which the leader is killed during a storm of changes. `make soak` does it ten times."""

import time
from pathlib import Path

from canary import Canary
from deployed import Deployment
from raft_cluster import RaftCluster
from storm import MAX_STALE_SECONDS, SETTINGS, Storm

BACK_SECONDS = 6.0


def test_a_killed_leader_loses_nothing_and_refuses_nobody_who_is_in_memory(tmp_path: Path, canary: Canary) -> None:
    with RaftCluster(tmp_path / "cluster") as cluster:
        deployment = Deployment(cluster, tmp_path / "deployment", canary)  # type: ignore[arg-type]  # as one server
        try:
            deployment.start("issue_key", "rotate", "revoke_key", "validate_key", "validate_key", **SETTINGS)
            storm = Storm(deployment, seed=1)
            with storm.raging():
                time.sleep(1)
                cluster.kill_leader()
                storm.begins_an_outage()
                storm.wait_until_back()
                time.sleep(1)
            truth = storm.truth()
        finally:
            deployment.stop()
    print(f"\n{truth.acknowledged} acknowledged; mutations were back after {storm.back_seconds()[0]:.2f} s")
    assert (truth.lost, truth.accepted, storm.refused) == ([], [], [])
    assert storm.longest_valid <= MAX_STALE_SECONDS
    assert storm.back_seconds()[0] <= BACK_SECONDS
