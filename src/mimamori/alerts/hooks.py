"""Changes of alerts for other programs: one notice for each registered webhook, with the alert line as its text.

May import model and the pure parts beside it. Pure value of (events, book, addresses, now).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import get_args

from mimamori.alerts.book import Book
from mimamori.alerts.line import line
from mimamori.model.alert import AlertEvent, EventKind
from mimamori.model.notice import WEBHOOK, Notice
from mimamori.model.times import SECOND, iso

TOLD = ("opened", "worsened", "acknowledged", "returned", "resolved", "reopened")
_PLACE = {kind: place for place, kind in enumerate(get_args(EventKind))}


def webhook_notices(events: Sequence[AlertEvent], book: Book, addresses: Mapping[str, str], now: int) -> list[Notice]:
    """What these events mean to programs. addresses: URL by the webhook's id, of those in use.

    The line tells the alert as it stands after this tick; of two equal changes within a second one is told.
    """
    zone = book.content.roster.zone.name
    notices = []
    for event in events:
        alert = book.alert(event.alert)
        if event.kind not in TOLD or alert is None:
            continue
        told = line(alert, zone) | {"event": event.kind, "event_at": iso(event.at, zone), "owner": alert.owner or None}
        text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
        notices += [
            Notice(
                alert=alert.id, step=_PLACE[event.kind], recipient=WEBHOOK + name, channel="webhook",
                round=max(event.at - alert.opened, 0) // SECOND, kind="event", priority=alert.priority, address=url,
                text=text, due=now, reason=f"the alert was {event.kind}",
            )
            for name, url in sorted(addresses.items())
        ]  # fmt: skip
    return notices
