"""One household as a plain Python object: what it has told, and its rules, asked one after the other.

May import model, rules.spec and constants of rules. Written from what the rules' texts say, for one household and one
minute at a time; its answers must be the engine's, which tests and `mimamori bench engine` look at.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import nan
from typing import Protocol

from mimamori.model.findings import Verdict
from mimamori.model.metrics import Metrics
from mimamori.model.times import HOUR, MINUTE, NEVER, Zone
from mimamori.rules import away
from mimamori.rules.cause import KEEPS_TIME, NOTHING
from mimamori.rules.cell import CELL
from mimamori.rules.fold import AT_THE_DOOR, LONE_APART, LONE_WINDOW, NEAR_APART, PASSAGE, PERIOD_FADES, SETTLES
from mimamori.rules.latest import STIR_FROM
from mimamori.rules.level import LEVEL_CELL
from mimamori.rules.spec import (
    Absent,
    Away,
    Band,
    Climate,
    Cooling,
    Count,
    CutOff,
    Drift,
    Evidence,
    Flapping,
    Overdue,
    Rise,
    Rule,
    Silent,
    Stay,
    Unexpected,
    Usual,
)
from mimamori.twin.absence import AbsenceTwin, OverdueTwin, UnexpectedTwin
from mimamori.twin.bed import AwayTwin, CountTwin, RiseTwin
from mimamori.twin.heating import CoolingTwin
from mimamori.twin.lain import StayTwin
from mimamori.twin.quiet import EvidenceTwin
from mimamori.twin.silence import CutOffTwin, FlappingTwin, SilentTwin
from mimamori.twin.slow import ClimateTwin, DriftTwin
from mimamori.twin.vitals import AbsentTwin, BandTwin, Judged, UsualTwin

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

    def judge(self, home: HomeTwin, at: int) -> Judged | Mapping[int, Judged] | None:
        """(verdict, level, since) at `at`, or of each device, -1 for the home; None where it does not look."""
        ...


class HomeTwin:
    """What a household has told, and its rules."""

    def __init__(
        self, rules: Sequence[Rule], metrics: Metrics, zone: Zone, *, gateways: Collection[int] = (), district: int = -1
    ) -> None:
        self.zone, self.gateways, self.district = zone, gateways, district
        self.names = [rule.name for rule in rules]
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
        self.late: set[int] = set()  # those that are silent by themselves
        self.late_from: dict[int, int] = {}
        self.offline: set[int] = set()
        self.beats: set[int] = set()
        self.spoke: set[int] = set()  # devices heard since the minute began, or with news of their silence
        self.fresh = False  # likewise, of the home
        self.spoken = self.counts_from = NEVER
        self.pause = self.beaten = 0
        self.cause, self.gone = NOTHING, False
        self.heard: dict[int, int] = {}
        self.period: dict[int, int] = {}
        self.absence = AbsenceTwin(rules)
        self.rules: list[tuple[int, RuleTwin]] = []
        for index, rule in enumerate(rules):
            if type(rule.condition) in TWINS:
                self.rules.append((index, TWINS[type(rule.condition)](rule, self)))
        self.rules.sort(key=lambda rule: _turn(rule[1]))
        self.told: dict[tuple[int, int], tuple[int, int]] = {}  # verdict and level, by rule and device

    def hear(self, cell: Sequence[Reading], end: int) -> None:
        """All of the ten seconds that end at `end`, by metric and time; a state is compared with the one before."""
        before, signs = dict(self.value), []
        self._speak(cell)
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
        inside = [(t, d) for metric, t, d in signs if metric != "door_open" and t > self.door]
        if not self.out or not inside:
            return
        newest, last = max(t for t, _ in inside), max(d for _, d in inside)
        if newest <= self.door + SETTLES:
            if self.lone == NEVER:
                self._note_single(inside, newest)
            return
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
            self._note_single(inside, newest)
        if two and self.second == NEVER:
            self.second = newest

    def _note_single(self, inside: Sequence[tuple[int, int]], newest: int) -> None:
        self.lone, self.second = newest, NEVER
        self.inside.update(dict.fromkeys((d for _, d in inside), newest))

    def _listen(self, device: int, metric: str, value: float, end: int) -> None:
        """When a device of the bed was heard, and its longest recent pause."""
        if metric in CHANNELS:
            self.kind[device] = CHANNELS[metric]
            self.has.add(CHANNELS[metric])
            (self.beds.add if metric in BED else self.beds.discard)(device)
        heard = self.heard.get(device)
        if heard == end or (metric == "heartbeat" and value == 0):
            return
        if heard is not None and not (device in self.silent and device in self.beats):
            self.period[device] = _longest(end - heard, self.period.get(device, 0))
        self.heard[device] = end
        if self.spoken not in {end, NEVER} and self.cause == NOTHING:
            self.pause = _longest(end - self.spoken, self.pause)
        self.spoken = end

    def _speak(self, cell: Sequence[Reading]) -> None:
        """Whoever speaks is not offline, unless the broker's will is among the words of this cell."""
        beats = [(device, value) for metric, value, _, device in cell if metric == "heartbeat"]
        told = {device for _, _, _, device in cell}
        self.fresh, self.spoke, self.offline = True, self.spoke | told, self.offline - told
        self.gone = self.gone and all(metric == "heartbeat" and value <= 0 for metric, value, _, _ in cell)
        for device, value in beats:
            if value > 0:
                self.beats.add(device)
                self.beaten += 1
        wills = {device for device, value in beats if value == 0}
        self.offline |= wills
        self.gone = self.gone or any(device in self.gateways for device in wills)

    @property
    def keeps_time(self) -> bool:
        """Its devices have sent heartbeats enough to tell its silence from a quiet resident."""
        return self.beaten >= KEEPS_TIME

    def quiet(self, at: int) -> int:
        """Ns since it spoke."""
        return 0 if self.spoken == NEVER else at - max(self.spoken, self.counts_from)

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

    @property
    def bed_silent(self) -> bool:
        """A sensor of the bed is not believed."""
        return not self.beds.isdisjoint(self.silent)

    def bed_talks(self, at: int) -> bool:
        """No sensor of the bed is late."""
        return not self.bed_silent and all(
            at - self.heard[d] <= max(away.LATE_AFTER * self.period.get(d, 0), away.LATE_AT_LEAST) for d in self.beds
        )

    def _alive(self, metric: str, value: float, taken: int, before: float | None) -> bool:
        """Whether it is a sure sign of life."""
        if metric in {"in_bed", "presence"}:
            return before is not None and value != before
        if metric == "body_movement":
            if value >= STIR_FROM:
                self.stirred = max(self.stirred, taken)
            if value >= MOVEMENT_FROM:
                self.moved = max(self.moved, taken)
            return value >= MOVEMENT_FROM
        if metric == "door_open":
            return True
        return metric in {"motion", "button"} and value > 0

    def judge(self, at: int) -> list[Line]:
        """What changed at the grid point `at` (ns), after all that was told by then."""
        found = self.absence.turn(self, at)
        for index, rule in self.rules:
            looks = at % rule.every == 0 and not self.absence.stills(index)
            judged = rule.judge(self, at) if looks else None
            each = judged if isinstance(judged, Mapping) else {} if judged is None else {-1: judged}
            for device, (verdict, level, since) in sorted(each.items()):
                if (verdict, level) != self.told.get((index, device), (Verdict.UNKNOWN, 0)):
                    self.told[index, device] = verdict, level
                    found.append((at, index, verdict, level, since))
        self.fresh, self.spoke = False, set()
        self.minute.clear()
        if at % CELL == 0:
            self.signs.clear()
            if (self.zone.local(at - 1) + 1) % LEVEL_CELL == 0:
                self.drawn.clear()
        return sorted(found, key=lambda line: line[1])

    def mean(self, metric: str) -> float | None:
        """Mean of what was told in this minute."""
        told = self.minute.get(metric)
        return sum(told) / len(told) if told else None

    def least(self, metric: str) -> float | None:
        """Least of what was told in this minute."""
        return min(self.minute.get(metric, ()), default=None)


def _longest(pause: int, before: int) -> int:
    """A pause, or the longest before it, faded."""
    return max(pause, before - int(pause * PERIOD_FADES))


def _turn(rule: RuleTwin) -> int:
    """Silence is judged first, and flapping, which looks at the others, last."""
    kinds: tuple[type, ...] = (CutOffTwin, SilentTwin)
    return kinds.index(type(rule)) if type(rule) in kinds else 3 if isinstance(rule, FlappingTwin) else 2


TWINS: Mapping[type, type[RuleTwin]] = {
    Band: BandTwin, Usual: UsualTwin, Absent: AbsentTwin, Away: AwayTwin, Rise: RiseTwin, Count: CountTwin,
    Drift: DriftTwin, Climate: ClimateTwin, Stay: StayTwin, Cooling: CoolingTwin, Overdue: OverdueTwin,
    Unexpected: UnexpectedTwin, Evidence: EvidenceTwin, Silent: SilentTwin, CutOff: CutOffTwin, Flapping: FlappingTwin,
}  # fmt: skip
"""Kinds that one household can judge by itself; rules.outage is about many (twin.run)."""
