"""Time that nobody watched is passed over by whoever catches up with it, as it was when it ended."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path
from typing import Any

import numpy as np

from mimamori.backup import back_up
from mimamori.model.homes import Homes
from mimamori.model.readings import no_readings
from mimamori.model.times import DAY, HOUR, MINUTE, NEVER, SECOND
from mimamori.rules.engine import Engine
from mimamori.service.begin import begin_engine, unpacked
from mimamori.service.lights import Lights
from mimamori.service.snapshot import ROWS, take_rows
from mimamori.service.unwatched import Watch
from mimamori.settings import Settings
from mimamori.site import Site
from mimamori.store.embedded import EmbeddedReadings
from mimamori.store.ledger import Ledger
from mimamori.store.records import Unwatched
from mimamori.stream.clock import Clock

Start = Callable[..., AbstractAsyncContextManager[Any]]
Until = Callable[..., Awaitable[Any]]
ASLEEP = {"in_bed": 1.0, "heart_rate": 62.0, "body_movement": 20.0}


async def test_a_restart_passes_over_the_hours_by_which_the_clock_was_set(
    service: Start, site: Site, tmp_path: Path, until: Until
) -> None:
    """What a kill soon after them would leave is a copy of the service's files at that moment."""
    async with service() as running:
        await running.device.tells(ASLEEP, 2 * MINUTE)
        set_at = running.clock.now()
        running.clock.restart(set_at + 6 * HOUR)

        async def noticed() -> bool:
            return await running.api.count("gaps") == 1

        await until(noticed)
        await running.device.tells(ASLEEP, 2 * MINUTE)

        async def stored() -> bool:
            return await running.api.count("readings") == 72

        await until(stored)
        await asyncio.to_thread(back_up, site, Settings(data=tmp_path / "data"), tmp_path / "killed", 0)
        await running.end()
    ledger = await Ledger.open(f"sqlite:///{tmp_path / 'data' / 'ledger.sqlite'}")
    ended = await ledger.engine_mark()
    assert await ledger.unwatched() == [], "the snapshot at the end holds what came of it"
    await ledger.close()
    assert ended is not None
    went_on, at, again = unpacked(ended, site), *(await caught_up(tmp_path / "killed", site))
    assert at < set_at, "the snapshot is older than the hours"
    again.step(no_readings(), ended.at)
    state = again.snapshot()
    assert len(state) > 100
    for name, column in went_on.items():
        if name in state:
            assert np.array_equal(state[name], column, equal_nan=column.dtype.kind == "f"), name
    assert [n for n in went_on if n not in state and n not in ROWS and not n.startswith("watch.")] == []


async def test_a_start_survives_a_ledger_that_does_not_take_down_what_nobody_watched(
    service: Start, site: Site, tmp_path: Path
) -> None:
    async with service() as running:
        await running.device.tells(ASLEEP, MINUTE)
        await running.end()
    with closing(sqlite3.connect(tmp_path / "data" / "ledger.sqlite", isolation_level=None)) as beside:
        beside.execute("CREATE TRIGGER full BEFORE INSERT ON unwatched BEGIN SELECT RAISE(FAIL, 'disk is full'); END")
    at, engine = await caught_up(tmp_path / "data", site)
    engine.step(no_readings(), at + MINUTE)
    assert len(engine.current()) > 0


async def test_what_the_ledger_does_not_take_is_written_with_a_later_tick(tmp_path: Path) -> None:
    file, noon = tmp_path / "ledger.sqlite", 500_000 * HOUR
    ledger, counts = await Ledger.open(f"sqlite:///{file}"), Counter[str]()
    watch = Watch(ledger=ledger, lights=Lights(Clock()), counts=counts)
    with closing(sqlite3.connect(file, isolation_level=None)) as beside:
        beside.execute("ALTER TABLE unwatched RENAME TO gone")
        assert await watch.look(noon, noon + HOUR, 1.0)
        beside.execute("ALTER TABLE gone RENAME TO unwatched")
    assert await ledger.unwatched() == []
    assert not await watch.look(noon + HOUR, noon + HOUR + SECOND, 1.0)
    assert not await watch.look(NEVER, noon + DAY, 1.0), "the first tick of all"
    assert await ledger.unwatched() == [Unwatched(since=noon, until=noon + HOUR)]
    assert counts == {"gaps": 1, "ledger_failures": 1}
    await ledger.close()


async def caught_up(folder: Path, site: Site) -> tuple[int, Engine]:
    """When the snapshot was made that a restart on `folder` begins from, and the engine at its last reading."""
    ledger = await Ledger.open(f"sqlite:///{folder / 'ledger.sqlite'}")
    mark, homes = await ledger.engine_mark(), Homes()
    assert mark is not None
    saved = unpacked(mark, site)
    take_rows(homes, saved)
    for device in await ledger.devices():
        homes.add_device(device.household, device.device, device.profile)
    store = await EmbeddedReadings.open(folder / "readings", homes=homes, metrics=site.metrics)
    newest = max([int(batch.got[-1]) async for batch in store.scan_all(NEVER, 2**62)])
    begun = await begin_engine(site, ledger, homes, store, saved, mark.at, newest, asyncio.Event())
    assert begun.restored
    await store.close()
    await ledger.close()
    return mark.at, begun.engine
