"""The alert book: findings, commands and the passing of time become events; alerts are what the events add up to.

May import model and the pure parts beside it. No I/O, no clock: `now` comes with the tick. It never resolves an alert
because data stopped: UNKNOWN leaves a note and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np

from mimamori.alerts.escalate import Due, next_step, quiet
from mimamori.alerts.memory import Memory
from mimamori.alerts.obey import obey
from mimamori.alerts.policy import RANK, AlertContent, Policy
from mimamori.alerts.seen import PRIORITY_OF, WARD, RuleInfo, Seen, by_place, follows, seen_in, told
from mimamori.model.alert import Alert, AlertEvent, Priority
from mimamori.model.commands import Command
from mimamori.model.findings import DECLARED_AWAY, FindingBatch, Level, Verdict
from mimamori.model.homes import Homes
from mimamori.model.times import NEVER, format_duration, to_datetime


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
        self._memory = Memory(content)

    def alerts(self) -> tuple[Alert, ...]:
        """Every alert in memory, in order of opening."""
        return tuple(sorted(self._memory.alerts.values(), key=lambda a: (a.opened, a.id)))

    def alert(self, key: str) -> Alert | None:
        """The alert with this id, None if there is none in memory."""
        return self._memory.alerts.get(key)

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
        return self._memory.policy(alert)

    def clears_itself(self, alert: Alert) -> bool:
        """Whether the end of the condition may close it; a rule that is no longer there leaves it to a person."""
        return self._clears.get(alert.rule, "person") == "itself"

    def holder(self, alert: Alert) -> Alert | None:
        """The newest alert of the same household, rule and device."""
        return self._memory.newest(alert.household, alert.rule, alert.device)

    def restore(self, events: Iterable[AlertEvent]) -> None:
        """Takes in stored events, oldest first, without causing any: those of all alerts open or closed for less than
        `keep_closed`. Raises ValueError if an alert's events do not begin with "opened".
        """
        self._memory.restore(events)

    def apply(self, findings: FindingBatch, homes: Homes, now: int) -> list[AlertEvent]:
        """Events caused by findings, then by what fell due at or before `now`, in that order."""
        events: list[AlertEvent] = []
        self._take_in(findings, homes, self._telling(findings, homes), events)
        while due := self._memory.pop_due(now):
            self._fire(*due, events, now)
        return events

    def repair(self, current: FindingBatch, homes: Homes) -> list[AlertEvent]:
        """Events that were found but not stored before a restart; none if the book agrees with the engine's picture.

        current: every verdict, as the engine that has caught up tells it. What a person closed stays closed, and
        UNKNOWN says nothing.
        """
        events: list[AlertEvent] = []
        live = [homes.find(a.household) for a in self._memory.alerts.values() if a.state != "resolved"]
        ended = (current.verdict == Verdict.CLEAR) & np.isin(current.home, live)
        rows = np.flatnonzero((current.verdict == Verdict.FIRING) | ended)
        gathers = np.array([bool(r.gathers) for r in self.rules], bool)[current.rule[rows]]
        self._take_in(current, homes, rows[gathers].tolist(), events)
        for i in rows[~gathers].tolist():
            seen = seen_in(current, homes, i, self.rules)
            alert = self._memory.newest(seen.household, seen.rule.name, seen.device)
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
        self._find(Seen(WARD, device, rule, verdict, level, since, now, {}, 0.0), events)
        return events

    def command(self, command: Command, now: int) -> list[AlertEvent]:
        """Events of one person's action. Raises CommandError with a text for that person."""
        events: list[AlertEvent] = []
        for event in obey(self, command, now):
            self._take(event, events)
        return events

    # ------------------------------------------------------------------ findings

    def _telling(self, findings: FindingBatch, homes: Homes) -> list[int]:
        """Rows that can cause an event: where nothing fires and no alert is known, nothing ends.

        When the rules have learned enough of a whole town, a minute has hundreds of thousands of the others.
        """
        if not len(findings):
            return []
        fires = findings.verdict == Verdict.FIRING
        known = np.zeros(max(len(homes), int(findings.home.max()) + 1), bool)
        known[[row for row in map(homes.find, self._memory.households()) if row >= 0]] = True
        known[findings.home[fires]] = True
        gathers = np.array([bool(rule.gathers) for rule in self.rules], bool)
        rows: list[int] = np.flatnonzero(fires | known[findings.home] | gathers[findings.rule]).tolist()
        return rows

    def _take_in(self, findings: FindingBatch, homes: Homes, rows: Iterable[int], events: list[AlertEvent]) -> None:
        """Findings one by one; those of a rule that gathers by the place that they share."""
        for (rule, _), part in groupby(rows, lambda i: (int(findings.rule[i]), int(findings.at[i]))):
            if self.rules[rule].gathers:
                self._gather(findings, homes, list(part), events)
                continue
            for i in part:
                self._find(seen_in(findings, homes, i, self.rules), events)

    def _gather(self, findings: FindingBatch, homes: Homes, rows: list[int], events: list[AlertEvent]) -> None:
        """One alert a place, whose `evidence["homes"]` lists the households that are hit, as they come and go."""
        rule = self.rules[findings.rule[rows[0]]]
        for place, part in by_place(rule, findings, homes, rows).items():
            alert = self._memory.newest(WARD, rule.name, place)
            live = alert is not None and alert.state != "resolved" and alert.returned_at == NEVER
            before = str(alert.evidence.get("homes", "")).split() if alert and live else []
            change = {homes.ids[findings.home[i]]: bool(findings.verdict[i] == Verdict.FIRING) for i in part}
            hit = [h for h in before if change.get(h, True)]
            hit += sorted(h for h, fires in change.items() if fires and h not in hit)
            if hit == before:
                continue
            first = max(part, key=lambda i: (change[homes.ids[findings.home[i]]], -int(findings.since[i])))
            seen = replace(seen_in(findings, homes, first, self.rules), household=WARD, device=place, homes=tuple(hit))
            if not hit and alert:
                self._clear(alert, seen, events)
                continue
            if not live:
                self._firing(alert, seen, events)
            self._list(seen, before, events)

    def _list(self, seen: Seen, before: Sequence[str], events: list[AlertEvent]) -> None:
        """A note of which households an alert hits now, where it does not say so yet."""
        alert = self._memory.newest(WARD, seen.rule.name, seen.device)
        assert alert is not None
        event = told(alert.id, "worsened", seen, alert.priority, reason="", places=self.places)
        if alert.evidence.get("homes") == event.evidence["homes"] or alert.state == "resolved":
            return
        new, back = [h for h in seen.homes if h not in before], [h for h in before if h not in seen.homes]
        words = [f"{what} {' '.join(map(self._place, h))}" for what, h in (("also", new), ("heard again", back)) if h]
        reason = "; ".join([*words, f"{len(seen.homes)} households now"])
        more = {"why_ja": event.why_ja, "why_en": event.why_en}
        self._take(follows(alert, "note", seen.at, reason=reason, evidence=event.evidence, **more), events)

    def _place(self, household: str) -> str:
        return self.places.get(household, household)

    def _find(self, seen: Seen, events: list[AlertEvent]) -> None:
        alert = self._memory.newest(seen.household, seen.rule.name, seen.device)
        if seen.verdict is Verdict.FIRING:
            self._firing(alert, seen, events)
        elif alert is None or alert.state == "resolved" or alert.returned_at != NEVER:
            return
        elif seen.verdict is Verdict.CLEAR:
            self._clear(alert, seen, events)
        elif seen.verdict is Verdict.UNKNOWN:
            why = "declared away" if seen.score == DECLARED_AWAY else "no data"
            self._take(follows(alert, "note", seen.at, reason=f"{why} since {self._local(seen.at)}"), events)

    def _firing(self, alert: Alert | None, seen: Seen, events: list[AlertEvent]) -> None:
        priority = PRIORITY_OF.get(seen.level, "low")
        if alert is None:
            self._open(seen, priority, events)
        elif alert.state == "resolved" and alert.outcome != "ended":
            self._after_close(alert, seen, priority, events)
        elif alert.state == "resolved" or alert.returned_at != NEVER:
            self._come_back(alert, seen, priority, events)
        else:
            self._change(alert, seen, priority, events)

    def _change(self, alert: Alert, seen: Seen, priority: Priority, events: list[AlertEvent]) -> None:
        if RANK[priority] > RANK[alert.priority]:
            reason = f"{alert.priority} became {priority}"
            self._take(told(alert.id, "worsened", seen, priority, reason=reason, places=self.places), events)
        elif RANK[priority] < RANK[alert.priority]:
            # People were called for the higher one: it stays until they or a sign of life end it.
            reason = f"now {priority}; stays {alert.priority}, as people were told"
            self._take(follows(alert, "eased", seen.at, reason=reason, since=seen.since), events)

    def _after_close(self, alert: Alert, seen: Seen, priority: Priority, events: list[AlertEvent]) -> None:
        """A person closed it. The same episode (same beginning, no higher) is not opened again against them."""
        if seen.since == alert.since and RANK[priority] <= RANK[alert.priority]:
            reason = f"the condition goes on; closed as {alert.outcome}"
            self._take(follows(alert, "note", seen.at, reason=reason), events)
        else:
            self._open(seen, priority, events)

    def _come_back(self, alert: Alert, seen: Seen, priority: Priority, events: list[AlertEvent]) -> None:
        """It had ended by itself: soon again is the same alert, later is another one."""
        ended = alert.returned_at if alert.returned_at != NEVER else alert.resolved_at
        if seen.at - ended <= self.content.limits.same_again_within or self._flaps(alert):
            reason = f"again after {format_duration(seen.at - ended)}"
            self._take(follows(alert, "reopened", seen.at, reason=reason), events)
            self._change(self._memory.alerts[alert.id], seen, priority, events)
            return
        if alert.state != "resolved":
            reason = "the condition came back: a new alert takes its place"
            self._take(follows(alert, "resolved", seen.at, reason=reason, outcome="ended"), events)
        self._open(seen, priority, events)

    def _flaps(self, alert: Alert) -> bool:
        """Whether it is told already that this technical one comes and goes; all others are new each time."""
        if alert.category != "technical":
            return False
        tellers = [r.name for r in self.rules if alert.rule in r.steadies]
        told = [a for name in tellers for a in self._memory.standing(alert.household, name)]
        return any(a.device in {"", alert.device} for a in told)

    def _clear(self, alert: Alert, seen: Seen, events: list[AlertEvent]) -> None:
        self._take(follows(alert, "returned", seen.at, reason="the condition ended"), events)
        minor = alert.category == "technical" or alert.priority == "low"
        if self.clears_itself(alert) and (minor or alert.state == "acknowledged"):
            reason = "ended by itself" if minor else f"ended after {alert.owner} had taken it"
            self._take(follows(alert, "resolved", seen.at, reason=reason, outcome="ended"), events)

    def _open(self, seen: Seen, priority: Priority, events: list[AlertEvent]) -> None:
        key = "/".join((seen.household, seen.rule.name, *([seen.device] if seen.device else []), _compact(seen.at)))
        alert = self._memory.alerts.get(key)
        if alert:  # closed and firing again within one second
            self._take(follows(alert, "reopened", seen.at, reason="again in the same second"), events)
            self._change(self._memory.alerts[key], seen, priority, events)
            return
        self._take(told(key, "opened", seen, priority, reason="the rule fired", places=self.places), events)
        self._ask(key, seen.at, events)

    def _ask(self, key: str, at: int, events: list[AlertEvent]) -> None:
        """Ask the resident first, where the policy wants it and the home has a telephone."""
        alert = self._memory.alerts[key]
        policy = self.policy(alert)
        asks = policy.ask if alert.category == "resident" and alert.household in self.askable else None
        if asks is None or quiet(at, policy, self.content.roster.zone):
            return
        reason = f"the resident is asked first, for {format_duration(asks.within)}"
        self._take(follows(alert, "asked", at, by="policy", reason=reason, until=at + asks.within), events)

    def unreached(self, key: str, *, reason: str, now: int) -> list[AlertEvent]:
        """Nobody can be reached as things stand: the resident is asked again, or the next people are told at once."""
        alert = self._memory.alerts.get(key)
        if alert is None or alert.state != "open" or alert.returned_at != NEVER or alert.shelved_until != NEVER:
            return []
        events: list[AlertEvent] = []
        policy = self.policy(alert)
        if alert.step < 0 and policy.ask and alert.asks < policy.ask.tries and now < alert.asked_until:
            again = f"asked again: {reason}"
            self._take(follows(alert, "asked", now, by="policy", reason=again, until=alert.asked_until), events)
        else:
            following = next_step(alert, policy, self.content.roster.zone)
            if following:
                self._take(follows(alert, "escalated", now, by="policy", reason=reason, step=following.step), events)
        return events

    # ------------------------------------------------------------------ time

    def _fire(self, alert: Alert, due: Due, events: list[AlertEvent], now: int) -> None:
        if due.what == "forget":
            self._memory.forget(alert)
        elif due.what in {"ack-expired", "unshelved"}:
            self._take(follows(alert, due.what, now, by="policy", reason=due.reason), events)
        else:
            self._take(follows(alert, "escalated", now, by="policy", reason=due.reason, step=due.step), events)

    def _take(self, event: AlertEvent, events: list[AlertEvent]) -> None:
        self._memory.take(event)
        events.append(event)

    def _local(self, at: int) -> str:
        return to_datetime(at, self.content.roster.content.zone).strftime("%Y-%m-%d %H:%M")


def _compact(at: int) -> str:
    return to_datetime(at).strftime("%Y%m%dT%H%M%SZ")
