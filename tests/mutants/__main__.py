"""
Run the mutants: a line for each, and exit status 1 if one survives.

2 says that the list itself is at fault: a mutant whose line has changed ("stale"), or tests that are red without any mutant.
"""

from __future__ import annotations

import argparse
import queue
import re
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from apps.stack.paths import ROOT
from tests.mutants import (
    addresses,
    dialects,
    doors,
    identity,
    images,
    keys,
    leases,
    limits,
    money,
    payments,
    production,
)
from tests.mutants.bench import Bench, Verdict
from tests.mutants.mutant import Mutant
from tests.servers_plugin import own_servers

AREAS = {
    module.__name__.rpartition(".")[2]: module.MUTANTS
    for module in (money, keys, identity, limits, leases, images, dialects, addresses, payments, doors, production)
}
Named = tuple[str, Mutant]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument(
        "-k", default="", metavar="WORD", help="only mutants with this word in their area, name or file"
    )
    parser.add_argument("-j", type=int, default=1, metavar="N", help="so many at once (1)")
    parser.add_argument("-v", action="store_true", help="what pytest said of each")
    parser.add_argument("--list", action="store_true", help="name them and run nothing")
    options = parser.parse_args()
    every = [(area, mutant) for area, mutants in AREAS.items() for mutant in mutants]
    chosen = [(area, each) for area, each in every if re.search(options.k, f"{area} {each.what} {each.file}")]
    if options.list:
        print("\n".join(f"{area:10} {mutant.what}" for area, mutant in chosen))
        return 0
    if stale := [(area, mutant, why) for area, mutant in chosen if (why := mutant.fault(ROOT))]:
        print("\n".join(f"{area:10} stale     {mutant.what}: {why}" for area, mutant, why in stale))
        return 2
    if not chosen:
        print(f"There is no mutant with {options.k!r} in its area, name or file.")
        return 2
    with own_servers(), tempfile.TemporaryDirectory(prefix="keyline-mutants-", ignore_cleanup_errors=True) as folder:
        benches = [Bench(Path(folder) / str(number), number) for number in range(max(1, options.j))]
        return run(chosen, benches, is_verbose=options.v)


def run(chosen: list[Named], benches: list[Bench], *, is_verbose: bool) -> int:
    """Try all of them on these benches. Returns the exit status."""
    began = time.monotonic()
    tests = sorted({test for _, mutant in chosen for test in mutant.tests.split()})
    print(f"{len(chosen)} mutants; first their {len(tests)} tests on the code as it is ...", flush=True)
    if not benches[0].passes(tests):
        print(f"They are red without any mutant:\n{benches[0].said}")
        return 2
    verdicts = _try_all(chosen, benches, is_verbose=is_verbose)
    counted = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
    print(f"{len(chosen)} mutants in {time.monotonic() - began:.0f} s: {counted}.")
    if verdicts[Verdict.UNPROVEN]:
        return 2
    return 1 if verdicts[Verdict.SURVIVED] else 0


def _try_all(chosen: list[Named], benches: list[Bench], *, is_verbose: bool) -> Counter[Verdict]:
    """Each bench takes the next mutant as soon as it is free; Ctrl-C leaves the rest."""
    waiting: queue.SimpleQueue[Named] = queue.SimpleQueue()
    for each in chosen:
        waiting.put(each)
    verdicts: Counter[Verdict] = Counter()
    stopped, one_prints = threading.Event(), threading.Lock()

    def work(bench: Bench) -> None:
        while not stopped.is_set():
            try:
                area, mutant = waiting.get_nowait()
            except queue.Empty:
                return
            began = time.monotonic()
            verdict = bench.verdict(mutant)
            with one_prints:
                verdicts[verdict] += 1
                print(f"{area:10} {verdict:9} {time.monotonic() - began:5.1f} s  {mutant.what}", flush=True)
                if is_verbose or verdict is Verdict.UNPROVEN:
                    print(bench.said, flush=True)

    threads = [threading.Thread(target=work, args=(bench,)) for bench in benches]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    finally:  # also by Ctrl-C
        stopped.set()
        for bench in benches:
            bench.stop()
    return verdicts


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
