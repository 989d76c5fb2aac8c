"""domain/sinks.py: where a key may be delivered to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyrail.domain.errors import InvalidArgument
from keyrail.domain.sinks import Sink, parse_sink


@pytest.mark.parametrize(
    ("text", "sink"),
    [
        ("vault:acme/gateway", Sink("vault", ("acme", "gateway"))),
        ("file:acme/gateway", Sink("file", ("acme", "gateway"))),
        ("secretsmanager:acme/gateway", Sink("secretsmanager", ("acme", "gateway"))),
        ("vault:acme/inference/openai", Sink("vault", ("acme", "inference", "openai"))),
        ("vault:acme/a/b/c/d/e/f", Sink("vault", ("acme", "a", "b", "c", "d", "e", "f"))),
        ("vault:acme/" + "x" * 64, Sink("vault", ("acme", "x" * 64))),
        ("vault:acme/With_under-score9", Sink("vault", ("acme", "With_under-score9"))),
    ],
)
def test_kind_tenant_and_name(text: str, sink: Sink) -> None:
    assert parse_sink(text, "acme") == sink
    assert parse_sink(text, "acme").tenant == "acme"


@pytest.mark.parametrize(
    "text",
    [
        *("", "vault:", "vault:acme", "vault:acme/", "acme/gateway", "vault/acme/gateway", "VAULT:acme/gateway"),
        *("s3:acme/gateway", "vault:acme/a/b/c/d/e/f/g", "vault:acme/" + "x" * 65, "vault:acme//gateway"),
        *("vault:acme/..", "vault:acme/../other/gateway", "vault:acme/.hidden", "vault:acme/a.b", "vault:acme/a b"),
        *("vault:acme/a%2e%2e", "vault:acme/gateway\n", "vault:acme/gateway?x", "vault:acme/-x", "vault:acme/_x"),
        *("vault: acme/gateway", "vault:acme/gateway ", "vault:acme\\gateway", "vault:acme/gatew\u00e4y"),
    ],
)
def test_whatever_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        parse_sink(text, "acme")
    assert refusal.value.code == "BAD_SINK"


@pytest.mark.parametrize("tenant", ["other", "acm", "acme2", "system", ""])
def test_nobody_delivers_into_another_tenants_folder(tenant: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        parse_sink("vault:acme/gateway", tenant)
    assert refusal.value.code == "BAD_SINK"


@given(st.text(max_size=40))
def test_no_text_gets_out_of_its_tenants_folder(rest: str) -> None:
    try:
        sink = parse_sink(f"vault:acme/{rest}", "acme")
    except InvalidArgument:
        return
    assert sink.segments[0] == "acme"
    assert all(segment and not set(segment) & set("./\\%? \n") for segment in sink.segments)
