"""What Knative and an operator set about events reaches their receiver: the whole way from an issue to a tick."""

import json
from pathlib import Path

import own_tls
from event_receiver import receiving
from keyrail.operations import issue_key, rotate_due
from vault_mount import Mount
from vault_servers import answering, reply
from vault_world import VaultWorld, vault_world

OVERRIDES = json.dumps({"extensions": {"region": "eu"}})


def issue_and_tick(world: VaultWorld) -> tuple[str, int]:
    issued = world.call(issue_key.OPERATION, tenant="acme", owner="ml-team", name="a key")
    return issued.key_id, world.call(rotate_due.OPERATION).events_sent


def test_the_mode_and_the_overrides(mount: Mount, tmp_path: Path) -> None:
    with receiving(tmp_path) as receiver:
        env = {"K_SINK": receiver.url, "K_CE_OVERRIDES": OVERRIDES, "KEYRAIL_EVENT_MODE": "structured"}
        with vault_world(mount, **env) as world:
            key_id, sent = issue_and_tick(world)
        assert sent == 1
        (request,) = receiver.requests()
    event = json.loads(request["body"])
    assert (event["type"], event["subject"], event["region"]) == ("keyrail.key.issued", key_id, "eu")


def test_the_certificates_that_are_trusted(mount: Mount, tmp_path: Path) -> None:
    tls, heads = own_tls.make(tmp_path, address="127.0.0.1"), list[str]()
    taking = answering(lambda connection: connection.sendall(reply("202 Accepted", b"")), heads, tls.server)
    with taking as address, vault_world(mount, K_SINK=address) as world:
        assert issue_and_tick(world)[1] == 0
        assert heads == []
        world.services = world.new_services(K_CA_CERTS=tls.ca_pem)
        assert world.call(rotate_due.OPERATION).events_sent == 1
    assert heads[0].startswith("POST / ")
