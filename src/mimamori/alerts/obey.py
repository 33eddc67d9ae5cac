"""What people ask of the book, checked and turned into events.

May import model and the pure parts beside it; knows the book only through the questions of `Known`.
"""

from __future__ import annotations

from typing import Any, Protocol, get_args

from mimamori.alerts.escalate import next_step
from mimamori.alerts.policy import AlertContent, Policy
from mimamori.model.alert import Alert, AlertEvent, Outcome
from mimamori.model.commands import Command, CommandError
from mimamori.model.times import NEVER, format_duration


class Known(Protocol):
    """What `obey` asks the book."""

    content: AlertContent

    def alert(self, key: str) -> Alert | None: ...
    def holder(self, alert: Alert) -> Alert | None: ...
    def policy(self, alert: Alert) -> Policy: ...
    def clears_itself(self, alert: Alert) -> bool: ...


def obey(book: Known, command: Command, now: int) -> list[AlertEvent]:
    """The events of one command. Raises CommandError, with the mend, when it cannot be carried out."""
    alert = book.alert(command.alert)
    if alert is None:
        msg = f"there is no alert {command.alert}; it may have been closed long ago, see the list of alerts"
        raise CommandError(msg)
    if alert.state == "resolved" and command.action not in {"note", "reopen", "help"}:
        msg = f"{alert.id} is closed as {alert.outcome}; reopen it first"
        raise CommandError(msg)
    return _ACTIONS[command.action](book, alert, command, now)


def _event(alert: Alert, command: Command, kind: Any, reason: str, at: int, **more: Any) -> AlertEvent:
    return AlertEvent(
        alert=alert.id, kind=kind, at=at, by=command.by, reason=command.text or reason, household=alert.household,
        rule=alert.rule, device=alert.device, priority=alert.priority, category=alert.category, **more,
    )  # fmt: skip


def _acknowledge(book: Known, alert: Alert, command: Command, now: int) -> list[AlertEvent]:
    until = command.until if command.until != NEVER else now + book.policy(alert).acknowledged_for
    if until <= now:
        msg = "the acknowledgement would end before it begins; give a time in the future"
        raise CommandError(msg)
    events = [_event(alert, command, "acknowledged", f"taken by {command.by}", now, until=until)]
    if alert.returned_at != NEVER and book.clears_itself(alert):
        events.append(_event(alert, command, "resolved", "seen after it had ended", now, outcome="ended"))
    return events


def _release(book: Known, alert: Alert, command: Command, now: int) -> list[AlertEvent]:
    """Gives back what was taken; what nobody has taken goes to the next person at once."""
    if alert.state == "acknowledged":
        return [_event(alert, command, "ack-expired", f"given back by {command.by}", now)]
    if alert.returned_at != NEVER or alert.shelved_until != NEVER:
        msg = f"{alert.id} is calling nobody at present; acknowledge or resolve it"
        raise CommandError(msg)
    following = next_step(alert, book.policy(alert), book.content.roster.zone)
    step = following.step if following else 0
    return [_event(alert, command, "escalated", f"passed on by {command.by}", now, step=step)]


def _note(_: Known, alert: Alert, command: Command, now: int) -> list[AlertEvent]:
    if not command.text.strip():
        msg = "the note is empty; write what you saw or did"
        raise CommandError(msg)
    return [_event(alert, command, "note", "", now)]


def _resolve(_: Known, alert: Alert, command: Command, now: int) -> list[AlertEvent]:
    if command.outcome is None or command.outcome == "ended":
        known = ", ".join(o for o in get_args(Outcome) if o != "ended")
        msg = f"say how it ended: {known}"
        raise CommandError(msg)
    reason = f"closed by {command.by} as {command.outcome}"
    return [_event(alert, command, "resolved", reason, now, outcome=command.outcome)]


def _reopen(book: Known, alert: Alert, command: Command, now: int) -> list[AlertEvent]:
    if alert.state != "resolved":
        msg = f"{alert.id} is not closed; acknowledge it instead"
        raise CommandError(msg)
    holder = book.holder(alert)
    if holder and holder.id != alert.id:
        msg = f"a newer alert took its place; use {holder.id}"
        raise CommandError(msg)
    return [_event(alert, command, "reopened", f"reopened by {command.by}", now)]


def _shelve(book: Known, alert: Alert, command: Command, now: int) -> list[AlertEvent]:
    longest = book.policy(alert).shelve_at_most
    until = command.until if command.until != NEVER else now + longest
    if not now < until <= now + longest:
        msg = f"a {alert.priority} alert can be shelved for {format_duration(longest)} at most, and not into the past"
        raise CommandError(msg)
    return [_event(alert, command, "shelved", f"shelved by {command.by}", now, until=until)]


def _well(_: Known, alert: Alert, command: Command, now: int) -> list[AlertEvent]:
    """The resident says so: nobody else is called; it stays on the console until a person has looked."""
    if alert.returned_at != NEVER:
        msg = f"{alert.id} has ended already"
        raise CommandError(msg)
    reason = "the resident answered the telephone: well"
    return [_event(alert, command, "returned", reason, now)]


def _help(_: Known, alert: Alert, command: Command, now: int) -> list[AlertEvent]:
    """The resident asks for help: staff at once, from the first step on."""
    if alert.state == "acknowledged":
        return [_event(alert, command, "note", "the resident asked for help by telephone", now)]
    reason = "the resident asked for help by telephone"
    over = alert.state == "resolved" or alert.returned_at != NEVER or alert.shelved_until != NEVER
    events = [_event(alert, command, "reopened", reason, now)] if over else []
    return [*events, _event(alert, command, "escalated", reason, now, step=0 if over else max(alert.step, 0))]


_ACTIONS = {
    "acknowledge": _acknowledge, "release": _release, "note": _note, "resolve": _resolve, "reopen": _reopen,
    "shelve": _shelve, "well": _well, "help": _help,
}  # fmt: skip
