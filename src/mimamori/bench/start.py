"""How long the engine takes to start: a process of its own, until all shipped rules have judged a half hour.

May import everything below. Run as a module it is that process. Broker, stores and pages are not part of it: `mimamori
bench restart` times the whole service.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

from mimamori.bench.engine import START, Took, made_days, made_homes
from mimamori.model.readings import no_readings
from mimamori.model.times import MINUTE
from mimamori.rules.engine import Engine
from mimamori.rules.kinds import ALL_JUDGED
from mimamori.site import load_site

TRIES, HOUSEHOLDS = 3, 1000
JUDGED = START + 30 * MINUTE + ALL_JUDGED  # each rule has looked at least once, so its machine code is there


def time_to_start(site: Path | None) -> Took:
    """From the beginning of the process to its end: the shortest of three, to leave other programs' work out.

    Machine code is kept on disk; where it is not yet, the first of them makes it.
    """
    command = [sys.executable, "-m", "mimamori.bench.start", *([] if site is None else [str(site)])]
    took = []
    for _ in range(TRIES):
        begun, worked = time.perf_counter(), _worked()
        subprocess.run(command, check=True)  # noqa: S603 - ourselves
        took.append(Took(time.perf_counter() - begun, _worked() - worked))
    return min(took)


def _worked() -> float:
    """Seconds of the processor's that processes we waited for have taken."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def _start(folder: Path | None) -> None:
    site = load_site(folder)
    engine = Engine(made_homes(HOUSEHOLDS), site.rules, site.metrics, site.zone, gates=site.gates)
    for batch in made_days(site, HOUSEHOLDS, 1, seed=1):
        engine.step(batch, int(batch.got.max()))
    engine.step(no_readings(), JUDGED)


if __name__ == "__main__":
    _start(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
