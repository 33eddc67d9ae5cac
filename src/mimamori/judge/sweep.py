"""Curves of delay against false alarms: one replay in which the inactivity rules stand at several settings at once.

May import everything below app. Reads no clock. Each budget (or limit of an outing) acts exactly as if the site had
been given it alone: its rules have columns of their own, and a book of alerts of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mimamori.alerts.book import Book
from mimamori.judge.evaluate import Spans, evaluate
from mimamori.model.declared import Declaration
from mimamori.model.findings import FindingBatch
from mimamori.model.homes import Homes
from mimamori.model.times import DAY, HOUR
from mimamori.progress import progress
from mimamori.replay import Episodes, Replayed, by_time, step_through
from mimamori.rules.engine import Engine
from mimamori.rules.spec import Evidence, Rule
from mimamori.rules.told import Told
from mimamori.simulator.truth import TruthEvent
from mimamori.site import Site
from mimamori.stream.recorded import RecordedFile

FACTORS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0)
"""Times the site's own budgets: one false alarm in so much longer a time."""
OUTINGS = (8.0, 10.0, 12.0, 16.0, 20.0, 24.0, 30.0, 36.0, 40.0, 44.0, 47.0)
"""Limits of an outing in hours, each the same for every home and every outing."""
AS_SHIPPED = 0.0
_Change = Callable[[Evidence], dict[str, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What the inactivity rules are worth at one budget. one_in_days: for homes with sensors, and with power alone."""

    factor: float
    one_in_days: float
    power_alone_one_in_days: float
    false: int
    false_per_30_days: float | None
    false_per_30_days_95: tuple[float, float] | None
    events: int
    found: int
    delay_hours: dict[str, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outing:
    """What the inactivity rules are worth at one limit of an outing; 0: as shipped, by each home's own longest."""

    limit_hours: float
    false: int
    false_per_30_days: float | None
    events: int
    found: int
    delay_hours: dict[str, float] | None


@dataclass(slots=True)
class _Setting:
    """as_rule: (rules of the engine,) int16: index in the site's rules, -1 for a rule of another setting."""

    key: float
    as_rule: NDArray[np.int16]
    book: Book
    episodes: Episodes

    def take(self, findings: FindingBatch, homes: Homes, now: int) -> None:
        rule = self.as_rule[findings.rule]
        mine = replace(findings, rule=rule).take(rule >= 0)
        for part, at in by_time(mine, now):
            for event in self.book.apply(part, homes, at):
                self.episodes.tell(event, self.book.alert(event.alert))


def replay_swept(
    path: Path, site: Site, factors: Sequence[float] = FACTORS, absences: Sequence[Declaration] = ()
) -> tuple[Replayed, dict[float, list[Mapping[str, object]]]]:
    """One replay at every factor: (what it saw, with the alert lines of factor 1; the lines by factor).

    factors: must hold 1. Raises as `replay` does.
    """
    return _replay_at(path, site, {f: None if f == 1 else _budget(f) for f in factors}, 1.0, absences)


def replay_outings(
    path: Path, site: Site, hours: Sequence[float] = OUTINGS, absences: Sequence[Declaration] = ()
) -> dict[float, list[Mapping[str, object]]]:
    """The lines by limit of an outing in hours, and AS_SHIPPED. Raises as `replay` does."""
    return _replay_at(path, site, {AS_SHIPPED: None} | {h: _outing(h) for h in hours}, AS_SHIPPED, absences)[1]


def _replay_at(
    path: Path, site: Site, changes: Mapping[float, _Change | None], shipped: float, absences: Sequence[Declaration]
) -> tuple[Replayed, dict[float, list[Mapping[str, object]]]]:
    """One replay of the evidence rules at every setting; None: as they are, which `shipped` must be the key of."""
    homes, rules = Homes(), list(site.rules)
    settings = []
    for key, change in changes.items():
        as_rule = {i: i for i, rule in enumerate(site.rules)}
        if change is not None:
            for i in [i for i, rule in enumerate(site.rules) if isinstance(rule.condition, Evidence)]:
                del as_rule[i]
                as_rule[len(rules)] = i
                rules.append(_at(site.rules[i], key, change))
        settings.append((key, as_rule))
    engine = Told(Engine(homes, rules, site.metrics, site.zone, gates=site.gates), homes, absences)
    books = []
    for key, as_rule in settings:
        table = np.array([as_rule.get(i, -1) for i in range(len(rules))], np.int16)
        books.append(_Setting(key, table, Book(site.rule_infos, site.alerts), Episodes(site.zone.name)))
    source, result = RecordedFile(path, homes, site.metrics, site.profile_names), Replayed()

    def take(findings: FindingBatch, now: int) -> None:
        for setting in books:
            setting.take(findings, homes, now)

    with progress("replay", path.stat().st_size, "B") as bar:
        step_through(source, engine, take, bar.update)
    result.note(source, homes)
    lines: dict[float, list[Mapping[str, object]]] = {b.key: list(b.episodes.lines()) for b in books}
    result.lines = [dict(line) for line in lines[shipped]]
    return result, lines


def _at(rule: Rule, key: float, change: _Change) -> Rule:
    assert isinstance(rule.condition, Evidence)
    changed = rule.condition.model_copy(update=change(rule.condition))
    return rule.model_copy(update={"name": f"{rule.name}@{key:g}", "condition": changed})


def _budget(factor: float) -> _Change:
    return lambda condition: {
        "one_false_alarm_in": int(condition.one_false_alarm_in * factor),
        "power_alone_false_alarm_in": int(condition.power_alone_false_alarm_in * factor),
    }


def _outing(hours: float) -> _Change:
    return lambda _: {"out_at_least": int(hours * HOUR), "out_at_most": int(hours * HOUR)}


def curve(
    lines: Mapping[float, Sequence[Mapping[str, object]]], truth: Sequence[TruthEvent], site: Site, *, spans: Spans,
    learn: int,
) -> tuple[Point, ...]:  # fmt: skip
    """The points, by factor: only the evidence rules' alerts, and only the emergencies they alone are there to find."""
    evidence = {r.name: r.condition for r in site.rules if isinstance(r.condition, Evidence)}
    if not evidence:
        return ()
    first = next(iter(evidence.values()))
    points = []
    for factor, told in sorted(lines.items()):
        made = evaluate(
            [e for e in told if e["rule"] in evidence], truth, spans=spans, learn=learn, only=tuple(evidence)
        )
        found = made.emergencies
        points.append(
            Point(
                factor=factor, one_in_days=first.one_false_alarm_in * factor / DAY,
                power_alone_one_in_days=first.power_alone_false_alarm_in * factor / DAY, false=made.resident.false,
                false_per_30_days=made.resident.false_per_30_days,
                false_per_30_days_95=made.resident.false_per_30_days_95, events=found.events, found=found.found,
                delay_hours=found.delay_hours,
            )
        )  # fmt: skip
    return tuple(points)


def outing_curve(
    lines: Mapping[float, Sequence[Mapping[str, object]]], truth: Sequence[TruthEvent], site: Site, *, spans: Spans,
    learn: int,
) -> tuple[Outing, ...]:  # fmt: skip
    """The curve over limits of an outing, which alone finds whom the door hides: what hindsight could gain with it."""
    evidence = tuple(r.name for r in site.rules if isinstance(r.condition, Evidence))
    points = []
    for hours, told in sorted(lines.items()):
        made = evaluate([e for e in told if e["rule"] in evidence], truth, spans=spans, learn=learn, only=evidence)
        found = made.emergencies
        points.append(
            Outing(
                limit_hours=hours, false=made.resident.false, false_per_30_days=made.resident.false_per_30_days,
                events=found.events, found=found.found, delay_hours=found.delay_hours,
            )
        )  # fmt: skip
    return tuple(points)
