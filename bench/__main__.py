"""`make bench`: every figure beside what it is measured against. `--quick` for a first look."""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable

from bench import (
    cold_start,
    decision,
    dynamodb,
    gateways,
    growth,
    machine,
    memory,
    on_lambda,
    over_grpc,
    traces,
    vault_requests,
    warm,
)
from bench.figures import Section, table
from bench.options import Options

SECTIONS: dict[str, Callable[[Options], Section]] = {
    "warm": warm.measure,
    "decision": decision.measure,
    "requests": vault_requests.measure,
    "memory": memory.measure,
    "growth": growth.measure,
    "cold": cold_start.measure,
    "grpc": over_grpc.measure,
    "traces": traces.measure,
    "gateways": gateways.measure,
    "lambda": on_lambda.measure,
    "dynamodb": dynamodb.measure,
}


def main() -> None:
    chosen = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # in order: servers ended, folders removed
    facts = machine.facts()
    machine.stay_off_the_measured_core()
    if not chosen.json:
        print("  ".join(f"{name}: {value}" for name, value in facts.items()), flush=True)
    sections = []
    for name in chosen.only or SECTIONS:
        started = time.monotonic()
        section = SECTIONS[name](Options(quick=chosen.quick))
        section.notes.append(f"Measured in {time.monotonic() - started:.0f} s.")
        sections.append(section)
        if not chosen.json:
            print(table(section), flush=True)
    if chosen.json:
        print(json.dumps({"machine": facts, "quick": chosen.quick, "sections": [each.document() for each in sections]}))
    else:
        print(_verdict(sections))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, smaller stores")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of tables")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, metavar="SECTION", help=f"of {', '.join(SECTIONS)}")
    return parser.parse_args()


def _verdict(sections: list[Section]) -> str:
    judged = [figure for section in sections for figure in section.figures if figure.target is not None]
    reached = sum(figure.is_reached is True for figure in judged)
    return f"\n{reached} of {len(judged)} targets reached."


if __name__ == "__main__":
    main()
