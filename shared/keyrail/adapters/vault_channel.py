"""One process's way to Vault: breaker -> token -> HTTP within the deadline -> on a 403 one login and one repeat.

Made of what no two processes may share: a pool carried over a fork has handed one child's secret to another (FACTS).
Logins go straight through the transport, not through hvac: its import would add a third to a function's cold start.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from keyrail import tracing
from keyrail.adapters import vault_replies
from keyrail.adapters.vault_breaker import PROBE_SECONDS, Breaker
from keyrail.adapters.vault_config import VaultConfig
from keyrail.adapters.vault_login import Token, TokenHolder, login_body, token_from
from keyrail.adapters.vault_transport import Deadline, Reply, Transport, TransportFault
from keyrail.domain.errors import DeadlineExceeded, Unavailable
from keyrail.ports import Metrics
from keyrail.telemetry import correlation_id
from keyrail.time_limit import require_time_left


@dataclass(frozen=True, slots=True)
class Call:
    """`verb` is the one of Metrics.vault_call; `path` begins with /v1."""

    verb: str
    method: str
    path: str
    body: bytes = field(default=b"", repr=False)


class Channel:
    """Safe to share among threads, never across a fork."""

    def __init__(self, config: VaultConfig, metrics: Metrics, elapsed_seconds: Callable[[], float]) -> None:
        self._config = config
        self._metrics = metrics
        self._elapsed_seconds = elapsed_seconds
        self._base = config.url.path.rstrip("/")
        self._transport = Transport(config, elapsed_seconds)
        self._breaker = Breaker(elapsed_seconds, metrics.breaker)
        self._tokens = TokenHolder(self._log_in, elapsed_seconds)

    def request(self, call: Call, *, may_log_in_again: bool = True) -> Reply:
        """Whatever Vault answers. One deadline covers it all, a login on the way included.

        Raises: Unavailable; DeadlineExceeded where a write was sent and nobody knows what became of it, or where the
        time of the whole call is over and nothing was sent.
        """
        require_time_left()
        deadline = Deadline(self._config.deadline_seconds)
        token = self._tokens.current(deadline)
        reply = self._exchange(call, token, deadline)
        if reply.status != 403 or not may_log_in_again or self._config.auth == "token":
            return reply
        other = self._tokens.after_refusal(token, deadline)
        return reply if other is None else self._exchange(call, other, deadline)

    def close(self) -> None:
        self._transport.close()

    def _log_in(self, deadline: Deadline) -> Token:
        """Raises: Unavailable."""
        if self._config.auth == "token":
            return Token(self._config.token or "", self._elapsed_seconds(), float("inf"), float("inf"))
        body = json.dumps(login_body(self._config)).encode()
        call = Call("login", "POST", f"/v1/auth/{self._config.login_mount}/login", body)
        reply = self._exchange(call, None, deadline)
        if reply.status != 200:  # 400 whatever was wrong with it, 403 from some methods
            raise Unavailable(f"Vault refused our {self._config.auth} login with {reply.status}")
        return token_from(vault_replies.document(reply), self._elapsed_seconds())

    def _exchange(self, call: Call, token: Token | None, deadline: Deadline) -> Reply:
        """Within a span of its own, where traces are collected."""
        if tracing.tracer is None:
            return self._exchanged(call, token, deadline)
        with tracing.tracer.call(f"vault {call.verb}", self._told(call)) as span:
            reply = self._exchanged(call, token, deadline)
            span.put("http.response.status_code", reply.status)
            if reply.status >= 500:
                span.fail(str(reply.status))
            return reply

    def _told(self, call: Call) -> tracing.Attributes:
        """https://opentelemetry.io/docs/specs/semconv/http/http-spans/ but for url.full: of a path only its first
        four parts are told, such as /v1/keyrail/data/keys. Key ids and the names of configs and sinks come after."""
        url = self._config.url
        return {
            "http.request.method": call.method,
            "server.address": url.hostname or "",
            "server.port": url.port or (443 if url.scheme == "https" else 80),
            "url.template": "/".join(call.path.partition("?")[0].split("/")[:5]),
        }

    def _exchanged(self, call: Call, token: Token | None, deadline: Deadline) -> Reply:
        admission = self._breaker.admit()
        if admission is None:
            self._metrics.vault_call(call.verb, "breaker_open", 0.0)
            raise Unavailable("Vault did not answer the calls before; this one was not tried")
        if admission.is_probe:
            deadline = deadline.at_most(PROBE_SECONDS)
        reply: Reply | None = None
        outcome = "fault"
        started_at = time.monotonic()
        try:
            reply = self._transport.exchange(
                call.method, self._base + call.path, self._headers(call, token), call.body, deadline
            )
            outcome = vault_replies.outcome(reply)
        except TransportFault as fault:
            outcome = "timeout" if fault.timed_out else "fault"
            raise _as_ours(call, fault) from None
        finally:
            self._breaker.report(admission, answered=reply is not None)
            self._metrics.vault_call(call.verb, outcome, time.monotonic() - started_at)
        if call.verb == "write" and reply.status in vault_replies.MAYBE_DONE:
            raise DeadlineExceeded(f"write at Vault was answered with {reply.status}")
        return reply

    def _headers(self, call: Call, token: Token | None) -> dict[str, str]:
        headers = {
            "X-Vault-Request": "true",
            "X-Vault-Inconsistent": "forward-active-node",  # a standby would answer with what was (FACTS)
        }
        if token is not None:
            headers["X-Vault-Token"] = token.value
        if self._config.namespace is not None:
            headers["X-Vault-Namespace"] = self._config.namespace
        if correlation_id.get():
            headers["X-Correlation-ID"] = correlation_id.get()
        if call.body:
            headers["Content-Type"] = "application/json"
        return headers


def _as_ours(call: Call, fault: TransportFault) -> Unavailable | DeadlineExceeded:
    what = f"{call.verb} at Vault failed: {fault.cause}"
    return DeadlineExceeded(what) if call.verb == "write" and fault.was_sent else Unavailable(what)
