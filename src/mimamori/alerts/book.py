"""The alert book: findings, commands and the passing of time become events; alerts are what the events add up to.

May import model and the pure parts beside it. No I/O, no clock: `now` comes with the tick. It never resolves an alert
because data stopped: UNKNOWN leaves a note and nothing else.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Literal

import numpy as np

from mimamori.alerts.escalate import Due, next_due, next_step, quiet
from mimamori.alerts.fold import fold
from mimamori.alerts.obey import obey
from mimamori.alerts.policy import RANK, AlertContent, Policy
from mimamori.model.alert import Alert, AlertEvent, Category, Priority
from mimamori.model.commands import Command
from mimamori.model.findings import FindingBatch, Level, Verdict
from mimamori.model.homes import Homes
from mimamori.model.times import NEVER, format_duration, iso, iso_or_none, to_datetime

WARD = "ward"
"""The household of alerts that the service raises about itself, and of those about many homes at once."""
LISTED = 60  # households that a sentence lists by code; `evidence["homes"]` holds all
PRIORITY_OF: Mapping[int, Priority] = {Level.LOW: "low", Level.MEDIUM: "medium", Level.HIGH: "high"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleInfo:
    """What the book must know of a rule. Its index in the sequence given to `Book` is the index in findings.

    explain: (facts by name, since, at) -> the sentence for people (ja, en). facts: names of the columns used.
    clears: "itself" when the end of the condition may close the alert, "person" when only a person may.
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


@dataclass(frozen=True, slots=True)
class _Seen:
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


