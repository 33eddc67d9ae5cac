"""A room that cools as it never does while somebody lives there: the heating has failed, or was not lit.

May import model and rules. Two levels are learned once a day, as means and variances: the coldest of the day, and how
warm the room is while somebody is up and about in it. Falling well below either is told, hours before the room is cold.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch, Level, no_findings
from mimamori.model.times import HOUR, MINUTE, NEVER
from mimamori.rules.changes import CLEAR, FIRING, LEVELS, PENDING, UNKNOWN, findings_of
from mimamori.rules.columns import Column, Once
from mimamori.rules.kernel import Rows, bound, inlined, lean, number, pattern
from mimamori.rules.latest import Shared
from mimamori.rules.spec import Cooling, Rule

CELL = 10 * MINUTE
FACTS = ("temperature", "usual", "limit", "while_up", "hours_to_10", "watts", "usual_watts")
COLDEST, UP = range(2)  # the two levels
ABOVE = 3.0  # standard deviations, and how many of them one day can count for
PRIOR_COUNT, PRIOR_SPREAD = 2.0, 2.0  # days; Celsius, before own days are known
LEAST_SPREAD = 0.5  # Celsius: weather alone moves a room by as much
RATE = 0.1  # weight of a new day once the first ones are in: seasons are slow, weeks are not
LEARN_AT = 12 * HOUR  # at noon: no night is cut
SEEN_UP = 6  # cells up and about, that a day may tell how warm it is then
LAST_SIGN = 20 * MINUTE  # whoever gave one since is up, unless in bed or out
WARM_AFTER = 9  # cells up on end: by then a room that is heated for people is warm
POWER_TOLD, HOURLY = 30 * MINUTE, 1 / 6  # a power told so long ago counts; weight of a cell in an hour's mean
POWER_GONE = 0.5  # of the usual power while up, and the heating is not on
SLOPE, RISES = 0.3, 0.5  # weight of a cell in the fall an hour; Celsius an hour, and the room is being warmed
AT_HOME = 3 * HOUR  # somebody who gave a sign of life since, and did not go out
ENDS_ABOVE = 1.0  # Celsius over the limit
TOWARDS, SOON = 10.0, 3.0  # Celsius, and hours: the danger that makes it high
NEVER_SO = 99.0  # hours
NOT_TOLD = 0x7E00  # pattern of a NaN, which no value that is told has
HIGH = int(Level.HIGH)


class Home(NamedTuple):
    """The shared columns that are looked at, whole."""

    value: NDArray[np.float64]
    taken: NDArray[np.int64]
    last_sign: NDArray[np.int64]
    out: NDArray[np.bool_]


class Kept(NamedTuple):
    """The rule's columns, whole; all but up_sum and up_watts of the floats as half-precision patterns."""

    mean: NDArray[np.uint16]
    spread: NDArray[np.uint16]
    days: NDArray[np.uint8]
    coldest: NDArray[np.uint16]
    up_sum: NDArray[np.float32]
    up_watts: NDArray[np.float32]
    up_cells: NDArray[np.uint8]
    up_run: NDArray[np.uint8]
    watts: NDArray[np.uint16]
    usual_watts: NDArray[np.uint16]
    before: NDArray[np.uint16]
    fall: NDArray[np.uint16]
    held: NDArray[np.uint8]
    verdict: NDArray[np.int8]
    level: NDArray[np.int8]


class Limits(NamedTuple):
    """The rule: metrics, Celsius, hold in cells, unknown_after in ns."""

    room: int
    bed: int
    power: int
    start_coldest: float
    start_up: float
    drop: float
    drop_unheated: float
    below_coldest: float
    only_below: float
    high_below: float
    hold: int
    unknown_after: int
    priority: int


class Everything(NamedTuple):
    """All that a step may read or write."""

    home: Home
    kept: Kept
    limits: Limits


@lean
def _judge(at: int, noon: bool, s: Everything, found: Rows) -> int:  # noqa: FBT001
    """Ten minutes of all households; how many of them, in `found`, changed verdict or level."""
    kept, told, n = s.kept, s.home.taken[s.limits.room], 0
    for h in range(len(found)):
        if told[h] == NEVER:
            continue
        room, known = s.home.value[s.limits.room, h], at - told[h] <= s.limits.unknown_after
        _take(h, at, room, known, s)
        level = _level(h, at, room, s)
        if not known:  # silence ends nothing
            level = kept.level[h]
        if noon:
            _learn(h, s)
        verdict = FIRING if level > 0 else PENDING if kept.held[h] > 0 else CLEAR
        if not known:
            verdict = UNKNOWN
        if verdict != kept.verdict[h] or level != kept.level[h]:
            kept.verdict[h], kept.level[h], found[n] = verdict, level, h
            n += 1
    return n


