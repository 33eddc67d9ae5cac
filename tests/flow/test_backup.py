"""`mimamori backup` beside a running service, and `mimamori restore` into an empty site."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from mimamori.backup import back_up, restore
from mimamori.model.homes import Homes
from mimamori.model.readings import concat
from mimamori.model.times import NEVER, SECOND
from mimamori.settings import Settings
from mimamori.site import Site, load_site
from mimamori.store.embedded import EmbeddedReadings

Start = Callable[..., AbstractAsyncContextManager[Any]]
Until = Callable[..., Awaitable[Any]]


def rows_of(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table of an SQLite file."""
    connection = sqlite3.connect(path)
    names = [n for (n,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    found = {name: connection.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall() for name in names}
    connection.close()
    return found


async def readings_of(folder: Path, site: Site) -> set[tuple[str, str, str, int, float, int]]:
    homes = Homes()
    store = await EmbeddedReadings.open(folder, homes=homes, metrics=site.metrics)
    try:
        told = concat([batch async for batch in store.scan_all(NEVER, 2**63 - 1)])
    finally:
        await store.close()
    rows = zip(
        told.device.tolist(), told.metric.tolist(), told.taken.tolist(), told.value.tolist(), told.got.tolist(),
        strict=True,
    )  # fmt: skip
    return {
        (homes.ids[homes.device_home[d]], homes.device_ids[d], site.metrics[m].name, t, v, g) for d, m, t, v, g in rows
    }


async def test_a_backup_of_a_running_service_restores_into_an_empty_site(
    service: Start, alarmed: Callable[[Any], Awaitable[dict[str, Any]]], site: Site, tmp_path: Path
) -> None:
    settings = Settings(data=tmp_path / "data")
    async with service() as running:
        alert = await alarmed(running)
        copied = tmp_path / "saved" / "today"
        await asyncio.to_thread(back_up, site, settings, copied, 7)
        await running.device.tells({"heart_rate": 70.0}, 30 * SECOND)
        with pytest.raises(FileExistsError, match="not empty"):
            await asyncio.to_thread(back_up, site, settings, copied, 8)
        end = running.clock.now()
    assert not copied.with_name("today.part").exists(), "nothing half done beside it"

    elsewhere = Settings(data=tmp_path / "data2")
    assert await asyncio.to_thread(restore, copied, tmp_path / "site2", elsewhere) == []
    assert load_site(tmp_path / "site2").digest == site.digest
    saved, restored = rows_of(copied / "ledger.sqlite"), rows_of(tmp_path / "data2" / "ledger.sqlite")
    assert saved == restored
    assert alert["id"] in {row[1] for row in saved["alert_event"]}
    assert rows_of(copied / "readings" / "readings.sqlite") == rows_of(
        tmp_path / "data2" / "readings" / "readings.sqlite"
    )
    before, later = await readings_of(tmp_path / "data2" / "readings", site), await readings_of(
        tmp_path / "data" / "readings", site
    )  # fmt: skip
    assert before
    assert before < later, "what came after the backup, and nothing else, is missing"
    with pytest.raises(FileExistsError, match="already there"):
        await asyncio.to_thread(restore, copied, tmp_path / "site2", elsewhere)

    (tmp_path / "data").rename(tmp_path / "lost")
    (tmp_path / "data2").rename(tmp_path / "data")
    async with service(start=end) as running:
        again = await running.api.get("alerts", state="open")
        assert [(a["id"], a["opened"]) for a in again] == [(alert["id"], alert["opened"])]


async def test_a_changed_backup_and_a_wrong_place_are_refused_untouched(site: Site, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data")
    with pytest.raises(FileNotFoundError, match="MIMAMORI_DATA"):
        await asyncio.to_thread(back_up, site, settings, tmp_path / "copy", 7)
    assert not (tmp_path / "copy.part").exists()
    assert not settings.data.exists()
    store = await EmbeddedReadings.open(settings.data / "readings", homes=Homes(), metrics=site.metrics)
    await asyncio.to_thread(back_up, site, settings, tmp_path / "copy", 7)
    await store.close()
    with (tmp_path / "copy" / "ledger.sqlite").open("ab") as file:
        file.write(b"!")
    with pytest.raises(OSError, match=r"changed since the backup: ledger\.sqlite"):
        await asyncio.to_thread(restore, tmp_path / "copy", tmp_path / "site2", Settings(data=tmp_path / "data2"))
    with pytest.raises(FileNotFoundError, match="mimamori backup"):
        await asyncio.to_thread(restore, tmp_path, tmp_path / "site2", Settings(data=tmp_path / "data2"))
    assert not (tmp_path / "site2").exists()
    assert not (tmp_path / "data2").exists()
