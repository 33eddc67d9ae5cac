"""Which charts tell why an alert came, and which tell how a household lives: plans of charts, drawn when asked for.

May import model, rules (their specs and the heat index), web.past, web.charts and words. Reads the store through Past.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mimamori.model.alert import Alert
from mimamori.model.times import DAY, HOUR, MINUTE, NEVER
from mimamori.rules.climate import wbgt
from mimamori.rules.spec import (
    SIGNS,
    Absent,
    Away,
    Band,
    Climate,
    Cooling,
    Count,
    Drift,
    Evidence,
    Flapping,
    Rise,
    Rule,
    Silent,
    Stay,
    TimeOfDay,
    Usual,
)
from mimamori.store.readings import Rollup
from mimamori.web.charts import Frame, Row, Spec, Words, bars, strips, trace
from mimamori.web.days import DAYS, days_chart, nights_chart
from mimamori.web.past import MS, Past, joined, points_of
from mimamori.web.words import Lang, number, say, say_or

_METRICS = {"heart_rate": "1min", "respiration_rate": "1min", "power": "W", "temperature": "Cel", "humidity": "RH",
            "body_movement": "one", "spo2": "RH"}  # fmt: skip
_KINDS = (("bed", "in_bed"), ("motion", "motion"), ("door", "door_open"), ("button", "button"))
WEEKS = 56 * DAY  # of a slow change


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One chart that can be drawn: its name in the address, its title, and how to draw it that wide."""

    name: str
    title: str
    draw: Callable[[int], Awaitable[Spec]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Charts:
    """The charts of one household for one reader. titles: of metrics, in the reader's language."""

    past: Past
    lang: Lang
    titles: Mapping[str, str]
    marks: tuple[tuple[int, str], ...] = ()  # (ns UTC, words)
    alerts: Sequence[Alert] = ()

    def of_household(self) -> list[Chart]:
        """How the person lives: signs of life, vitals with own bands, days, nights."""
        return [
            self._signs("signs", DAY), self._trace("heart_rate", DAY), self._trace("respiration_rate", DAY),
            Chart(name="actogram", title=self._say("chart.actogram", days=DAYS), draw=self._days),
            self._mornings({}),
            self._trace("power", DAY), self._trace("temperature", DAY),
        ]  # fmt: skip

    def of_alert(self, alert: Alert, rule: Rule | None) -> list[Chart]:  # noqa: C901, PLR0912 - one case a kind of rule
        """The two or three charts of what the rule looked at, with its limits."""
        facts = {k: float(v) for k, v in alert.evidence.items() if not isinstance(v, str)}
        match rule.condition if rule else None:
            case Evidence():
                drawn = [self._signs("signs", DAY), self._balance(facts), self._trace("power", DAY)]
            case Band(metric=metric):
                limits = self._limits(facts, "low", "high")
                drawn = [self._trace(metric, 6 * HOUR, limits), self._signs("signs", 6 * HOUR)]
            case Away():
                drawn = [self._signs("signs", 12 * HOUR), self._minutes(facts)]
            case Usual(metric=metric):
                drawn = [
                    self._trace(metric, 12 * HOUR, self._limits(facts, "low", "high")),
                    self._signs("signs", 12 * HOUR),
                ]
            case Rise():
                drawn = [self._mornings(facts), self._signs("signs", 18 * HOUR)]
            case Count():
                drawn = [self._signs("signs", 12 * HOUR), self._walks(facts)]
            case Stay():
                drawn = [self._mornings({}), self._lain(facts), self._signs("signs", DAY)]
            case Cooling():
                drawn = [
                    self._trace("temperature", DAY, self._limits(facts, "limit", "usual")),
                    self._trace("power", DAY),
                ]
            case Drift(metric=metric, between=between):
                drawn = [self._weeks(metric, between, facts)]
            case Absent():
                drawn = [self._trace(m, 2 * HOUR) for m in ("heart_rate", "respiration_rate", "body_movement")]
            case Climate(measure="wbgt"):
                heat = self._heat(self._limits(facts, "limit"))
                drawn = [heat, self._trace("temperature", DAY), self._trace("humidity", DAY)]
            case Climate():
                drawn = [self._trace("temperature", DAY, self._limits(facts, "limit"))]
            case Flapping():
                drawn = [self._heard(alert.device)]
            case Silent():
                drawn = [self._heard(alert.device), self._minutes(facts)]
            case _:
                drawn = [self._signs("signs", DAY)]
        return drawn

    def _limits(self, facts: Mapping[str, float], *names: str) -> list[tuple[float, str]]:
        return [(facts[n], self._say(f"chart.{n}")) for n in names if math.isfinite(facts.get(n, math.nan))]

    def _say(self, key: str, **values: object) -> str:
        return say(self.lang, key, **values)

    def _frame(self, back: int, width: int) -> Frame:
        past = self.past
        marks = tuple((past.ms(at), words) for at, words in self.marks if past.until - back <= at <= past.until)
        return Frame(start=past.ms(past.until - back), end=past.ms(past.until), width=width, marks=marks)

    def _words(self, title: str, unit: str) -> Words:
        return Words(value=title, unit=unit, usual=self._say("chart.usual"), time=self._say("why.time"))

    def _trace(self, metric: str, back: int, limits: Sequence[tuple[float, str]] = ()) -> Chart:
        title = self.titles.get(metric, metric)
        unit = say_or(self.lang, "unit", _METRICS.get(metric, ""))
        step = MINUTE if back <= 6 * HOUR else 10 * MINUTE

        async def draw(width: int) -> Spec:
            points = await self.past.points(metric, back, step)
            usual = await self.past.usual(metric, back)
            rows = [{"y": y, "label": f"{words} {number(y)}"} for y, words in limits]
            return trace(self._frame(back, width), points, usual, rows, self._words(title, unit))

        return Chart(name=metric, title=self._say("chart.trace", what=title, hours=back // HOUR), draw=draw)

    def _heat(self, limits: Sequence[tuple[float, str]]) -> Chart:
        async def draw(width: int) -> Spec:
            air = await self.past.steps("temperature", DAY, 10 * MINUTE)
            wet = await self.past.steps("humidity", DAY, 10 * MINUTE)
            both, a, w = np.intersect1d(air.start, wet.start, return_indices=True)
            heat = wbgt(air.mean[a], wet.mean[w])
            told = Rollup(start=both, count=air.count[a], mean=heat, low=heat, high=heat)
            rows = [{"y": y, "label": f"{words} {number(y)}"} for y, words in limits]
            points = points_of(told, self.past.zone, 10 * MINUTE)
            words = self._words(self._say("chart.heat"), say_or(self.lang, "unit", "Cel"))
            return trace(self._frame(DAY, width), points, [], rows, words)

        return Chart(name="heat", title=self._say("chart.trace", what=self._say("chart.heat"), hours=24), draw=draw)

    def _signs(self, name: str, back: int) -> Chart:
        kinds = {kind: self._say(f"chart.{kind}") for kind, _ in _KINDS}

        async def draw(width: int) -> Spec:
            rows = [
                {"t": self.past.ms(a), "t2": self.past.ms(b), "row": kinds[kind], "n": round(n)}
                for kind, metric in _KINDS
                for a, b, n in await self.past.stretches(metric, back, 5 * MINUTE)
            ]
            words = self._words(self._say("chart.sign"), self._say("chart.times"))
            return strips(self._frame(back, width), rows, list(kinds.values()), words)

        return Chart(name=name, title=self._say("chart.signs", hours=back // HOUR), draw=draw)

    def _heard(self, device: str) -> Chart:
        async def draw(width: int) -> Spec:
            past, step = self.past, 10 * MINUTE
            series = await past.readings.scan(past.household, past.until - DAY, past.until)
            taken = [s.taken // step * step for s in series if not device or s.device == device]
            starts, counts = np.unique(np.concatenate(taken) if taken else np.empty(0, np.int64), return_counts=True)
            rows = [
                {"t": past.ms(a), "t2": past.ms(b), "row": self._say("chart.heard"), "n": round(n)}
                for a, b, n in joined(starts, counts.astype(np.float64), step)
            ]
            words = self._words(self._say("chart.heard"), self._say("chart.times"))
            return strips(self._frame(DAY, width), rows, [self._say("chart.heard")], words)

        return Chart(name="heard", title=self._say("chart.heard-title"), draw=draw)

    def _balance(self, facts: Mapping[str, float]) -> Chart:
        """What each kind of sensor adds to the evidence, or the hours of an outing, against the limit."""
        out = facts.get("out", 0) > 0
        row = self._say("chart.out" if out else "chart.evidence")
        parts = [("quiet_hours", "chart.out")] if out else [(s, f"chart.{s}") for s in SIGNS]
        rows = [{"row": row, "part": self._say(key), "v": facts[n]} for n, key in parts if facts.get(n, 0) > 0]
        end = facts.get("limit_hours" if out else "threshold", math.nan)
        unit = self._say("chart.hours" if out else "chart.nats")
        return self._bars("balance", self._say("chart.balance"), rows, end, unit)

    def _minutes(self, facts: Mapping[str, float]) -> Chart:
        """How long it has lasted, how long is usual, and the limit."""
        told = (("minutes", "chart.now"), ("usual_minutes", "chart.usual"), ("period_minutes", "chart.period"))
        lasted = self._say("chart.minutes")
        rows = [
            {"row": self._say(key), "part": lasted, "v": facts[n]}
            for n, key in told
            if math.isfinite(facts.get(n, math.nan))
        ]
        return self._bars("minutes", self._say("chart.lasted"), rows, facts.get("limit_minutes", math.nan), lasted)

    def _walks(self, facts: Mapping[str, float]) -> Chart:
        """Minutes up and about in the window, how many are usual, and the limit."""
        told = (("count", "chart.now"), ("usual", "chart.usual"))
        unit = self._say("chart.minutes")
        rows = [{"row": self._say(key), "part": unit, "v": facts[n]} for n, key in told if n in facts]
        return self._bars("walks", self._say("chart.walks"), rows, facts.get("limit", math.nan), unit)

    def _lain(self, facts: Mapping[str, float]) -> Chart:
        """Hours in bed by day and in all, beside this household's usual ones."""
        told = (
            ("day_hours", "chart.by-day", "chart.now"), ("usual_day_hours", "chart.by-day", "chart.usual"),
            ("all_hours", "chart.in-all", "chart.now"), ("usual_all_hours", "chart.in-all", "chart.usual"),
        )  # fmt: skip
        unit = self._say("chart.hours")
        rows = [
            {"row": f"{self._say(part)} {self._say(which)}", "part": unit, "v": facts[n]}
            for n, part, which in told
            if math.isfinite(facts.get(n, math.nan))
        ]
        return self._bars("lain", self._say("chart.lain"), rows, math.nan, unit)

    async def _days(self, width: int) -> Spec:
        return await days_chart(self.past, self.lang, self.alerts, width)

    def _mornings(self, facts: Mapping[str, float]) -> Chart:
        """The last nights in bed, and when a rule about rising begins to ask. facts: limit_minutes after midnight."""
        limit = facts.get("limit_minutes", math.nan)

        async def draw(width: int) -> Spec:
            asked = [] if math.isnan(limit) else [(limit, self._say("chart.limit"))]
            return await nights_chart(self.past, self.lang, width, asked)

        return Chart(name="nights", title=self._say("chart.nights", days=DAYS), draw=draw)

    def _weeks(self, metric: str, between: TimeOfDay, facts: Mapping[str, float]) -> Chart:
        """A figure of the day over eight weeks, with the usual one and where the last week stands."""
        hours = 24.0 if metric == "in_bed" else 1.0  # a share of the day is told in hours
        title = self._say("chart.in-all") if metric == "in_bed" else self.titles.get(metric, metric)
        unit = self._say("chart.hours") if metric == "in_bed" else say_or(self.lang, "unit", _METRICS.get(metric, ""))
        rows = [
            {"y": facts[n] * hours, "label": f"{self._say(key)} {number(facts[n] * hours)}"}
            for n, key in (("usual", "chart.usual"), ("value", "chart.lately"))
            if math.isfinite(facts.get(n, math.nan))
        ]

        async def draw(width: int) -> Spec:
            told = await self.past.steps(metric, WEEKS, HOUR)
            local = self.past.zone.local_many(told.start)
            within = np.array([between.holds(int(t % DAY)) for t in local], bool)
            days = [
                {
                    "t": (int(day) * DAY + DAY // 2) // MS,
                    "v": float(told.mean[within & (local // DAY == day)].mean()) * hours,
                }
                for day in np.unique(local[within] // DAY)
            ]
            points = [d | {"lo": d["v"], "hi": d["v"]} for d in days]
            return trace(self._frame(WEEKS, width), points, [], rows, self._words(title, unit))

        return Chart(name="weeks", title=self._say("chart.weeks", what=title), draw=draw)

    def _bars(self, name: str, title: str, rows: Sequence[Row], end: float, unit: str) -> Chart:
        limit = {"x": end, "label": f"{self._say('chart.limit')} {number(end)}"} if math.isfinite(end) else None

        async def draw(width: int) -> Spec:
            return bars(width, rows, limit, unit)

        return Chart(name=name, title=title, draw=draw)


def charts_of(
    past: Past, lang: Lang, titles: Mapping[str, str], alert: Alert | None = None, alerts: Sequence[Alert] = ()
) -> Charts:
    """The charts of a household up to `past.until`, or around one alert: up to an hour after it was raised."""
    if alert is None:
        return Charts(past=past, lang=lang, titles=titles, alerts=alerts)
    marks = [(alert.opened, say(lang, "chart.alert"))]
    if alert.since != NEVER and alert.since < alert.opened:
        marks.append((alert.since, say(lang, "chart.since")))
    around = replace(past, until=min(past.until, alert.opened + HOUR))
    return Charts(past=around, lang=lang, titles=titles, marks=tuple(marks), alerts=(alert,))
