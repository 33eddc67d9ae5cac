"""A household's last days and nights as charts: the actogram, and the times in bed.

May import model, past, charts and words. Reads the store through Past.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mimamori.model.alert import Alert
from mimamori.model.times import DAY, HOUR, MINUTE
from mimamori.store.readings import Rollup
from mimamori.web.charts import Spec, actogram, nights
from mimamori.web.past import Past, middle
from mimamori.web.words import Lang, day_words, say

DAYS = 14


async def days_chart(past: Past, lang: Lang, alerts: Sequence[Alert], width: int) -> Spec:
    """The last DAYS days by time of day, double-plotted: in bed, motion, power, and alerts about people and rooms."""
    first = past.zone.local(past.until) // DAY - DAYS + 1
    cells = []
    for lane, (metric, step) in enumerate((("in_bed", 15 * MINUTE), ("motion", 15 * MINUTE), ("power", HOUR // 2))):
        told = await past.steps(metric, DAYS * DAY, step)
        level = _levels(metric, told)
        part = say(lang, f"chart.{('bed', 'motion', 'power')[lane]}")
        for at, up in zip(past.zone.local_many(told.start).tolist(), level.tolist(), strict=True):
            if up > 0:
                cells.append({"at": at, "lane": lane, "part": part, "level": up, "hours": step / HOUR})
    rows = [
        {"day": d, "x": x, "x2": min(48, x + c["hours"])} | {n: c[n] for n in ("lane", "part", "level")}
        for c in cells
        for d, x in _twice(c["at"], first)
    ]
    marks: list[dict[str, Any]] = [
        {"day": d, "x": x, "title": a.title_ja if lang == "ja" else a.title_en}
        for a in alerts
        if a.category != "technical"
        for d, x in _twice(past.zone.local(a.opened), first)
    ]
    days = [day_words(lang, _day(first + i)) for i in range(DAYS)]
    words = {name: say(lang, f"chart.{name}") for name in ("bed", "motion", "power", "alert")}
    return actogram(width, days, rows, marks, words)


async def nights_chart(past: Past, lang: Lang, width: int, limits: Sequence[tuple[float, str]] = ()) -> Spec:
    """The last nights in bed, when they usually begin and end, and limits (minutes after midnight, words)."""
    found = await past.nights(DAYS)
    rows, begins, ends = [], [], []
    for night in found:
        evening = (night.began - 12 * HOUR) // DAY * DAY + 18 * HOUR
        begins.append((night.began - evening) / HOUR)
        ends.append((night.ended - evening) / HOUR)
        rows += [
            {"night": day_words(lang, night.day), "x": (a - evening) / HOUR,
             "x2": min(18.0, (b - evening) / HOUR),
             "tip": f"{_clock(a)}-{_clock(b)}"} for a, b in night.stays
        ]  # fmt: skip
    usual = [
        {"x": middle(hours), "label": f"{say(lang, 'chart.usual')} {_clock(round((middle(hours) + 18) * HOUR))}"}
        for hours in (begins, ends)
        if len(hours) >= 3
    ]
    usual += [
        {"x": minutes / 60 + 6, "label": f"{words} {_clock(round(minutes) * MINUTE)}"} for minutes, words in limits
    ]
    return nights(width, rows, usual, {"night": say(lang, "chart.night"), "bed": say(lang, "chart.bed")})


def _levels(metric: str, told: Rollup) -> Any:
    """How dark each step is drawn, 0..1: share in bed, motion in four steps, power against this home's own high."""
    if not len(told):
        return told.mean
    if metric == "in_bed":
        return np.where(told.mean >= 0.25, 0.75, 0.0)
    size = told.mean * told.count if metric == "motion" else told.mean - np.percentile(told.mean, 20)
    most = max(float(np.percentile(size, 95)), 1e-9)
    return np.ceil(np.clip(size / most, 0, 1) * 4) / 4


def _twice(local: int, first: int) -> list[tuple[int, float]]:
    """The two places of a local time in a double-plotted actogram that begins with day number `first`."""
    day, x = local // DAY - first, local % DAY / HOUR
    return [(d, at) for d, at in ((day, x), (day - 1, x + 24)) if 0 <= d < DAYS]


def _day(number_of_day: int) -> Any:
    return np.datetime64(number_of_day, "D").astype(object)


def _clock(local: int) -> str:
    return f"{local // HOUR % 24:02d}:{local // MINUTE % 60:02d}"
