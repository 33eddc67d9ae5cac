"""A room that is too hot or too cold for somebody who cannot leave it.

May import model and rules. Heat is judged by the wet-bulb globe temperature that air and humidity make indoors, without
sun or wind (Ono and Tonouchi, 2014). A room changes slowly: a value holds until the next one, and time
counts, not readings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from mimamori.model.findings import FindingBatch, no_findings
from mimamori.model.times import MINUTE, NEVER
from mimamori.rules.changes import CLEAR, FIRING, LEVELS, NOT_DUE, PENDING, UNKNOWN, findings_of
from mimamori.rules.columns import Column, Once
from mimamori.rules.kernel import Rows, bound, inlined, lean
from mimamori.rules.latest import Shared
from mimamori.rules.own import Own
from mimamori.rules.spec import Climate, Condition, Rule

FACTS = ("value", "limit", "minutes", "temperature", "humidity", "own")
ORDER = ("low", "medium", "high")


Celsius = TypeVar("Celsius", float, NDArray[np.float64])


def wbgt(temperature: Celsius, humidity: Celsius) -> Celsius:
    """Degrees Celsius indoors, from air temperature (degrees Celsius) and relative humidity (%); NaN if one is.

    The regression of Ono and Tonouchi (Nihon Seikishogaku Zasshi 50(4), 2014) with no sunshine and no wind.
    """
    return 0.735 * temperature + 0.0374 * humidity + 0.00292 * temperature * humidity - 4.064


_wbgt = inlined(wbgt)


class Home(NamedTuple):
    """What is looked at of the households: the minute's temperature (n,), the humidity told last, the own set."""

    total: NDArray[np.float64]
    told: NDArray[np.uint16]
    humidity: NDArray[np.float64]
    humidity_at: NDArray[np.int64]
    own: NDArray[np.uint16]


class Kept(NamedTuple):
    """The rule's columns, whole."""

    value: NDArray[np.float64]
    since: NDArray[np.int64]
    good_since: NDArray[np.int64]
    told_at: NDArray[np.int64]
    due: NDArray[np.int64]
    began: NDArray[np.int64]
    verdict: NDArray[np.int8]
    level: NDArray[np.int8]


class Limits(NamedTuple):
    """The rule: limit is (sets, priorities), hold (priorities,) ns, level (priorities,); the rest in ns and Celsius."""

    limit: NDArray[np.float64]
    hold: NDArray[np.int64]
    level: NDArray[np.int8]
    sign: float
    damp: bool  # heat as the body feels it: humidity counts
    clear_margin: float
    clear_after: int
    unknown_after: int


class Everything(NamedTuple):
    """All that a step may read or write."""

    home: Home
    kept: Kept
    limits: Limits


@lean
def _judge(at: int, s: Everything, found: Rows) -> int:
    """The minute that ends at `at`, of all households; how many of them, in `found`, changed verdict or level."""
    home, kept, limits, n = s.home, s.kept, s.limits, 0
    for h in range(len(found)):
        if home.told[h] > 0:
            damp_at = home.humidity_at[h]
            if not limits.damp:
                _take(h, at, limits.sign * (home.total[h] / home.told[h]), s)
            elif damp_at != NEVER and at - damp_at <= limits.unknown_after:
                _take(h, at, _wbgt(home.total[h] / home.told[h], home.humidity[h]), s)
        if kept.due[h] > at:
            continue
        known, beyond = at - kept.told_at[h] <= limits.unknown_after, False
        level = _level(h, at, s) if known else 0
        for i in range(len(limits.hold)):
            beyond = beyond or kept.since[i, h] != NEVER
        _begin(h, beyond, level, kept)
        kept.due[h] = _next(h, at, level, s) if known else NOT_DUE
        verdict = FIRING if level > 0 else PENDING if beyond else CLEAR
        if not known:
            verdict = UNKNOWN
        if verdict != kept.verdict[h] or level != kept.level[h]:
            kept.verdict[h], kept.level[h], found[n] = verdict, level, h
            n += 1
    return n


@inlined
def _take(h: int, at: int, value: float, s: Everything) -> None:
    """A minute whose value, signed so that more is worse, is `value`."""
    kept, limits, inside = s.kept, s.limits, True
    kept.value[h] = value
    kept.told_at[h] = kept.due[h] = at
    for i in range(len(limits.hold)):
        limit = limits.limit[s.home.own[h], i]
        inside = inside and value < limit - limits.clear_margin
        if value < limit:
            kept.since[i, h] = NEVER
        elif kept.since[i, h] == NEVER:
            kept.since[i, h] = at
    if not inside:
        kept.good_since[h] = NEVER
    elif kept.good_since[h] == NEVER:
        kept.good_since[h] = at


@inlined
def _level(h: int, at: int, s: Everything) -> int:
    """The level: what was told stays until the room is well inside for a while."""
    kept, limits = s.kept, s.limits
    level: int = kept.level[h]
    if kept.good_since[h] != NEVER and at - kept.good_since[h] >= limits.clear_after:
        level = 0
    for i in range(len(limits.hold)):
        if kept.since[i, h] != NEVER and at - kept.since[i, h] >= limits.hold[i]:
            level = max(level, limits.level[i])
    return level


@inlined
def _begin(h: int, beyond: bool, level: int, kept: Kept) -> None:  # noqa: FBT001
    """When it began, as it is told: with the first limit passed, until it has ended."""
    if beyond and kept.began[h] == NEVER:
        first = NOT_DUE
        for i in range(len(kept.since)):
            if kept.since[i, h] != NEVER:
                first = min(first, kept.since[i, h])
        kept.began[h] = first
    elif not beyond and level == 0:
        kept.began[h] = NEVER


