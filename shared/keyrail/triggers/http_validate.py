"""Validation over HTTP. Written by hand, since it is called for every request there is."""

import json
from datetime import datetime
from typing import Any

from keyrail.domain import stored_form
from keyrail.domain.decisions import Decision
from keyrail.judging import Judged, Questions, times_told, told
from keyrail.triggers.http_exchange import HttpOperation
from keyrail.triggers.questions import JUDGING, questions_of_payload


class HttpValidation(HttpOperation):
    """As its models describe it: the one is asked about what is wrong in a request, and a test compares the replies."""

    def __init__(self) -> None:
        super().__init__(JUDGING)

    def request_of(self, payload: dict[str, Any], *, from_strings: bool) -> Questions:  # noqa: ARG002  it is a POST
        return questions_of_payload(payload)

    def body_of(self, reply: Judged) -> bytes:
        """A ValidateReply, without what is None."""
        if not reply.is_batch:
            return _json(_verdict(reply.decisions[0]))
        results = [_verdict(decision) for decision in reply.decisions]
        return _json({"valid": reply.valid, "code": reply.code, "results": results})


def _verdict(decision: Decision) -> dict[str, Any]:
    times = {name: stored_form.encode(at) for name, at in times_told(decision).items() if isinstance(at, datetime)}
    return told(decision) | times


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
