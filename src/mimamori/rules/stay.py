"""In bed for much longer than this household's own days: by day, or in the last 24 hours in all.

May import model and rules. A day is 144 bits, one for each ten minutes of the clock, set while somebody lies in bed.
What is usual are means and variances of both sums, learned once a day, each day for at most three deviations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch, no_findings
from mimamori.model.times import DAY, HOUR, MINUTE, NEVER, Nanos
from mimamori.rules.changes import CLEAR, FIRING, LEVELS, UNKNOWN, findings_of
from mimamori.rules.columns import Column, Once
from mimamori.rules.kernel import Rows, bound, inlined, lean, number, pattern
from mimamori.rules.latest import BED, Sensors, Shared, mark_silent
from mimamori.rules.own import Own
from mimamori.rules.spec import Condition, Rule, Stay

CELL = 10 * MINUTE
SLOTS = DAY // CELL
AN_HOUR = HOUR // CELL  # slots
FACTS = ("day_hours", "usual_day_hours", "all_hours", "usual_all_hours", "more_hours", "own")
PRIOR_COUNT, PRIOR_SPREAD = 4.0, 1.0  # days, and hours, before own days are known
RATE = 0.06  # weight of a new day once the first ones are in
FURTHEST = 3.0  # standard deviations that one day can count for
LEAST_SPREAD = 0.5  # hours: nobody lives by the minute
SLEPT_HERE = 2.0  # hours in bed in 24: with fewer, the night was spent elsewhere
SEEN = 0.8  # of a day, that it may be learned from
ENDS_BELOW = 0.5  # hours under the limit
PRIORITIES = ("low", "medium", "high")


class Kept(NamedTuple):
    """The rule's columns, whole; usual and spread as half-precision patterns. Of two rows the first is by day."""

    slots: NDArray[np.uint8]
    sums: NDArray[np.uint8]
    seen: NDArray[np.uint8]
    usual: NDArray[np.uint16]
    spread: NDArray[np.uint16]
    days: NDArray[np.uint8]
    beyond: NDArray[np.uint8]
    verdict: NDArray[np.int8]
    level: NDArray[np.int8]


class Limits(NamedTuple):
    """The rule: level (levels,) from low to high and hours more (sets, 2, levels); deviations are (sets,).

    hold in slots, prior in hours.
    """

    level: NDArray[np.int8]
    more: NDArray[np.float64]
    hold: int
    deviations: NDArray[np.float64]
    prior: NDArray[np.float64]


class Moment(NamedTuple):
    """The slot that ends: where its bit lies, whether it counts by day, and whether a day ends with it."""

    byte: int
    bit: int
    by_day: bool
    learns: bool


class Everything(NamedTuple):
    """All that a step may read or write. bed: (n,) in_bed; silent: (n,) a bed sensor of theirs is silent; own: (n,)."""

    bed: NDArray[np.float64]
    silent: NDArray[np.bool_]
    own: NDArray[np.uint16]
    kept: Kept
    limits: Limits


@lean
def _judge(m: Moment, s: Everything, found: Rows) -> int:
    """Ten minutes of all households; how many of them, in `found`, changed verdict or level."""
    verdicts, levels, seen, n = s.kept.verdict, s.kept.level, s.kept.seen, 0
    for h in range(len(found)):
        lies, known = s.bed[h] > 0, not np.isnan(s.bed[h]) and not s.silent[h]
        _mark(h, m, known and lies, s.kept)
        seen[h] += known and seen[h] < SLOTS
        level = _level(h, m, lies, s)
        if not known:  # silence ends nothing
            level = levels[h]
        if m.learns:
            _learn(h, s)
        verdict = UNKNOWN if not known else FIRING if level > 0 else CLEAR
        if verdict != verdicts[h] or level != levels[h]:
            verdicts[h], levels[h], found[n] = verdict, level, h
            n += 1
    return n


@inlined
def _mark(h: int, m: Moment, lies: bool, kept: Kept) -> None:  # noqa: FBT001
    """Set or clear the bit of this slot, which told of yesterday until now."""
    before, now = (kept.slots[m.byte, h] >> m.bit) & 1, 1 if lies else 0
    kept.slots[m.byte, h] ^= (before ^ now) << m.bit
    kept.sums[1, h] += now - before
    if m.by_day:
        kept.sums[0, h] += now - before


