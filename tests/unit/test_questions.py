"""A question to validate_key, however it was made, and what it tells of itself."""

import pytest

from keyrail.domain.errors import InvalidArgument
from keyrail.judging import MAX_KEY_CHARS
from keyrail.operations.validate_key import ValidateRequest, questions_of
from keyrail.triggers.questions import question_of

KEY = "_".join(("krl", "live", "0Keyrail0Unit0Id", "c4n4ry" * 6))
CONTEXT = {"required_scopes": "ml:infer and data:read", "ip": "192.0.2.7", "audience": "inference"}


def _short() -> object:
    return question_of(KEY, CONTEXT["required_scopes"], CONTEXT["ip"], CONTEXT["audience"], "acme")


def test_it_shows_no_key() -> None:
    question = _short()
    assert "inference" in repr(question)
    assert "c4n4ry" not in f"{question!r} {question} {[question]}"


def test_the_short_way_asks_what_the_model_asks() -> None:
    request = ValidateRequest.model_validate({"key": KEY, "tenant": "acme", **CONTEXT})
    for _ in range(2):  # the second one is remembered
        assert [_short()] == questions_of(request).asked


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (("k" * (MAX_KEY_CHARS + 1), None, None, None, None), "key"),
        (("k", "not a scope", None, None, None), "required_scopes"),
        (("k", "", None, None, None), "required_scopes"),
        (("k", None, "1.2.3", None, None), "ip"),
        (("k", None, None, "a b", None), "audience"),
        (("k", None, None, None, "No Tenant"), "tenant"),
    ],
)
def test_what_the_model_refuses_is_refused_every_time(asked: tuple[str, ...], field: str) -> None:
    for _ in range(2):
        with pytest.raises(InvalidArgument) as caught:
            question_of(*asked)
        assert [problem["field"] for problem in caught.value.fields] == [field]
