"""Too many minutes up and about in a window of the night, against a limit and the household's own nights.

May import model and rules. A minute counts when somebody gave a sign of life and did not lie in bed. The household's
own limit comes from the busiest window of each of its nights; quiet ends an alert only while a sensor still talks.
Whose nights went over the limit before is told of only when it goes on for longer, or when nobody came in again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch, Level, no_findings
from mimamori.model.times import MINUTE, NEVER
from mimamori.rules.changes import CLEAR, FIRING, LEVELS, PENDING, UNKNOWN, findings_of
from mimamori.rules.columns import Column, Once
from mimamori.rules.fold import SETTLES
from mimamori.rules.kernel import Rows, bits_of, bound, inlined, lean, number, pattern
from mimamori.rules.latest import BED, MOTION, Shared
from mimamori.rules.own import Own
from mimamori.rules.spec import Condition, Count, Rule

FACTS = ("count", "limit", "usual", "window_minutes", "door", "own")
ABOVE = 3.0  # standard deviations of the own nights' busiest windows
PRIOR_COUNT, PRIOR_SPREAD = 3.0, 3.0  # nights, and minutes, before own nights are known
RATE = 0.08  # weight of a new night once the first ones are in
LONGEST = 60  # minutes over the limit that are waited for at most
MARGIN, FADES = 1.25, 0.98  # times the longest own run over it; how much of that stays with each later night
GONE = 5 * MINUTE  # through the door, and nobody seen inside for so long
HIGH = int(Level.HIGH)
SPAN = 65_536  # minutes, 45 days: a window that old was emptied long before


class Home(NamedTuple):
    """The shared columns that are looked at, whole."""

    fresh: NDArray[np.bool_]
    value: NDArray[np.float64]
    taken: NDArray[np.int64]
    last_sign: NDArray[np.int64]
    last_door: NDArray[np.int64]
    own: NDArray[np.uint16]


class Devices(NamedTuple):
    """The shared columns of devices that are looked at, (d,) each."""

    device_home: NDArray[np.int32]
    channel: NDArray[np.int8]
    silent: NDArray[np.bool_]
    heard: NDArray[np.int64]


class Kept(NamedTuple):
    """The rule's columns, whole; usual, spread and over as half-precision patterns."""

    minutes: NDArray[np.uint64]
    looked: NDArray[np.uint16]
    settled: NDArray[np.bool_]
    peak: NDArray[np.uint8]
    usual: NDArray[np.uint16]
    spread: NDArray[np.uint16]
    nights: NDArray[np.uint8]
    run: NDArray[np.uint8]
    longest: NDArray[np.uint8]
    over: NDArray[np.uint16]
    verdict: NDArray[np.int8]
    level: NDArray[np.int8]


class Limits(NamedTuple):
    """The rule; lowest and highest are (sets,), all counts in minutes, settled_after in ns."""

    bed: int
    lowest: NDArray[np.float64]
    highest: NDArray[np.float64]
    window: int
    prior: float
    pending_at: float
    settled_after: int
    priority: int


class Moment(NamedTuple):
    """The minute that ends at `at`; whether it lies in the night, and more of it follows; who is seen and who talks."""

    at: int
    within: bool
    goes_on: bool
    seen: NDArray[np.bool_]
    talks: NDArray[np.bool_]


class Everything(NamedTuple):
    """All that a step may read or write."""

    home: Home
    kept: Kept
    limits: Limits


@lean
def _judge(m: Moment, s: Everything, found: Rows) -> int:
    """One minute of all households; how many of them, in `found`, changed verdict or level."""
    minutes, verdicts, levels, n = s.kept.minutes, s.kept.verdict, s.kept.level, 0
    for h in range(len(found)):
        fresh, seen = s.home.fresh[h], m.seen[h]
        if m.within:
            looks = fresh or minutes[h] != 0
            if looks:
                _take(h, m.at, fresh, s)
            if not m.goes_on:
                _end_night(h, s)
        else:
            looks = minutes[h] != 0 or (fresh and verdicts[h] != (CLEAR if seen else UNKNOWN))
            if minutes[h] != 0:
                s.kept.run[h] = minutes[h] = 0
        if not looks:
            continue
        count, limit, level = _many(minutes[h]), _limit(h, s), 0
        # A window that grows quiet ends an alert only while something in the home still talks.
        waited = levels[h] > 0 or s.kept.run[h] >= _wait(h, s) or _gone(h, m.at, s)
        firing = seen and ((count >= limit and waited) or (levels[h] > 0 and not m.talks[h]))
        if firing:
            level = HIGH if _door(h, m.at, s) else max(levels[h], s.limits.priority)
        verdict = FIRING if firing else PENDING if count >= limit * s.limits.pending_at else CLEAR
        if not seen:
            verdict = UNKNOWN
        if verdict != verdicts[h] or level != levels[h]:
            verdicts[h], levels[h], found[n] = verdict, level, h
            n += 1
    return n


