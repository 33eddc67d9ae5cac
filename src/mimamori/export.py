"""`mimamori export`: the alerts of a site's ledger as alert lines, for other programs and for studies.

May import alerts and the ledger. Reads no clock; the ledger may be in use by a running service.
"""

from __future__ import annotations

from typing import Any

from mimamori.alerts.book import line
from mimamori.alerts.fold import fold_all
from mimamori.store.ledger import Ledger


async def read_alerts(url: str, *, since: int, until: int, zone: str) -> list[dict[str, Any]]:
    """Alert lines of all alerts opened in [since, until) (ns), by opening time, as they stand now. Raises LedgerError.

    An alert that was opened again stands once, with its first opening.
    """
    ledger = await Ledger.open(url, recover=False)
    try:
        alerts = fold_all(await ledger.alert_events()).values()
    finally:
        await ledger.close()
    chosen = sorted((a for a in alerts if since <= a.opened < until), key=lambda a: (a.opened, a.id))
    return [line(alert, zone) for alert in chosen]
