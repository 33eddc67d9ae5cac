"""The JSON shapes of the API, as OpenAPI shows them, and how each is made from the records.

May import model, the desk and web.records. Pure; times are ISO 8601 in the view's zone, and null for never or unknown.
"""

from __future__ import annotations

import math

from pydantic import BaseModel, Field

from mimamori.model.alert import Alert, AlertEvent, Category, EventKind, Outcome, Priority, State
from mimamori.model.notice import Channel, NoticeKind, NoticeState, Status
from mimamori.model.readings import Rejected
from mimamori.model.times import NEVER, iso_or_none
from mimamori.web.desk import Absent, Change, Doing, Light, Tile, TileState, View, queue_order, worst_first


class ValueShape(BaseModel):
    metric: str
    value: float
    unit: str
    taken: str | None


class HouseholdShape(BaseModel):
    """A household as its tile on the wall."""

    household: str
    code: str
    room: str
    state: TileState
    doing: Doing
    priority: Priority | None
    headline: str
    headline_en: str
    values: list[ValueShape]
    last_sign: str | None
    absence: Absent = Field(description="declared away, or awaited after the declared end; empty: neither")
    absent_until: str | None = Field(description="that absence's declared end; null: until further notice, or none")
    coverage: float | None = Field(description="share of the last 24 h that was watched, 0..1")


class EventShape(BaseModel):
    kind: EventKind
    at: str | None
    by: str
    reason: str
    priority: Priority
    outcome: Outcome | None
    until: str | None
    step: int | None


class AlertShape(BaseModel):
    """The alert line, with where its life cycle stands. events: only where one alert is asked for."""

    id: str
    household: str
    device: str | None
    rule: str
    category: Category
    priority: Priority
    state: State
    opened: str | None
    since: str | None
    resolved: str | None = Field(description="when the condition ended by itself, else when it was closed")
    title: str
    title_en: str
    why: str
    why_en: str
    evidence: dict[str, float | str | None]
    owner: str | None
    acknowledged: str | None
    acknowledged_until: str | None
    returned: str | None
    shelved_until: str | None
    outcome: Outcome | None
    step: int | None
    events: list[EventShape] | None = None


class NoticeShape(BaseModel):
    """A message, and what became of it."""

    key: str
    alert: str
    step: int
    recipient: str
    channel: Channel
    round: int
    kind: NoticeKind
    priority: Priority
    address: str = Field(description="shortened for those who may not see whole numbers")
    text: str
    reason: str
    status: Status
    due: str | None
    planned: str | None
    sent: str | None
    delivered: str | None
    tries: int
    detail: str


class LightShape(BaseModel):
    name: str
    ok: bool
    text: str
    text_en: str
    since: str | None


class StatusShape(BaseModel):
    """Whether the service works. now: the loop's own clock; ticks: how often it has told the consoles."""

    now: str | None
    zone: str
    speed: float
    seq: int
    ticks: int
    households: int
    open_alerts: int
    lights: list[LightShape]
    counts: dict[str, int]


class RejectedShape(BaseModel):
    place: str
    reason: str
    mend: str
    at: str | None
    payload: str


class QuarantineShape(BaseModel):
    counts: dict[str, int]
    rows: list[RejectedShape]


class ChangeShape(BaseModel):
    """One event of the live stream. full: the lists hold everything; order: all households, worst first."""

    seq: int
    full: bool
    now: str | None
    speed: float
    order: list[str]
    households: list[HouseholdShape]
    queue: list[str]
    alerts: list[AlertShape]
    lights: list[LightShape]
    counts: dict[str, int]


def household_shape(tile: Tile, zone: str) -> HouseholdShape:
    return HouseholdShape(
        household=tile.household, code=tile.code, room=tile.room, state=tile.state, doing=tile.doing,
        priority=tile.priority, headline=tile.headline_ja, headline_en=tile.headline_en,
        values=[
            ValueShape(metric=m, value=v, unit=u, taken=iso_or_none(t, zone))
            for m, v, u, t in tile.values
            if math.isfinite(v)
        ],
        last_sign=iso_or_none(tile.last_sign, zone), absence=tile.absence,
        absent_until=iso_or_none(tile.absent_until, zone),
        coverage=None if math.isnan(tile.coverage) else tile.coverage,
    )  # fmt: skip


