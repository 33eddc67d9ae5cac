"""Has every compiled loop of the rules made or loaded, by a short while of two made-up households.

May import model and rules. Pure: what comes of it is thrown away.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch, no_readings
from mimamori.model.times import MINUTE, Zone, parse_instant
from mimamori.rules.backing import Gate
from mimamori.rules.engine import Engine
from mimamori.rules.spec import Rule

START = parse_instant("2026-01-05T23:15:00+09:00")
MINUTES = 75
"""From before midnight until after it: within them every kind of rule has judged and learned at least once."""


def warm(rules: Sequence[Rule], metrics: Metrics, zone: Zone, gates: Sequence[Gate] = ()) -> None:
    """After it, an engine of these rules compiles nothing: a fraction of a second where all is kept on disk, else some
    minutes.
    """
    homes = Homes()
    for name in ("A", "B"):
        homes.add_device(name, "all", gates[0].profile if gates else "")
    engine = Engine(homes, rules, metrics, zone, gates=gates)
    for minute in range(MINUTES):
        now = START + minute * MINUTE
        heard = minute % 20 < 15  # then silence for a while
        engine.step(_everything(len(metrics), float(minute % 2), now) if heard else no_readings(), now)
    engine.current()  # what tells the numbers of a finding, too


def _everything(metrics: int, value: float, now: int) -> ReadingBatch:
    """A reading of each metric in both homes."""
    n = 2 * metrics
    home = np.repeat(np.arange(2, dtype=np.int32), metrics)
    return ReadingBatch(
        home=home, device=home.copy(), metric=np.tile(np.arange(metrics, dtype=np.int16), 2), value=np.full(n, value),
        taken=np.full(n, now), got=np.full(n, now), flags=np.zeros(n, np.uint8),
    )  # fmt: skip