@inlined
def _level(h: int, m: Moment, lies: bool, s: Everything) -> int:  # noqa: FBT001
    """The level. It begins and worsens in bed alone."""
    old, level, beyond, own = s.kept.level[h], 0, s.kept.beyond, s.own[h]
    for k in range(len(s.limits.level)):
        value, over = s.limits.level[k], False
        for part in range(2):
            if part == 1 or m.by_day:
                limit = max(s.limits.more[own, part, k], s.limits.deviations[own] * _deviation(h, part, s))
                over = over or _more(h, part, s) >= limit - (ENDS_BELOW if old >= value else 0.0)
        beyond[k, h] = min(beyond[k, h], 254) + 1 if over else 0
        if over and (old >= value or (lies and beyond[k, h] >= s.limits.hold)):
            level = value
    return level


@inlined
def _learn(h: int, s: Everything) -> None:
    """The end of a day: both sums, and what was seen begins anew."""
    kept = s.kept
    if kept.seen[h] >= SEEN * SLOTS and kept.sums[1, h] >= SLEPT_HERE * AN_HOUR:
        rate = max(RATE, 1 / (PRIOR_COUNT + kept.days[h]))
        for part in range(2):
            mean, spread = np.float64(number(kept.usual[part, h])), np.float64(number(kept.spread[part, h]))
            furthest = FURTHEST * _deviation(h, part, s)
            off = min(max(kept.sums[part, h] / AN_HOUR - s.limits.prior[part] - mean, -furthest), furthest)
            kept.usual[part, h] = pattern(mean + rate * off)
            kept.spread[part, h] = pattern((1 - rate) * (spread + rate * off**2))
        kept.days[h] += kept.days[h] < 255
    kept.seen[h] = 0


@inlined
def _usual(h: int, part: int, s: Everything) -> float:
    """Hours."""
    usual: float = max(s.limits.prior[part] + np.float64(number(s.kept.usual[part, h])), 0.0)
    return usual


@inlined
def _deviation(h: int, part: int, s: Everything) -> float:
    """Hours."""
    deviation: float = max(math.sqrt(np.float64(number(s.kept.spread[part, h]))), LEAST_SPREAD)
    return deviation


@inlined
def _more(h: int, part: int, s: Everything) -> float:
    """Hours more than usual: by day, as far as it has come or as it was yesterday, or in the last 24."""
    more: float = s.kept.sums[part, h] / AN_HOUR - _usual(h, part, s)
    return more


@lean
def _tell(rows: Rows, s: Everything, table: NDArray[np.float64]) -> None:
    """The facts of those rows: (r, facts), hours."""
    for i in range(len(rows)):
        for part in range(2):
            table[i, 2 * part] = s.kept.sums[part, rows[i]] / AN_HOUR
            table[i, 2 * part + 1] = _usual(rows[i], part, s)
        table[i, 4] = max(_more(rows[i], 0, s), _more(rows[i], 1, s), 0.0)


