"""One household as a plain Python object: what it has told, and its rules, asked one after the other.

May import model, rules.spec and constants of rules. Written from what the rules' texts say, for one household and one
minute at a time; its answers must be the engine's, which tests and `mimamori bench engine` look at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan
from typing import Protocol

from mimamori.model.findings import Verdict
from mimamori.model.metrics import Metrics
from mimamori.model.times import HOUR, MINUTE, NEVER, Zone
from mimamori.rules import away
from mimamori.rules.fold import AT_THE_DOOR, LONE_APART, LONE_WINDOW, NEAR_APART, PASSAGE, PERIOD_FADES, SETTLES
from mimamori.rules.latest import STIR_FROM
from mimamori.rules.level import LEVEL_CELL
from mimamori.rules.quiet import CELL
from mimamori.rules.spec import Absent, Away, Band, Climate, Cooling, Count, Drift, Evidence, Rise, Rule, Stay, Usual
from mimamori.twin.bed import AwayTwin, CountTwin, RiseTwin
from mimamori.twin.heating import CoolingTwin
from mimamori.twin.lain import StayTwin
from mimamori.twin.quiet import EvidenceTwin
from mimamori.twin.slow import ClimateTwin, DriftTwin
from mimamori.twin.vitals import AbsentTwin, BandTwin, UsualTwin

MOVEMENT_FROM = 10.0
BED = frozenset({"in_bed", "presence", "body_movement"})
CHANNELS = {"motion": "motion", "in_bed": "bed", "presence": "bed", "body_movement": "bed", "door_open": "door",
            "power": "power", "energy": "power", "button": "button"}  # fmt: skip
Reading = tuple[str, float, int, int]
"""Metric, value, time taken in ns, device."""
Line = tuple[int, int, int, int, int]
"""Grid point, rule's index, verdict, level, since: a finding."""


class RuleTwin(Protocol):
    """One rule of one household."""

    every: int

    def __init__(self, rule: Rule, home: HomeTwin) -> None: ...

    def judge(self, home: HomeTwin, at: int) -> tuple[int, int, int] | None:
        """(verdict, level, since) at `at`; None where it does not look."""
        ...