class Book:
    """All alerts that matter now: one live alert for a household, rule and device; closed ones for `keep_closed`.

    State is the fold of the events handed out, always: what `apply` and `command` return is all there is to store.
    """

    def __init__(
        self,
        rules: Sequence[RuleInfo],
        content: AlertContent,
        *,
        places: Mapping[str, str] | None = None,
        askable: Mapping[str, str] | None = None,
    ) -> None:
        """places: the code by which messages name a household; its id where there is none.

        askable: telephone by household, where the resident can be asked first.
        """
        self.askable = {} if askable is None else askable
        self.rules = tuple(rules)
        self.content = content
        self.places = {} if places is None else places
        self._clears = {r.name: r.clears for r in rules}
        self._alerts: dict[str, Alert] = {}
        self._newest: dict[tuple[str, str, str], str] = {}
        self._due: list[tuple[int, str]] = []  # heap; an entry that no longer agrees with its alert is skipped

    def alerts(self) -> tuple[Alert, ...]:
        """Every alert in memory, in order of opening."""
        return tuple(sorted(self._alerts.values(), key=lambda a: (a.opened, a.id)))

    def alert(self, key: str) -> Alert | None:
        """The alert with this id, None if there is none in memory."""
        return self._alerts.get(key)

    def placed(self, alert: Alert) -> Alert:
        """The alert as messages speak of it: its household by the code that staff know."""
        ja = self.content.texts.language == "ja"
        if alert.household == WARD and "homes" in alert.evidence:
            return replace(alert, household=alert.device or ("全域" if ja else "all areas"))
        if alert.household == WARD:
            return replace(alert, household="当番表" if ja else "roster")
        return replace(alert, household=self.places.get(alert.household, alert.household))

    def policy(self, alert: Alert) -> Policy:
        """The policy that holds for an alert."""
        return self.content.policies[alert.priority, alert.category]

    def clears_itself(self, alert: Alert) -> bool:
        """Whether the end of the condition may close it; a rule that is no longer there leaves it to a person."""
        return self._clears.get(alert.rule, "person") == "itself"

    def holder(self, alert: Alert) -> Alert | None:
        """The newest alert of the same household, rule and device."""
        return self._alerts.get(self._newest.get((alert.household, alert.rule, alert.device), ""))

    def restore(self, events: Iterable[AlertEvent]) -> None:
        """Takes in stored events, oldest first, without causing any: those of all alerts open or closed for less than
        `keep_closed`. Raises ValueError if an alert's events do not begin with "opened".
        """
        for event in events:
            self._add(event)
        self._due = []
        for alert in self._alerts.values():
            self._schedule(alert)

    def apply(self, findings: FindingBatch, homes: Homes, now: int) -> list[AlertEvent]:
        """Events caused by findings, then by what fell due at or before `now`, in that order."""
        events: list[AlertEvent] = []
        self._take_in(findings, homes, range(len(findings)), events)
        while self._due and self._due[0][0] <= now:
            at, key = heapq.heappop(self._due)
            alert = self._alerts.get(key)
            due = self._next(alert) if alert else None
            if alert and due and due.at == at:
                self._fire(alert, due, events, now)
        return events

    def repair(self, current: FindingBatch, homes: Homes) -> list[AlertEvent]:
        """Events that were found but not stored before a restart; none if the book agrees with the engine's picture.

        current: every verdict, as the engine that has caught up tells it. What a person closed stays closed, and
        UNKNOWN says nothing.
        """
        events: list[AlertEvent] = []
        live = [homes.find(a.household) for a in self._alerts.values() if a.state != "resolved"]
        ended = (current.verdict == Verdict.CLEAR) & np.isin(current.home, live)
        rows = np.flatnonzero((current.verdict == Verdict.FIRING) | ended)
        gathers = np.array([bool(r.gathers) for r in self.rules], bool)[current.rule[rows]]
        self._take_in(current, homes, rows[gathers].tolist(), events)
        for i in rows[~gathers].tolist():
            seen = self._seen(current, homes, i)
            alert = self._alerts.get(self._newest.get((seen.household, seen.rule.name, seen.device), ""))
            closed = alert is not None and alert.state == "resolved" and alert.outcome != "ended"
            if closed and seen.verdict is Verdict.FIRING and alert is not None and seen.since == alert.since:
                continue
            self._find(seen, events)
        return events

    def report(self, rule: RuleInfo, device: str, level: Level, since: int, now: int) -> list[AlertEvent]:
        """Events of something the service finds about itself (level NONE: it is over), as if a rule had found it."""
        self._clears[rule.name] = rule.clears
        verdict = Verdict.CLEAR if level is Level.NONE else Verdict.FIRING
        events: list[AlertEvent] = []
        self._find(_Seen(WARD, device, rule, verdict, level, since, now, {}, 0.0), events)
        return events

    def command(self, command: Command, now: int) -> list[AlertEvent]:
        """Events of one person's action. Raises CommandError with a text for that person."""
        events: list[AlertEvent] = []
        for event in obey(self, command, now):
            self._take(event, events)
        return events

    # ------------------------------------------------------------------ findings

    def _take_in(self, findings: FindingBatch, homes: Homes, rows: Iterable[int], events: list[AlertEvent]) -> None:
        """Findings one by one; those of a rule that gathers by the place that they share."""
        for (rule, _), part in groupby(rows, lambda i: (int(findings.rule[i]), int(findings.at[i]))):
            if self.rules[rule].gathers:
                self._gather(findings, homes, list(part), events)
                continue
            for i in part:
                self._find(self._seen(findings, homes, i), events)

    def _gather(self, findings: FindingBatch, homes: Homes, rows: list[int], events: list[AlertEvent]) -> None:
        """One alert a place, whose `evidence["homes"]` lists the households that are hit, as they come and go."""
        rule = self.rules[findings.rule[rows[0]]]
        for place, part in _by_place(rule, findings, homes, rows).items():
            alert = self._alerts.get(self._newest.get((WARD, rule.name, place), ""))
            live = alert is not None and alert.state != "resolved" and alert.returned_at == NEVER
            before = str(alert.evidence.get("homes", "")).split() if alert and live else []
            change = {homes.ids[findings.home[i]]: bool(findings.verdict[i] == Verdict.FIRING) for i in part}
            hit = [h for h in before if change.get(h, True)]
            hit += sorted(h for h, fires in change.items() if fires and h not in hit)
            if hit == before:
                continue
            first = max(part, key=lambda i: (change[homes.ids[findings.home[i]]], -int(findings.since[i])))
            seen = replace(self._seen(findings, homes, first), household=WARD, device=place, homes=tuple(hit))
            if not hit and alert:
                self._clear(alert, seen, events)
                continue
            if not live:
                self._firing(alert, seen, events)
            self._list(seen, before, events)

    def _list(self, seen: _Seen, before: Sequence[str], events: list[AlertEvent]) -> None:
        """A note of which households an alert hits now, where it does not say so yet."""
        alert = self._alerts[self._newest[WARD, seen.rule.name, seen.device]]
        told = self._told(alert.id, "worsened", seen, alert.priority, "")
        if alert.evidence.get("homes") == told.evidence["homes"] or alert.state == "resolved":
            return
        new, back = [h for h in seen.homes if h not in before], [h for h in before if h not in seen.homes]
        words = [f"{what} {' '.join(map(self._place, h))}" for what, h in (("also", new), ("heard again", back)) if h]
        reason = "; ".join([*words, f"{len(seen.homes)} households now"])
        more = {"why_ja": told.why_ja, "why_en": told.why_en}
        self._take(_on(alert, "note", seen.at, reason=reason, evidence=told.evidence, **more), events)

    def _place(self, household: str) -> str:
        return self.places.get(household, household)

    def _seen(self, findings: FindingBatch, homes: Homes, i: int) -> _Seen:
        rule = self.rules[findings.rule[i]]
        device = int(findings.device[i])
        numbers = zip(rule.facts, findings.facts[i], strict=False)
        at, since = int(findings.at[i]), int(findings.since[i])
        return _Seen(
            household=homes.ids[findings.home[i]], device=homes.device_ids[device] if device >= 0 else "", rule=rule,
            verdict=Verdict(findings.verdict[i]), level=int(findings.level[i]), since=at if since == NEVER else since,
            at=at, facts={n: float(v) for n, v in numbers if not math.isnan(v)}, score=float(findings.score[i]),
        )  # fmt: skip

    def _find(self, seen: _Seen, events: list[AlertEvent]) -> None:
        alert = self._alerts.get(self._newest.get((seen.household, seen.rule.name, seen.device), ""))
        if seen.verdict is Verdict.FIRING:
            self._firing(alert, seen, events)
        elif alert is None or alert.state == "resolved" or alert.returned_at != NEVER:
            return
        elif seen.verdict is Verdict.CLEAR:
            self._clear(alert, seen, events)
        elif seen.verdict is Verdict.UNKNOWN:
            self._take(_on(alert, "note", seen.at, reason=f"no data since {self._local(seen.at)}"), events)

    def _firing(self, alert: Alert | None, seen: _Seen, events: list[AlertEvent]) -> None:
        priority = PRIORITY_OF.get(seen.level, "low")
        if alert is None:
            self._open(seen, priority, events)
        elif alert.state == "resolved" and alert.outcome != "ended":
            self._after_close(alert, seen, priority, events)
        elif alert.state == "resolved" or alert.returned_at != NEVER:
            self._come_back(alert, seen, priority, events)
        else:
            self._change(alert, seen, priority, events)

    def _change(self, alert: Alert, seen: _Seen, priority: Priority, events: list[AlertEvent]) -> None:
        if RANK[priority] > RANK[alert.priority]:
            reason = f"{alert.priority} became {priority}"
            self._take(self._told(alert.id, "worsened", seen, priority, reason), events)
        elif RANK[priority] < RANK[alert.priority]:
            # People were called for the higher one: it stays until they or a sign of life end it.
            reason = f"now {priority}; stays {alert.priority}, as people were told"
            self._take(_on(alert, "eased", seen.at, reason=reason, since=seen.since), events)

    def _after_close(self, alert: Alert, seen: _Seen, priority: Priority, events: list[AlertEvent]) -> None:
        """A person closed it. The same episode (same beginning, no higher) is not opened again against them."""
        if seen.since == alert.since and RANK[priority] <= RANK[alert.priority]:
            reason = f"the condition goes on; closed as {alert.outcome}"
            self._take(_on(alert, "note", seen.at, reason=reason), events)
        else:
            self._open(seen, priority, events)

    def _come_back(self, alert: Alert, seen: _Seen, priority: Priority, events: list[AlertEvent]) -> None:
        """It had ended by itself: soon again is the same alert, later is another one."""
        ended = alert.returned_at if alert.returned_at != NEVER else alert.resolved_at
        if seen.at - ended <= self.content.limits.same_again_within:
            reason = f"again after {format_duration(seen.at - ended)}"
            self._take(_on(alert, "reopened", seen.at, reason=reason), events)
            self._change(self._alerts[alert.id], seen, priority, events)
            return
        if alert.state != "resolved":
            reason = "the condition came back: a new alert takes its place"
            self._take(_on(alert, "resolved", seen.at, reason=reason, outcome="ended"), events)
        self._open(seen, priority, events)

    def _clear(self, alert: Alert, seen: _Seen, events: list[AlertEvent]) -> None:
        self._take(_on(alert, "returned", seen.at, reason="the condition ended"), events)
        minor = alert.category == "technical" or alert.priority == "low"
        if self.clears_itself(alert) and (minor or alert.state == "acknowledged"):
            reason = "ended by itself" if minor else f"ended after {alert.owner} had taken it"
            self._take(_on(alert, "resolved", seen.at, reason=reason, outcome="ended"), events)

    def _open(self, seen: _Seen, priority: Priority, events: list[AlertEvent]) -> None:
        key = "/".join((seen.household, seen.rule.name, *([seen.device] if seen.device else []), _compact(seen.at)))
        alert = self._alerts.get(key)
        if alert:  # closed and firing again within one second
            self._take(_on(alert, "reopened", seen.at, reason="again in the same second"), events)
            self._change(self._alerts[key], seen, priority, events)
            return
        self._take(self._told(key, "opened", seen, priority, "the rule fired"), events)
        self._ask(key, seen.at, events)

    def _ask(self, key: str, at: int, events: list[AlertEvent]) -> None:
        """Ask the resident first, where the policy wants it and the home has a telephone."""
        alert = self._alerts[key]
        policy = self.policy(alert)
        asks = policy.ask if alert.category == "resident" and alert.household in self.askable else None
        if asks is None or quiet(at, policy, self.content.roster.zone):
            return
        reason = f"the resident is asked first, for {format_duration(asks.within)}"
        self._take(_on(alert, "asked", at, by="policy", reason=reason, until=at + asks.within), events)

    def unreached(self, key: str, reason: str, now: int) -> list[AlertEvent]:
        """Nobody can be reached as things stand: the resident is asked again, or the next people are told at once."""
        alert = self._alerts.get(key)
        if alert is None or alert.state != "open" or alert.returned_at != NEVER or alert.shelved_until != NEVER:
            return []
        events: list[AlertEvent] = []
        policy = self.policy(alert)
        if alert.step < 0 and policy.ask and alert.asks < policy.ask.tries and now < alert.asked_until:
            again = f"asked again: {reason}"
            self._take(_on(alert, "asked", now, by="policy", reason=again, until=alert.asked_until), events)
        else:
            following = next_step(alert, policy, self.content.roster.zone)
            if following:
                self._take(_on(alert, "escalated", now, by="policy", reason=reason, step=following.step), events)
        return events

    def _told(
        self, key: str, kind: Literal["opened", "worsened"], seen: _Seen, priority: Priority, reason: str
    ) -> AlertEvent:
        rule = seen.rule
        try:
            why_ja, why_en = rule.explain(seen.facts, seen.since, seen.at)
        except Exception as error:  # noqa: BLE001 - an alert must not be lost because its sentence failed
            why_ja, why_en = rule.title_ja, rule.title_en
            reason = f"{reason}; its sentence could not be made ({type(error).__name__})"
        evidence: dict[str, float | str] = {**seen.facts, "score": seen.score}
        if seen.homes:
            count, names = len(seen.homes), [self._place(h) for h in seen.homes[:LISTED]]
            why_ja += f"いま{count}世帯：{'、'.join(names)}{f'、ほか{count - LISTED}' if count > LISTED else ''}"
            why_en += f" Now {count}: {', '.join(names)}{f', +{count - LISTED}' if count > LISTED else ''}"
            evidence["homes"] = " ".join(seen.homes)
        return AlertEvent(
            alert=key, kind=kind, at=seen.at, by="engine", reason=reason, household=seen.household, rule=rule.name,
            device=seen.device, priority=priority, category=rule.category, since=seen.since, title_ja=rule.title_ja,
            title_en=rule.title_en, why_ja=why_ja, why_en=why_en, evidence=evidence,
        )  # fmt: skip

    # ------------------------------------------------------------------ time

    def _fire(self, alert: Alert, due: Due, events: list[AlertEvent], now: int) -> None:
        if due.what == "forget":
            del self._alerts[alert.id]
            place = (alert.household, alert.rule, alert.device)
            if self._newest.get(place) == alert.id:
                del self._newest[place]
        elif due.what in {"ack-expired", "unshelved"}:
            self._take(_on(alert, due.what, now, by="policy", reason=due.reason), events)
        else:
            self._take(_on(alert, "escalated", now, by="policy", reason=due.reason, step=due.step), events)

    def _take(self, event: AlertEvent, events: list[AlertEvent]) -> None:
        self._schedule(self._add(event))
        events.append(event)

    def _add(self, event: AlertEvent) -> Alert:
        alert = self._alerts[event.alert] = fold(self._alerts.get(event.alert), event)
        if event.kind == "opened":
            self._newest[event.household, event.rule, event.device] = event.alert
        return alert

    def _schedule(self, alert: Alert) -> None:
        self._push(alert)
        if any(alert.rule == inhibit.while_ for inhibit in self.content.limits.inhibit):
            for other in [a for a in self._alerts.values() if a.household == alert.household and a.id != alert.id]:
                self._push(other)  # what it held back, or holds back from now on

    def _push(self, alert: Alert) -> None:
        due = self._next(alert)
        if due:
            heapq.heappush(self._due, (due.at, alert.id))

    def _next(self, alert: Alert) -> Due | None:
        due = next_due(alert, self.policy(alert), self.content.limits, self.content.roster.zone)
        until, cause = self._inhibited(alert)
        if due is None or due.what != "step" or due.at >= until:
            return due
        return replace(due, at=until, reason=f"watch gap: held back by {cause} until now; {due.reason}")

    def _inhibited(self, alert: Alert) -> tuple[int, str]:
        """(until when it may call nobody, because of which rule); NEVER where nothing holds it."""
        if alert.category != "technical" or alert.state != "open":
            return NEVER, ""
        ends = [
            (cause.opened + inhibit.at_most, cause.rule)
            for inhibit in self.content.limits.inhibit if alert.rule in inhibit.hold
            for cause in self._standing(alert.household, inhibit.while_) if cause.id != alert.id
        ]  # fmt: skip
        return max(ends, default=(NEVER, ""))

    def _standing(self, household: str, rule: str) -> list[Alert]:
        newest = (key for (home, name, _), key in self._newest.items() if home == household and name == rule)
        found = (self._alerts[key] for key in newest if key in self._alerts)
        return [a for a in found if a.state != "resolved" and a.returned_at == NEVER]

    def _local(self, at: int) -> str:
        return to_datetime(at, self.content.roster.content.zone).strftime("%Y-%m-%d %H:%M")


