"""A rule as staff write it, read from an already parsed table, with every mistake collected.

May import model and the conditions that a rule may have: rules.life, rules.measured, rules.equipment; whoever reads
rules finds them all here. One rule a file; the file's name is the rule's name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from mimamori.model.alert import Category, Priority
from mimamori.model.content import Content, ContentError, Text, validate
from mimamori.model.metrics import Metrics
from mimamori.rules.equipment import CutOff, Flapping, Outage, Silent
from mimamori.rules.life import SIGNS, Absent, Away, Count, Evidence, Overdue, Rise, Stay, TimeOfDay, Unexpected
from mimamori.rules.measured import LARGEST, Band, Climate, Cooling, Drift, Usual

__all__ = [
    "SIGNS",
    "Absent",
    "Away",
    "Band",
    "Climate",
    "Condition",
    "Cooling",
    "Count",
    "CutOff",
    "Drift",
    "Evidence",
    "Example",
    "Flapping",
    "Outage",
    "Overdue",
    "Rise",
    "Rule",
    "Silent",
    "Stay",
    "TimeOfDay",
    "Unexpected",
    "Usual",
    "read_rules",
    "watched",
]

Condition = Annotated[
    Evidence
    | Band
    | Usual
    | Away
    | Absent
    | Rise
    | Climate
    | Cooling
    | Count
    | Drift
    | Silent
    | Stay
    | CutOff
    | Outage
    | Overdue
    | Unexpected
    | Flapping,
    Field(discriminator="kind"),
]


class Example(Content):
    """A few readings ("02:00 bed in_bed 1"; "02:00-03:00 every 1m bed heart_rate 60") and the verdicts expected
    ("02:40 firing"). Times are on the wall clock of one invented day, which may run past 24:00; `usual`: the readings
    of each of the `days_before`; `lately`: instead of them, on the last `days_lately` of those days. `absences`:
    "08:00-30:00", declared on the invented day.
    """

    name: str
    days_before: int = Field(default=0, ge=0, le=60)
    usual: tuple[str, ...] = ()
    days_lately: int = Field(default=0, ge=0, le=60)
    lately: tuple[str, ...] = ()
    absences: tuple[str, ...] = ()
    readings: tuple[str, ...]
    expect: tuple[str, ...]


class Rule(Content):
    """One rule: what it is called, why it is there, when it fires, and examples that prove it."""

    name: str
    title: Text
    why: Text
    category: Category
    priority: Priority
    condition: Condition
    bounds: dict[str, tuple[float | str, float | str]] = Field(default_factory=dict)
    example: tuple[Example, ...] = ()


def read_rules(
    tables: Mapping[str, Mapping[str, Any]], metrics: Metrics
) -> tuple[tuple[Rule, ...], list[ContentError]]:
    """Rules sorted by name from parsed tables by file stem, and every mistake found in them."""
    rules: list[Rule] = []
    errors: list[ContentError] = []
    for name, table in sorted(tables.items()):
        file = f"rules/{name}.toml"
        rule, mistakes = validate(Rule, {"name": name, **table}, file)
        errors += [e for e in mistakes if e.key != "name"]
        if rule is not None:
            errors += _cross_check(rule, file, metrics)
            rules.append(rule)
    return tuple(rules), errors + _check_watched(rules, tables)


def watched(rule: Rule, rules: Sequence[Rule]) -> list[Rule]:
    """The rules whose verdicts this one looks at: it says nothing without them."""
    return [r for r in rules if isinstance(rule.condition, Flapping) and r.name in rule.condition.of]


def _check_watched(rules: Sequence[Rule], names: Collection[str]) -> list[ContentError]:
    """Whether what flapping rules look at is there, and is told of devices or of households as they say."""
    errors, kinds = [], {r.name: isinstance(r.condition, Silent) for r in rules}
    for rule in rules:
        if not isinstance(condition := rule.condition, Flapping):
            continue
        file = f"rules/{rule.name}.toml"
        for name in condition.of:
            if name not in names:
                known = ", ".join(sorted(kinds))
                errors.append(ContentError(file, "condition.of", f'no rule is called "{name}"', f"known: {known}"))
            elif name in kinds and kinds[name] != (condition.each == "device"):
                reason = f'"{name}" is not told of each {condition.each}'
                mend = 'devices are told of by kind = "silent" alone; all else is of the home'
                errors.append(ContentError(file, "condition.of", reason, mend))
    return errors


def _cross_check(rule: Rule, file: str, metrics: Metrics) -> Sequence[ContentError]:
    found = []
    if isinstance(rule.condition, Evidence) and not rule.name.startswith("inactivity"):
        found.append(
            ContentError(file, "condition.kind", "a rule about lack of activity must be named inactivity...",
                         f"rename the file to inactivity-{rule.name}.toml")
        )  # fmt: skip
    if isinstance(rule.condition, Band | Drift) and rule.condition.metric not in metrics:
        found.append(
            ContentError(file, "condition.metric", f'no profile and no base metric is called "{rule.condition.metric}"',
                         "use a metric of sensors/README.md")
        )  # fmt: skip
    if isinstance(rule.condition, Drift) and rule.condition.metric in metrics:
        metric = metrics[metrics.index(rule.condition.metric)]
        if metric.nature not in {"level", "state"} or max(-metric.low, metric.high) > LARGEST:
            found.append(
                ContentError(file, "condition.metric", f'"{metric.name}" has no mean over a day that could drift',
                             "use a level or a state, such as in_bed, heart_rate or power")
            )  # fmt: skip
    words = {line.rsplit(" ", 1)[-1] for e in rule.example for line in e.expect}
    if "firing" not in words or not words & {"clear", "pending", "unknown"}:
        found.append(
            ContentError(file, "example", "needs one example that fires and one that does not",
                         'add [[example]] with expect = ["02:40 firing"], and another with "... clear"')
        )  # fmt: skip
    return found
