"""No text, however it is made, builds a path to anything but its own place."""

import posixpath
from collections.abc import Callable
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keyrail.adapters.vault_paths import (
    FEED_HEAD,
    PEPPER,
    ROLES,
    SecretPath,
    index_folder,
    index_path,
    index_shard,
    record_path,
    tombstone_path,
)
from keyrail.domain.errors import Internal
from keyrail.domain.key_format import BASE62, KEY_ID_CHARS, new_key_id

KEY_IDS = st.text(BASE62, min_size=KEY_ID_CHARS, max_size=KEY_ID_CHARS)
TENANTS = st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True)
HOSTILE = st.text(max_size=70) | st.text("./\\%2eEfF\n\x00 aA0-_~*+", max_size=20)

BUILDERS: list[tuple[str, Callable[[str], SecretPath]]] = [
    ("keys", record_path),
    ("revoked", tombstone_path),
    ("tenants", index_folder),
    ("tenants", lambda text: index_path(text, "A" * 16)),
    ("tenants", lambda text: index_path("acme", text)),
    ("tenants", lambda text: index_shard(text, "A")),
    ("tenants", lambda text: index_shard("acme", text)),
]


@given(KEY_IDS, TENANTS)
def test_the_layout_is_the_documented_one(key_id: str, tenant: str) -> None:
    assert str(record_path(key_id)) == f"keys/{key_id[:2]}/{key_id}"
    assert str(tombstone_path(key_id)) == f"revoked/{key_id[:2]}/{key_id}"
    assert str(index_path(tenant, key_id)) == f"tenants/{tenant}/{key_id[0]}/{key_id}"
    assert str(index_folder(tenant)) == f"tenants/{tenant}"
    assert str(index_shard(tenant, key_id[0])) == f"tenants/{tenant}/{key_id[0]}"


def test_the_single_documents_have_their_places() -> None:
    assert [str(path) for path in (FEED_HEAD, PEPPER, ROLES)] == ["feed/head", "pepper", "rbac/roles"]


@given(HOSTILE, st.sampled_from(BUILDERS))
@example("../pepper", BUILDERS[0])
@example("acme/../globex", BUILDERS[2])
@example("acme\n", BUILDERS[2])
@example("A" * 16 + "\n", BUILDERS[0])
@example("%2e%2e", BUILDERS[2])
@example("..", BUILDERS[2])
@example("", BUILDERS[6])
def test_whatever_is_put_in_stays_one_segment_or_is_refused(
    text: str, builder: tuple[str, Callable[[str], SecretPath]]
) -> None:
    folder, build = builder
    try:
        path = str(build(text))
    except Internal:
        return
    assert path.split("/")[0] == folder
    assert text in path.split("/")
    assert posixpath.normpath(path) == path == quote(path) == unquote(path)


@given(st.lists(HOSTILE, max_size=4))
def test_a_path_made_by_hand_is_as_strict(segments: list[str]) -> None:
    try:
        path = str(SecretPath(tuple(segments)))
    except Internal:
        return
    assert segments
    assert path.split("/") == segments
    assert posixpath.normpath(path) == path == quote(path) == unquote(path)


@pytest.mark.parametrize("length", [0, 15, 17])
def test_a_key_id_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(Internal):
        record_path((new_key_id() * 2)[:length])


def test_a_refusal_does_not_repeat_what_it_refuses() -> None:
    with pytest.raises(Internal) as caught:
        index_folder("krl_live_a_whole_key")
    assert "krl_live" not in f"{caught.value} {caught.value.detail}"
