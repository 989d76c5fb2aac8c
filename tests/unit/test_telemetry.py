"""telemetry.py: correlation ids, and what may be in a text that leaves the process."""

import re

import pytest
from builders import KEY_ID, key_text
from hypothesis import assume, given
from hypothesis import strategies as st

from keyrail.domain.key_format import BASE62, CHECKSUM_CHARS, KEY_ID_CHARS, LABEL, SECRET_CHARS, KeyFormat
from keyrail.telemetry import choose_correlation_id, redact

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"  # the example of W3C Trace Context, section 3.2
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"
MADE_HERE = re.compile(r"[0-9a-f]{32}")

FORMATS = st.builds(KeyFormat, *[st.from_regex(LABEL, fullmatch=True)] * 2)
KEY_IDS = st.text(BASE62, min_size=KEY_ID_CHARS, max_size=KEY_ID_CHARS)
SECRETS = st.text(BASE62, min_size=SECRET_CHARS, max_size=SECRET_CHARS)
VAULT_TOKENS = [
    "hvs." + "CAESIJ" + "a1B2_c3-" * 10,
    "hvb." + "AAAAAQ" + "a1B2_c3-" * 10,
    "hvr." + "CAESIJ" + "a1B2_c3-" * 10,
    "s." + "a1B2c3D4" * 3,
    "b." + "AAAAAQ" + "a1B2_c3-" * 10,
    "s." + "a1B2c3D4" * 3 + ".ns1Id",
]


class TestRedact:
    @given(FORMATS, KEY_IDS, SECRETS, st.text(), st.text())
    def test_leaves_no_secret_wherever_the_key_stands(
        self, key_format: KeyFormat, key_id: str, secret: str, before: str, after: str
    ) -> None:
        assume(secret not in before + after)
        assert secret not in redact(before + key_format.assemble(key_id, secret) + after)

    @given(KEY_IDS, SECRETS, st.text(BASE62 + "_", max_size=80))
    def test_leaves_no_secret_behind_something_that_looks_like_half_a_key(
        self, key_id: str, secret: str, before: str
    ) -> None:
        assume(secret not in before)
        assert secret not in redact(before + KeyFormat().assemble(key_id, secret))

    @pytest.mark.parametrize("cut", range(1, 12))
    def test_leaves_no_secret_behind_a_key_that_was_cut(self, cut: int) -> None:
        whole, other = key_text(1), key_text(62**31)
        shown = redact(whole[:-cut] + other)
        assert other[-38:-6] not in shown

    @pytest.mark.parametrize("kept", range(SECRET_CHARS, SECRET_CHARS + CHECKSUM_CHARS))
    def test_leaves_no_secret_of_a_key_without_its_checksum(self, kept: int) -> None:
        """Whoever has the rest can work the checksum out."""
        key = key_text(62**31)
        body = key[: len(key) - CHECKSUM_CHARS]
        assert body[-SECRET_CHARS:] not in redact(f"body={key[: -SECRET_CHARS - CHECKSUM_CHARS + kept]!r}")

    def test_cuts_out_a_key_and_nothing_around_it(self) -> None:
        assert redact(f"use '{key_text()}', please") == "use 'krl_live[redacted]', please"
        assert redact(key_text(1) + key_text(2)) == "krl_live[redacted]" * 2

    @pytest.mark.parametrize("token", VAULT_TOKENS)
    @pytest.mark.parametrize("before", ["", "token=", "\n", "\u00e9", "(", '"', "X-Vault-Token: "])
    def test_leaves_no_vault_token(self, token: str, before: str) -> None:
        shown = redact(before + token + " end")
        assert shown.startswith(before + "[redacted]")
        assert shown.endswith(" end")
        assert "a1B2" not in shown

    def test_finds_a_vault_token_glued_to_a_word(self) -> None:
        assert "a1B2" not in redact("token" + VAULT_TOKENS[0])

    @pytest.mark.parametrize(
        "text",
        [
            *("", "krl_live_...", KEY_ID, f"keys/0K/{KEY_ID}", TRACEPARENT, "0" * 64, "https://vault.example.com:8200"),
            *(
                "keyrail.adapters.vault_keys",
                "tests.unit.test_telemetry",
                "urllib3.connectionpool",
                "1.2.3",
                "e.g. this",
            ),
            *("2030-01-31T12:00:00.000Z", "prefix krl_live_" + KEY_ID, "hvs.short", "a_b_c_d_e"),
        ],
    )
    def test_leaves_ordinary_text_as_it_is(self, text: str) -> None:
        assert redact(text) == text

    @given(st.text())
    def test_is_done_after_one_time(self, text: str) -> None:
        assert redact(redact(text)) == redact(text)


