"""The part of bootstrap.py that reads the OTEL_ settings."""

import logging

from keyrail import tracing
from keyrail.settings import Settings
from keyrail.telemetry import log


def start_tracing(settings: Settings) -> None:
    """Once a process, as its exporter's thread does not live through a fork. A platform may set OTEL_ variables for all
    of its containers: where they don't suit us, or the extra is missing, there are no traces, and all else works."""
    url = settings.traces_url()
    if url is None:
        return
    try:
        from keyrail.adapters.otel_tracer import otlp_tracer

        made = otlp_tracer(
            url, settings.otlp_protocol, settings.otel_service_name, settings.otel_sampler, settings.otel_sampler_arg
        )
    except ModuleNotFoundError as error:
        log(logging.WARNING, "traces", detail=f"{error.name} is not installed: keyrail[otel] brings it")
    except ValueError:  # its text may hold a value
        log(logging.WARNING, "traces", detail="an OTEL_ variable other than the endpoint is wrong, or not for us")
    else:
        tracing.start(made)