class HomeTwin:
    """What a household has told, and its rules."""

    def __init__(self, rules: Sequence[Rule], metrics: Metrics, zone: Zone) -> None:
        self.zone = zone
        self.nature = {metrics[m].name: metrics[m].nature for m in range(len(metrics))}
        self.value: dict[str, float] = {}
        self.taken: dict[str, int] = {}
        self.minute: dict[str, list[float]] = {}  # told since the minute began
        self.sign = self.door = self.moved = self.stirred = NEVER
        self.out = self.arrived = False  # by the door; the last passage of it ended an outing
        self.lone = self.second = NEVER  # a single sign inside while out, and another one since, apart from it
        self.inside: dict[int, int] = {}  # device, and when it gave that sign
        self.beds: set[int] = set()  # devices
        self.kind: dict[int, str] = {}  # of device: of SIGNS
        self.has: set[str] = set()  # kinds of sensor it ever had
        self.signs: set[str] = set()  # kinds that gave a sign of life since the five minutes began
        self.drawn: dict[int, list[float]] = {}  # W told by device since the half hour began
        self.register: dict[int, tuple[float, int]] = {}  # Wh, when taken
        self.silent: set[int] = set()  # devices that nobody believes
        self.heard: dict[int, int] = {}
        self.period: dict[int, int] = {}
        self.sees = False  # has a sensor of motion or of the bed
        self._rules: list[tuple[int, RuleTwin]] = []
        for index, rule in enumerate(rules):
            if type(rule.condition) in TWINS:
                self._rules.append((index, TWINS[type(rule.condition)](rule, self)))
        self._told = {index: (int(Verdict.UNKNOWN), 0) for index, _ in self._rules}

    def hear(self, cell: Sequence[Reading], end: int) -> None:
        """All of the ten seconds that end at `end`, by metric and time; a state is compared with the one before."""
        before, signs = dict(self.value), []
        for metric, value, taken, device in cell:
            self._listen(device, metric, value, end)
            self._draw(metric, value, taken, device)
            if self._alive(metric, value, taken, before.get(metric)):
                self.sign = max(self.sign, taken)
                self.signs.add(CHANNELS[metric])
                signs.append((metric, taken, device))
            self.value[metric] = value
            self.taken[metric] = max(self.taken.get(metric, NEVER), taken)
            self.minute.setdefault(metric, []).append(value)

        self._follow(signs)

    def _follow(self, signs: Sequence[tuple[str, int, int]]) -> None:
        """Who went out by the door, and who came back: (metric, taken, device) of the sure signs of life of a cell."""
        doors = [taken for metric, taken, _ in signs if metric == "door_open"]
        if doors:
            if self.door == NEVER or doors[-1] - self.door >= PASSAGE:
                self.arrived = self.out and not self.arrived
            self.door, self.out, self.lone = max(self.door, doors[-1]), True, NEVER
        inside = [(t, d) for metric, t, d in signs if metric != "door_open" and t > self.door + SETTLES]
        if not self.out or not inside:
            return
        newest, last = max(t for t, _ in inside), max(d for _, d in inside)
        known = self.lone != NEVER and newest - self.lone <= LONE_WINDOW
        near, two = newest - self.door <= AT_THE_DOOR, len({d for _, d in inside}) > 1
        if known:
            apart = newest - self.lone >= (NEAR_APART if near else LONE_APART)
            two = two or self.inside.get(last, NEVER) != self.lone or apart
        third = known and self.second != NEVER and newest - self.second >= NEAR_APART
        if self.arrived or third or (two and near):
            self.out = False
            return
        if not known:
            self.lone, self.second = newest, NEVER
            self.inside[last] = newest
        if two and self.second == NEVER:
            self.second = newest

    def _listen(self, device: int, metric: str, value: float, end: int) -> None:
        """When a device of the bed was heard, and its longest recent pause."""
        if metric in CHANNELS:
            self.kind[device] = CHANNELS[metric]
            self.has.add(CHANNELS[metric])
            (self.beds.add if metric in BED else self.beds.discard)(device)
        heard = self.heard.get(device)
        if heard == end or (metric == "heartbeat" and value == 0):
            return
        if heard is not None:
            pause = end - heard
            period = self.period.get(device, 0)
            self.period[device] = max(pause, period - int(pause * PERIOD_FADES))
        self.heard[device] = end

    def _draw(self, metric: str, value: float, taken: int, device: int) -> None:
        """Power of the half hour; a register tells its mean since its value of at least a minute before."""
        if metric == "power":
            self.drawn.setdefault(device, []).append(value)
        elif metric == "energy":
            before, since = self.register.get(device, (value, NEVER))
            if since != NEVER and value >= before:
                if taken - since < MINUTE:
                    return
                self.drawn.setdefault(device, []).append((value - before) * (HOUR / (taken - since)))
            self.register[device] = value, taken

    def watt_hours(self) -> float:
        """Energy of the half hour: NaN unless every meter and plug has told its power."""
        meters = sorted(device for device, kind in self.kind.items() if kind == "power")
        if not all(device in self.drawn for device in meters) or not meters:
            return nan
        return sum(sum(self.drawn[device]) / len(self.drawn[device]) * (LEVEL_CELL / HOUR) for device in meters)

    def working(self, kind: str) -> float:
        """Share of the sensors of a kind that are not silent."""
        mine = [device for device, of in self.kind.items() if of == kind]
        return sum(device not in self.silent for device in mine) / len(mine) if mine else 0.0

    def bed_talks(self, at: int) -> bool:
        """No sensor of the bed is late."""
        return all(
            at - self.heard[d] <= max(away.LATE_AFTER * self.period.get(d, 0), away.LATE_AT_LEAST) for d in self.beds
        )

    def _alive(self, metric: str, value: float, taken: int, before: float | None) -> bool:
        """Whether it is a sure sign of life."""
        if metric in {"in_bed", "presence"}:
            self.sees = True
            return before is not None and value != before
        if metric == "body_movement":
            self.sees = True
            if value >= STIR_FROM:
                self.stirred = max(self.stirred, taken)
            if value >= MOVEMENT_FROM:
                self.moved = max(self.moved, taken)
            return value >= MOVEMENT_FROM
        if metric == "door_open":
            return True
        if metric == "motion":
            self.sees = True
        return metric in {"motion", "button"} and value > 0

    def judge(self, at: int) -> list[Line]:
        """What changed at the grid point `at` (ns), after all that was told by then."""
        found = []
        for index, rule in self._rules:
            judged = rule.judge(self, at) if at % rule.every == 0 else None
            if judged is not None and judged[:2] != self._told[index]:
                self._told[index] = judged[:2]
                found.append((at, index, *judged))
        self.minute.clear()
        if at % CELL == 0:
            self.signs.clear()
            if (self.zone.local(at - 1) + 1) % LEVEL_CELL == 0:
                self.drawn.clear()
        return found

    def mean(self, metric: str) -> float | None:
        """Mean of what was told in this minute."""
        told = self.minute.get(metric)
        return sum(told) / len(told) if told else None

    def least(self, metric: str) -> float | None:
        """Least of what was told in this minute."""
        return min(self.minute.get(metric, ()), default=None)


TWINS: Mapping[type, type[RuleTwin]] = {
    Band: BandTwin, Usual: UsualTwin, Absent: AbsentTwin, Away: AwayTwin, Rise: RiseTwin, Count: CountTwin,
    Drift: DriftTwin, Climate: ClimateTwin, Stay: StayTwin, Cooling: CoolingTwin,
    Evidence: EvidenceTwin,
}  # fmt: skip
"""Kinds that have a twin here. Not those about silence, which have theirs in the tests."""
