"""The curve of delay against false alarms: one replay in which the inactivity rules stand at several budgets at once.

May import everything below app. Reads no clock. Each budget acts exactly as if the site had been given it alone: its
rules have columns of their own, and a book of alerts of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mimamori.alerts.book import Book
from mimamori.judge.evaluate import Spans, evaluate
from mimamori.model.findings import FindingBatch
from mimamori.model.homes import Homes
from mimamori.model.times import DAY
from mimamori.progress import progress
from mimamori.replay import Episodes, Replayed, by_time, step_through
from mimamori.rules.engine import Engine
from mimamori.rules.spec import Evidence, Rule
from mimamori.simulator.truth import TruthEvent
from mimamori.site import Site
from mimamori.stream.recorded import RecordedFile

FACTORS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0)
"""Times the site's own budgets: one false alarm in so much longer a time."""


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


@dataclass(slots=True)
class _Budget:
    """as_rule: (rules of the engine,) int16: index in the site's rules, -1 for a rule of another budget."""

    factor: float
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
    path: Path, site: Site, factors: Sequence[float] = FACTORS
) -> tuple[Replayed, dict[float, list[Mapping[str, object]]]]:
    """One replay at every factor: (what it saw, with the alert lines of factor 1; the lines by factor).

    factors: must hold 1. Raises as `replay` does.
    """
    homes, rules = Homes(), list(site.rules)
    budgets = []
    for factor in factors:
        as_rule = {i: i for i, rule in enumerate(site.rules)}
        if factor != 1:
            for i in [i for i, rule in enumerate(site.rules) if isinstance(rule.condition, Evidence)]:
                del as_rule[i]
                as_rule[len(rules)] = i
                rules.append(_at(site.rules[i], factor))
        budgets.append((factor, as_rule))
    engine = Engine(homes, rules, site.metrics, site.zone, gates=site.gates)
    books = []
    for factor, as_rule in budgets:
        table = np.array([as_rule.get(i, -1) for i in range(len(rules))], np.int16)
        books.append(_Budget(factor, table, Book(site.rule_infos, site.alerts), Episodes(site.zone.name)))
    source, result = RecordedFile(path, homes, site.metrics, site.profile_names), Replayed()

    def take(findings: FindingBatch, now: int) -> None:
        for budget in books:
            budget.take(findings, homes, now)

    with progress("replay", path.stat().st_size, "B") as bar:
        step_through(source, engine, take, bar.update)
    result.note(source, homes)
    lines: dict[float, list[Mapping[str, object]]] = {b.factor: list(b.episodes.lines()) for b in books}
    result.lines = [dict(line) for line in lines[1.0]]
    return result, lines


def _at(rule: Rule, factor: float) -> Rule:
    condition = rule.condition
    assert isinstance(condition, Evidence)
    changed = condition.model_copy(update={
        "one_false_alarm_in": int(condition.one_false_alarm_in * factor),
        "power_alone_false_alarm_in": int(condition.power_alone_false_alarm_in * factor),
    })  # fmt: skip
    return rule.model_copy(update={"name": f"{rule.name}@{factor:g}", "condition": changed})


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