def _on(alert: Alert, kind: Any, at: int, *, by: str = "engine", reason: str, **more: Any) -> AlertEvent:
    """An event of an alert that is there already."""
    return AlertEvent(
        alert=alert.id, kind=kind, at=at, by=by, reason=reason, household=alert.household, rule=alert.rule,
        device=alert.device, priority=alert.priority, category=alert.category, **more,
    )  # fmt: skip


def _by_place(rule: RuleInfo, findings: FindingBatch, homes: Homes, rows: Sequence[int]) -> dict[str, list[int]]:
    """Rows of findings by the district of their household; "" where none is known, or all are one."""
    found: dict[str, list[int]] = {}
    for i in rows:
        index = homes.district_of[findings.home[i]] if rule.gathers == "district" else -1
        found.setdefault(homes.districts[index].replace("/", "-") if index >= 0 else "", []).append(i)
    return found


def _compact(at: int) -> str:
    return to_datetime(at).strftime("%Y%m%dT%H%M%SZ")


def line(alert: Alert, zone: str) -> dict[str, Any]:
    """The alert line: JSON-ready, times ISO 8601 in `zone`.

    `resolved` is when the condition ended by itself, else when a person closed it, else null.
    """
    return {
        "id": alert.id, "household": alert.household, "device": alert.device or None, "rule": alert.rule,
        "category": alert.category, "priority": alert.priority, "opened": iso(alert.opened, zone),
        "resolved": iso_or_none(alert.returned_at if alert.returned_at != NEVER else alert.resolved_at, zone),
        "since": iso(alert.since, zone), "title": alert.title_ja, "title_en": alert.title_en,
        "why": alert.why_ja, "why_en": alert.why_en, "evidence": dict(alert.evidence), "state": alert.state,
        "outcome": alert.outcome,
    }  # fmt: skip