@inlined
def _take(h: int, at: int, room: float, known: bool, s: Everything) -> None:  # noqa: FBT001
    """What this cell tells: the coldest, the fall, the power, and how warm it is while somebody is up."""
    kept, home, limits = s.kept, s.home, s.limits
    told, sign = home.taken[limits.power, h], home.last_sign[h]
    if told != NEVER and told > at - POWER_TOLD:
        watts = np.float64(number(kept.watts[h]))
        kept.watts[h] = pattern(watts + HOURLY * (home.value[limits.power, h] - watts))
    up = sign != NEVER and sign > at - LAST_SIGN and not home.value[limits.bed, h] > 0 and not home.out[h]
    kept.up_run[h] = min(kept.up_run[h], 254) + 1 if up else 0
    if not known:
        kept.before[h], kept.fall[h] = NOT_TOLD, 0
        return
    now = pattern(room)
    if kept.before[h] == NOT_TOLD:
        kept.fall[h] = 0
    else:
        fall, change = np.float64(number(kept.fall[h])), (room - np.float64(number(kept.before[h]))) * (HOUR // CELL)
        kept.fall[h] = pattern(fall + SLOPE * (change - fall))
    kept.before[h] = now
    if kept.coldest[h] == NOT_TOLD or number(now) < number(kept.coldest[h]):
        kept.coldest[h] = now
    if kept.up_run[h] >= WARM_AFTER and kept.level[h] == 0:
        kept.up_sum[h] += number(now)
        kept.up_watts[h] += number(kept.watts[h])
        kept.up_cells[h] += kept.up_cells[h] < 255


@inlined
def _level(h: int, at: int, room: float, s: Everything) -> int:
    """The level. It lasts until the room is a little warmer than the limit that holds then."""
    kept, limits, old, level = s.kept, s.limits, s.kept.level[h], 0
    limit = _limit(h, COLDEST, s)
    if kept.up_run[h] >= WARM_AFTER:
        limit = max(limit, _limit(h, UP, s))
    fall = np.float64(number(kept.fall[h]))
    below = room <= limits.only_below and room <= limit and fall <= RISES and _at_home(h, at, s)
    kept.held[h] = min(kept.held[h], 254) + 1 if below or (old > 0 and room < limit + ENDS_ABOVE) else 0
    if kept.held[h] > 0 and (old > 0 or kept.held[h] >= limits.hold):
        level = HIGH if room <= limits.high_below or _hours_left(h, s) <= SOON else max(old, limits.priority)
    return level


@inlined
def _at_home(h: int, at: int, s: Everything) -> bool:
    """Somebody lies in bed, or gave a sign of life of late: an empty home may be as cold as it likes."""
    sign = s.home.last_sign[h]
    seen = s.home.value[s.limits.bed, h] > 0 or (sign != NEVER and sign > at - AT_HOME)
    at_home: bool = seen and not s.home.out[h]
    return at_home


@inlined
def _usual(h: int, which: int, s: Everything) -> float:
    """Celsius."""
    start = s.limits.start_coldest if which == COLDEST else s.limits.start_up
    usual: float = start + np.float64(number(s.kept.mean[which, h]))
    return usual


@inlined
def _limit(h: int, which: int, s: Everything) -> float:
    """Celsius."""
    kept, least = s.kept, s.limits.below_coldest
    if which == UP:
        usual = np.float64(number(kept.usual_watts[h]))
        gone = usual > 0 and number(kept.watts[h]) < POWER_GONE * usual
        least = s.limits.drop_unheated if gone else s.limits.drop
    limit: float = _usual(h, which, s) - max(least, ABOVE * math.sqrt(np.float64(number(kept.spread[which, h]))))
    return limit


@inlined
def _learn(h: int, s: Everything) -> None:
    """Noon: both levels of the day that ends, at most three standard deviations off."""
    kept, cells = s.kept, s.kept.up_cells[h]
    for which in range(2):
        told = kept.coldest[h] != NOT_TOLD if which == COLDEST else cells >= SEEN_UP
        if not told:
            continue
        rate = max(RATE, 1 / (PRIOR_COUNT + kept.days[which, h]))
        value = np.float64(number(kept.coldest[h])) if which == COLDEST else np.float64(kept.up_sum[h]) / cells
        mean, spread = np.float64(number(kept.mean[which, h])), np.float64(number(kept.spread[which, h]))
        furthest = ABOVE * max(math.sqrt(spread), LEAST_SPREAD)
        off = min(max(value - _usual(h, which, s), -furthest), furthest)
        if which == UP:
            drawn, watts = np.float64(kept.up_watts[h]) / cells, np.float64(number(kept.usual_watts[h]))
            kept.usual_watts[h] = pattern(drawn if kept.days[UP, h] == 0 else watts + rate * (drawn - watts))
        kept.mean[which, h] = pattern(mean + rate * off)
        kept.spread[which, h] = pattern((1 - rate) * (spread + rate * off**2))
        kept.days[which, h] += kept.days[which, h] < 255
    kept.coldest[h] = NOT_TOLD
    kept.up_sum[h] = kept.up_watts[h] = kept.up_cells[h] = 0


@inlined
def _hours_left(h: int, s: Everything) -> float:
    """Hours until the room has TOWARDS, if it goes on falling as of late."""
    fall, left = np.float64(number(s.kept.fall[h])), NEVER_SO
    if fall < 0 and s.kept.before[h] != NOT_TOLD:
        left = min(max((np.float64(number(s.kept.before[h])) - TOWARDS) / max(-fall, 1e-3), 0.0), NEVER_SO)
    return left


@lean
def _tell(rows: Rows, s: Everything, table: NDArray[np.float64]) -> None:
    """The facts of those rows: (r, facts)."""
    for i in range(len(rows)):
        h = rows[i]
        room = s.home.value[s.limits.room, h]
        up = s.kept.up_run[h] >= WARM_AFTER and room < _limit(h, UP, s) + ENDS_ABOVE
        which = UP if up else COLDEST
        table[i, 0], table[i, 1], table[i, 2] = room, _usual(h, which, s), _limit(h, which, s)
        table[i, 3], table[i, 4] = up, _hours_left(h, s)
        table[i, 5], table[i, 6] = number(s.kept.watts[h]), number(s.kept.usual_watts[h])


class CoolingDetector:
    """`kind = "cooling"`."""

    every = CELL
    facts: tuple[str, ...] = FACTS

    def __init__(self, rule: Rule, index: int, shared: Shared) -> None:
        spec = rule.condition
        assert isinstance(spec, Cooling)
        self._rule, self._index = rule, index
        self._columns, self._zone = shared.columns, shared.zone
        self._room = shared.metrics.index("temperature")
        self.metric: int | None = self._room
        self._limits = Limits(
            self._room, shared.metrics.index("in_bed"), shared.metrics.index("power"), float(spec.start_coldest),
            float(spec.start_up), float(spec.drop), float(spec.drop_unheated), float(spec.below_coldest),
            float(spec.only_below), float(spec.high_below), spec.hold // CELL, spec.unknown_after,
            int(LEVELS[rule.priority]),
        )  # fmt: skip
        self._ready = Once(shared.columns, self._prepare)

    @staticmethod
    def columns(rule: Rule) -> list[Column]:
        """What this rule keeps for each household."""
        own = [
            Column("mean", "f2", 0, "Celsius, departures from the start: coldest of the day, and while up", (2,)),
            Column("spread", "f2", PRIOR_SPREAD**2, "their variances", (2,)),
            Column("days", "u1", 0, "learned from, at most 255", (2,)),
            Column("coldest", "f2", np.nan, "Celsius, since noon"),
            Column("up_sum", "f4", 0, "Celsius, while up, since noon"),
            Column("up_watts", "f4", 0, "W, likewise"),
            Column("up_cells", "u1", 0, "how many"),
            Column("up_run", "u1", 0, "cells up on end"),
            Column("watts", "f2", 0, "W, of about the last hour"),
            Column("usual_watts", "f2", 0, "W, while up"),
            Column("before", "f2", np.nan, "Celsius, a cell ago; NaN: not told"),
            Column("fall", "f2", 0, "Celsius an hour, of late"),
            Column("held", "u1", 0, "cells on end below a limit, at most 255"),
            Column("verdict", "i1", 3, "Verdict"),
            Column("level", "i1", 0, "Level"),
        ]
        return [Column(f"{rule.name}.{c.name}", c.dtype, c.fill, c.unit, c.shape) for c in own]

    def _c(self, name: str) -> NDArray[Any]:
        return self._columns[f"{self._rule.name}.{name}"]

    def evaluate(self, at: int) -> FindingBatch:
        """Judge the ten minutes that end at `at` (ns)."""
        judge, everything, found = self._ready()
        changed = judge(at, self._zone.time_of_day(at) // CELL == LEARN_AT // CELL, everything, found)
        return self._findings(found[:changed], at) if changed else no_findings()

    def _prepare(self) -> tuple[Callable[..., int], Everything, Rows]:
        """The loop, and all that it is given at each cell."""
        c, found = self._columns, self._columns.room()
        kept = Kept(*c.bundle(Kept._fields, f"{self._rule.name}."))
        everything = Everything(Home(*c.bundle(Home._fields)), kept, self._limits)
        return bound(_judge, 0, False, everything, found), everything, found

    def _findings(self, rows: NDArray[np.intp], at: int) -> FindingBatch:
        held = self._c("held")[rows].astype(np.int64)
        return findings_of(
            rows, rule=self._index, verdict=self._c("verdict")[rows], level=self._c("level")[rows],
            since=np.where(held > 0, at - held * CELL, NEVER), facts=self._facts, home=None, at=at,
            score=np.maximum(-self._c("fall")[rows].astype(np.float64), 0),
        )  # fmt: skip

    def _facts(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        table = np.zeros((len(rows), len(FACTS)))
        _tell(rows, self._ready()[1], table)
        return table

    def current(self, at: int) -> FindingBatch:
        """Every household's verdict as it stands."""
        return self._findings(np.arange(self._columns.rows["home"]), at)
