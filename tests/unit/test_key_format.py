"""domain/key_format.py: what is a key, and that nothing near a key is one."""

import math
import random
import re
from collections import Counter
from collections.abc import Callable

import pytest
from builders import FORMAT, KEY_ID, key_text, presented
from hypothesis import assume, given
from hypothesis import strategies as st

from keyrail.domain.errors import MalformedKey
from keyrail.domain.key_format import (
    ANY_KEY,
    BASE62,
    CHECKSUM_CHARS,
    KEY_ID_CHARS,
    LABEL,
    SECRET_CHARS,
    KeyFormat,
    base62,
    checksum,
    new_key_id,
    new_secret,
)

LABELS = st.from_regex(LABEL, fullmatch=True)
FORMATS = st.builds(KeyFormat, LABELS, LABELS)
KEY_IDS = st.text(BASE62, min_size=KEY_ID_CHARS, max_size=KEY_ID_CHARS)
SECRETS = st.text(BASE62, min_size=SECRET_CHARS, max_size=SECRET_CHARS)
KEYS = st.builds(FORMAT.assemble, KEY_IDS, SECRETS)
LOOKALIKES = "٣３ＡаΑﬁ０𝟎²ſK"  # digits and letters of other scripts; the last two fold to s and K
WHITE = "\n\r\t \x00\x0b\x85\u2028\ufeff"


def refused(text: str, key_format: KeyFormat = FORMAT) -> bool:
    try:
        key_format.parse(text)
    except MalformedKey:
        return True
    return False


@given(FORMATS, KEY_IDS, SECRETS)
def test_what_is_assembled_is_parsed(key_format: KeyFormat, key_id: str, secret: str) -> None:
    key = key_format.assemble(key_id, secret)
    parsed = key_format.parse(key)
    assert parsed.key_id == key_id
    assert parsed.body.decode() == key[:-CHECKSUM_CHARS]
    assert key == f"{key_format.prefix}_{key_format.environment}_{key_id}_{secret}{key[-CHECKSUM_CHARS:]}"


def test_a_key_of_the_defaults_has_64_characters() -> None:
    assert len(key_text()) == 64
    assert key_text().startswith("krl_" + "live_")


@given(FORMATS, FORMATS, KEY_IDS, SECRETS)
def test_a_key_of_another_deployment_is_malformed(ours: KeyFormat, theirs: KeyFormat, key_id: str, secret: str) -> None:
    assume(ours != theirs)
    assert refused(theirs.assemble(key_id, secret), ours)


@pytest.mark.parametrize("label", ["", "Krl", "1krl", "krl_live", "k-l", "krl\n", ".*", "k" * 13, "кrl"])
def test_a_prefix_or_environment_of_another_shape_is_refused(label: str) -> None:
    with pytest.raises(ValueError, match="must match"):
        KeyFormat(prefix=label)
    with pytest.raises(ValueError, match="must match"):
        KeyFormat(environment=label)


class TestNothingNearAKeyIsAKey:
    def test_one_character_changed_anywhere(self) -> None:
        key = key_text()
        for at, old in enumerate(key):
            for new in BASE62 + "_-" + LOOKALIKES + WHITE:
                assert new == old or refused(key[:at] + new + key[at + 1 :]), (at, new)

    def test_one_character_more_anywhere(self) -> None:
        key = key_text()
        for at in range(len(key) + 1):
            for more in BASE62 + "_" + LOOKALIKES + WHITE:
                assert refused(key[:at] + more + key[at:]), (at, more)

    def test_any_part_of_it(self) -> None:
        key = key_text()
        for start in range(len(key)):
            for end in range(start, len(key) + 1):
                assert key[start:end] == key or refused(key[start:end]), (start, end)

    @given(KEYS, st.data())
    def test_two_neighbours_swapped(self, key: str, data: st.DataObject) -> None:
        at = data.draw(st.integers(0, len(key) - 2))
        swapped = key[:at] + key[at + 1] + key[at] + key[at + 2 :]
        assert swapped == key or refused(swapped)

    @given(KEYS, st.data())
    def test_one_letter_in_the_other_case(self, key: str, data: st.DataObject) -> None:
        at = data.draw(st.sampled_from([at for at, char in enumerate(key) if char.isalpha()]))
        assert refused(key[:at] + key[at].swapcase() + key[at + 1 :])

    @pytest.mark.parametrize("change", [str.upper, str.lower, str.swapcase, str.title])
    def test_all_letters_in_another_case(self, change: Callable[[str], str]) -> None:
        assert refused(change(FORMAT.assemble("AbCdEfGhIjKlMnOp", "aB" * 16)))

    @given(KEYS, st.text(min_size=1, max_size=5))
    def test_anything_before_or_after_it(self, key: str, more: str) -> None:
        assert refused(key + more)
        assert refused(more + key)

    @given(st.text() | st.text(BASE62 + "_", min_size=50, max_size=70))
    def test_any_other_text(self, text: str) -> None:
        assert refused(text)

    @pytest.mark.parametrize("text", ["", "krl", "krl_live", "krl_live__", key_text() * 2, "\ud800", "A" * 1_000_000])
    def test_odd_texts(self, text: str) -> None:
        assert refused(text)


