"""An alert as the fold of its events: the only place where an event changes what an alert is.

May import model only. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from mimamori.model.alert import Alert, AlertEvent
from mimamori.model.times import NEVER


def fold(alert: Alert | None, event: AlertEvent) -> Alert:
    """The alert after one more event. Raises ValueError if the first event of an alert is not "opened"."""
    if event.kind == "opened":
        return _opened(event)
    if alert is None:
        msg = f'the events of {event.alert} begin with "{event.kind}", not with "opened"'
        raise ValueError(msg)
    return replace(alert, last_at=event.at, **_changes(alert, event))


def fold_all(events: Iterable[AlertEvent]) -> dict[str, Alert]:
    """Every alert of a log of events, by id."""
    alerts: dict[str, Alert] = {}
    for event in events:
        alerts[event.alert] = fold(alerts.get(event.alert), event)
    return alerts


def _opened(event: AlertEvent) -> Alert:
    return Alert(
        id=event.alert, household=event.household, rule=event.rule, device=event.device, priority=event.priority,
        category=event.category, state="open", opened=event.at, since=event.since, title_ja=event.title_ja,
        title_en=event.title_en, why_ja=event.why_ja, why_en=event.why_en, evidence=event.evidence,
        step_at=event.at, last_at=event.at,
    )  # fmt: skip


def _again(alert: Alert, event: AlertEvent) -> dict[str, Any]:
    """Open, owned by nobody, and the steps begin anew."""
    return {
        "state": "open", "owner": "", "acknowledged_at": NEVER, "ack_until": NEVER, "shelved_until": NEVER,
        "step": -1, "round": alert.round + 1, "step_at": event.at, "asked_until": NEVER,
    }  # fmt: skip


def _changes(alert: Alert, event: AlertEvent) -> dict[str, Any]:  # noqa: C901, PLR0911 - a table
    match event.kind:
        case "worsened":
            return _again(alert, event) | {
                "priority": event.priority, "since": event.since, "why_ja": event.why_ja, "why_en": event.why_en,
                "evidence": event.evidence,
            }  # fmt: skip
        case "acknowledged":
            return {
                "state": "acknowledged", "owner": event.by, "acknowledged_at": event.at, "ack_until": event.until,
                "shelved_until": NEVER,
            }  # fmt: skip
        case "ack-expired":
            return _again(alert, event)
        case "escalated":
            return {
                "step": event.step, "step_at": event.at,
                "round": alert.round + (1 if event.step <= alert.step else 0),
            }  # fmt: skip
        case "returned":
            return {"returned_at": event.at}
        case "resolved":
            return {"state": "resolved", "resolved_at": event.at, "outcome": event.outcome, "shelved_until": NEVER}
        case "reopened":
            return _again(alert, event) | {"returned_at": NEVER, "resolved_at": NEVER, "outcome": None}
        case "asked":
            return {"asked_until": event.until, "asks": alert.asks + 1}
        case "shelved":
            return {"shelved_until": event.until}
        case "unshelved":
            return _again(alert, event) if alert.state == "open" else {"shelved_until": NEVER}
        case "note" if event.evidence:  # who else is hit, who is heard again
            return {"why_ja": event.why_ja, "why_en": event.why_en, "evidence": event.evidence}
        case _:  # eased, note: on the record, the alert stays what people were told
            return {}
