"""domain/key_format.py and decisions: keys that were made elsewhere, and what is never taken for one."""

import re
import string
from hashlib import sha256

import pytest
from builders import FORMAT, NOW, PEPPERS, ROLES, generation, key_text, stored
from hypothesis import assume, given
from hypothesis import strategies as st

from keyrail.domain.decisions import Code, Decision, Need, decide
from keyrail.domain.errors import MalformedKey
from keyrail.domain.key_format import (
    ANY_KEY,
    KEY_ID,
    KeyFormat,
    PresentedKey,
    hash_of_imported,
    imported_key_id,
    imported_keys_pattern,
)
from keyrail.domain.records import StoredKey, decode_record, encode

LETTERS = string.ascii_letters + string.digits + "._-"
PREFIXES = ("sk-", "pk_", "AIza", "x.")
IMPORTING = KeyFormat(imported_prefixes=PREFIXES)
RESTS = st.text(LETTERS, min_size=18, max_size=240)
TEXTS = st.builds(str.__add__, st.sampled_from(PREFIXES), RESTS)
TEXT = "sk-" + "a" * 30


def parsed(text: str, key_format: KeyFormat = IMPORTING) -> PresentedKey | None:
    try:
        return key_format.parse(text)
    except MalformedKey:
        return None


@given(TEXTS)
def test_an_imported_key_is_found_by_its_hash_alone(text: str) -> None:
    assume(ANY_KEY.fullmatch(text) is None)
    found = parsed(text)
    assert found is not None
    key_hash = sha256(text.encode()).hexdigest()
    assert (found.body, found.digest_scheme) == (key_hash.encode(), "sha256")
    assert found.key_id == imported_key_id(key_hash) == imported_key_id(hash_of_imported(text))
    assert KEY_ID.fullmatch(found.key_id)
    assert text not in repr(found)
    assert parsed(text, FORMAT) is None


@given(TEXTS, TEXTS)
def test_no_two_keys_have_one_id(one: str, other: str) -> None:
    assume(one != other)
    assert imported_key_id(hash_of_imported(one)) != imported_key_id(hash_of_imported(other))


@given(st.sampled_from(PREFIXES), st.text(LETTERS, max_size=300))
def test_its_length_is_bounded(prefix: str, rest: str) -> None:
    text = prefix + rest
    assume(ANY_KEY.fullmatch(text) is None)
    assert (parsed(text) is not None) == (20 <= len(text) <= 256)


@pytest.mark.parametrize("length", [20, 256])
def test_the_bounds_themselves_are_in(length: int) -> None:
    assert parsed("sk-".ljust(length, "a")) is not None
    assert parsed("sk-".ljust(19 if length == 20 else 257, "a")) is None


@given(st.text(min_size=20, max_size=60))
def test_any_other_text_is_malformed(text: str) -> None:
    assume(not any(text.startswith(prefix) for prefix in PREFIXES))
    assert parsed(text) is None


@given(TEXTS, st.integers(0, 300), st.sampled_from("\n \t\x00/+=,é٣ſ\u2028"))
def test_one_strange_character_makes_it_malformed(text: str, place: int, strange: str) -> None:
    at = place % (len(text) + 1)
    assert parsed(text[:at] + strange + text[at:]) is None


@given(st.sampled_from(PREFIXES))
def test_case_counts(prefix: str) -> None:
    assert parsed(prefix.swapcase() + "a" * 30) is None


def test_our_own_keys_are_parsed_as_ever() -> None:
    assert parsed(key_text()) == FORMAT.parse(key_text())


@pytest.mark.parametrize("text", ["sk_live_0Keyrail0Unit0Id_" + "s" * 38, "pk_test_0Keyrail0Unit0Id_" + "s" * 38])
def test_what_looks_like_a_key_of_another_deployment_is_never_an_imported_one(text: str) -> None:
    importing = KeyFormat(imported_prefixes=("sk_", "pk_"))
    assert parsed(text, importing) is None
    assert parsed(text + "s", importing) is not None


@pytest.mark.parametrize("prefix", ["k", "a" * 17, "sk ", "sk,", "sk/", "", "sk\n", "ké"])
def test_a_prefix_of_another_form_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="must match"):
        KeyFormat(imported_prefixes=(prefix,))


@pytest.mark.parametrize("prefix", ["kr", "krl", "krl_", "krl_li", "krl_live_", "krl_live_0"])
def test_a_prefix_that_our_own_keys_have_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="our own"):
        KeyFormat(imported_prefixes=("sk-", prefix))


@given(st.from_regex(r"[0-9A-Za-z._-]{2,16}", fullmatch=True), TEXTS)
def test_no_prefix_that_is_accepted_matches_a_key_of_ours(prefix: str, text: str) -> None:
    try:
        importing = KeyFormat(imported_prefixes=(prefix,))
    except ValueError:
        assert key_text().startswith(prefix) or prefix.startswith("krl_" + "live_")
        return
    assert not importing.is_imported(key_text())
    assert importing.parse(key_text()).digest_scheme == "key"


def test_without_prefixes_the_pattern_finds_nothing() -> None:
    assert imported_keys_pattern(()).search(TEXT) is None


@given(st.sampled_from(PREFIXES))
def test_a_prefix_is_no_pattern(prefix: str) -> None:
    assert re.fullmatch(imported_keys_pattern(("x.",)), "xy" + "a" * 30) is None


# -- decisions ------------------------------------------------------------------------------------------------------


def imported(text: str = TEXT, version: int = 1) -> StoredKey:
    body = hash_of_imported(text).encode()
    first = generation(digest=PEPPERS.digest(body, version), pepper_version=version, digest_scheme="sha256")
    return stored(first, key_id=imported_key_id(hash_of_imported(text)))


def decided(text: str, key: StoredKey | None) -> Decision:
    return decide(IMPORTING.parse(text), key, PEPPERS, ROLES, Need(), NOW)


@given(TEXTS, st.sampled_from([1, 2]))
def test_it_validates_by_the_digest_of_its_hash(text: str, version: int) -> None:
    assume(ANY_KEY.fullmatch(text) is None)
    assert decided(text, imported(text, version)).code is Code.VALID
    assert decided(text + "x" if len(text) < 256 else text[:-1], imported(text, version)).code is Code.NOT_FOUND


def test_an_unknown_one_costs_a_digest_and_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    digested: list[bytes] = []
    another = stored()
    monkeypatch.setattr(
        "keyrail.domain.digest.Peppers.digest", lambda _, body, version: digested.append(body) or "0" * 63 + "1"
    )
    assert decided(TEXT, None).code is Code.NOT_FOUND
    assert decided(TEXT, another).code is Code.NOT_FOUND
    assert digested == [hash_of_imported(TEXT).encode()] * 2


def test_a_digest_counts_only_under_its_own_scheme() -> None:
    key = imported()
    as_ours = stored(generation(digest=key.record.generations[0].digest))
    assert decided(TEXT, as_ours).code is Code.NOT_FOUND


def test_the_hash_itself_is_no_key() -> None:
    with pytest.raises(MalformedKey):
        IMPORTING.parse(hash_of_imported(TEXT))


# -- as it is stored ------------------------------------------------------------------------------------------------


def test_its_record_names_the_scheme_and_holds_no_hash() -> None:
    written = encode(imported().record)
    assert written["generations"][0]["digest_scheme"] == "sha256"
    assert hash_of_imported(TEXT) not in str(written)
    assert decode_record(written) == imported().record


def test_other_records_are_written_as_releases_before_read_them() -> None:
    assert "digest_scheme" not in encode(stored().record)["generations"][0]
