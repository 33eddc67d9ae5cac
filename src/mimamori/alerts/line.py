"""An alert as the line that other programs read: `replay --alerts`, `export --alerts`, webhooks.

May import model.
"""

from __future__ import annotations

from typing import Any

from mimamori.model.alert import Alert
from mimamori.model.times import NEVER, iso, iso_or_none


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
