"""Audit events as JSON lines of kind "audit" on standard output, apart from the request lines."""

import logging
from typing import Any

from keyrail.telemetry import log


class JsonAuditLog:
    def write(self, event: str, **facts: Any) -> None:
        log(logging.INFO, "audit", event=event, **facts)
