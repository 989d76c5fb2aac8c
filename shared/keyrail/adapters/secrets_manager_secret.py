"""One secret of AWS Secrets Manager, changed only from what it was.

A version is put under a label of our own first, and becomes current by moving AWSCURRENT away from the very version
that it replaces: that is refused where another one was faster. A version that lost, or whose writer was killed, keeps
no label but ours, until the next one takes it, and AWS drops it.
https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html
"""

from typing import Any

from keyrail.adapters.aws_answer import NO_ANSWER, ask, ask_until_answered
from keyrail.adapters.aws_client import AwsClient

STAGED = "KEYRAILSTAGED"


class SecretFault(Exception):
    """What could not be done, and the code why."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"the secret could not be {what}: {why}")


class VersionedSecret:
    """Requests: current 1; create 1, and up to 3 more where there is one; replace 2. `made`, the id of the new
    version, is of the writer's choice, and of no other writer's: 32 to 64 letters, digits and hyphens.

    Raises throughout: SecretFault.
    """

    def __init__(self, client: AwsClient, name: str) -> None:
        self._client, self._name = client, name

    def current(self) -> dict[str, Any] | None:
        """GetSecretValue's reply; None where there is no secret, or nothing in it."""
        return self._labelled("AWSCURRENT")

    def create(self, text: str, made: str) -> bool:
        """False where there is a value already, which then stays."""
        given = {"Name": self._name, "SecretString": text, "ClientRequestToken": made}
        _, refused = ask(self._client, "create_secret", **given)
        if refused is None:
            return True
        if refused not in ("ResourceExistsException", NO_ANSWER):
            raise SecretFault("made", refused)
        if self._current_id() is None:  # made by Terraform, say, and still empty: its first version is current
            self._put(text, made)
        return self._current_id() == made

    def replace(self, current: str, text: str, made: str) -> bool:
        """False where `current` is no longer the current version's id, and then nothing is changed."""
        self._put(text, made)
        versions = {"RemoveFromVersionId": current, "MoveToVersionId": made}
        refused = self._move("AWSCURRENT", **versions)
        if refused not in (None, "InvalidParameterException", NO_ANSWER):
            raise SecretFault("written", refused)
        found = made if refused is None else self._current_id()
        if refused == NO_ANSWER and found == current:
            raise SecretFault("written", refused)  # it may still arrive
        return found == made

    def forget_previous(self) -> None:
        """Takes AWSPREVIOUS from whatever has it: AWS keeps no version for long that has no label."""
        found = self._labelled("AWSPREVIOUS")
        if found is None:
            return
        refused = self._move("AWSPREVIOUS", RemoveFromVersionId=str(found["VersionId"]))
        if refused is not None:
            raise SecretFault("forgotten", refused)

    def _labelled(self, stage: str) -> dict[str, Any] | None:
        asked = {"SecretId": self._name, "VersionStage": stage}
        reply, refused = ask_until_answered(self._client, "get_secret_value", **asked)
        if refused == "ResourceNotFoundException":
            return None
        if refused is not None:
            raise SecretFault("read", refused)
        return reply

    def _put(self, text: str, made: str) -> None:
        given = {"SecretString": text, "ClientRequestToken": made, "VersionStages": [STAGED]}
        _, refused = ask(self._client, "put_secret_value", SecretId=self._name, **given)
        if refused is not None:
            raise SecretFault("written", refused)

    def _move(self, stage: str, **versions: str) -> str | None:
        label = {"SecretId": self._name, "VersionStage": stage}
        return ask(self._client, "update_secret_version_stage", **label, **versions)[1]

    def _current_id(self) -> str | None:
        found = self.current()
        return None if found is None else str(found["VersionId"])