def event_shape(event: AlertEvent, zone: str) -> EventShape:
    return EventShape(
        kind=event.kind, at=iso_or_none(event.at, zone), by=event.by, reason=event.reason, priority=event.priority,
        outcome=event.outcome, until=iso_or_none(event.until, zone), step=event.step if event.step >= 0 else None,
    )  # fmt: skip


def alert_shape(alert: Alert, zone: str, events: list[AlertEvent] | None = None) -> AlertShape:
    ended = alert.returned_at if alert.returned_at != NEVER else alert.resolved_at
    return AlertShape(
        id=alert.id, household=alert.household, device=alert.device or None, rule=alert.rule,
        category=alert.category, priority=alert.priority, state=alert.state, opened=iso_or_none(alert.opened, zone),
        since=iso_or_none(alert.since, zone), resolved=iso_or_none(ended, zone),
        title=alert.title_ja, title_en=alert.title_en, why=alert.why_ja, why_en=alert.why_en,
        evidence={k: v if isinstance(v, str) or math.isfinite(v) else None for k, v in alert.evidence.items()},
        owner=alert.owner or None, acknowledged=iso_or_none(alert.acknowledged_at, zone),
        acknowledged_until=iso_or_none(alert.ack_until, zone), returned=iso_or_none(alert.returned_at, zone),
        shelved_until=iso_or_none(alert.shelved_until, zone), outcome=alert.outcome,
        step=alert.step if alert.step >= 0 else None,
        events=None if events is None else [event_shape(e, zone) for e in events],
    )  # fmt: skip


def masked(address: str, *, whole: bool) -> str:
    """A phone number or address as this person may see it: its last four signs only, unless `whole`."""
    return address if whole or len(address) <= 4 else "…" + address[-4:]


def notice_shape(state: NoticeState, zone: str, *, whole: bool) -> NoticeShape:
    notice = state.notice
    return NoticeShape(
        key=notice.key, alert=notice.alert, step=notice.step, recipient=notice.recipient, channel=notice.channel,
        round=notice.round, kind=notice.kind, priority=notice.priority, address=masked(notice.address, whole=whole),
        text=notice.text, reason=notice.reason, status=state.status, due=iso_or_none(notice.due, zone),
        planned=iso_or_none(state.planned_at, zone), sent=iso_or_none(state.sent_at, zone),
        delivered=iso_or_none(state.delivered_at, zone), tries=state.tries, detail=state.detail,
    )  # fmt: skip


def light_shape(light: Light, zone: str) -> LightShape:
    return LightShape(
        name=light.name, ok=light.ok, text=light.text_ja, text_en=light.text_en, since=iso_or_none(light.since, zone)
    )


def status_shape(view: View, seq: int, ticks: int) -> StatusShape:
    return StatusShape(
        now=iso_or_none(view.now, view.zone), zone=view.zone, speed=view.speed, seq=seq, ticks=ticks,
        households=len(view.tiles), open_alerts=sum(a.state != "resolved" for a in view.alerts),
        lights=[light_shape(light, view.zone) for light in view.lights], counts=dict(view.counts),
    )  # fmt: skip


def rejected_shape(row: Rejected, zone: str) -> RejectedShape:
    return RejectedShape(
        place=row.place, reason=row.reason, mend=row.mend, at=iso_or_none(row.at, zone),
        payload=row.payload[:500].decode("utf-8", "backslashreplace"),
    )  # fmt: skip


def change_shape(change: Change) -> ChangeShape:
    view, zone = change.view, change.view.zone
    return ChangeShape(
        seq=change.seq, full=change.since == 0, now=iso_or_none(view.now, zone), speed=view.speed,
        order=[t.household for t in worst_first(view.tiles)],
        households=[household_shape(t, zone) for t in change.tiles],
        queue=[a.id for a in queue_order(view.alerts)],
        alerts=[alert_shape(a, zone) for a in change.alerts],
        lights=[light_shape(light, zone) for light in view.lights], counts=dict(view.counts),
    )  # fmt: skip
