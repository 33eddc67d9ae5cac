"""Proof of delivery: the chain from what happened to who took it, with the time of every link.

May import model only. Pure: a fold of an alert's events and of what became of its messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mimamori.model.alert import AlertEvent
from mimamori.model.notice import NoticeState
from mimamori.model.times import NEVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One message's way. NEVER: not yet, or nobody told us."""

    recipient: str
    channel: str
    kind: str
    queued: int
    accepted: int
    delivered: int
    read: int
    status: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The first time of each link: the condition began, the rule fired, a message was queued, the service accepted it,
    the telephone had it, the person answered it, and somebody took the alert. Lines on the console prove nothing.
    """

    alert: str
    began: int
    fired: int
    queued: int
    accepted: int
    delivered: int
    read: int
    acknowledged: int
    by: str
    links: tuple[Link, ...]


def prove(events: Sequence[AlertEvent], states: Iterable[NoticeState]) -> Proof:
    """events: all of one alert, oldest first, at least one. states: what became of its messages."""
    sent = sorted((s for s in states if s.notice.channel != "console"), key=lambda s: (s.planned_at, s.notice.key))
    links = tuple(
        Link(
            recipient=s.notice.recipient, channel=s.notice.channel, kind=s.notice.kind, queued=s.planned_at,
            accepted=s.sent_at, delivered=s.delivered_at, read=s.read_at, status=s.status, detail=s.detail,
        )
        for s in sent
    )  # fmt: skip
    calls = [link for link in links if link.kind not in {"taken", "ended"}]
    taken = next((e for e in events if e.kind == "acknowledged"), None)
    return Proof(
        alert=events[0].alert, began=events[0].since, fired=events[0].at,
        queued=_first(link.queued for link in calls), accepted=_first(link.accepted for link in calls),
        delivered=_first(link.delivered for link in calls), read=_first(link.read for link in calls),
        acknowledged=taken.at if taken else NEVER, by=taken.by if taken else "", links=links,
    )  # fmt: skip


def _first(times: Iterable[int]) -> int:
    return min((t for t in times if t != NEVER), default=NEVER)