@inlined
def _next(h: int, at: int, level: int, s: Everything) -> int:
    """Ns: the next limit of time that this household runs into if nothing is heard."""
    kept, limits = s.kept, s.limits
    soon: int = kept.told_at[h] + limits.unknown_after + 1
    for i in range(len(limits.hold)):
        if kept.since[i, h] != NEVER and kept.since[i, h] + limits.hold[i] > at:
            soon = min(soon, kept.since[i, h] + limits.hold[i])
    if level > 0 and kept.good_since[h] != NEVER and kept.good_since[h] + limits.clear_after > at:
        soon = min(soon, kept.good_since[h] + limits.clear_after)
    return soon


class ClimateDetector:
    """`kind = "climate"`."""

    every = MINUTE
    facts: tuple[str, ...] = FACTS

    def __init__(self, rule: Rule, index: int, shared: Shared) -> None:
        condition = rule.condition
        assert isinstance(condition, Climate)
        self._rule, self._index, self._spec = rule, index, condition
        self._columns, self._latest = shared.columns, shared.latest
        self.metric: int | None = shared.metrics.index("temperature")
        self._humidity = shared.metrics.index("humidity")
        # One sense for both: how far above the limit, where a cold limit is a limit of minus the temperature.
        self._sign = 1.0 if condition.high else -1.0
        self._holds = [condition.hold.get(p, NOT_DUE) for p in ORDER]  # type: ignore[call-overload]
        self._ready = Once(shared.columns, self._prepare)
        self.own = Own(shared.columns, condition)
        self.own.derive = self._derive
        self._derive([condition])

    def _derive(self, sets: Sequence[Condition]) -> None:
        each = [c.high or c.low for c in sets]  # type: ignore[union-attr]
        self._limits = Limits(
            np.array([[self._sign * at[p] if p in at else np.inf for p in ORDER] for at in each]),  # type: ignore[index]
            np.array(self._holds), np.array([LEVELS[p] for p in ORDER], np.int8), self._sign,
            self._spec.measure == "wbgt", float(self._spec.clear_margin), self._spec.clear_after,
            self._spec.unknown_after,
        )  # fmt: skip
        self._ready.drop()

    @staticmethod
    def columns(rule: Rule) -> list[Column]:
        """What this rule keeps for each household."""
        own = [
            Column("value", "f8", np.nan, "degrees Celsius, signed so that more is worse"),
            Column("since", "i8", NEVER, "ns, beyond the limit of each priority", (len(ORDER),)),
            Column("good_since", "i8", NEVER, "ns, well inside all limits"),
            Column("told_at", "i8", NEVER, "ns, last minute with a value"),
            Column("due", "i8", NOT_DUE, "ns, when the verdict may change with nothing new"),
            Column("began", "i8", NEVER, "ns, as told"),
            Column("verdict", "i1", 3, "Verdict"),
            Column("level", "i1", 0, "Level"),
        ]
        return [Column(f"{rule.name}.{c.name}", c.dtype, c.fill, c.unit, c.shape) for c in own]

    def evaluate(self, at: int) -> FindingBatch:
        """Judge the minute that ends at `at` (ns, whole minute)."""
        judge, everything, found = self._ready()
        changed = judge(at, everything, found)
        return self._findings(found[:changed], at) if changed else no_findings()

    def _prepare(self) -> tuple[Callable[..., int], Everything, Rows]:
        """The loop, and all that it is given at each minute."""
        c, found = self._columns, self._columns.room()
        humidity = c["value"][self._humidity], c["taken"][self._humidity]
        home = Home(*self._latest.minute(self.metric), *humidity, c["own"])
        everything = Everything(home, Kept(*c.bundle(Kept._fields, f"{self._rule.name}.")), self._limits)
        return bound(_judge, 0, everything, found), everything, found

    def _c(self, name: str) -> NDArray[Any]:
        return self._columns[f"{self._rule.name}.{name}"]

    def _findings(self, rows: NDArray[np.intp], at: int) -> FindingBatch:
        return findings_of(
            rows, rule=self._index, verdict=self._c("verdict")[rows], level=self._c("level")[rows],
            since=self._c("began")[rows], score=np.nan_to_num(self._c("value")[rows]),
            facts=lambda rows: self._facts(rows, at), home=None, at=at,
        )  # fmt: skip

    def _facts(self, rows: NDArray[np.intp], at: int) -> NDArray[np.float64]:
        c, name = self._columns, self._rule.name
        began, level = c[f"{name}.began"][rows], c[f"{name}.level"][rows]
        minutes = np.where(began == NEVER, 0, at - np.where(began == NEVER, at, began)) / MINUTE
        each = self._limits.limit[self.own.sets(rows)]
        limits, row = np.column_stack([each.min(1), each]), np.arange(len(rows))
        limit = limits[row, np.where(np.isfinite(limits[row, level]), level, 0)] * self._sign
        humidity = c["value"][self._humidity, rows]
        return np.column_stack([c[f"{name}.value"][rows] * self._sign, limit, minutes, c["value"][self.metric, rows],
                                humidity, self.own.apart(rows)])  # fmt: skip

    def current(self, at: int) -> FindingBatch:
        """Every household's verdict as it stands."""
        return self._findings(np.arange(self._columns.rows["home"]), at)
