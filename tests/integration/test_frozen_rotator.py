"""A rotator that was stopped for longer than its lease wakes in a world that has moved on, and does no harm to it."""

import time
from collections.abc import Iterator

import pytest
from freezing import revoked_while_its_rotator_stood_still, stops_at_its_sink, wakes
from rotating import LEASE_SECONDS, ROTATOR, Rotations, Rotator
from vault_proxy import proxy_to

ASLEEP_SECONDS = 3.0  # longer than its lease, and than a whole deadline at Vault


@pytest.fixture(scope="module")
def rotator(rotations: Rotations) -> Iterator[Rotator]:
    deployment = rotations.deployment
    with proxy_to(deployment.vault.address) as proxy:
        instance = deployment.launch("rotate", vault_address=proxy.address, **ROTATOR)
        instance.wait()
        yield Rotator(deployment, proxy, instance)
        deployment.stop(instance)


def test_a_key_revoked_meanwhile_stays_revoked(rotations: Rotations, rotator: Rotator) -> None:
    codes = revoked_while_its_rotator_stood_still(rotations, rotator, ASLEEP_SECONDS)
    assert set(codes) == {"REVOKED"}


def test_what_another_promoted_meanwhile_stays_in_the_sink(rotations: Rotations, rotator: Rotator) -> None:
    key = rotations.issue()
    caller, go = stops_at_its_sink(rotations, rotator, key.sink)
    try:
        time.sleep(max(ASLEEP_SECONDS, LEASE_SECONDS))
        rotations.tick_until_done(key)
        promoted = rotations.in_sink(key)
    finally:
        wakes(rotator, caller, go)
    assert rotations.in_sink(key) == promoted
    rotations.assert_rotated_once(key)
