"""Audit events as JSON lines of kind "audit" on standard output, apart from the request lines, at every log level."""

from typing import Any

from keyrail.telemetry import audit_logger


class JsonAuditLog:
    def write(self, event: str, **facts: Any) -> None:
        audit_logger.info("audit", extra={"facts": {"event": event, **facts}})
