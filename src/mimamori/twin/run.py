"""Runs the twins of many households over readings, as the engine does: whole cells, then grid points."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from mimamori.model.declared import Span
from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import HISTORICAL, ReadingBatch
from mimamori.model.times import MINUTE, Zone
from mimamori.rules.latest import cell_of
from mimamori.rules.spec import CutOff, Outage, Rule
from mimamori.twin.home import HomeTwin, Line, Reading
from mimamori.twin.silence import OutageTwin


class Town:
    """One object a household, and the rules about many of them."""

    def __init__(self, rules: Sequence[Rule], metrics: Metrics, zone: Zone, homes: Homes) -> None:
        speak = {g for r in rules if isinstance(r.condition, CutOff | Outage) for g in r.condition.gateways}
        names = zip(homes.profile_of, homes.device_ids, strict=True)
        gateways = {device for device, (profile, name) in enumerate(names) if (profile or name) in speak}
        self.homes = [HomeTwin(rules, metrics, zone, gateways=gateways, district=d) for d in homes.district_of]
        outages = [OutageTwin(r, index) for index, r in enumerate(rules) if isinstance(r.condition, Outage)]
        self.outages = sorted(outages, key=lambda rule: not rule.of_all)

    def declare(self, absences: Mapping[int, Sequence[Span]]) -> None:
        """All declared absences, by household (row), as Engine.declare: it replaces all before."""
        for row, home in enumerate(self.homes):
            home.absence.declare(absences.get(row, ()))

    def judge(self, at: int) -> list[tuple[int, Line]]:
        """(household row, finding) of one grid point."""
        found = [line for rule in self.outages for line in rule.judge(self.homes, at)]
        return found + [(row, line) for row, home in enumerate(self.homes) for line in home.judge(at)]


def cells(batch: ReadingBatch, metrics: Metrics) -> Iterator[tuple[int, list[tuple[int, list[Reading]]]]]:
    """(end of a cell, its readings by household) in order of time; a stamp ahead of our clock counts as our clock."""
    batch = batch.take((batch.flags & HISTORICAL) == 0)
    ends, taken, names = cell_of(batch.got), np.minimum(batch.taken, batch.got), metrics.names()
    order = np.lexsort((batch.device, batch.value, taken, batch.metric, batch.home, ends))
    columns = [c[order].tolist() for c in (ends, batch.home, batch.metric, batch.value, taken, batch.device)]
    now, told = None, []  # type: int | None, list[tuple[int, list[Reading]]]
    for end, home, metric, value, at, device in zip(*columns, strict=True):
        if end != now:
            if now is not None:
                yield now, told
            now, told = end, []
        if not told or told[-1][0] != home:
            told.append((home, []))
        told[-1][1].append((names[metric], value, at, device))
    if now is not None:
        yield now, told


def run(
    town: Town,
    batch: ReadingBatch,
    metrics: Metrics,
    end: int,
    said: Iterable[tuple[int, Mapping[int, Sequence[Span]]]] = (),
) -> list[tuple[int, Line]]:
    """(household row, finding) of all twins up to `end` (ns), by time, rule and row as the engine tells them.

    said: (ns, all absences by household row), what was declared when.
    """
    later, told = sorted(said, key=lambda one: -one[0]), [*cells(batch, metrics), (end, [])]
    found: list[tuple[int, Line]] = []
    point = (told[0][0] - 1) // MINUTE * MINUTE + MINUTE
    for at, by_home in told:
        while point < at:
            while later and later[-1][0] <= point:
                town.declare(later.pop()[1])
            found += town.judge(point)
            point += MINUTE
        for home, readings in by_home:
            town.homes[home].hear(readings, at)
    return sorted(found, key=lambda f: (f[1][0], f[1][1], f[0]))
