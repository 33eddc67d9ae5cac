"""`mimamori export`: a site's alerts as alert lines and its readings as a reading file, for other programs and studies.

May import alerts and the stores. Reads no clock; ledger and readings may be in use by a running service.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from mimamori.alerts.fold import fold_all
from mimamori.alerts.line import line
from mimamori.model.declared import Declaration
from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import ReadingBatch
from mimamori.store.extract import extract
from mimamori.store.ledger import Ledger
from mimamori.stream.written import write_readings


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


async def read_declarations(url: str) -> list[Declaration]:
    """All that the service was told of absences, oldest first. Raises LedgerError."""
    ledger = await Ledger.open(url, recover=False)
    try:
        return await ledger.declarations()
    finally:
        await ledger.close()


def export_readings(  # noqa: PLR0917 - from where to where
    store: Path, out: Path, metrics: Metrics, zone: str, since: int, until: int, households: Collection[str]
) -> tuple[int, int]:
    """(readings written, left out since no profile declares their metric) of [since, until) (ns) by time.

    store: the embedded store's file. households: none for all. Raises StoreError, ValueError for a name or an ending.
    """
    found = extract(store, since, until, households)
    homes, left_out = Homes(), 0
    for household in found.keys.households:
        homes.add(household)
    for home, device, profile in found.keys.devices:
        homes.add_device(found.keys.households[home], device, profile)

    def batches() -> Iterator[ReadingBatch]:
        nonlocal left_out
        for rows in found.batches:
            told, without = found.keys.as_rows(rows, homes, metrics)
            left_out += without
            yield told

    return write_readings(out, homes, metrics, batches(), zone), left_out
