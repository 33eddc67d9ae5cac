"""The alerts that matter now, the newest of each household, rule and device, and what falls due for whom.

May import model and the pure parts beside it. A district that loses its power has thousands of alerts at once, so
nothing here goes through all of them for one.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import replace

from mimamori.alerts.escalate import Due, next_due
from mimamori.alerts.fold import fold
from mimamori.alerts.policy import AlertContent, Policy
from mimamori.model.alert import Alert, AlertEvent
from mimamori.model.times import NEVER


class Memory:
    """Folded alerts by id. State is the fold of the events taken in, always."""

    def __init__(self, content: AlertContent) -> None:
        self.content = content
        self.alerts: dict[str, Alert] = {}
        self._of_home: dict[str, set[str]] = {}  # ids
        self._newest: dict[str, dict[tuple[str, str], str]] = {}  # household -> (rule, device) -> id
        self._due: list[tuple[int, str]] = []  # heap; an entry that no longer agrees with its alert is skipped

    def newest(self, household: str, rule: str, device: str) -> Alert | None:
        """The alert that was opened last; None if there is none in memory."""
        return self.alerts.get(self._newest.get(household, {}).get((rule, device), ""))

    def households(self) -> Iterable[str]:
        """Those of which there is an alert in memory, the ward among them."""
        return self._of_home.keys()

    def policy(self, alert: Alert) -> Policy:
        """The policy that holds for an alert."""
        return self.content.policies[alert.priority, alert.category]

    def take(self, event: AlertEvent) -> None:
        """One more event; what is due next is worked out anew."""
        self._schedule(self._add(event))

    def restore(self, events: Iterable[AlertEvent]) -> None:
        """Many events, oldest first. Raises ValueError if an alert's events do not begin with "opened"."""
        for event in events:
            self._add(event)
        self._due = []
        for alert in self.alerts.values():
            self._schedule(alert)

    def pop_due(self, now: int) -> tuple[Alert, Due] | None:
        """The next that fell due at or before `now`, once; None if nothing did."""
        while self._due and self._due[0][0] <= now:
            at, key = heapq.heappop(self._due)
            alert = self.alerts.get(key)
            due = self._next(alert) if alert else None
            if alert and due and due.at == at:
                return alert, due
        return None

    def forget(self, alert: Alert) -> None:
        """It was closed long ago."""
        del self.alerts[alert.id]
        self._of_home[alert.household].discard(alert.id)
        newest = self._newest[alert.household]
        if newest.get((alert.rule, alert.device)) == alert.id:
            del newest[alert.rule, alert.device]
        if not self._of_home[alert.household]:
            del self._of_home[alert.household], self._newest[alert.household]

    def _add(self, event: AlertEvent) -> Alert:
        alert = self.alerts[event.alert] = fold(self.alerts.get(event.alert), event)
        if event.kind == "opened":
            self._newest.setdefault(event.household, {})[event.rule, event.device] = event.alert
            self._of_home.setdefault(event.household, set()).add(event.alert)
        return alert

    def _schedule(self, alert: Alert) -> None:
        self._push(alert)
        if any(alert.rule == inhibit.while_ for inhibit in self.content.limits.inhibit):
            for key in self._of_home[alert.household] - {alert.id}:
                self._push(self.alerts[key])  # what it held back, or holds back from now on

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
            for cause in self.standing(alert.household, inhibit.while_) if cause.id != alert.id
        ]  # fmt: skip
        return max(ends, default=(NEVER, ""))

    def standing(self, household: str, rule: str) -> list[Alert]:
        """The alerts of this rule in a household that are not over."""
        newest = (key for (name, _), key in self._newest.get(household, {}).items() if name == rule)
        found = (self.alerts[key] for key in newest if key in self.alerts)
        return [a for a in found if a.state != "resolved" and a.returned_at == NEVER]
