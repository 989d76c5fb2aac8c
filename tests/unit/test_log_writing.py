"""telemetry.py: lines of many threads stay whole, and a log that can't be written stops no request."""

import json
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TextIO

import pytest

from keyrail.telemetry import configure_logging, log

THREADS, LINES = 8, 250


@pytest.fixture(autouse=True)
def _logging_left_as_it_was() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in (None, "keyrail", "keyrail.audit")]
    before = [(logger.handlers[:], logger.level) for logger in loggers]
    yield
    for logger, (handlers, level) in zip(loggers, before, strict=True):
        logger.handlers[:] = handlers
        logger.setLevel(level)


@contextmanager
def standard_output() -> Iterator[TextIO]:
    """A pipe in its place; what is given is the end to read from. No fixture: pytest sets its own before each test."""
    reading, writing = os.pipe()
    with os.fdopen(reading) as reader, os.fdopen(writing, "w") as writer, redirect_stdout(writer):
        yield reader


def test_lines_of_many_threads_are_whole_and_none_is_lost() -> None:
    def write(name: int) -> None:
        for number in range(LINES):
            log(logging.INFO, "request", thread=name, number=number, padding="x" * 300)

    with standard_output() as output:
        configure_logging()
        threads = [threading.Thread(target=write, args=(name,)) for name in range(THREADS)]
        for thread in threads:
            thread.start()
        read = [json.loads(output.readline()) for _ in range(THREADS * LINES)]
        for thread in threads:
            thread.join()
    for name in range(THREADS):
        assert [line["number"] for line in read if line["thread"] == name] == list(range(LINES))


def test_what_was_printed_before_comes_first() -> None:
    with standard_output() as output:
        print("starting")
        configure_logging()
        log(logging.INFO, "request")
        assert output.readline() == "starting\n"
        assert json.loads(output.readline())["kind"] == "request"


def test_a_log_that_nobody_reads_any_more_raises_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with standard_output() as output:
        configure_logging()
        output.close()
        log(logging.INFO, "request")
    assert "BrokenPipeError" in capsys.readouterr().err