@inlined
def _take(h: int, at: int, fresh: bool, s: Everything) -> None:
    """Move the window on to `at`, and add what was seen last."""
    kept, limits, last, now = s.kept, s.limits, s.home.last_sign[h], at // MINUTE
    in_bed = s.home.value[limits.bed, h] > 0
    passed = min((now - kept.looked[h]) % SPAN, 63)
    minutes = np.int64(kept.minutes[h]) << passed & (1 << limits.window) - 1
    if fresh and last != NEVER:
        ago = (at - last) // MINUTE
        if kept.settled[h] and not in_bed and 0 <= ago < limits.window:
            minutes |= 1 << ago
        # Where a bed speaks it says who has gone to rest: an evening before the television is quiet, too.
        told = s.home.taken[limits.bed, h]
        if at - last >= limits.settled_after and (told == NEVER or at - told >= limits.settled_after):
            kept.settled[h] = True
    if fresh and in_bed:
        kept.settled[h] = True
    kept.minutes[h] = minutes
    kept.looked[h] = now % SPAN
    count = _many(minutes)
    kept.peak[h] = max(kept.peak[h], count)
    kept.run[h] = min(kept.run[h], 254) + 1 if count >= _limit(h, s) else 0
    kept.longest[h] = max(kept.longest[h], kept.run[h])


@inlined
def _end_night(h: int, s: Everything) -> None:
    """The end of a night: its busiest window, at most the limit that held, is learned, and all begins anew."""
    kept = s.kept
    if kept.settled[h]:
        rate = max(RATE, 1 / (PRIOR_COUNT + kept.nights[h]))
        mean, spread = np.float64(number(kept.usual[h])), np.float64(number(kept.spread[h]))
        off = min(kept.peak[h], _limit(h, s)) - s.limits.prior - mean
        kept.usual[h] = pattern(mean + rate * off)
        kept.spread[h] = pattern((1 - rate) * (spread + rate * off**2))
        kept.over[h] = pattern(max(np.float64(kept.longest[h]), FADES * np.float64(number(kept.over[h]))))
        kept.nights[h] += kept.nights[h] < 255
    kept.settled[h] = False
    kept.peak[h] = kept.longest[h] = 0


@inlined
def _limit(h: int, s: Everything) -> float:
    """Minutes in a window."""
    usual, spread = np.float64(number(s.kept.usual[h])), np.float64(number(s.kept.spread[h]))
    own = s.home.own[h]
    limit: float = min(
        max(s.limits.prior + usual + ABOVE * math.sqrt(spread), s.limits.lowest[own]), s.limits.highest[own]
    )
    return limit


@inlined
def _wait(h: int, s: Everything) -> float:
    """Minutes on end over the limit that the own nights explain: none, unless there were such nights."""
    return min(MARGIN * np.float64(number(s.kept.over[h])), np.float64(LONGEST))


@inlined
def _gone(h: int, at: int, s: Everything) -> bool:
    """Out by the door a while ago, and nobody was seen inside again: no habit explains that at night."""
    door, sign = s.home.last_door[h], s.home.last_sign[h]
    gone: bool = door != NEVER and GONE <= at - door < s.limits.window * MINUTE and sign <= door + SETTLES
    return gone


@inlined
def _many(minutes: int) -> int:
    """How many bits are set."""
    word = np.int64(minutes)
    many: int = bits_of(word & 0xFFFFFFFF) + bits_of(word >> 32)
    return many


@inlined
def _door(h: int, at: int, s: Everything) -> bool:
    """The front door was used in this window."""
    door = s.home.last_door[h]
    used: bool = door != NEVER and at - door < s.limits.window * MINUTE
    return used


@lean
def _tell(rows: Rows, at: int, s: Everything, table: NDArray[np.float64]) -> None:
    """The facts of those rows, but for the last: (r, facts)."""
    for i in range(len(rows)):
        h = rows[i]
        table[i, 0] = _many(s.kept.minutes[h])
        table[i, 1] = _limit(h, s)
        table[i, 2] = max(number(s.kept.usual[h]) + s.limits.prior, 0.0)
        table[i, 3] = s.limits.window
        table[i, 4] = _door(h, at, s)


@lean
def _hear(at: int, c: Devices, s: Everything, seen: NDArray[np.bool_], talks: NDArray[np.bool_]) -> None:
    """Sets `seen` (n,), whether it has a sensor of motion or of the bed that is not silent, and `talks` (n,), whether a
    device of it was heard in this minute, which is asked only while there is an alert.
    """
    alerts = False
    for h in range(len(seen)):
        seen[h] = talks[h] = False
        alerts = alerts or s.kept.level[h] > 0
    for d in range(len(c.device_home)):
        if not c.silent[d] and (c.channel[d] == MOTION or c.channel[d] == BED):
            seen[c.device_home[d]] = True
        if alerts and c.heard[d] > at - MINUTE:
            talks[c.device_home[d]] = True