class StayDetector:
    """`kind = "stay"`."""

    every = CELL
    facts: tuple[str, ...] = FACTS

    def __init__(self, rule: Rule, index: int, shared: Shared) -> None:
        spec = rule.condition
        assert isinstance(spec, Stay)
        self._rule, self._index, self._spec = rule, index, spec
        self._columns, self._zone = shared.columns, shared.zone
        self._bed = shared.metrics.index("in_bed")
        self.metric: int | None = self._bed
        self._ready = Once(shared.columns, self._prepare)
        self.own = Own(shared.columns, spec)
        self.own.derive = self._derive
        self._derive((spec,))

    def _derive(self, conditions: Sequence[Condition]) -> None:
        spec, each = self._spec, [c for c in conditions if isinstance(c, Stay)]
        told = [p for p in PRIORITIES if p in spec.more_by_day]
        more = [[[table[p] / HOUR for p in told] for table in (c.more_by_day, c.more_in_all)] for c in each]
        prior = np.array([spec.start_by_day / HOUR, spec.start_in_all / HOUR])
        self._limits = Limits(
            np.array([LEVELS[p] for p in told], np.int8), np.array(more), spec.hold // CELL,
            np.array([c.deviations for c in each], float), prior,
        )  # fmt: skip
        self._ready.drop()

    @staticmethod
    def columns(rule: Rule) -> list[Column]:
        """What this rule keeps for each household."""
        own = [
            Column("slots", "u1", 0, "bits: in bed, ten minutes of the clock each", (SLOTS // 8,)),
            Column("sums", "u1", 0, "how many of them are set: by day, and all", (2,)),
            Column("seen", "u1", 0, "slots with a bed sensor that talks, since the day was learned"),
            Column("usual", "f2", 0, "hours by day, and in 24: means, departures from the prior", (2,)),
            Column("spread", "f2", PRIOR_SPREAD**2, "their variances", (2,)),
            Column("days", "u1", 0, "learned from, at most 255"),
            Column("beyond", "u1", 0, "slots on end over each level's limit", (len(PRIORITIES),)),
            Column("verdict", "i1", 3, "Verdict"),
            Column("level", "i1", 0, "Level"),
        ]
        return [Column(f"{rule.name}.{c.name}", c.dtype, c.fill, c.unit, c.shape) for c in own]

    def _c(self, name: str) -> NDArray[Any]:
        return self._columns[f"{self._rule.name}.{name}"]

    def evaluate(self, at: int) -> FindingBatch:
        """Judge the ten minutes that end at `at` (ns)."""
        hear, judge, sensors, everything, found = self._ready()
        hear(sensors, BED, everything.silent)
        changed = judge(self._moment(at), everything, found)
        return self._findings(found[:changed], at) if changed else no_findings()

    def _moment(self, at: int) -> Moment:
        by_day, slot = self._spec.by_day, self._zone.time_of_day(at - 1) // CELL
        ends = self._zone.time_of_day(at) // CELL == by_day.end % DAY // CELL
        return Moment(slot // 8, slot % 8, by_day.holds(slot * CELL), ends)

    def _prepare(self) -> tuple[Callable[..., None], Callable[..., int], Sensors, Everything, Rows]:
        """The two loops, and all that they are given at each cell."""
        c, found = self._columns, self._columns.room()
        sensors = Sensors(*(c[name] for name in Sensors._fields))
        kept = Kept(*c.bundle(Kept._fields, f"{self._rule.name}."))
        silent = np.zeros(len(found), np.bool_)
        everything = Everything(c.whole("value")[self._bed], silent, c["own"], kept, self._limits)
        hear = bound(mark_silent, sensors, BED, silent)
        return hear, bound(_judge, self._moment(0), everything, found), sensors, everything, found

    def _findings(self, rows: NDArray[np.intp], at: int) -> FindingBatch:
        level = self._c("level")[rows]
        return findings_of(
            rows, rule=self._index, verdict=self._c("verdict")[rows], level=level, since=self._since(rows, level, at),
            score=self._facts(rows)[:, 4], facts=self._facts, home=None, at=at,
        )  # fmt: skip

    def _since(self, rows: NDArray[np.intp], level: NDArray[np.int8], at: int) -> Nanos:
        """(r,) ns: the beginning of the present stay in bed, of those over a limit; NEVER of all others, or if up."""
        since = np.full(len(rows), NEVER)
        some = np.flatnonzero(level > 0)
        if not len(some) or at == NEVER:  # nothing was ever judged
            return since
        bits = np.unpackbits(self._c("slots")[:, rows[some]], axis=0, bitorder="little")
        now = int(self._zone.time_of_day(at - 1) // CELL)
        back = bits[(now - np.arange(SLOTS)) % SLOTS]  # from this slot on backwards
        run = np.where(back.all(0), SLOTS, np.argmin(back, axis=0))
        since[some] = np.where(run > 0, at - run * CELL, NEVER)
        return since

    def _facts(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        table = np.zeros((len(rows), len(FACTS)))
        _tell(rows, self._ready()[3], table)
        table[:, -1] = self.own.apart(rows)
        return table

    def current(self, at: int) -> FindingBatch:
        """Every household's verdict as it stands."""
        return self._findings(np.arange(self._columns.rows["home"]), at)
