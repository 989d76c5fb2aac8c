"""domain/decisions.py: from where, and for whom, a bound key may be used."""

import tracemalloc
from ipaddress import ip_address, ip_network

import pytest
from builders import decided, stored
from hypothesis import given
from hypothesis import strategies as st

from keyrail.domain.decisions import Code, Need
from keyrail.domain.records import Context


def code_for(*cidrs: str, ip: str | None) -> Code:
    return decided(stored(context=Context(cidrs=cidrs)), need=Need(ip=ip)).code


@pytest.mark.parametrize(
    ("ip", "cidr"),
    [
        ("10.1.2.3", "10.0.0.0/8"),
        ("10.0.0.0", "10.0.0.0/8"),
        ("10.255.255.255", "10.0.0.0/8"),
        ("192.0.2.7", "192.0.2.7/32"),
        ("192.0.2.7", "192.0.2.7"),
        ("203.0.113.9", "0.0.0.0/0"),
        ("2001:db8::1", "2001:db8::/32"),
        ("2001:0DB8:0:0::1", "2001:db8::/32"),
        ("::ffff:10.1.2.3", "10.0.0.0/8"),
        ("::ffff:a01:203", "10.0.0.0/8"),
    ],
)
def test_an_address_inside_is_allowed(ip: str, cidr: str) -> None:
    assert code_for(cidr, ip=ip) is Code.VALID
    assert code_for("198.51.100.0/24", "2001:db8:ffff::/48", cidr, ip=ip) is Code.VALID


@pytest.mark.parametrize(
    ("ip", "cidr"),
    [
        ("11.0.0.0", "10.0.0.0/8"),
        ("9.255.255.255", "10.0.0.0/8"),
        ("192.0.2.8", "192.0.2.7"),
        ("2001:db9::1", "2001:db8::/32"),
        ("2001:db8::1", "0.0.0.0/0"),
        ("10.1.2.3", "::/0"),
        ("::ffff:11.1.2.3", "10.0.0.0/8"),
        ("::10.1.2.3", "10.0.0.0/8"),  # the deprecated "compatible" form is another address
        ("64:ff9b::a01:203", "10.0.0.0/8"),  # so is a translated one
    ],
)
def test_an_address_outside_is_denied(ip: str, cidr: str) -> None:
    assert code_for(cidr, ip=ip) is Code.CONTEXT_DENIED


@pytest.mark.parametrize(
    "ip",
    [
        *("", " ", "unknown", "localhost", "10.1.2", "10.1.2.3.4", "256.1.1.1", "10.1.2.3/32", "10.1.2.3:443"),
        *("010.001.002.003", "0x0a010203", "167838211", " 10.1.2.3", "10.1.2.3\n", "10.1.2.3,10.1.2.3", "１０.1.2.3"),
        *("[::1]", ":::", "fe80::1%eth0", "::ffff:10.1.2.3%1", "-1", "\x00", "\ud800"),
    ],
)
def test_what_is_no_address_is_denied(ip: str) -> None:
    assert code_for("0.0.0.0/0", "::/0", ip=ip) is Code.CONTEXT_DENIED


@given(st.text())
def test_no_text_is_an_error(ip: str) -> None:
    assert code_for("192.0.2.7", ip=ip) is Code.CONTEXT_DENIED


@pytest.mark.parametrize("cidr", ["", "rubbish", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/8 ", "\ud800"])
def test_a_record_with_a_network_that_is_none_denies(cidr: str) -> None:
    assert code_for(cidr, ip="10.1.2.3") is Code.CONTEXT_DENIED


@given(st.ip_addresses(), st.ip_addresses(), st.data())
def test_agrees_with_the_bits_of_the_address(ip: object, other: object, data: st.DataObject) -> None:
    network = ip_network(f"{other}/{data.draw(st.integers(0, ip_address(str(other)).max_prefixlen))}", strict=False)
    address = ip_address(str(ip))
    mapped = getattr(address, "ipv4_mapped", None) or address
    same_bits = int(mapped) ^ int(network.network_address) < 1 << (network.max_prefixlen - network.prefixlen)
    inside = mapped.version == network.version and same_bits
    assert (code_for(str(network), ip=str(address)) is Code.VALID) is inside


def test_a_key_bound_to_networks_is_denied_where_no_address_is_told() -> None:
    assert code_for("0.0.0.0/0", "::/0", ip=None) is Code.CONTEXT_DENIED


def test_a_key_bound_to_nothing_needs_nothing_told() -> None:
    assert decided(stored()).code is Code.VALID
    assert decided(stored(), need=Need(ip="rubbish", audience="anyone")).code is Code.VALID


@pytest.mark.parametrize(
    ("audience", "code"),
    [
        ("training", Code.VALID),
        ("serving", Code.VALID),
        ("Training", Code.CONTEXT_DENIED),
        ("train", Code.CONTEXT_DENIED),
        ("training ", Code.CONTEXT_DENIED),
        ("", Code.CONTEXT_DENIED),
        (None, Code.CONTEXT_DENIED),
    ],
)
def test_a_key_bound_to_audiences_needs_one_of_them(audience: str | None, code: Code) -> None:
    bound = stored(context=Context(audiences=("serving", "training")))
    assert decided(bound, need=Need(audience=audience)).code is code


@pytest.mark.parametrize(
    ("ip", "audience"), [("10.1.2.3", None), (None, "training"), ("11.1.2.3", "training"), ("10.1.2.3", "other")]
)
def test_a_key_bound_to_both_needs_both(ip: str | None, audience: str | None) -> None:
    bound = stored(context=Context(cidrs=("10.0.0.0/8",), audiences=("training",)))
    assert decided(bound, need=Need(ip=ip, audience=audience)).code is Code.CONTEXT_DENIED
    assert decided(bound, need=Need(ip="10.1.2.3", audience="training")).code is Code.VALID


def test_long_texts_sent_as_addresses_are_not_kept() -> None:
    tracemalloc.start()
    try:
        for number in range(200):
            assert code_for("::/0", ip=f"fe80::{number:x}%" + "z" * 50_000) is Code.CONTEXT_DENIED
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept_bytes < 1_000_000
