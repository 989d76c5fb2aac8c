"""The HTTP API for the command line: one request, its reply as JSON, or a CliError that says what to do."""

import json
import ssl
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlencode, urlsplit

from keyrail.triggers.cli_root import REFUSED, UNAVAILABLE, USAGE, CliError

CONNECT_SECONDS, READ_SECONDS = 3.0, 30.0

_ADVICE = {
    "MISSING": "Put your key into KEYRAIL_KEY, or send it on stdin.",
    "MALFORMED": "KEYRAIL_KEY holds no key of this deployment, or a mistyped one.",
    "NOT_FOUND": "Your own key is unknown here: does it belong to this deployment?",
    "REVOKED": "Your own key is revoked: use another one.",
    "EXPIRED": "Your own key has expired: use another one.",
    "DISABLED": "Your own key is disabled: somebody with keys:update can enable it.",
    "ROTATED_OUT": "Your own key was rotated and its grace period is over: use the new one.",
    "INSUFFICIENT_SCOPE": "Use a key that has the scope, or ask for it.",
    "ETAG_MISMATCH": "Read it again, and repeat what still holds.",
    "CONFIG_EXISTS": "Read it with `keyrail config get`, and overwrite just that version: --if-match ETAG.",
    "ROTATION_IN_PROGRESS": "`keyrail get` shows the generations and when the retiring one ends.",
}


@dataclass(frozen=True)
class Api:
    """`key` is the caller's own; it is sent to `url` and nowhere else: redirects are not followed."""

    url: str
    key: str | None = field(repr=False)
    ca_file: str | None = None

    def call(
        self,
        method: str,
        path: str,
        *,
        body: dict[str, Any] | None = None,
        query: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        read_seconds: float = READ_SECONDS,
    ) -> dict[str, Any]:
        """Raises: CliError."""
        import urllib3

        sent = {"Accept": "application/json", **(headers or {})}
        if self.key is not None:
            sent["Authorization"] = f"Bearer {self.key}"
        if body is not None:
            sent["Content-Type"] = "application/json"
        try:
            answer = self._pool.request(
                method,
                self.url + path + (f"?{urlencode(query)}" if query else ""),
                body=None if body is None else json.dumps(body).encode(),
                headers=sent,
                redirect=False,
                retries=False,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=read_seconds),
            )
        except urllib3.exceptions.HTTPError as error:
            raise self._no_answer(error, headers or {}) from error
        return _reply(answer.status, answer.headers, answer.data)

    @cached_property
    def _pool(self) -> Any:
        """Connections are kept from call to call."""
        import urllib3

        context = ssl.create_default_context(cafile=self.ca_file) if self.url.startswith("https:") else None
        return urllib3.PoolManager(ssl_context=context)

    def _no_answer(self, error: Exception, headers: dict[str, str]) -> CliError:
        import urllib3

        cause = getattr(error, "reason", error)
        if isinstance(cause, urllib3.exceptions.SSLError | ssl.SSLError):
            return CliError(f"{self.url}: its certificate is not trusted.", advice="Give its CA with --ca-file.")
        never_sent = isinstance(cause, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError)
        if never_sent:
            advice = "Is it up? `keyrail dev` runs everything on this machine."
        elif "Idempotency-Key" in headers:
            advice = f"The outcome is unknown. Repeat it with --idempotency-key {headers['Idempotency-Key']}"
        else:
            advice = "The outcome is unknown: look before you repeat it."
        return CliError(f"no answer from {self.url}.", advice=advice, exit_code=UNAVAILABLE)


def _reply(status: int, headers: Any, data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise CliError(
            f"the answer (status {status}) is not Keyrail's.",
            advice="Does --url lead to Keyrail?",
            exit_code=UNAVAILABLE if status >= 500 else REFUSED,
        )
    if 200 <= status < 300 or _is_report(status, document):
        return document
    raise _refusal(status, headers, document)


def _is_report(status: int, document: dict[str, Any]) -> bool:
    """Of a tick or a sweep that did its work and met failures on the way."""
    return status == 503 and "failed" in document and "code" not in document


def _refusal(status: int, headers: Any, problem: dict[str, Any]) -> CliError:
    code = str(problem.get("code", status))
    advice = [
        "  " + ": ".join(str(each[part]) for part in ("field", "problem") if each.get(part))
        for each in problem.get("errors", [])
    ]
    retry_after = headers.get("Retry-After")
    if retry_after:
        advice.append(f"Try again in {retry_after} s.")
    elif code in _ADVICE:
        advice.append(_ADVICE[code])
    return CliError(
        str(problem.get("detail") or problem.get("title") or f"status {status}"),
        code=code,
        advice="\n".join(advice),
        correlation_id=str(problem.get("correlation_id", "")),
        retry_after_seconds=float(retry_after) if str(retry_after).isdigit() else None,
        exit_code=UNAVAILABLE if status in (502, 503, 504) else USAGE if status in (400, 422) else REFUSED,
    )


def checked_url(url: str) -> str:
    """Without a slash at its end. Raises: CliError where a key would travel in the clear, or stand in the URL."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
        raise CliError("--url must look like https://keys.example.com", exit_code=USAGE)
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise CliError(
            f"{parts.hostname} is another machine, and http:// would send your key there in the clear.",
            advice="Use https://.",
            exit_code=USAGE,
        )
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
