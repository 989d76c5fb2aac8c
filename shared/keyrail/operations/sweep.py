"""Once a night, over all keys and configs: mends what a crash may have left, and tells what an owner should know.
docs/operations/sweep.md"""

from pydantic import Field

from keyrail.domain.access import Caller
from keyrail.domain.fields import Reply, Request
from keyrail.operations.operation import Operation
from keyrail.ports import Services
from keyrail.sweeping import Sweep
from keyrail.telemetry import note

SCOPE = "rotation:tick"


class SweepRequest(Request):
    """A sweep stops before `budget_seconds` are over. `cursor` is the `next_cursor` of the call before, or `keys:` to
    begin; of a call without one the ticks do what is left."""

    budget_seconds: int = Field(default=45, ge=1, le=840)
    unused_days: int = Field(default=90, ge=1, le=3650)
    cursor: str | None = Field(default=None, max_length=256)


class SweepFailure(Reply):
    subject: str
    code: str


class SweepReply(Reply):
    """Without `next_cursor` all was looked at. Anything `failed` makes the status 503; the rest was done."""

    looked_at: int
    rebuilt: int
    tidied: int
    unlisted: int
    failed: int
    unused: list[str]
    old_pepper: list[str]
    by_pepper_version: dict[str, int]
    failures: list[SweepFailure]
    next_cursor: str | None = None

    @property
    def http_status(self) -> int:
        return 503 if self.failed else 200


def run(request: SweepRequest, caller: Caller, services: Services) -> SweepReply:
    caller.require_scope(SCOPE)
    sweep = Sweep(request.unused_days, services.clock.elapsed_seconds() + request.budget_seconds, services)
    sweep.run(request.cursor)
    if request.cursor is None:
        sweep.leave_rest()
    note(**sweep.counts, is_complete=sweep.next_cursor is None)
    return SweepReply.model_validate(sweep.report())


OPERATION = Operation(
    name="sweep",
    summary="Mend and report, over all keys",
    method="POST",
    path="/v1/rotation/sweep",
    scope=SCOPE,
    request=SweepRequest,
    reply=SweepReply,
    run=run,
    codes=("BAD_EVENT", "BAD_CURSOR", "TOKEN_REFUSED"),
    takes_events=True,
    takes_oidc=True,
)
