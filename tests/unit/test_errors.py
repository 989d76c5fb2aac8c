"""domain/errors.py: what is told to the client, and what only to the log."""

import re

import pytest

from keyrail.domain import errors
from keyrail.domain.errors import (
    Conflict,
    DeadlineExceeded,
    EtagMismatch,
    Internal,
    InvalidArgument,
    KeyrailError,
    MalformedKey,
    NotFound,
    PermissionDenied,
    RateLimited,
    Unauthenticated,
    Unavailable,
)


def descendants(error: type[KeyrailError]) -> list[type[KeyrailError]]:
    """Each before its own subclasses, as the docstring draws them; adapters have more for themselves."""
    children = [child for child in error.__subclasses__() if child.__module__ == errors.__name__]
    return [each for child in children for each in (child, *descendants(child))]


SUBCLASSES = descendants(KeyrailError)
GRPC_CODES = {  # https://grpc.io/docs/guides/status-codes/
    *("CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
    *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED"),
    *("INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
}


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = re.findall(r"[├└]── (\w+) +([A-Z_]+) ", errors.__doc__ or "")
    assert drawn == [(error.__name__, error.kind) for error in SUBCLASSES]


def test_every_kind_is_one_of_grpc_and_every_code_is_of_one_class() -> None:
    assert {error.kind for error in SUBCLASSES} <= GRPC_CODES
    codes = [error.code for error in SUBCLASSES if "code" in vars(error)]  # Unreadable is told as Unavailable
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch("[A-Z_]+", code) for code in codes)


@pytest.mark.parametrize(
    "error_class",
    [MalformedKey, Unauthenticated, PermissionDenied, NotFound, Conflict, EtagMismatch, InvalidArgument],
)
def test_a_more_precise_code_may_be_given_and_stays_with_that_error(error_class: type[KeyrailError]) -> None:
    precise = error_class("no", code="PRECISE")
    assert (precise.public, precise.code, str(precise)) == ("no", "PRECISE", "no")
    assert error_class("no").code == error_class.code != "PRECISE"


@pytest.mark.parametrize(
    "error", [Unavailable("10.0.0.1 refused"), DeadlineExceeded("10.0.0.1 slow"), Internal("10.0.0.1")]
)
def test_detail_is_for_the_log_alone(error: KeyrailError) -> None:
    assert "10.0.0.1" in error.detail
    assert "10.0.0.1" not in str(error) + repr(error) + error.public


def test_an_error_without_detail_has_an_empty_one() -> None:
    assert NotFound("There is no key x.").detail == ""


def test_a_client_is_told_when_to_come_back() -> None:
    assert RateLimited("slow down", retry_after_seconds=7).retry_after_seconds == 7
    assert Unavailable("sealed").retry_after_seconds == 1
    assert Unavailable("sealed", retry_after_seconds=30).retry_after_seconds == 30


def test_a_client_is_told_which_fields_are_wrong() -> None:
    fields = ({"field": "scopes.0", "problem": "is malformed"},)
    assert InvalidArgument("no", fields=fields).fields == fields
    assert InvalidArgument("no").fields == ()
