"""`make soak`: everything that takes long, each with its target. Ends non-zero where one is missed."""

import argparse
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence

from soak import cluster, consumer, due, frozen, gateways, life
from soak.figures import Figure, Options, table

SCENARIOS: dict[str, Callable[[Options], Sequence[Figure]]] = {
    "due": due.run,
    "consumer": consumer.run,
    "cluster": cluster.run,
    "frozen": frozen.run,
    "gateways": gateways.run,
    "life": life.run,
}


def main() -> None:
    chosen = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # in order: servers ended, folders removed
    options = Options(chosen.seed, chosen.quick)
    print(f"seed {options.seed}{', a tenth of everything' if options.quick else ''}", flush=True)
    figures: list[Figure] = []
    for name in chosen.only or SCENARIOS:
        print(f"{name}: {(sys.modules[SCENARIOS[name].__module__].__doc__ or '').splitlines()[0]}", flush=True)
        began_at = time.monotonic()
        figures += SCENARIOS[name](options)
        figures.append(Figure(f"{name}: took", "", f"{time.monotonic() - began_at:.0f} s"))
    print(f"\n{table(figures)}\n\nseed {options.seed}: {_verdict(figures)}")
    if any(figure.is_reached is False for figure in figures):
        sys.exit(1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m soak", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=random.randrange(1_000_000), help="for the choices; drawn if not given"
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, metavar="NAME", help=f"of {', '.join(SCENARIOS)}")
    return parser.parse_args()


def _verdict(figures: Sequence[Figure]) -> str:
    targets = [figure.is_reached for figure in figures if figure.is_reached is not None]
    return f"{sum(targets)} of {len(targets)} targets reached."


if __name__ == "__main__":
    main()