class TestCorrelationId:
    def test_is_the_trace_id_of_a_traceparent(self) -> None:
        assert choose_correlation_id(TRACEPARENT, None) == TRACE_ID
        assert choose_correlation_id(TRACEPARENT, "given-by-the-caller") == TRACE_ID

    def test_is_else_the_one_given(self) -> None:
        assert choose_correlation_id(None, "given-by-the-caller") == "given-by-the-caller"
        assert choose_correlation_id("rubbish", "given-by-the-caller") == "given-by-the-caller"

    def test_is_else_a_new_one_each_time(self) -> None:
        made = {choose_correlation_id(None, None) for _ in range(100)}
        assert len(made) == 100
        assert all(MADE_HERE.fullmatch(each) for each in made)

    @pytest.mark.parametrize(
        "traceparent",
        [
            "",
            TRACE_ID,
            TRACEPARENT.upper(),
            TRACEPARENT + "-",
            TRACEPARENT + "\n",
            " " + TRACEPARENT,
            TRACEPARENT.replace("-", "_"),
            TRACEPARENT.replace("0af", "0xf"),
            TRACEPARENT.replace("0af", "٠af"),
            f"00-{'0' * 32}-b7ad6b7169203331-01",
            f"00-{TRACE_ID}-{'0' * 16}-01",
            f"ff-{TRACE_ID}-b7ad6b7169203331-01",
            f"00-{TRACE_ID[1:]}-b7ad6b7169203331-01",
        ],
    )
    def test_is_not_taken_from_an_invalid_traceparent(self, traceparent: str) -> None:
        assert choose_correlation_id(traceparent, "given-by-the-caller") == "given-by-the-caller"
        assert MADE_HERE.fullmatch(choose_correlation_id(traceparent, None))

    @pytest.mark.parametrize("given", ["12345678", "a" * 64, "Request.7_of-9", TRACE_ID])
    def test_may_be_any_short_plain_text(self, given: str) -> None:
        assert choose_correlation_id(None, given) == given

    @pytest.mark.parametrize(
        "given",
        [
            *(
                "",
                "1234567",
                "a" * 65,
                "-leading",
                "with space",
                "new\nline",
                "trailing-newline\n",
                "a,b,c,d,e",
                "éééééééé",
            ),
            *(
                "<script>alert",
                '"quoted-text"',
                "semi;colon;id",
                "per%20cent",
                "slash/es/in",
                "\x00\x00\x00\x00\x00\x00\x00\x00",
            ),
            key_text(),
            key_text()[4:],
            key_text()[:-6],
            VAULT_TOKENS[3],
            "id-" + VAULT_TOKENS[3],
        ],
    )
    def test_is_never_one_that_is_odd_or_secret(self, given: str) -> None:
        assert MADE_HERE.fullmatch(choose_correlation_id(None, given))

    @given(st.text(), st.text())
    def test_is_safe_in_a_header_and_in_a_log_whatever_is_sent(self, traceparent: str, given: str) -> None:
        assert re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z._-]{7,63}", choose_correlation_id(traceparent, given))
