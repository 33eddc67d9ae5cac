"""What a rule found, in ids and words, and the events that tell of it.

May import model. Pure: the sentence is made from the numbers that the rule used, and from nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mimamori.model.alert import Alert, AlertEvent, Category, Priority
from mimamori.model.findings import FindingBatch, Level, Verdict
from mimamori.model.homes import Homes
from mimamori.model.times import NEVER

WARD = "ward"
"""The household of alerts that the service raises about itself, and of those about many homes at once."""
LISTED = 60  # households that a sentence lists by code; `evidence["homes"]` holds all
PRIORITY_OF: Mapping[int, Priority] = {Level.LOW: "low", Level.MEDIUM: "medium", Level.HIGH: "high"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleInfo:
    """What the book must know of a rule. Its index in the sequence given to `Book` is the index in findings.

    explain: (facts by name, since, at) -> the sentence for people (ja, en). facts: names of the columns used.
    clears: "itself" when the end of the condition may close the alert, "person" when only a person may.
    steadies: rules of which, while this one stands in a household, a technical alert that comes back is the same alert.
    gathers: one alert for all households that it hits, in a district or at all, instead of one a household.
    """

    name: str
    category: Category
    title_ja: str
    title_en: str
    explain: Callable[[Mapping[str, float], int, int], tuple[str, str]]
    facts: tuple[str, ...]
    clears: Literal["itself", "person"]
    gathers: Literal["", "district", "everybody"] = ""
    steadies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """One row of a FindingBatch in ids and words."""

    household: str
    device: str
    rule: RuleInfo
    verdict: Verdict
    level: int
    since: int
    at: int
    facts: Mapping[str, float]
    score: float
    homes: tuple[str, ...] = ()  # of a rule that gathers


def seen_in(findings: FindingBatch, homes: Homes, i: int, rules: Sequence[RuleInfo]) -> Seen:
    """Row `i` of the findings; facts that are NaN are left out."""
    rule = rules[findings.rule[i]]
    device = int(findings.device[i])
    numbers = zip(rule.facts, findings.facts[i], strict=False)
    at, since = int(findings.at[i]), int(findings.since[i])
    return Seen(
        household=homes.ids[findings.home[i]], device=homes.device_ids[device] if device >= 0 else "", rule=rule,
        verdict=Verdict(findings.verdict[i]), level=int(findings.level[i]), since=at if since == NEVER else since,
        at=at, facts={n: float(v) for n, v in numbers if not math.isnan(v)}, score=float(findings.score[i]),
    )  # fmt: skip


def told(
    key: str,
    kind: Literal["opened", "worsened"],
    seen: Seen,
    priority: Priority,
    *,
    reason: str,
    places: Mapping[str, str],
) -> AlertEvent:
    """An alert that opens or worsens, with its sentence; places: the code by which staff know a household."""
    rule = seen.rule
    try:
        why_ja, why_en = rule.explain(seen.facts, seen.since, seen.at)
    except Exception as error:  # noqa: BLE001 - an alert must not be lost because its sentence failed
        why_ja, why_en = rule.title_ja, rule.title_en
        reason = f"{reason}; its sentence could not be made ({type(error).__name__})"
    evidence: dict[str, float | str] = {**seen.facts, "score": seen.score}
    if seen.homes:
        count, names = len(seen.homes), [places.get(h, h) for h in seen.homes[:LISTED]]
        why_ja += f"いま{count}世帯：{'、'.join(names)}{f'、ほか{count - LISTED}' if count > LISTED else ''}"
        why_en += f" Now {count}: {', '.join(names)}{f', +{count - LISTED}' if count > LISTED else ''}"
        evidence["homes"] = " ".join(seen.homes)
    return AlertEvent(
        alert=key, kind=kind, at=seen.at, by="engine", reason=reason, household=seen.household, rule=rule.name,
        device=seen.device, priority=priority, category=rule.category, since=seen.since, title_ja=rule.title_ja,
        title_en=rule.title_en, why_ja=why_ja, why_en=why_en, evidence=evidence,
    )  # fmt: skip


def follows(alert: Alert, kind: Any, at: int, *, by: str = "engine", reason: str, **more: Any) -> AlertEvent:
    """An event of an alert that is there already."""
    return AlertEvent(
        alert=alert.id, kind=kind, at=at, by=by, reason=reason, household=alert.household, rule=alert.rule,
        device=alert.device, priority=alert.priority, category=alert.category, **more,
    )  # fmt: skip


def by_place(rule: RuleInfo, findings: FindingBatch, homes: Homes, rows: Sequence[int]) -> dict[str, list[int]]:
    """Rows of findings by the district of their household; "" where none is known, or all are one."""
    found: dict[str, list[int]] = {}
    for i in rows:
        index = homes.district_of[findings.home[i]] if rule.gathers == "district" else -1
        found.setdefault(homes.districts[index].replace("/", "-") if index >= 0 else "", []).append(i)
    return found
