"""domain/digest.py: what is stored of a key, and that it can't be mistaken or shown."""

import hmac
from hashlib import sha256

import pytest
from builders import PEPPERS
from hypothesis import assume, example, given
from hypothesis import strategies as st

from keyrail.domain.digest import PEPPER_BYTES, Peppers, fingerprint, same_digest

BODIES = st.binary(min_size=1, max_size=80)
PEPPER = st.binary(min_size=PEPPER_BYTES, max_size=PEPPER_BYTES)
HEX = "0123456789abcdef"


@given(BODIES, PEPPER, st.integers(1, 9))
def test_a_digest_equals_an_independent_hmac(body: bytes, pepper: bytes, version: int) -> None:
    assert Peppers(version, {version: pepper}).digest(body, version) == _hmac_sha256(pepper, body)


@given(BODIES, st.binary(max_size=200))
@example(b"at the block size of SHA-256", b"p" * 64)
@example(b"and above it", b"p" * 65)
def test_a_pepper_of_any_length_is_used_as_the_standard_library_would(body: bytes, pepper: bytes) -> None:
    assert Peppers(1, {1: pepper}).digest(body, 1) == hmac.digest(pepper, body, "sha256").hex()


def test_one_digest_leaves_no_trace_in_the_next() -> None:
    first = PEPPERS.digest(b"first", 1)
    assert PEPPERS.digest(b"second", 1) != first
    assert PEPPERS.digest(b"first", 1) == first


def test_a_digest_of_a_known_vector() -> None:
    """RFC 4231 section 4.3."""
    peppers = Peppers(1, {1: b"Jefe"})
    assert peppers.current_digest(b"what do ya want for nothing?") == (
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )


@given(BODIES, BODIES)
def test_other_bodies_and_other_peppers_give_other_digests(body: bytes, other: bytes) -> None:
    assume(body != other)
    assert PEPPERS.digest(body, 1) != PEPPERS.digest(other, 1)
    assert PEPPERS.digest(body, 1) != PEPPERS.digest(body, 2)


def test_new_digests_use_the_current_pepper() -> None:
    assert Peppers(2, PEPPERS.by_version).current_digest(b"body") == PEPPERS.digest(b"body", 2)


def test_an_unknown_pepper_version_is_told_by_its_number() -> None:
    with pytest.raises(KeyError) as unknown:
        PEPPERS.digest(b"body", 7)
    assert unknown.value.args == (7,)


@given(PEPPER)
@example(b"\x00" * 32)
@example(b"a pepper of printable characters")
def test_peppers_show_none_of_their_bytes(pepper: bytes) -> None:
    peppers = Peppers(1, {1: pepper})
    for shown in (repr(peppers), str(peppers), f"{peppers}", repr([peppers])):
        assert shown.strip("[]") == "Peppers(current=1)"


@given(st.text(HEX, min_size=64, max_size=64), st.integers(0, 63), st.sampled_from(HEX))
def test_digests_are_the_same_only_where_every_character_is(digest: str, at: int, char: str) -> None:
    other = digest[:at] + char + digest[at + 1 :]
    assert same_digest(digest, digest)
    assert same_digest(digest, other) is (digest == other)
    assert not same_digest(digest, digest[:at])


class TestFingerprint:
    @given(st.lists(st.text(max_size=8), max_size=4), st.lists(st.text(max_size=8), max_size=4))
    def test_differs_where_any_part_differs(self, left: list[str], right: list[str]) -> None:
        assert (fingerprint(*left) == fingerprint(*right)) is (left == right)

    @given(st.lists(st.text("0123:,ab", max_size=6), min_size=1, max_size=4), st.data())
    def test_no_part_runs_into_the_next(self, parts: list[str], data: st.DataObject) -> None:
        """The same characters, cut in other places."""
        joined = "".join(parts)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(joined)), max_size=4)))
        other = [joined[start:end] for start, end in zip([0, *cuts], [*cuts, len(joined)], strict=True)]
        assert (fingerprint(*parts) == fingerprint(*other)) is (parts == other)

    def test_no_part_can_imitate_the_separator(self) -> None:
        assert fingerprint("a", "b") != fingerprint("a,1:b")
        assert fingerprint("") != fingerprint()
        assert fingerprint("ab", "") != fingerprint("a", "b") != fingerprint("", "ab")

    def test_is_64_hex_characters_whatever_it_is_of(self) -> None:
        for part in ("", "x" * 100_000, "é", "\x00", "\ud800"):
            assert len(fingerprint(part)) == 64
            assert set(fingerprint(part)) <= set(HEX)

    def test_stays_the_same_from_release_to_release(self) -> None:
        """Records hold it: another form would make every repeated Idempotency-Key a conflict."""
        assert fingerprint("a", "é") == sha256("1:a,1:é,".encode()).hexdigest()


def _hmac_sha256(key: bytes, message: bytes) -> str:
    """By its definition, RFC 2104 section 2; for keys of at most 64 bytes."""
    padded = key.ljust(64, b"\x00")
    inner = sha256(bytes(byte ^ 0x36 for byte in padded) + message).digest()
    return sha256(bytes(byte ^ 0x5C for byte in padded) + inner).hexdigest()