@given(KEYS, st.sampled_from(BASE62), st.integers(0, 63))
def test_a_refusal_never_holds_the_text(key: str, other: str, at: int) -> None:
    assume(key[at] != other)
    text = key[:at] + other + key[at + 1 :]
    with pytest.raises(MalformedKey) as refusal:
        FORMAT.parse(text)
    error = refusal.value
    told = " ".join(map(repr, (error, str(error), error.args, vars(error), error.__cause__, error.__context__)))
    parts = re.findall(r"[0-9A-Za-z]{6,}", text)
    assert not [part for part in parts if part in told and part not in ("MalformedKey", "checksum")]


def test_a_presented_key_shows_no_secret() -> None:
    parsed = FORMAT.parse(FORMAT.assemble(KEY_ID, "S3cr" * 8))
    for shown in (repr(parsed), str(parsed), f"{parsed}", repr([parsed]), repr({"key": parsed})):
        assert "S3cr" not in shown
        assert KEY_ID in shown


class TestSecretScanners:
    @given(FORMATS, KEY_IDS, SECRETS, st.text(), st.text())
    def test_find_a_key_inside_any_text(
        self, key_format: KeyFormat, key_id: str, secret: str, before: str, after: str
    ) -> None:
        key = key_format.assemble(key_id, secret)
        found = [match[0] for match in ANY_KEY.finditer(before + key + after)]
        assert any(key.endswith(text) or text.endswith(key) for text in found)

    def test_find_every_key_of_several_joined_without_a_gap(self) -> None:
        keys = [key_text(number) for number in range(1, 20)]
        assert ANY_KEY.findall("".join(keys)) == keys

    def test_find_no_key_in_plain_words(self) -> None:
        assert (
            ANY_KEY.search("the key krl_live_... of key id " + KEY_ID + " and trace " + "0af7651916cd43dd" * 2) is None
        )


class TestChecksum:
    @given(st.binary(max_size=200))
    def test_equals_an_independent_implementation(self, body: bytes) -> None:
        assert checksum(body) == _in_base62(_crc32(body)).rjust(6, "0")

    def test_of_a_known_vector(self) -> None:
        assert _crc32(b"123456789") == 0xCBF43926  # the check value of CRC-32/ISO-HDLC, reveng.sourceforge.io
        assert checksum(b"123456789") == _in_base62(0xCBF43926)

    def test_tells_every_crc_apart(self) -> None:
        assert 62**CHECKSUM_CHARS > 2**32

    @given(st.integers(0, 62**6 - 1))
    def test_digits_are_those_of_the_number_zero_padded(self, number: int) -> None:
        digits = base62(number, 6)
        assert len(digits) == 6
        assert sum(BASE62.index(digit) * 62**place for place, digit in enumerate(reversed(digits))) == number


class TestNewSecrets:
    DRAWS = 2000

    def test_have_at_least_190_bits(self) -> None:
        assert len(set(BASE62)) == len(BASE62) == 62
        assert len(new_secret()) == SECRET_CHARS
        assert SECRET_CHARS * math.log2(62) >= 190

    def test_use_every_character_alike(self) -> None:
        drawn = "".join(new_secret() for _ in range(self.DRAWS))
        expected = len(drawn) / 62
        seen = Counter(drawn)
        assert set(seen) <= set(BASE62)
        chi_square = sum((seen[char] - expected) ** 2 / expected for char in BASE62)
        assert chi_square < 160  # 61 degrees of freedom: beyond it once in 10**10 runs

    def test_never_repeat(self) -> None:
        assert len({new_secret() for _ in range(self.DRAWS)}) == self.DRAWS
        assert len({new_key_id() for _ in range(self.DRAWS)}) == self.DRAWS

    def test_do_not_follow_from_a_seed(self) -> None:
        random.seed(1)
        first = new_secret(), new_key_id()
        random.seed(1)
        assert (new_secret(), new_key_id()) != first

    def test_make_keys_that_are_accepted(self) -> None:
        key_id = new_key_id()
        assert FORMAT.parse(FORMAT.assemble(key_id, new_secret())).key_id == key_id
        assert presented(1) != presented(2)


def _crc32(body: bytes) -> int:
    """Bit by bit, after ISO 3309; the product uses zlib."""
    remainder = 0xFFFFFFFF
    for byte in body:
        remainder ^= byte
        for _ in range(8):
            remainder = (remainder >> 1) ^ (0xEDB88320 if remainder & 1 else 0)
    return remainder ^ 0xFFFFFFFF


def _in_base62(number: int) -> str:
    return "" if number == 0 else _in_base62(number // 62) + BASE62[number % 62]