class CountDetector:
    """`kind = "count"`."""

    every = MINUTE
    metric: int | None = None
    facts: tuple[str, ...] = FACTS

    def __init__(self, rule: Rule, index: int, shared: Shared) -> None:
        condition = rule.condition
        assert isinstance(condition, Count)
        self._rule, self._index, self._spec = rule, index, condition
        self._columns, self._zone = shared.columns, shared.zone
        self._bed = shared.metrics.index("in_bed")
        self._ready = Once(shared.columns, self._prepare)
        self.own = Own(shared.columns, condition)
        self.own.derive = self._derive
        self._derive([condition])

    def _derive(self, sets: Sequence[Condition]) -> None:
        lowest, highest = (
            np.array([float(getattr(c, f"{name}_limit")) for c in sets]) for name in ("lowest", "highest")
        )
        spec = self._spec
        self._limits = Limits(
            self._bed, lowest, highest, spec.window // MINUTE, spec.start_limit - ABOVE * PRIOR_SPREAD,
            float(spec.pending_at), spec.settled_after, int(LEVELS[self._rule.priority]),
        )  # fmt: skip
        self._ready.drop()

    @staticmethod
    def columns(rule: Rule) -> list[Column]:
        """What this rule keeps for each household."""
        own = [
            Column("minutes", "u8", 0, "bit k: up and about in the minute that ended k minutes before `looked`"),
            Column("looked", "u2", 0, "minutes since 1970, modulo 65,536, when `minutes` was last moved on"),
            Column("settled", "?", 0, "has gone to rest tonight"),
            Column("peak", "u1", 0, "minutes, the busiest window of this night"),
            Column("usual", "f2", 0, "minutes, mean of the nights' peaks, departure from the prior"),
            Column("spread", "f2", PRIOR_SPREAD**2, "their variance"),
            Column("nights", "u1", 0, "learned from, at most 255"),
            Column("run", "u1", 0, "minutes on end over the limit, at most 255"),
            Column("longest", "u1", 0, "the most of them in this night"),
            Column("over", "f2", 0, "minutes, the longest of all nights, faded"),
            Column("verdict", "i1", 3, "Verdict"),
            Column("level", "i1", 0, "Level"),
        ]
        return [Column(f"{rule.name}.{c.name}", c.dtype, c.fill, c.unit, c.shape) for c in own]

    def _c(self, name: str) -> NDArray[Any]:
        return self._columns[f"{self._rule.name}.{name}"]

    def evaluate(self, at: int) -> FindingBatch:
        """Judge the minute that ends at `at` (ns, whole minute)."""
        hear, judge, devices, before, everything, found = self._ready()
        hear(at, devices, everything, before.seen, before.talks)
        within, goes_on = (self._spec.between.holds(self._zone.time_of_day(t)) for t in (at - 1, at))
        moment = Moment(at, within, goes_on, before.seen, before.talks)
        changed = judge(moment, everything, found)
        return self._findings(found[:changed], at) if changed else no_findings()

    def _prepare(self) -> tuple[Callable[..., None], Callable[..., int], Devices, Moment, Everything, Rows]:
        """The two loops, and all that they are given at each minute; of the moment the arrays alone hold."""
        c, found, everything = self._columns, self._columns.room(), self._everything()
        devices = Devices(*(c[name] for name in Devices._fields))
        moment = Moment(0, False, False, np.zeros(len(found), bool), np.zeros(len(found), bool))
        hear = bound(_hear, 0, devices, everything, moment.seen, moment.talks)
        return hear, bound(_judge, moment, everything, found), devices, moment, everything, found

    def _everything(self) -> Everything:
        c = self._columns
        return Everything(
            Home(*c.bundle(Home._fields)), Kept(*c.bundle(Kept._fields, f"{self._rule.name}.")), self._limits
        )

    def _findings(self, rows: NDArray[np.intp], at: int) -> FindingBatch:
        minutes = self._c("minutes")[rows]
        return findings_of(
            rows, rule=self._index, verdict=self._c("verdict")[rows], level=self._c("level")[rows],
            since=_began(minutes, at), score=np.bitwise_count(minutes).astype(np.float64),
            facts=lambda rows: self._facts(rows, at), home=None, at=at,
        )  # fmt: skip

    def _facts(self, rows: NDArray[np.intp], at: int) -> NDArray[np.float64]:
        table = np.zeros((len(rows), len(FACTS)))
        _tell(rows, at, self._everything(), table)
        table[:, -1] = self.own.apart(rows)
        return table

    def current(self, at: int) -> FindingBatch:
        """Every household's verdict as it stands."""
        return self._findings(np.arange(self._columns.rows["home"]), at)


def _began(minutes: NDArray[np.uint64], at: int) -> NDArray[np.int64]:
    """(n,) ns: the beginning of the oldest minute that counts; NEVER if none."""
    highest = np.frexp(minutes.astype(np.float64))[1]  # one more than its bit; windows are shorter than 53 minutes
    return np.where(minutes == 0, NEVER, at - highest.astype(np.int64) * MINUTE)
