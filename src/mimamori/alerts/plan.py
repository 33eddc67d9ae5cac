"""From events to notices: whom to tell now, over which channel, in which words; what no longer needs telling.

May import model and the pure parts beside it. Pure value of (events, book, people, history, now).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mimamori.alerts.book import Book
from mimamori.alerts.group import History, gather, remember
from mimamori.alerts.policy import Step
from mimamori.alerts.text import call_text, console_text, ended_text, taken_text, voice_answer, voice_text
from mimamori.model.alert import Alert, AlertEvent
from mimamori.model.notice import HOME, Channel, Notice, NoticeKind
from mimamori.model.times import NEVER, SECOND

WARD = "ward"
"""Whom the channel `other` reaches: nobody in particular; whoever reads the ward's chat."""
ENGINE = frozenset({"engine", "policy"})
_ASIDE = frozenset({"note", "eased"})
_STOPS = frozenset({"acknowledged", "returned", "resolved", "shelved"})
_SILENT = frozenset({"console", "voice"})  # no telephone rings again only to say that somebody else has it
_Call = Literal["first", "repeat", "escalated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One member of staff. phone in E.164, email; "" where there is none. Neither is ever logged."""

    id: str
    role: str
    phone: str = ""
    email: str = ""

    def address(self, channel: Channel) -> str:
        """Where this channel reaches the person, "" if it cannot."""
        return {"sms": self.phone, "voice": self.phone, "email": self.email}.get(channel, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """notices: for the outbox. cancelled: keys whose sending is no longer wanted; those sent already stay sent.

    unreached: sentences, without names or numbers, on calls that reached nobody. history: for the next plan.
    """

    notices: tuple[Notice, ...] = ()
    cancelled: tuple[str, ...] = ()
    unreached: tuple[str, ...] = ()
    history: History


def plan(events: Sequence[AlertEvent], book: Book, people: Mapping[str, Person], history: History, now: int) -> Plan:
    """Notices of these events, which the book has applied already. Call it at every tick: held ones wait for it."""
    if not events and (history.wake == NEVER or now < history.wake):
        return Plan(history=history)
    drafts: dict[str, Notice] = {}
    cancelled: list[str] = []
    unreached: list[str] = []
    asks: list[Notice] = []
    called = history.calls()
    for event in events:
        alert = book.alert(event.alert)
        if alert is None:
            continue
        told = called.get(alert.id, ())
        change = _Change(event, alert, book, people, told, history.off, now)
        if event.kind not in _ASIDE:  # an older question is not asked any more
            asks = [n for n in asks if n.alert != alert.id]
            cancelled += [n.key for n in history.notices if n.kind == "ask" and n.alert == alert.id]
        if event.kind == "asked":
            asks += _question(event, alert, book, now)
        elif event.kind == "escalated":
            calls, silent = change.calls()
            drafts |= {n.key: n for n in calls}
            unreached += silent
            cancelled += _overtaken(calls, told, now)
        elif event.kind in _STOPS:
            drafts = {k: n for k, n in drafts.items() if n.alert != alert.id or n.channel == "console"}
            cancelled += [n.key for n in told if n.channel != "console"]
            drafts |= {n.key: n for n in change.courtesy()}
    done = gather(list(drafts.values()), cancelled, history, book, now)
    return Plan(
        notices=(*done.notices, *asks), cancelled=done.cancelled, unreached=tuple(unreached),
        history=remember(done.history, asks),
    )  # fmt: skip


def _question(event: AlertEvent, alert: Alert, book: Book, now: int) -> list[Notice]:
    """The call to the home that asks the resident first; limits and bundles do not touch it."""
    return [
        Notice(
            alert=alert.id, step=-1, recipient=f"{HOME}{alert.household}", channel="voice", round=alert.asks,
            kind="ask", priority=alert.priority, address=book.askable[alert.household], due=now,
            text=voice_answer(book.content.texts, "ask"), reason=f"asked: {event.reason}",
        )
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Change:
    """One event and all that its notices depend on."""

    event: AlertEvent
    alert: Alert
    book: Book
    people: Mapping[str, Person]
    told: Sequence[Notice]  # the calls about this alert before
    off: frozenset[str]
    now: int

    def calls(self) -> tuple[list[Notice], list[str]]:
        """The console's line and one message a person and channel of this step; the fallback where nobody is reached.

        Second: a sentence for each role or person that could not be told.
        """
        steps = self.book.policy(self.alert).step
        step = steps[min(self.event.step, len(steps) - 1)]
        console = [self._call("console", "console", "")] if "console" in step.by else []
        console += [self._call(WARD, "other", WARD)] if "other" in step.by else []
        roster = self.book.content.roster
        silent, wanted = [], dict[str, None]()
        for role in step.tell:
            on_call = roster.on_call(role, self.now)
            wanted |= dict.fromkeys(on_call)
            silent += [] if on_call else [f"{self.alert.id}: nobody is on duty as {role}"]
        messages = self._messages(step, wanted, silent)
        if step.tell and not messages:
            messages = self._messages(step, roster.content.fallback, silent)
            end = "the fallback is told" if messages else "nobody could be told"
            silent.append(f"{self.alert.id}: step {self.event.step} reached nobody on duty; {end}")
        return console + messages, silent

    def _messages(self, step: Step, wanted: Iterable[str], silent: list[str]) -> list[Notice]:
        notices = []
        for staff in wanted:
            person = self.people.get(staff)
            addresses = {c: person.address(c) for c in step.by if c != "other"} if person else {}
            reached = [self._call(staff, channel, address) for channel, address in addresses.items() if address]
            if not reached:
                channels = " or ".join(c for c in step.by if c not in {"console", "other"})
                silent.append(f"{self.alert.id}: {staff} cannot be reached by {channels}; add the address")
            notices += reached
        return notices

    def _call(self, recipient: str, channel: Channel, address: str) -> Notice:
        told = [n for n in self.told if n.priority == self.alert.priority]
        told = [n for n in told if n.channel == channel]
        kind: _Call = "escalated"
        if any(n.recipient == recipient for n in told):
            kind = "repeat"
        elif self.event.step == 0 and not told:
            kind = "first"
        texts, placed, zone = self.book.content.texts, self.book.placed(self.alert), self.book.content.roster.zone
        if channel == "voice":
            text = voice_text(texts, placed, zone, self.now)
        else:
            say = console_text if channel == "console" else call_text
            text = say(texts, kind, placed, zone, self.now)
        return Notice(
            alert=self.alert.id, step=self.event.step, recipient=recipient, channel=channel, round=self.alert.round,
            kind=kind, priority=self.alert.priority, address=address, text=text, due=self.now,
            reason=f"{self.event.kind}: {self.event.reason}",
        )  # fmt: skip

    def courtesy(self) -> list[Notice]:
        """One short message to those who were called: who has taken it, or that it is over."""
        event, alert, texts, zone = self.event, self.alert, self.book.content.texts, self.book.content.roster.zone
        untouched = not alert.owner and alert.returned_at == NEVER
        kind: NoticeKind
        if event.kind == "acknowledged" or (event.kind == "resolved" and event.by not in ENGINE and untouched):
            kind, text = "taken", taken_text(texts, self.book.placed(alert), event.by, zone, self.now)
        elif event.kind == "returned":
            kind, text = "ended", ended_text(texts, self.book.placed(alert), zone, self.now)
        else:
            return []
        told = {
            (n.recipient, n.channel): n.address
            for n in self.told
            if n.channel not in {"console", "voice"}
            and n.recipient != event.by
            and (n.due <= self.now or n.key in self.off)
        }
        return [
            Notice(
                alert=alert.id, step=max(alert.step, 0), recipient=recipient, channel=channel, kind=kind,
                # the second of the event makes the key unique: an alert may be taken over, or end, more than once
                round=event.at // SECOND, priority=alert.priority, address=address, text=text, due=self.now,
                reason=f"{event.kind}: {event.reason}",
            )
            for (recipient, channel), address in told.items()
        ]  # fmt: skip


def _overtaken(calls: Sequence[Notice], told: Sequence[Notice], now: int) -> list[str]:
    """Earlier calls of the same alert to the same person that a dead line may have kept back: the newer one goes."""
    new = {(n.recipient, n.channel) for n in calls if n.channel != "console"}
    return [n.key for n in told if (n.recipient, n.channel) in new and n.due <= now]
