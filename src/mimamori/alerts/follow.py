"""What to do when a message does not arrive: the person's next channel, else the next person; the resident again.

May import model and the pure parts beside it. Pure value of (what became of the messages, book, people, now).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from mimamori.alerts.book import Book
from mimamori.alerts.group import CALLS
from mimamori.alerts.plan import Person
from mimamori.alerts.text import call_text, voice_text
from mimamori.model.alert import Alert, AlertEvent
from mimamori.model.notice import Channel, Notice, NoticeState
from mimamori.model.times import NEVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """open: channels that have a sender. reporting: those whose delivery is reported. within: ns until it should be."""

    open: AbstractSet[Channel]
    reporting: AbstractSet[Channel]
    within: int


def follow(
    states: Sequence[NoticeState], book: Book, people: Mapping[str, Person], ways: Ways, now: int
) -> tuple[list[Notice], list[AlertEvent]]:
    """(messages over other channels, events of alerts that nobody could be told of as planned).

    states: the calls of open alerts, whatever became of them. Asking again changes nothing: what was done stands in
    `states`, or in the alert, the next time.
    """
    sets: dict[tuple[str, int, str, int], dict[str, list[NoticeState]]] = defaultdict(lambda: defaultdict(list))
    for state in states:
        n = state.notice
        kind: str = "call" if n.kind in CALLS else n.kind
        sets[n.alert, n.step, kind, n.round][n.recipient].append(state)
    notices: list[Notice] = []
    events: list[AlertEvent] = []
    for (key, step, kind, turn), recipients in sets.items():
        alert = book.alert(key)
        if alert is None or alert.state != "open" or alert.returned_at != NEVER or alert.shelved_until != NEVER:
            continue
        if kind == "ask":
            if alert.step < 0 and turn == alert.asks:
                events += _ask(alert, [s for found in recipients.values() for s in found], book, ways, now)
        elif kind == "bundle" or (step, turn) == (alert.step, alert.round):
            placed, lost = _turn(alert, recipients, book, people, ways, now)
            notices += placed
            if lost and kind == "call":
                events += book.unreached(alert.id, reason=f"nobody could be reached: {lost}", now=now)
    return notices, events


def lost(state: NoticeState, ways: Ways, now: int) -> str:
    """Why this message counts as not arrived, "" while it may still come."""
    if state.read_at != NEVER or state.status in {"delivered", "cancelled"}:
        return ""
    if state.status == "failed":
        return state.detail or "failed"
    if state.status == "sent":
        silent = state.notice.channel in ways.reporting and now - state.sent_at >= ways.within
        return "no report of its delivery" if silent else ""
    late = state.tries > 0 and now - state.notice.due >= ways.within
    return state.detail or "the service does not take it" if late else ""


def _ask(alert: Alert, states: Sequence[NoticeState], book: Book, ways: Ways, now: int) -> list[AlertEvent]:
    if any(s.read_at != NEVER for s in states):
        return []
    reasons = [reason for s in states if (reason := "" if s.status == "sent" else lost(s, ways, now))]
    return book.unreached(alert.id, reason=f"the resident did not answer: {reasons[0]}", now=now) if reasons else []


def _turn(  # noqa: PLR0917 - as below
    alert: Alert, recipients: Mapping[str, Sequence[NoticeState]], book: Book, people: Mapping[str, Person],
    ways: Ways, now: int,
) -> tuple[list[Notice], str]:  # fmt: skip
    """(messages over next channels, why nobody of this step can be reached; "" while somebody may be)."""
    placed: list[Notice] = []
    reasons: list[str] = []
    for recipient, states in recipients.items():
        why = [lost(s, ways, now) for s in states]
        if not all(why):
            continue
        new = _next_channel(alert, recipient, states, why[-1], book, people, ways, now)
        if new is None:
            reasons.append(f"{states[-1].notice.channel}: {why[-1]}")
        else:
            placed.append(new)
    return placed, reasons[0] if len(reasons) == len(recipients) else ""


def _next_channel(  # noqa: PLR0917 - one message follows from all of these
    alert: Alert, recipient: str, states: Sequence[NoticeState], why: str, book: Book, people: Mapping[str, Person],
    ways: Ways, now: int,
) -> Notice | None:  # fmt: skip
    person = people.get(recipient)
    tried = {s.notice.channel for s in states}
    before = states[-1].notice
    for channel in book.content.limits.delivery.channels:
        address = person.address(channel) if person else ""
        if channel not in tried and channel in ways.open and address:
            text = words(alert, channel, before, book, now)
            reason = f"{before.channel} did not arrive ({why}): {channel} instead"
            return replace(before, channel=channel, address=address, text=text, due=now, reason=reason)
    return None


def words(alert: Alert, channel: Channel, before: Notice, book: Book, now: int) -> str:
    """The same call in the words of another channel."""
    texts, zone = book.content.texts, book.content.roster.zone
    if before.kind == "bundle":
        return before.text
    if channel == "voice":
        return voice_text(texts, book.placed(alert), zone, now)
    return call_text(texts, before.kind, book.placed(alert), zone, now)  # type: ignore[arg-type]
